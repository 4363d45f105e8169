"""What went wrong with an exchange, as an error that says where it went wrong and what helps."""

from __future__ import annotations

import re
import socket
import zlib
from dataclasses import dataclass
from typing import Final

from ..errors import AuthError, BadResponse, InsecureUrl, Remedy, Unavailable, Untrusted
from ..origin import split
from ..secret import quoted

_NO_NAME: Final = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
}
UNCHANGED: Final = "Nothing was changed; try again later"
_SENT: Final = {"ReadTimeout", "ReadError", "RemoteProtocolError"}  # it may have been carried out
_PROXY_HINT: Final = Remedy(
    "Nothing was changed. Check the proxy: HTTPS_PROXY, ALL_PROXY or {HttpTransport.proxy}, and"
    " NO_PROXY for hosts that need none"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an exchange went. `proxy` is its address without user info, empty for none;
    `connecting`: it did not get beyond that first connection."""

    url: str
    patience: float
    proxy: str = ""
    connecting: bool = False


def fault(error: Exception, place: Place) -> AuthError:
    """Return our error for a fault of httpcore, of httpx (which mocks raise) or of the system."""
    where = place.url
    kind = type(error).__name__
    if isinstance(error, zlib.error):
        return BadResponse("the answer's compression is broken", url=where)
    if isinstance(error, UnicodeError):  # an `xn--` host that stands for no name (RFC 5891)
        return InsecureUrl(f"the host is not a name: {reason(error)}", url=where)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        whose = f" of the proxy {place.proxy}" if place.proxy and place.connecting else ""
        return Untrusted(
            f"the certificate{whose} is not trusted: {quoted(str(error))}",
            url=where,
            code="certificate",
            hint=Remedy(
                "If your network has a CA of its own, name its file: SSL_CERT_FILE or"
                " {HttpTransport.verify}"
            ),
        )
    if place.proxy and (place.connecting or kind == "ProxyError"):
        return _proxy_fault(error, place)
    if unknown := _unknown_host(error, where):
        return unknown
    if kind.endswith("Timeout"):
        what = f"no complete answer within {place.patience:g} s"
    elif kind == "LocalProtocolError":  # it may quote a header of ours
        what = "the request cannot be sent as it is"
    else:
        what = f"no answer: {reason(error)}"
    via = f" through the proxy {place.proxy}" if place.proxy else ""
    hint = "Try again later" if kind in _SENT else UNCHANGED
    return Unavailable(what + via, url=where, hint=hint)


def _proxy_fault(error: Exception, place: Place) -> Unavailable:
    if not place.connecting:
        what = f"the proxy {place.proxy} did not let the request through: {reason(error)}"
    elif type(error).__name__.endswith("Timeout"):
        what = f"the proxy {place.proxy} did not answer within {place.patience:g} s"
    else:
        what = f"the proxy {place.proxy} cannot be reached: {reason(error)}"
    return Unavailable(what, url=place.url, code="proxy", hint=_PROXY_HINT)


def _unknown_host(error: BaseException, url: str) -> Unavailable | None:
    """The error for an unknown host, if this one began with the resolver's own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, socket.gaierror):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    host = quoted(split(url).hostname or "", 120)
    what = "does not exist" if cause.errno in _NO_NAME else "cannot be looked up"
    return Unavailable(
        f"the host {host} {what}: {reason(cause)}",
        url=url,
        code="unknown_host",
        hint="Nothing was changed. Check the address for typing errors, and whether this machine"
        " is online",
    )


def reason(error: Exception) -> str:
    """Why there was no answer, in quotes, without the system's error number."""
    return quoted(re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__)
