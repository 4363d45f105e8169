"""A client ID metadata document behind TLS with a CA of its own, hosted well or badly."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any, Final, Self

from tests.support.loopback_server import Behaviour, LoopbackServer, says
from tests.support.mutual_tls import Authority

JSON: Final = "Content-Type: application/json"
CACHED: Final = "Cache-Control: public, max-age=300"


class HostedDocument:
    """`put` says what is at a path; any other path is a 404."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server"))
        self.ca = authority.file
        self._places: dict[str, Behaviour] = {}
        self._server = LoopbackServer(self._answer, context)
        self.url = self.at("/client.json")

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)

    def at(self, path: str) -> str:
        return self._server.url + path

    @property
    def requests(self) -> list[str]:
        """The request lines of the requests."""
        return [request.partition("\r\n")[0] for request in self._server.requests]

    def put(self, behaviour: Behaviour, path: str = "/client.json") -> None:
        self._places[path] = behaviour

    def host(self, document: Any, path: str = "/client.json") -> None:
        """Host this document well, whatever it contains."""
        self.put(says(json.dumps(document).encode(), "200 OK", JSON, CACHED), path)

    def _answer(self, server: LoopbackServer, connection: socket.socket) -> None:
        path = server.requests[-1].split(" ")[1].partition("?")[0]
        self._places.get(path, says(b"", "404 Not Found"))(server, connection)
