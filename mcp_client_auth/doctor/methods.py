"""Check whether other MCP requests require a login when the first one does not."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ..errors import AuthError
from ..origin import shown
from ..protocol.flow import HttpRequest
from ..protocol.probe import ServerAnswer, probe_request
from .exam import Check, Exam

_SESSION: Final = "mcp-session-id"
_STANDARD: Final = "authorization covers every request (MCP “Access Token Usage”)"


def others(exam: Exam, answer: ServerAnswer) -> Check[bool]:
    """Send `tools/list` without a token, in its own session; return whether it needs a login."""
    session = answer.response.header(_SESSION)
    more = {"MCP-Protocol-Version": "2025-11-25"} | ({"Mcp-Session-Id": session} if session else {})
    other = _posted(exam, answer.url, more, {"method": "notifications/initialized"})
    if not _refuses(other):
        other = _posted(exam, answer.url, more, {"method": "tools/list", "id": 2})
    if session:
        with suppress(AuthError):
            exam.send(HttpRequest("DELETE", answer.url, more))
    if not _refuses(other):
        return False
    came = "401" if other.status == 401 else f"{other.status} with a refusal in JSON-RPC"
    requested = f"POST {shown(answer.url)}, tools/list without a token"
    yield exam.ask("challenge.methods", requested, _STANDARD, answer.url).found(
        "warning",
        "partly-protected",
        f"initialize is open, but tools/list answers {came}: only some methods want a login",
        "clients that wait for a 401 when they connect: they never log in",
    )
    return True


def _refuses(other: ServerAnswer) -> bool:
    return other.status == 401 or other.refuses


def _posted(exam: Exam, url: str, more: dict[str, str], message: dict[str, object]) -> ServerAnswer:
    request = probe_request(url)
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    headers = {**request.headers, **more}
    sent = replace(request, headers=headers, body=body, repeatable=False)
    return ServerAnswer(url, exam.send(sent))
