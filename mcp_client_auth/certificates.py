"""The TLS context for what a caller says about certificates, in httpx's old words.

httpx has given up `verify=path` and `cert=`; here they are what they were, and a context.
"""

from __future__ import annotations

import os
import ssl
from typing import TypeAlias

from .errors import UsageError, quoted

# the file alone, with its key's, or with its key's and the key's password
Cert: TypeAlias = str | tuple[str, str] | tuple[str, str, str] | None
Verify: TypeAlias = ssl.SSLContext | str | bool


def tls_context(verify: Verify, cert: Cert) -> ssl.SSLContext:
    """Raises `UsageError` for a certificate or key that cannot be used, `OSError` for a CA file."""
    if cert and isinstance(verify, ssl.SSLContext):
        raise UsageError(
            "cert and an SSLContext as verify exclude each other",
            hint="Load the certificate into the context: context.load_cert_chain(…)",
        )
    context = _trusting(verify)
    if cert:
        _present(context, cert)
    return context


def _trusting(verify: Verify) -> ssl.SSLContext:
    import httpx

    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)  # SSL_CERT_FILE and SSL_CERT_DIR with it
    if os.path.isdir(verify):
        return ssl.create_default_context(capath=verify)
    return ssl.create_default_context(cafile=verify)


def _present(context: ssl.SSLContext, cert: str | tuple[str, ...]) -> None:
    file, *more = (cert,) if isinstance(cert, str) else cert
    key, password = (*more, None, None)[:2]
    try:
        # a password is always given: without one OpenSSL would ask at the terminal
        context.load_cert_chain(file, key, password or "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise UsageError(
            f"the client certificate {quoted(str(file), 200)} cannot be used: {_why(error)}",
            hint="Expected PEM files: cert=path of both, or cert=(certificate, key) or"
            " cert=(certificate, key, password)",
        ) from None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "no PEM, the key does not belong to it, or its password is another"
    return getattr(error, "strerror", None) or "it cannot be read"
