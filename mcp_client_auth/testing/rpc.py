"""MCP's JSON-RPC by hand, in both lifecycles: the handshake's and the stateless one's.

Bytes and headers in, a message to answer out; what it means is the server's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HANDSHAKE_VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25")
STATELESS_VERSION = "2026-07-28"
VERSIONS = (*HANDSHAKE_VERSIONS, STATELESS_VERSION)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"


class RpcFault(Exception):
    """A JSON-RPC error and the HTTP status it travels with."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        call_id: int | str | None = None,
        status: int = 400,
        data: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self.document = {"jsonrpc": "2.0", "id": call_id, "error": error}


@dataclass(frozen=True, slots=True)
class Call:
    """One message from the client; `id` is None for a notification."""

    id: int | str | None
    method: str
    params: dict[str, Any]
    stateless: bool

    def result(self, value: dict[str, Any]) -> dict[str, Any]:
        # from 2026-07-28 on every result names its type; before, none did
        kind = {"resultType": "complete"} if self.stateless else {}
        return {"jsonrpc": "2.0", "id": self.id, "result": {**value, **kind}}

    def cacheable(self, value: dict[str, Any]) -> dict[str, Any]:
        hints = {"ttlMs": 0, "cacheScope": "private"} if self.stateless else {}
        return self.result({**value, **hints})

    def fault(self, code: int, message: str) -> RpcFault:
        """An error is sent with 200 in the handshake's lifecycle, but not in the stateless one."""
        status = {METHOD_NOT_FOUND: 404}.get(code, 400) if self.stateless else 200
        return RpcFault(code, message, call_id=self.id, status=status)


def read_call(body: bytes, headers: Mapping[str, str]) -> Call:
    """The one message of a POST; raises `RpcFault`."""
    message = _message(body)
    version = headers.get("mcp-protocol-version", "")
    call_id, params = message.get("id"), message.get("params", {})
    if version and version not in VERSIONS:
        raise RpcFault(
            UNSUPPORTED_VERSION,
            "Unsupported protocol version",
            call_id=call_id,
            data={"supported": list(VERSIONS), "requested": version},
        )
    call = Call(call_id, message["method"], params, version == STATELESS_VERSION)
    if call.stateless and call.id is not None:
        _check_envelope(call, headers)
    return call


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise RpcFault(PARSE_ERROR, "Parse error") from None
    fine = (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and isinstance(message.get("params", {}), dict)
        and ("id" not in message or isinstance(message["id"], int | str))
    )
    if not fine:
        raise RpcFault(INVALID_REQUEST, "The body must be one JSON-RPC request or notification")
    return dict(message)


def _check_envelope(call: Call, headers: Mapping[str, str]) -> None:
    meta = call.params.get("_meta")
    if not isinstance(meta, dict) or not {_VERSION_KEY, _CAPABILITIES_KEY} <= meta.keys():
        raise call.fault(INVALID_PARAMS, "params._meta lacks the request's envelope")
    agree = (
        meta[_VERSION_KEY] == headers.get("mcp-protocol-version")
        and headers.get("mcp-method") == call.method
        and (call.method != "tools/call" or headers.get("mcp-name") == call.params.get("name"))
    )
    if not agree:
        raise call.fault(HEADER_MISMATCH, "The headers differ from the body")
