"""A public JSON document, as both servers publish one; with CORS for every origin, or for none."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, MCP-Protocol-Version",
}


def document_route(path: str, document: dict[str, Any], *, cors: bool) -> Route:
    headers = _CORS if cors else {}

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_CORS)
        return JSONResponse(document, headers=headers)

    return Route(path, answer, methods=["GET", "OPTIONS"] if cors else ["GET"])
