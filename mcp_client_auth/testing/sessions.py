"""MCP sessions as most servers keep them: an id from `initialize`, in every request after it.

MCP 2025-11-25, "Session Management"; the statuses are those of the official SDK's server.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from .rpc import (
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    INVALID_REQUEST,
    UNSUPPORTED_VERSION,
    Call,
    RpcFault,
)

HEADER: Final = "mcp-session-id"
_INITIALIZED: Final = "notifications/initialized"


class Sessions:
    """The sessions that are open, and whether the client has confirmed each handshake."""

    def __init__(self) -> None:
        self._confirmed: dict[str, bool] = {}

    def begin(self) -> str:
        session = secrets.token_hex(16)
        self._confirmed[session] = False
        return session

    def end(self, headers: Mapping[str, str]) -> None:
        """End the session that is named; raises `RpcFault` if there is none."""
        del self._confirmed[self._named(headers)]

    def check(self, call: Call, headers: Mapping[str, str]) -> None:
        """Raises `RpcFault` for a request outside a session, or before the handshake has ended."""
        if call.stateless:
            data = {"supported": list(HANDSHAKE_VERSIONS)}
            raise RpcFault(
                UNSUPPORTED_VERSION, "Unsupported protocol version", call_id=call.id, data=data
            )
        if call.method == "initialize":
            return
        session = self._named(headers)
        if call.method == _INITIALIZED:
            self._confirmed[session] = True
        elif not self._confirmed[session] and call.method != "ping":
            raise RpcFault(INVALID_PARAMS, "Request before initialization", call_id=call.id)

    def _named(self, headers: Mapping[str, str]) -> str:
        session = headers.get(HEADER)
        if not session:
            raise RpcFault(INVALID_REQUEST, "Bad Request: Missing session ID")
        if session not in self._confirmed:
            raise RpcFault(INVALID_REQUEST, "Session not found", status=404)
        return session
