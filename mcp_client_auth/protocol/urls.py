"""The three kinds of URL that a login trusts, and how two URLs relate to each other.

A `ServerUrl`, an `Issuer` or an `Endpoint` is made by its check, once: the value is the proof.
What is sent to a server is never rebuilt from its parts.
"""

from __future__ import annotations

import re
from itertools import islice
from urllib.parse import quote, unquote, unquote_plus, urlencode

from ..errors import InsecureUrl, Remedy, UsageError
from ..origin import Shown, is_loopback, origin_url, same_origin, shown, split

TYPE_CHECKING = False  # typing costs more than `mcp-login token` does
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, Protocol, Self

    class Rules(Protocol):
        """What `Options` says about these."""

        @property
        def allow_insecure_http(self) -> bool: ...


_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.\-]*:")
_QUERY: Final = "!$&'()*+,;=:@/?-._~%"  # RFC 3986 §3.4: all that may be there unescaped
# The limits of a server URL, so that a search for the logins above a request has few places to
# look at, however long the request's URL is.
_LONGEST: Final = 2048
_DEEPEST: Final = 32
_EVERY: Final = ("0.0.0.0", "::")  # noqa: S104
_SLASH: Final = re.compile("/")
_APPENDED: Final = "/.well-known/openid-configuration"


class _Checked(str):
    """It stays a string: in records, in JSON and in comparisons."""

    __slots__ = ()

    @property
    def shown(self) -> Shown:
        return shown(self)


class Endpoint(_Checked):
    """Where codes, tokens and secrets may be sent; an empty one means that there is none."""

    __slots__ = ()

    @classmethod
    def checked(cls, url: str, what: str, rules: Rules | None = None) -> Self:
        """Raises `InsecureUrl` unless it is https, or http on loopback (OAuth 2.1 §1.5)."""
        _require_secure(url, what, rules)
        return cls(url)

    def with_query(self, fields: Iterable[tuple[str, str]]) -> str:
        """The URL with `fields` in its query, where they replace parameters of the same name.

        RFC 6749 §3.1: the endpoint's own query is kept, and no parameter is sent twice.
        """
        fields = list(fields)
        names = {name for name, _ in fields}
        address, hash_sign, fragment = self.partition("#")
        place, _, query = address.partition("?")
        own = [p for p in query.split("&") if p and unquote_plus(p.partition("=")[0]) not in names]
        kept = [quote(parameter, safe=_QUERY) for parameter in own]
        return f"{place}?{'&'.join([*kept, urlencode(fields)])}{hash_sign}{fragment}"


class Issuer(Endpoint):
    """An authorization server's identifier."""

    __slots__ = ()

    @classmethod
    def checked(cls, url: str, what: str, rules: Rules | None = None) -> Self:
        """Raises `InsecureUrl` as an endpoint does, and for a query or fragment (RFC 8414 §2)."""
        issuer = super().checked(url, what, rules)
        if "?" in url or "#" in url:
            raise InsecureUrl(f"{what} has a query or fragment, which RFC 8414 §2 forbids", url=url)
        return issuer

    def metadata_places(self) -> list[str]:
        """Where its metadata may be, in order (RFC 8414 §3.1 and §5, OIDC Discovery §4)."""
        places = [
            well_known(self, "oauth-authorization-server"),
            well_known(self, "openid-configuration"),
            origin_url(self) + split(self).path.removesuffix("/") + _APPENDED,
        ]
        return list(dict.fromkeys(places))


