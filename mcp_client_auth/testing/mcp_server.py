"""The MCP server as an ASGI application: the token is checked before anything else is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .discovery_document import document_route
from .journal import Pause
from .ledger import Access, Ledger
from .proofs import ProofFault, Proofs
from .rpc import (
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    VERSIONS,
    Call,
    RpcFault,
    read_call,
)
from .sessions import HEADER, Sessions
from .settings import Addresses, Settings
from .tools import TOOLS, Notebook, seconds

_SERVER = {"name": "mcp-client-auth demo", "version": "1"}
_CAPABILITIES: dict[str, Any] = {"tools": {}, "logging": {}}
_EMPTY_METHODS = ("ping", "logging/setLevel")
_FIRST = b"id: 1\ndata:\n\n"  # an event without data, from which a client may resume


def mcp_server(
    settings: Settings,
    ledger: Ledger,
    addresses: Addresses,
    notebook: Notebook,
    pause: Pause,
    proofs: Proofs,
) -> Starlette:
    """The application; its addresses must be final."""
    endpoint = _Endpoint(settings, ledger, addresses, notebook, pause, proofs)
    document: dict[str, Any] = {
        "resource": addresses.resource,
        "authorization_servers": [addresses.issuer],
        "scopes_supported": list(settings.scopes),
        "bearer_methods_supported": ["header"],
        "resource_name": "Demo notes",
    }
    if settings.dpop != "off":
        document["dpop_signing_alg_values_supported"] = list(settings.dpop_algorithms)
        document["dpop_bound_access_tokens_required"] = settings.dpop == "required"
    app = Starlette(
        routes=[
            document_route(
                "/.well-known/oauth-protected-resource/mcp", document, cors=settings.cors
            ),
            Route("/mcp", endpoint.post, methods=["POST"]),
            *([Route("/mcp", endpoint.delete, methods=["DELETE"])] if settings.sessions else ()),
        ]
    )
    app.router.redirect_slashes = False  # another path is another resource
    return app


class _Endpoint:
    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        addresses: Addresses,
        notebook: Notebook,
        pause: Pause,
        proofs: Proofs,
    ) -> None:
        self._proofs = proofs
        self._settings = settings
        self._ledger = ledger
        self._addresses = addresses
        self._notebook = notebook
        self._pause = pause
        self._sessions = Sessions() if settings.sessions else None

    async def post(self, request: Request) -> Response:
        access, scheme = self._allowed(request)
        if isinstance(access, Response):
            return access
        try:
            call = read_call(await request.body(), request.headers)
            answer = self._answered(call, request, access)
        except RpcFault as rpc:
            answer = JSONResponse(rpc.document, rpc.status)
        answer.headers.update(self._proofs.next_nonce() if scheme == "dpop" else {})
        return answer

    async def delete(self, request: Request) -> Response:
        """The end of a session, with the same token as its requests."""
        access, _ = self._allowed(request)
        if isinstance(access, Response):
            return access
        assert self._sessions is not None
        try:
            self._sessions.end(request.headers)
        except RpcFault as rpc:
            return JSONResponse(rpc.document, rpc.status)
        return Response(status_code=200)

    def _allowed(self, request: Request) -> tuple[Access | Response, str]:
        """What the token gives access to, or the challenge; and the scheme that was used."""
        scheme, token = _credentials(request)
        access = self._ledger.access(token, self._addresses.resource) if token else None
        try:
            if access is None or not self._presented(request, scheme, token, access):
                return self._challenge(401, self._unauthorized(sent=bool(token))), scheme
        except ProofFault as fault:
            return self._challenge(401, {"error": fault.code}, "DPoP"), scheme
        return access, scheme

    def _answered(self, call: Call, request: Request, access: Access) -> Response:
        """The answer; if the server keeps sessions, an event stream in a session."""
        if self._sessions is None:
            return self._answer(call, access)
        self._sessions.check(call, request.headers)
        answer = self._answer(call, access)
        if not isinstance(answer, JSONResponse) or answer.status_code != 200:
            return answer
        body = _FIRST + _event(json.loads(bytes(answer.body)))
        session = {HEADER: self._sessions.begin()} if call.method == "initialize" else {}
        return Response(body, media_type="text/event-stream", headers=session)

    def _presented(self, request: Request, scheme: str, token: str, access: Access) -> bool:
        """Whether the scheme is the token's own: a bound one never as Bearer (RFC 9449 §7.2)."""
        if scheme != "dpop" or self._settings.dpop == "off":
            return scheme == "bearer" and not access.jkt and self._settings.dpop != "required"
        jkt = self._proofs.check(request, self._addresses.mcp_origin + request.url.path, token)
        return jkt == access.jkt

    def _answer(self, call: Call, access: Access) -> Response:
        if call.id is None:
            return Response(status_code=202)
        match call.method:
            case "tools/list":
                listing = [tool.listing() for tool in TOOLS.values()]
                return JSONResponse(call.cacheable({"tools": listing}))
            case "tools/call":
                return self._call_tool(call, access)
            case "server/discover" if call.stateless:
                return JSONResponse(call.cacheable(_discovery()))
            case "initialize" if not call.stateless:
                return JSONResponse(call.result(_welcome(call)))
            case method if method in _EMPTY_METHODS and not call.stateless:
                return JSONResponse(call.result({}))
        raise call.fault(METHOD_NOT_FOUND, "Method not found")

    def _call_tool(self, call: Call, access: Access) -> Response:
        tool, arguments = call.params.get("name"), call.params.get("arguments") or {}
        if not isinstance(tool, str) or tool not in TOOLS or not isinstance(arguments, dict):
            raise call.fault(INVALID_PARAMS, "Unknown tool, or arguments that are not an object")
        needed = self._notebook.needed_scope(tool)
        if needed and needed not in access.scope:
            return self._challenge(403, {"error": "insufficient_scope", "scope": needed})
        result = self._notebook.call(tool, arguments, access)
        if tool == "slow" and "isError" not in result:
            return self._stream(call, seconds(arguments), call.result(result))
        return JSONResponse(call.result(result))

    def _stream(self, call: Call, wait: float, answer: dict[str, Any]) -> Response:
        async def events() -> AsyncIterator[bytes]:
            yield _first_event(call)
            await self._pause(wait)
            yield _event(answer)

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events(), media_type="text/event-stream", headers=headers)

    def _unauthorized(self, *, sent: bool) -> dict[str, str]:
        # RFC 6750 §3.1: no error code for a request that came without a token
        error = {"error": "invalid_token"} if sent else {}
        scope = {"scope": " ".join(self._settings.scopes)} if self._settings.challenge_scope else {}
        return {**error, **scope}

    def _challenge(
        self, status: int, parameters: dict[str, str], scheme: str = "Bearer"
    ) -> Response:
        if not self._settings.omit_resource_metadata_parameter:
            parameters = {**parameters, "resource_metadata": self._addresses.resource_metadata}
        dpop, algorithms = self._settings.dpop, " ".join(self._settings.dpop_algorithms)
        if dpop == "required" or (dpop != "off" and scheme == "DPoP"):
            challenge = _named("DPoP", {**parameters, "algs": algorithms})
        else:
            challenge = _named("Bearer", parameters)
        if dpop == "supported":  # RFC 9449 §7.2: both are accepted, and both are named
            challenge += ", " + (_named("Bearer") if scheme == "DPoP" else _named("DPoP"))
        headers = {"WWW-Authenticate": challenge}
        if parameters.get("error") == "use_dpop_nonce":
            headers |= self._proofs.challenge()
        error = {"error": parameters.get("error", "unauthorized")}
        return JSONResponse(error, status, headers=headers)


