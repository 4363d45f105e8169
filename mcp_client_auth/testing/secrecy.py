"""Whether a text repeats a secret: a log, what was printed, an error, a saved notebook."""

from __future__ import annotations

from mcp_client_auth.secret import KNOWN, Parts, without

from .server import SERVERS

_SHOWN = 200


def assert_no_secrets(text: str | bytes) -> None:
    """Fail if the text holds 12 characters or more of a secret, in whatever form: one that the demo
    servers of this process have issued, or that this process handled last.

    The message shows where it is, but not the secret.

    Example:
        ```python
        from mcp_client_auth.testing import assert_no_secrets

        assert_no_secrets("what your program has logged")
        ```
    """
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    issued = Parts(secret for server in SERVERS for secret in server.secrets)
    hidden = KNOWN.hidden(without(text, issued.spans(text)))
    if hidden != text:
        pairs = enumerate(zip(hidden, text, strict=False))
        at = next((n for n, (one, other) in pairs if one != other), len(text))
        shown = hidden[max(at - _SHOWN, 0) : at + _SHOWN]
        raise AssertionError(f"a secret stands at character {at}: {shown!r}")
