"""What two URLs have to do with each other: origins, resources, issuers, well-known places.

Strings go in and strings come out; what is sent to a server is never rebuilt from its parts.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import InsecureUrl, UsageError, quoted

TYPE_CHECKING = False  # typing costs more than `mcp-login token` does
if TYPE_CHECKING:
    from typing import Final

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LABEL: Final = r"[a-z0-9_\-]{1,63}"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
_USER_INFO: Final = re.compile(r"//[^/?#]*@")
_SHOWN: Final = 300
_APPENDED: Final = "/.well-known/openid-configuration"
Origin = tuple[str, str, int]


def split(url: str) -> SplitResult:
    """Split an absolute http(s) URL; `ValueError` for anything else, also a control character."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("a character that no URL has")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not an absolute http(s) URL")
    if parts.port == 0:  # raises ValueError when it is no port
        raise ValueError("not a port")
    _require_host(parts.hostname, literal="[" in parts.netloc)
    return parts


def _require_host(host: str, *, literal: bool) -> None:
    """A name or an IP literal: what another parser might read as a different host is none."""
    if "%" in host or not (literal or _NAME.fullmatch(host)):
        raise ValueError("its host is none that can be looked up")
    if literal:
        import ipaddress

        ipaddress.IPv6Address(host)


def origin(url: str) -> Origin:
    """Scheme, host and port, lower-cased, the default port filled in (RFC 6454 §4)."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def origin_url(url: str) -> str:
    """The origin spelled as a URL without path."""
    scheme, host, port = origin(url)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + ("" if port == _DEFAULT_PORTS[scheme] else f":{port}")


def same_origin(one: str, other: str) -> bool:
    try:
        return origin(one) == origin(other)
    except ValueError:
        return False


def shown(url: str) -> str:
    """The URL as it may stand in a log or message: no query, fragment or user info."""
    try:
        whole = origin_url(url) + split(url).path
        return whole if len(whole) <= _SHOWN else whole[: _SHOWN - 1] + "…"
    except ValueError:
        return quoted(without_user_info(url.split("?")[0].split("#")[0]), 80)


def without_user_info(url: str) -> str:
    return _USER_INFO.sub("//", url)


def is_loopback(url: str) -> bool:
    """`localhost`, a name below it, or a loopback IP literal (RFC 8252 §7.3, RFC 6761 §6.3)."""
    host = split(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_secure(url: str, what: str, *, allow_insecure_http: bool = False) -> str:
    """`url` when it is https, or http on loopback; else `InsecureUrl` (OAuth 2.1 §1.5)."""
    try:
        parts = split(url)
    except ValueError as error:
        raise InsecureUrl(f"{what} is {shown(url)}, which is no usable URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise InsecureUrl(f"{what} carries user info", url=shown(url))
    if parts.scheme == "https" or is_loopback(url) or allow_insecure_http:
        return url
    raise InsecureUrl(
        f"{what} is not https",
        url=shown(url),
        hint="Tokens would cross the network in clear text; use https, or --allow-insecure-http"
        " (Options(allow_insecure_http=True)) in a network that you trust",
    )


def canonical(server_url: str) -> str:
    """One spelling for one MCP server: what a credential is kept under.

    Scheme and host in lower case, no default port, no fragment, no trailing slash; path and
    query as they are. Raises `UsageError` when it is no URL.
    """
    try:
        parts = split(server_url.strip())
    except ValueError as error:
        raise UsageError(
            f"{shown(server_url)} is no server URL: {error}",
            hint="Expected something like https://mcp.example.com/mcp",
        ) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the server URL carries user info", hint="Leave it out: the login takes its place"
        )
    path = parts.path.removesuffix("/")
    return origin_url(server_url.strip()) + path + (f"?{parts.query}" if parts.query else "")


def resource_matches(server_url: str, resource: str) -> bool:
    """Whether metadata for `resource` may speak for the server (RFC 9728 §3.3).

    Equal, or of the same origin and a path prefix that ends at a segment boundary.
    """
    try:
        server, wanted = split(canonical(server_url)), split(resource)
    except (UsageError, ValueError):
        return False
    if wanted.fragment or "@" in wanted.netloc or not same_origin(server_url, resource):
        return False
    if wanted.query:
        return canonical(resource) == canonical(server_url)
    prefix = wanted.path.removesuffix("/")
    return server.path == prefix or server.path.startswith(prefix + "/")


def covers(server_url: str, request_url: str) -> bool:
    """Whether a token for `server_url` goes with a request to `request_url`.

    Same origin, at or below the server's directory (RFC 6265 §5.1.4, the default path).
    """
    if not same_origin(server_url, request_url):
        return False
    directory = split(server_url).path.rpartition("/")[0] + "/"
    path = split(request_url).path or "/"
    return path.startswith(directory) and not _climbs(path)


def below(server_url: str, request_url: str) -> list[str]:
    """The servers, canonical, that would be more specific for a request than `server_url`."""
    server, request = canonical(server_url), canonical(request_url)
    if request == server:
        return []
    path = split(request).path
    ends = [at for at, letter in enumerate(path) if letter == "/" and at] + [len(path)]
    prefixes = [origin_url(request) + path[:end] for end in ends]
    longer = [url for url in prefixes if len(url) > len(server.partition("?")[0])]
    return [url for url in dict.fromkeys([*longer, request]) if url != server]


def _climbs(path: str) -> bool:
    return ".." in unquote(path).replace("\\", "/").split("/")


def well_known(url: str, suffix: str) -> str:
    """Insert `/.well-known/suffix` between host and path (RFC 8414 §3.1, RFC 9728 §3.1)."""
    parts = split(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{origin_url(url)}/.well-known/{suffix}{parts.path.removesuffix('/')}{query}"


def issuer_places(issuer: str) -> list[str]:
    """Where an issuer's metadata may lie, in order (RFC 8414 §3.1 and §5, OIDC Discovery §4)."""
    places = [
        well_known(issuer, "oauth-authorization-server"),
        well_known(issuer, "openid-configuration"),
        origin_url(issuer) + split(issuer).path.removesuffix("/") + _APPENDED,
    ]
    return list(dict.fromkeys(places))


def same_issuer(one: str, other: str) -> bool:
    """Equal strings; the one tolerance is a pathless issuer with or without its slash."""
    if one == other:
        return True
    return one.removesuffix("/") == other.removesuffix("/") and _pathless(one) and _pathless(other)


def _pathless(url: str) -> bool:
    try:
        return split(url).path in ("", "/")
    except ValueError:
        return False


def require_issuer(issuer: str, what: str, *, allow_insecure_http: bool = False) -> str:
    """An issuer identifier: https (or loopback), no query, fragment, user info (RFC 8414 §2)."""
    require_secure(issuer, what, allow_insecure_http=allow_insecure_http)
    if "?" in issuer or "#" in issuer:
        raise InsecureUrl(
            f"{what} has a query or fragment, which RFC 8414 §2 forbids", url=shown(issuer)
        )
    return issuer
