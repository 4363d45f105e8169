"""The errors that the authorization server answers with, and the parser of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Fault(Exception):
    """An OAuth error: its code, a sentence for the developer, an HTTP status."""

    def __init__(
        self,
        code: str,
        description: str = "",
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.description = description
        self.status = status
        self.headers = dict(headers or {})

    def parameters(self) -> dict[str, str]:
        described = {"error_description": self.description} if self.description else {}
        return {"error": self.code, **described}

    def response(self) -> Response:
        return JSONResponse(self.parameters(), self.status, headers={**NO_STORE, **self.headers})


def unique_parameters(text: str) -> dict[str, str]:
    """RFC 6749 §3.1: an empty parameter counts as omitted, a repeated one is refused."""
    pairs = [(name, value) for name, value in parse_qsl(text) if value]
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Fault("invalid_request", "a parameter is repeated")
    return parameters


async def form(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Fault("invalid_request", "the body must be application/x-www-form-urlencoded")
    return unique_parameters((await request.body()).decode("utf-8", "replace"))
