"""Serves an application on loopback and says so in one line of JSON when it listens."""

from __future__ import annotations

import json
import socket
from typing import Any

import uvicorn

HOST = "127.0.0.1"


class _Telling(uvicorn.Server):
    """Speaks when the socket listens, not when the process starts."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._line, flush=True)


def serve(app: Any, port: int, *, url: str, certificate: str = "") -> None:
    """Until a signal comes; open streams get a second to end.

    `certificate`: a PEM file with key and chain, for https.
    """
    config = uvicorn.Config(
        app,
        host=HOST,
        port=port,
        log_level="error",
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate or None,
    )
    _Telling(config, json.dumps({"url": url})).run()
