"""Answers with wrong fields: a JSON object's members, or the parameters of a redirect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.types import Message, Send


def changing(fields: Mapping[str, Any], send: Send) -> Send:
    """Return a `send` for answers in one piece, with these fields changed; None leaves one out."""
    begun: list[Message] = []
    body = b""

    async def changed(message: Message) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            begun.append(message)
            return
        body += message.get("body", b"")
        if message.get("more_body"):
            return
        whole = _object(body, fields)
        headers = [
            (name, _header(name, value, whole, fields)) for name, value in begun[0]["headers"]
        ]
        await send({**begun[0], "headers": headers})
        await send({"type": "http.response.body", "body": whole})

    return changed


def _object(body: bytes, fields: Mapping[str, Any]) -> bytes:
    try:
        document = json.loads(body)
    except ValueError:
        return body
    if not isinstance(document, dict):
        return body
    return json.dumps(_with(document, fields)).encode()


def _header(name: bytes, value: bytes, body: bytes, fields: Mapping[str, Any]) -> bytes:
    if name == b"content-length":
        return str(len(body)).encode()
    if name != b"location":
        return value
    parts = urlsplit(value.decode())
    query = _with(dict(parse_qsl(parts.query, keep_blank_values=True)), fields)
    return urlunsplit(parts._replace(query=urlencode(query))).encode()


def _with(usual: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **fields}.items() if value is not None}
