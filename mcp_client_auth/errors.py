"""Every error that leaves this package, sorted by what the caller can do about it.

AuthError
├── LoginRequired            a person must log in: run the command in `hint`
├── Unavailable              try later (`retry_after` seconds); the credential is kept
├── Refused                  the server said no
│   ├── AuthorizationDenied  … to the person's request
│   ├── TokenRefused         … to the code, the refresh token or the client
│   ├── RegistrationRefused  … to a client, or there is no way to get one
│   └── InsufficientScope    … to this operation with the scopes held
├── Untrusted                a check failed; nothing was sent, their text is not shown
│   ├── IssuerMismatch
│   ├── ResourceMismatch
│   ├── InsecureUrl
│   ├── PkceUnsupported
│   └── DpopUnsupported
├── BadResponse              their answer breaks the standard
├── LoginFailed              timed out or aborted
├── StorageError             the credential cannot be read or kept
└── UsageError               an argument cannot work

An error is its fields; the message is made from them. No field ever holds a secret.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more than `mcp-login token` does
if TYPE_CHECKING:
    from typing import Any, Self, TypeVar

    _E = TypeVar("_E", bound="AuthError")

_QUOTED = 200


class AuthError(Exception):
    """Base of all errors of this package.

    `summary`: what happened, one sentence without a full stop. `url`: where, without query.
    `hint`: what the person can do. `code`: a stable word for machines, the OAuth error code
    where there is one (RFC 6749 §5.2). `server`: the MCP server. `step`: one of the fifteen.
    """

    default_code = "error"

    def __init__(
        self,
        summary: str,
        *,
        code: str = "",
        url: str = "",
        hint: str = "",
        server: str = "",
        step: str = "",
        **more: Any,
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.code = code or self.default_code
        self.url = url
        self.hint = hint
        self.server = server
        self.step = step
        self.__dict__.update(more)

    def __str__(self) -> str:
        where = f" ({self.url})" if self.url and self.url not in self.summary else ""
        hint = f". {self.hint}" if self.hint else ""
        return f"{self.summary}{where}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remade, (type(self), dict(self.__dict__)))

    def fresh(self) -> Self:
        """The same error as a new instance: one raised to many waiters grows its traceback."""
        return _remade(type(self), dict(self.__dict__))

    def at(self, *, server: str = "", step: str = "") -> Self:
        """Fill in what only an outer room knows; what is already said stays."""
        self.server = self.server or server
        self.step = self.step or step
        return self


def _remade(kind: type[_E], fields: dict[str, Any]) -> _E:
    return kind(fields.pop("summary"), **fields)


class LoginRequired(AuthError):
    """Nobody can be asked here, and nothing else is left to try."""

    default_code = "login_required"


class Unavailable(AuthError):
    """Try later; what is stored was kept. `retry_after`: seconds, or None (RFC 9110 §10.2.3)."""

    default_code = "unavailable"
    retry_after: float | None = None


class Refused(AuthError):
    """The server said no. `status` is its HTTP status, 0 where it came through the browser.

    `description` is what the server said about it, made fit to be shown; empty for nothing.
    """

    default_code = "refused"
    status: int = 0
    description: str = ""


class AuthorizationDenied(Refused):
    """The authorization response carries an error (RFC 6749 §4.1.2.1), or that to a request
    that was pushed does (RFC 9126 §2.3; then it has a `status`)."""

    default_code = "access_denied"


class TokenRefused(Refused):
    """The token endpoint answers an OAuth error (RFC 6749 §5.2)."""

    default_code = "invalid_grant"


class RegistrationRefused(Refused):
    """The registration endpoint says no (RFC 7591 §3.2.2), or there is no way to a client."""

    default_code = "no_client"


class InsufficientScope(Refused):
    """403 `insufficient_scope` after a step-up (RFC 6750 §3.1)."""

    default_code = "insufficient_scope"
    requested: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()


class Untrusted(AuthError):
    """A check failed, so nothing was sent and nothing of theirs is shown."""

    default_code = "untrusted"


class IssuerMismatch(Untrusted):
    """RFC 8414 §3.3, RFC 9207 §2.4."""

    default_code = "issuer_mismatch"


class ResourceMismatch(Untrusted):
    """RFC 9728 §3.3."""

    default_code = "resource_mismatch"


class InsecureUrl(Untrusted):
    """Not https (nor http on loopback), or an address that this server may not name."""

    default_code = "insecure_url"


class PkceUnsupported(Untrusted):
    """The metadata does not list S256 (RFC 7636 §4.2, RFC 8414 §2)."""

    default_code = "pkce_unsupported"


class DpopUnsupported(Untrusted):
    """Tokens that are bound to a key are wanted, and cannot be had (RFC 9449 §5, §5.1)."""

    default_code = "dpop_unsupported"


class BadResponse(AuthError):
    """An answer breaks its standard: expected and received are in the summary.

    `status` is its HTTP status where that matters, else 0.
    """

    default_code = "bad_response"
    status: int = 0


class LoginFailed(AuthError):
    """The login timed out or was aborted; nothing stored has changed."""

    default_code = "login_failed"


class StorageError(AuthError):
    """The credential cannot be read or kept."""

    default_code = "storage"


class UsageError(AuthError):
    """An argument cannot work."""

    default_code = "usage"


def quoted(text: str, limit: int = _QUOTED) -> str:
    """A server's own text, made fit to stand in a message: printable, short, in quotes."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 4]).split())
    return f"“{clean if len(clean) <= limit else clean[: limit - 1] + '…'}”"
