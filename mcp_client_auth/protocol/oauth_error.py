"""The error response of any OAuth endpoint (RFC 6749 §5.2), and of a server in trouble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import Unavailable
from ..secret import Secret, masked, quoted
from .document import parsed
from .flow import HttpResponse
from .times import duration, retry_after

LATER: Final = ("server_error", "temporarily_unavailable")
_TELLING: Final = ("code", "loc", "title", "message", "msg", "detail", "details", "error", "errors")
_MOST_SAYINGS: Final = 10


@dataclass(frozen=True, slots=True)
class OAuthError:
    """A server's error code, which is safe to show, and its text; each empty if there is none."""

    code: str = ""
    text: str = ""

    @property
    def ending(self) -> str:
        """The text, made fit to end a message."""
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


def said(response: HttpResponse, sent: Iterable[Secret | None] = ()) -> str:
    """What a refusal says beyond the fields of an OAuth error; its `error` is left out if it is a
    string. `sent` as for `read_error`."""
    body = parsed(response)
    fields = dict(body) if isinstance(body, dict) else {"errors": body}
    if isinstance(fields.get("error"), str):
        del fields["error"]
    text = " ".join(_sayings(fields))
    if not text and response.header("content-type").lower().startswith("text/plain"):
        text = response.body.decode("utf-8", "replace")
    return masked(text.strip(), tuple(sent))


def _sayings(value: object, depth: int = 4) -> Iterator[str]:
    """The texts under the names that web frameworks use, without what they quote of the request:
    problem details (RFC 9457), validation errors, an error that is an object."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict):
        for name in _TELLING:
            yield from _sayings(value.get(name), depth - 1)
    elif depth and isinstance(value, list):
        for each in value[:_MOST_SAYINGS]:
            yield from _sayings(each, depth - 1)


def error_code(text: str) -> str:
    """A server's error code, made fit for a field or log (RFC 6749 §5.2): never empty."""
    return quoted(text, 60)[1:-1] or "unknown_error"


def is_passing(status: int) -> bool:
    """Whether an answer reports a temporary fault of the server, not one of the request."""
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
