"""An error by its code, for `pytest.raises(…, check=coded("…"))`."""

from __future__ import annotations

from collections.abc import Callable

from mcp_client_auth import AuthError


def coded(code: str) -> Callable[[AuthError], bool]:
    return lambda error: error.code == code
