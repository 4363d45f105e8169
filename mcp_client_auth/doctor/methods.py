"""Whether all that the MCP server does wants a login, where its first answer does not."""

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
    """`tools/list` without a token, in a session of its own; whether that wants a login."""
    session = answer.response.header(_SESSION)
    more = {"MCP-Protocol-Version": "2025-11-25"} | ({"Mcp-Session-Id": session} if session else {})
    status = _posted(exam, answer.url, more, {"method": "notifications/initialized"})
    if status != 401:
        status = _posted(exam, answer.url, more, {"method": "tools/list", "id": 2})
    if session:
        with suppress(AuthError):
            exam.send(HttpRequest("DELETE", answer.url, more))
    if status != 401:
        return False
    requested = f"POST {shown(answer.url)}, tools/list without a token"
    yield exam.ask("challenge.methods", requested, _STANDARD, answer.url).found(
        "warning",
        "partly-protected",
        "initialize is open, but tools/list answers 401: only some methods want a login",
        "clients that wait for a 401 when they connect: they never log in",
    )
    return True


def _posted(exam: Exam, url: str, more: dict[str, str], message: dict[str, object]) -> int:
    request = probe_request(url)
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    headers = {**request.headers, **more}
    return exam.send(replace(request, headers=headers, body=body, repeatable=False)).status