class ServerUrl(_Checked):
    """The URL of an MCP server as it was typed, without its fragment: where its tokens go."""

    __slots__ = ()

    @classmethod
    def checked(cls, url: str, rules: Rules | None = None) -> Self:
        """Raises `UsageError` as `canonical` does, and `InsecureUrl` as an endpoint does."""
        _require_secure(canonical(url), "the server URL", rules)
        return cls(url.strip().partition("#")[0])

    @property
    def canonical(self) -> str:
        return canonical(self)

    def is_described_by(self, resource: str) -> bool:
        """Whether metadata for `resource` may speak for the server (RFC 9728 §3.3).

        Equal, or of the same origin and a path prefix that ends at a segment boundary.
        """
        try:
            server, named = split(self.canonical), split(resource)
        except (UsageError, ValueError):
            return False
        if named.fragment or "@" in named.netloc or not same_origin(self, resource):
            return False
        if named.query:
            return _spelled(resource) == self.canonical
        prefix = named.path.removesuffix("/")
        return server.path == prefix or server.path.startswith(prefix + "/")

    def covers(self, request_url: str) -> bool:
        """Whether a token for the server may be sent with a request to `request_url`.

        Same origin, at or below the server's directory (RFC 6265 §5.1.4, the default path). The
        server's URL without its trailing slash is the same server.
        """
        if not same_origin(self, request_url):
            return False
        own, path = split(self).path, split(request_url).path or "/"
        if path + "/" == own:
            return True
        if not path.startswith(own.rpartition("/")[0] + "/"):
            return False
        if ".." not in path and "%2e" not in path.lower():
            return True
        segments = unquote(path).replace("\\", "/").split("/")
        # some servers drop what follows a semicolon in a segment (RFC 3986 §3.3)
        return all(segment.partition(";")[0] != ".." for segment in segments)

    def below(self, request_url: str) -> list[str]:
        """The canonical URLs of the servers that would fit a request more closely than this one.

        At most `_DEEPEST` plus two, whatever the request's URL is.
        """
        server, exact, base = self.canonical, _spelled(request_url), origin_url(request_url)
        if exact == server:
            return []
        path = split(exact).path
        slashes = islice(_SLASH.finditer(path, 1, _LONGEST), _DEEPEST)
        prefixes = [base + path[: slash.start()].rstrip("/") for slash in slashes]
        prefixes += [base + path] if len(path) <= _LONGEST else []
        deeper = [url for url in prefixes if len(url) > len(server.partition("?")[0])]
        deeper += [exact] if len(exact) <= _LONGEST else []
        return [url for url in dict.fromkeys(deeper) if url != server]


def _require_secure(url: str, what: str, rules: Rules | None) -> None:
    try:
        parts = split(url)
    except ValueError as error:
        raise InsecureUrl(f"{what} is {shown(url)}, which is not a usable URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise InsecureUrl(f"{what} carries user info", url=url)
    if parts.scheme == "https" or is_loopback(url) or (rules and rules.allow_insecure_http):
        return
    if parts.hostname in _EVERY:
        raise InsecureUrl(
            f"{what} has {parts.hostname}, which is where a server listens and not where it is"
            " reached",
            url=url,
            hint="On the same machine it is reached at 127.0.0.1, from elsewhere by its name",
        )
    raise InsecureUrl(
        f"{what} is not https",
        url=url,
        hint=Remedy(
            "Tokens would cross the network in clear text; use https, or"
            " {Options.allow_insecure_http=True} in a network that you trust"
        ),
    )


def canonical(server_url: str) -> str:
    """The one spelling of an MCP server's URL, which a credential is stored under.

    Scheme and host in lower case, no default port, no fragment, no trailing slash; path and
    query as they are. Raises `UsageError` if it is not a URL, or longer than a server's may be.
    """
    try:
        parts, spelled = split(server_url.strip()), _spelled(server_url.strip())
    except ValueError as error:
        raise UsageError(
            f"{shown(server_url)} is not a server URL: {error}",
            hint="Expected something like https://mcp.example.com/mcp",
        ) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the server URL carries user info", hint="Leave it out: the login replaces it"
        )
    if len(spelled) > _LONGEST or parts.path.count("/") > _DEEPEST:
        raise UsageError(
            f"the server URL is longer than {_LONGEST} characters, or its path is deeper than"
            f" {_DEEPEST} segments",
            url=server_url,
        )
    return spelled


def _spelled(url: str) -> str:
    parts = split(url)
    path = parts.path.rstrip("/")  # all slashes, so that spelling it again changes nothing
    return origin_url(url) + path + (f"?{parts.query}" if parts.query else "")


def well_known(url: str, suffix: str, *, slash: bool = False) -> str:
    """Insert `/.well-known/suffix` between host and path (RFC 8414 §3.1, RFC 9728 §3.1).

    `slash`: keep the one at the end of a path, as RFC 9728 does and RFC 8414 does not.
    """
    parts = split(url)
    query = f"?{parts.query}" if parts.query else ""
    path = parts.path if slash and parts.path != "/" else parts.path.removesuffix("/")
    return f"{origin_url(url)}/.well-known/{suffix}{path}{query}"


def same_issuer(one: str, other: str) -> bool:
    """Whether the strings are equal; only an issuer without a path may have or lack its slash."""
    if one == other:
        return True
    return one.removesuffix("/") == other.removesuffix("/") and _pathless(one) and _pathless(other)


def _pathless(url: str) -> bool:
    try:
        return split(url).path in ("", "/")
    except ValueError:
        return False


def is_relative(reference: str) -> bool:
    """Whether it names neither a scheme nor a host (RFC 3986 §4.2), and so leads nowhere."""
    return not (reference.startswith(("//", "\\")) or _SCHEME.match(reference))


def without_port(url: str) -> str:
    """The URL without its port, otherwise unchanged."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{re.sub(r':[0-9]*$', '', place)}{slash}{path}"
