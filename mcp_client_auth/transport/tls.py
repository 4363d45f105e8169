"""The TLS context for what a caller says about certificates, in httpx's old words.

httpx has given up `verify=path` and `cert=`; here they work as before, and so does a context. A
context without a client certificate is made once per process: loading the CAs takes 20 ms.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

from ..errors import UsageError
from ..secret import quoted

# the file alone, with the key's file, or with the key's file and the key's password
Cert: TypeAlias = str | tuple[str, str] | tuple[str, str, str] | None
Verify: TypeAlias = ssl.SSLContext | str | bool
OnTls: TypeAlias = Callable[[str, ssl.SSLObject], None] | None

_made: Final[dict[Hashable, ssl.SSLContext]] = {}
_MOST: Final = 8


def tls_context(verify: Verify, cert: Cert) -> ssl.SSLContext:
    """Raises `UsageError` for a certificate or key that cannot be used, `OSError` for a CA file.

    The context that is returned may be shared, so do not change it.
    """
    if isinstance(verify, ssl.SSLContext):
        if not cert:
            return verify
        raise UsageError(
            "cert and an SSLContext as verify exclude each other",
            hint="Load the certificate into the context: context.load_cert_chain(…)",
        )
    if cert:
        return _presenting(_trusting(verify), cert)
    paths = [os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    which = verify, *(_state(path) for path in ([verify] if isinstance(verify, str) else paths))
    if which not in _made:
        context = _trusting(verify)
        if len(_made) >= _MOST:
            _made.clear()
        _made[which] = context
        return context
    return _made[which]


def _state(path: str) -> Hashable:
    """A value that changes when the CA file or directory does."""
    try:
        known = os.stat(path)
    except (OSError, ValueError):
        return path
    return path, known.st_mtime_ns, known.st_size, known.st_ino


def _trusting(verify: str | bool) -> ssl.SSLContext:
    import httpx

    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)  # it reads SSL_CERT_FILE and SSL_CERT_DIR
    if os.path.isdir(verify):
        return ssl.create_default_context(capath=verify)
    return ssl.create_default_context(cafile=verify)


def _presenting(context: ssl.SSLContext, cert: str | tuple[str, ...]) -> ssl.SSLContext:
    file, *more = (cert,) if isinstance(cert, str) else cert
    key, password = (*more, None, None)[:2]
    try:
        # a password is always given: without one OpenSSL would ask at the terminal
        context.load_cert_chain(file, key, password or "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = getattr(error, "strerror", None) or "it cannot be read"
        if isinstance(error, ssl.SSLError):
            why = "not PEM, the key does not belong to it, or the password is wrong"
        raise UsageError(
            f"the client certificate {quoted(str(file), 200)} cannot be used: {why}",
            hint="Expected PEM files: cert=path of both, or cert=(certificate, key) or"
            " cert=(certificate, key, password)",
        ) from None
    return context
