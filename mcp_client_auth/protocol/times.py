"""Times that a server writes into headers, read as a number of seconds, or None if unusable."""

from __future__ import annotations

import math
import re
from calendar import timegm
from email.utils import parsedate_to_datetime
from typing import Final

from .flow import HttpResponse

_LONGEST: Final = 86_400.0
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?", re.ASCII)


def retry_after(response: HttpResponse) -> float | None:
    """Seconds to wait, at most a day (RFC 9110 §10.2.3); None for a text that is not a time.

    A date is compared with the server's own clock. Of several values the first usable one counts.
    """
    now = http_date(response.header("date"))
    for text in response.header_values("retry-after"):
        text = text.strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), _LONGEST)
        until = http_date(text)
        if until is not None and now is not None:
            return min(max(until - now, 0.0), _LONGEST)
    return None


def http_date(text: str) -> float | None:
    """Seconds since the epoch (RFC 9110 §5.6.7); None for a text that is not a date."""
    try:
        return float(timegm(parsedate_to_datetime(text).utctimetuple()))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def duration(seconds: float) -> str:
    """A time to wait as people say it: rounded up, in one unit."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds > 2 * size - 1:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{math.ceil(seconds)} s"