def _named(scheme: str, parameters: Mapping[str, str] | None = None) -> str:
    """One challenge. RFC 6750 §3: the scheme is followed by at least one parameter."""
    named = parameters or {"realm": "demo"}
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in named.items())


def _credentials(request: Request) -> tuple[str, str]:
    """The scheme and the token, empty if none was sent; only the header is read."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    scheme = scheme.lower()
    return (scheme, token.strip()) if scheme in ("bearer", "dpop") else ("", "")


def _welcome(call: Call) -> dict[str, Any]:
    asked = call.params.get("protocolVersion")
    version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
    return {"protocolVersion": version, "capabilities": _CAPABILITIES, "serverInfo": _SERVER}


def _discovery() -> dict[str, Any]:
    return {
        "supportedVersions": list(VERSIONS),
        "capabilities": {"tools": {}},
        "_meta": {"io.modelcontextprotocol/serverInfo": _SERVER},
    }


def _first_event(call: Call) -> bytes:
    meta = call.params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    if token is not None:
        return _notification("progress", {"progressToken": token, "progress": 0})
    if call.stateless:  # there only clients that asked for log messages get any
        return b": working\n\n"
    return _notification("message", {"level": "info", "data": "working"})


def _notification(name: str, params: dict[str, Any]) -> bytes:
    return _event({"jsonrpc": "2.0", "method": f"notifications/{name}", "params": params})


def _event(message: dict[str, Any]) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()
