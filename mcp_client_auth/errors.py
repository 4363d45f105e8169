"""Every error that leaves this package, sorted by what the caller can do about it.

AuthError
├── LoginRequired            a person must log in: run `command`
├── Unavailable              try later (`retry_after` seconds); the credential is kept
├── Refused                  the server refused
│   ├── AuthorizationDenied  … to the person's request
│   ├── TokenRefused         … to the code, the refresh token or the client
│   ├── RegistrationRefused  … to a client, or no client is available
│   └── InsufficientScope    … to this operation with the scopes granted
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

An error is its fields; the message is made from them. No field ever holds a secret, nor a part
of one that a server has repeated. What the reader can do is a `Remedy`, which names options by
their Python names and knows no flag: each front end spells them for its readers.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False  # typing costs more than `mcp-login token` does
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Self, TypeAlias, TypeVar

    _E = TypeVar("_E", bound="AuthError")
    Part: TypeAlias = str | tuple[str, str | None]

_PLACE = re.compile(r"\{([^{}]*)\}")


class Remedy(tuple["Part", ...]):
    """What the reader can do: a text with options in it, each as (Python name, value or None).

    `{Options.issuer}` in the text is an option of any value, `{Options.resource=}` an empty one,
    `{Options.dpop=True}` a switch, `{Options.authorize_params=a=b c=d}` a mapping, and `{}` the
    next of `words`. `str()` spells the options in Python.

    Example:
        ```python
        from mcp_client_auth.errors import Remedy

        remedy = Remedy("If the operator confirms it, pass {Options.issuer}")
        print(remedy)  # … Options(issuer=…); the command shows its own option instead
        ```
    """

    __slots__ = ()

    def __new__(cls, text: str = "", /, *words: str | Remedy) -> Self:
        parts: list[Part] = []
        rest = iter(words)
        for at, piece in enumerate(_PLACE.split(text)):
            if at % 2 and piece:
                name, given, value = piece.partition("=")
                parts.append((name, value if given else None))
            else:
                more = next(rest) if at % 2 else piece
                parts += [more] if isinstance(more, str) else more
        return cls.of(parts)

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Self:
        """Make one from its parts, as a note or a pickle stores them."""
        joined: list[Part] = []
        for part in parts:
            last = joined[-1] if joined else None
            if isinstance(part, str) and isinstance(last, str):
                joined[-1] = last + part
            elif part:
                joined.append(part)
        return tuple.__new__(cls, joined)

    @classmethod
    def joined(cls, *sentences: str | Remedy) -> Self:
        """Join the sentences; a plain text is used as it is, whatever braces it contains."""
        given = [sentence for sentence in sentences if sentence]
        return cls(". ".join("{}" for _ in given), *given)

    def spelled(self, spell: Callable[[str, str | None], str]) -> str:
        """The text with each option as `spell(name, value)` returns it."""
        return "".join(part if isinstance(part, str) else spell(*part) for part in self)

    def __str__(self) -> str:
        return self.spelled(_in_python)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).of, (tuple(self),))


def _in_python(name: str, value: str | None) -> str:
    owner, _, argument = name.rpartition(".")
    if argument[:1].isupper():
        return f"{argument}()"
    if value is None:
        spelled = "…"
    elif "=" in value:
        pairs = (pair.partition("=") for pair in value.split())
        spelled = "{" + ", ".join(f'"{key}": "{text}"' for key, _, text in pairs) + "}"
    else:
        spelled = value if value == "True" else f'"{value}"'
    return f"{owner}({argument}={spelled})" if owner else f"{argument}={spelled}"


def shell_command(*words: str, **options: str | bool) -> str:
    """What to type in a shell; each option becomes a flag, left out if its value is empty."""
    import shlex

    flags: list[str] = []
    for name, value in options.items():
        if value:
            flags += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(["mcp-login", *words, *flags])


class AuthError(Exception):
    """Base of all errors of this package.

    `summary`: what happened, one sentence without a full stop. `url`: where; only what may be
    shown of it is kept. `remedy`: what the reader can do, and `hint` the same in Python's words.
    `code`: a stable word for machines, the OAuth error code if there is one (RFC 6749 §5.2).
    `server`: the MCP server. `step`: one of the fifteen.

    Example:
        ```python
        from mcp_client_auth import AuthError, login

        try:
            me = login("https://mcp.example.com/mcp")
        except AuthError as error:
            print(error.code, error.url, error.hint)
        ```
    """

    default_code = "error"

    def __init__(
        self,
        summary: str,
        *,
        code: str = "",
        url: str = "",
        hint: str | Remedy = "",
        server: str = "",
        step: str = "",
        **more: Any,
    ) -> None:
        from .origin import shown
        from .secret import hidden

        super().__init__(hidden(summary))
        self.summary = hidden(summary)
        self.code = hidden(code) or self.default_code
        self.url = shown(url)
        self.remedy = Remedy.of(
            hidden(part) if isinstance(part, str) else part for part in Remedy.joined(hint)
        )
        self.server = server
        self.step = step
        self.__dict__.update(more)

    @property
    def hint(self) -> str:
        return str(self.remedy)

    def __str__(self) -> str:
        where = f" ({self.url})" if self.url and not names(self.summary, self.url) else ""
        hint = f". {self.hint}" if self.hint else ""
        return f"{self.summary}{where}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remade, (type(self), dict(self.__dict__)))

    def advised(self, *sentences: str | Remedy) -> Self:
        """Replace the remedy: the caller that catches it knows better what the reader can do."""
        self.remedy = Remedy.joined(*sentences)
        return self

    def fresh(self) -> Self:
        """The same error as a new instance: raising one to many waiters grows its traceback."""
        return _remade(type(self), dict(self.__dict__))

    def at(self, *, url: str = "", server: str = "", step: str = "") -> Self:
        """Fill in what only an outer layer knows; what is already there stays."""
        from .origin import shown

        self.url = self.url or shown(url)
        self.server = self.server or server
        self.step = self.step or step
        return self


def names(text: str, url: str) -> bool:
    """Whether a text contains this URL, and not only a longer one that begins with it."""
    return bool(re.search(re.escape(url) + r"(?![\w/?#&=%~+-]|[:.]\w)", text))


def _remade(kind: type[_E], fields: dict[str, Any]) -> _E:
    error = kind.__new__(kind)
    Exception.__init__(error, fields["summary"])
    error.__dict__.update(fields)
    return error


class LoginRequired(AuthError):
    """No one can sign in here, and nothing else is left to try.

    `command`: what to run; empty if only the program itself can log in. `scope`: what the login
    has to be granted for a call; empty if any login will do.

    Example:
        ```python
        from mcp_client_auth import LoginRequired, login

        try:
            me = login("https://mcp.example.com/mcp", prompt=None)
        except LoginRequired as error:
            print("Run:", error.command)
        ```
    """

    default_code = "login_required"
    command: str = ""
    scope: tuple[str, ...] = ()


class Unavailable(AuthError):
    """Try later; what is stored was kept. `retry_after`: seconds, or None (RFC 9110 §10.2.3).

    Example:
        ```python
        from mcp_client_auth import Unavailable, login

        try:
            me = login("https://mcp.example.com/mcp")
        except Unavailable as error:
            print("try again in", error.retry_after or 30, "seconds")
        ```
    """

    default_code = "unavailable"
    retry_after: float | None = None


class Refused(AuthError):
    """The server refused. `status` is its HTTP status, 0 if the answer came through the browser.

    `description` is the server's own, made safe to show; it may be empty.

    Example:
        ```python
        from mcp_client_auth import Refused, login

        try:
            me = login("https://mcp.example.com/mcp")
        except Refused as error:
            print(error.status, error.description)
        ```
    """

    default_code = "refused"
    status: int = 0
    description: str = ""


class AuthorizationDenied(Refused):
    """The authorization response has an error (RFC 6749 §4.1.2.1), or the response to a pushed
    request does (RFC 9126 §2.3; only then is there a `status`).

    Example:
        ```python
        from mcp_client_auth import AuthorizationDenied, login

        try:
            me = login("https://mcp.example.com/mcp")
        except AuthorizationDenied as error:
            print("you said no:", error.description)
        ```
    """

    default_code = "access_denied"


class TokenRefused(Refused):
    """The token endpoint answers with an OAuth error (RFC 6749 §5.2).

    Example:
        ```python
        from mcp_client_auth import TokenRefused, login

        try:
            me = login("https://mcp.example.com/mcp")
        except TokenRefused as error:
            print("the client is not accepted" if error.code == "invalid_client" else error)
        ```
    """

    default_code = "invalid_grant"


class RegistrationRefused(Refused):
    """The registration endpoint refuses (RFC 7591 §3.2.2), or no client is available.

    Example:
        ```python
        from mcp_client_auth import RegistrationRefused, login

        try:
            me = login("https://mcp.example.com/mcp")
        except RegistrationRefused as error:
            print("ask the operator for a client:", error.hint)
        ```
    """

    default_code = "no_client"


class InsufficientScope(Refused):
    """403 `insufficient_scope` after a step-up (RFC 6750 §3.1).

    Example:
        ```python
        from mcp_client_auth import InsufficientScope, login

        try:
            me = login("https://mcp.example.com/mcp")
        except InsufficientScope as error:
            print("not granted:", set(error.requested) - set(error.granted))
        ```
    """

    default_code = "insufficient_scope"
    requested: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[str, ...]:
        """What another login has to ask for, as in `LoginRequired`."""
        return self.requested


class Untrusted(AuthError):
    """A check failed: nothing was sent, and no text of the other side is shown.

    Example:
        ```python
        from mcp_client_auth import Untrusted, login

        try:
            me = login("https://mcp.example.com/mcp")
        except Untrusted as error:
            print("a check failed, nothing was sent:", error.code)
        ```
    """

    default_code = "untrusted"


class IssuerMismatch(Untrusted):
    """The issuer is not the expected one (RFC 8414 §3.3, RFC 9207 §2.4).

    Example:
        ```python
        from mcp_client_auth import IssuerMismatch, login

        try:
            me = login("https://mcp.example.com/mcp")
        except IssuerMismatch as error:
            print("if the operator confirms it, pass Options(issuer=…):", error)
        ```
    """

    default_code = "issuer_mismatch"


class ResourceMismatch(Untrusted):
    """The metadata is for another resource (RFC 9728 §3.3).

    Example:
        ```python
        from mcp_client_auth import ResourceMismatch, login

        try:
            me = login("https://mcp.example.com/mcp")
        except ResourceMismatch as error:
            print("the metadata speaks for another address:", error)
        ```
    """

    default_code = "resource_mismatch"


class InsecureUrl(Untrusted):
    """Not https (nor http on loopback), or an address that this server may not name.

    Example:
        ```python
        from mcp_client_auth import InsecureUrl, login

        try:
            me = login("https://mcp.example.com/mcp")
        except InsecureUrl as error:
            print("not https, or an address that the server may not name:", error.url)
        ```
    """

    default_code = "insecure_url"


class PkceUnsupported(Untrusted):
    """The metadata does not list S256 (RFC 7636 §4.2, RFC 8414 §2).

    Example:
        ```python
        from mcp_client_auth import PkceUnsupported, login

        try:
            me = login("https://mcp.example.com/mcp")
        except PkceUnsupported as error:
            print("the operator has to list S256:", error.hint)
        ```
    """

    default_code = "pkce_unsupported"


class DpopUnsupported(Untrusted):
    """Tokens that are bound to a key are required, but not available (RFC 9449 §5, §5.1).

    Example:
        ```python
        from mcp_client_auth import DpopUnsupported, login

        try:
            me = login("https://mcp.example.com/mcp")
        except DpopUnsupported as error:
            print("no tokens that are bound to a key here:", error.hint)
        ```
    """

    default_code = "dpop_unsupported"


class BadResponse(AuthError):
    """An answer breaks its standard: expected and received are in the summary.

    `status` is its HTTP status where that matters, otherwise 0.

    Example:
        ```python
        from mcp_client_auth import BadResponse, login

        try:
            me = login("https://mcp.example.com/mcp")
        except BadResponse as error:
            print("to tell the operator:", error.url, error.status)
        ```
    """

    default_code = "bad_response"
    status: int = 0


class LoginFailed(AuthError):
    """The login timed out or was aborted; nothing stored has changed.

    Example:
        ```python
        from mcp_client_auth import LoginFailed, login

        try:
            me = login("https://mcp.example.com/mcp")
        except LoginFailed as error:
            print("no one signed in:", error.summary)
        ```
    """

    default_code = "login_failed"


class StorageError(AuthError):
    """The credential cannot be read or kept.

    Example:
        ```python
        from mcp_client_auth import StorageError, login

        try:
            me = login("https://mcp.example.com/mcp")
        except StorageError as error:
            print("the login cannot be kept:", error.hint)
        ```
    """

    default_code = "storage"


class UsageError(AuthError):
    """An argument cannot work.

    Example:
        ```python
        from mcp_client_auth import UsageError, login

        try:
            me = login("https://mcp.example.com/mcp")
        except UsageError as error:
            print(error)
        ```
    """

    default_code = "usage"
