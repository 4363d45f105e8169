"""What one URL says by itself: its parts, its origin, and what of it may be shown."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from .secret import hidden, quoted

TYPE_CHECKING = False  # typing costs more than `mcp-login token` does
if TYPE_CHECKING:
    from typing import Final

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LABEL: Final = r"[a-z0-9_\-]{1,63}"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
_USER_INFO: Final = re.compile(r"//[^/?#]*@")
_SHOWN: Final = 300
Origin = tuple[str, str, int]


class Shown(str):
    """What may appear of a URL in a log or message; `shown()` leaves it as it is."""

    __slots__ = ()


def split(url: str) -> SplitResult:
    """Split an absolute http(s) URL; `ValueError` for anything else, even a control character."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("a character that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its own words repeat the whole URL
        raise ValueError("its host or port cannot be read") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not an absolute http(s) URL")
    if port == 0:
        raise ValueError("not a port")
    _require_host(parts.hostname, literal="[" in parts.netloc)
    return parts


def _require_host(host: str, *, literal: bool) -> None:
    """Refuse all but a name or an IP literal: another parser might read a different host."""
    if "%" in host or not (literal or _NAME.fullmatch(host)):
        raise ValueError("its host is not one that can be looked up")
    if literal:
        import ipaddress

        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("its host is not an IPv6 address") from None


def origin(url: str) -> Origin:
    """Scheme, host and port, lower-cased, the default port filled in (RFC 6454 §4)."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def origin_url(url: str) -> str:
    """The origin spelled as a URL without path."""
    scheme, host, port = origin(url)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + ("" if port == _DEFAULT_PORTS[scheme] else f":{port}")


def is_loopback(url: str) -> bool:
    return is_loopback_host(split(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """`localhost`, a name below it, or a loopback IP literal (RFC 8252 §7.3, RFC 6761 §6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same_origin(one: str, other: str) -> bool:
    try:
        return origin(one) == origin(other)
    except ValueError:
        return False


def shown(url: str) -> Shown:
    """The URL as it may appear in a log or message: no query, fragment, user info or secret."""
    if isinstance(url, Shown) or not url:
        return Shown(hidden(url))
    try:
        return Shown(hidden(_short(origin_url(url) + split(url).path)))
    except ValueError:
        return Shown(quoted(without_user_info(url.split("?")[0].split("#")[0]), 80))


def spelled(url: str) -> str:
    """The same with its port and capitals as they are, to show how two spellings differ."""
    bare = re.split("[?#]", url, maxsplit=1)[0]
    return hidden(_short(without_user_info(bare)) + ("?…" if bare != url else ""))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def without_user_info(url: str) -> str:
    return _USER_INFO.sub("//", url)
