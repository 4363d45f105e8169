"""The error answer of an OAuth endpoint, whichever it is (RFC 6749 §5.2), and of one in trouble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import Unavailable
from ..secret import Secret, masked, quoted
from .flow import HttpResponse
from .times import duration, retry_after

LATER: Final = ("server_error", "temporarily_unavailable")


@dataclass(frozen=True, slots=True)
class OAuthError:
    """A server's error code, which is fit to be shown, and its words; empty where it has none."""

    code: str = ""
    text: str = ""

    @property
    def ending(self) -> str:
        """Its words as they end a message."""
        return f": {quoted(self.text)}" if self.text else ""

    @property
    def description(self) -> str:
        return quoted(self.text)[1:-1] if self.text else ""


def read_error(fields: Mapping[str, Any], sent: Iterable[Secret | None] = ()) -> OAuthError:
    """The error among the fields of an answer. `sent` are the secrets of the request, which no
    message may repeat."""
    error, text, secrets = fields.get("error"), fields.get("error_description"), tuple(sent)
    return OAuthError(
        error_code(masked(error, secrets)) if isinstance(error, str) and error else "",
        masked(text, secrets) if isinstance(text, str) else "",
    )


def error_code(text: str) -> str:
    """A server's error code as it may stand in a field or log (RFC 6749 §5.2): never empty."""
    return quoted(text, 60)[1:-1] or "unknown_error"


def is_passing(status: int) -> bool:
    """Whether an answer reports trouble of the server, and so says nothing about the request."""
    return status == 429 or status >= 500


def unavailable(response: HttpResponse, *, code: str = "") -> Unavailable:
    """The error for such an answer."""
    wait = retry_after(response)
    when = "later" if wait is None else f"in {duration(wait)}, as the server asks"
    return Unavailable(
        f"the server answered HTTP {response.status}",
        url=response.url,
        code=code,
        hint=f"Nothing was changed; try again {when}",
        retry_after=wait,
    )
