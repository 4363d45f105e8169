"""An MCP server and its authorization server on real sockets, where one request goes wrong.

Every answer is right until `fault` is set; then it applies to the requests of one `spot`. The
sockets are raw, because a fault may be a byte, a pause, a reset or a port that closes in between.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.broken_answers import REFUSED, Fault, Wire, said
from tests.support.ports import free_port

OLD, NEW, REFRESH = "planted-old-access", "planted-new-access", "planted-refresh"
_PATIENCE: Final = 90.0
# The request that is answered just before each, so that a port can be closed in between.
_BEFORE: Final = {
    "resource-metadata": "probe",
    "server-metadata": "resource-metadata",
    "oidc-metadata": "server-metadata",
    "registration": "server-metadata",
    "pushed-authorization": "registration",
    "device-authorization": "registration",
    "code-exchange": "authorize",
    "device-token": "device-authorization",
    "authorized-request": "code-exchange",
}
_PATHS: Final = {
    "/.well-known/oauth-protected-resource/mcp": "resource-metadata",
    "/.well-known/oauth-authorization-server": "server-metadata",
    "/.well-known/openid-configuration": "oidc-metadata",
    "/register": "registration",
    "/par": "pushed-authorization",
    "/device": "device-authorization",
    "/authorize": "authorize",
    "/revoke": "revocation",
}
_GRANTS: Final = {
    "authorization_code": "code-exchange",
    "urn:ietf:params:oauth:grant-type:device_code": "device-token",
    "refresh_token": "refresh",
}


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def fields(self) -> dict[str, str]:
        """The parameters of its query or its form."""
        text = self.body.decode() if self.method == "POST" else urlsplit(self.target).query
        return {name: values[0] for name, values in parse_qs(text).items()}


class Stage:
    """`reached` counts the requests that met the fault; `strays` are those that went to another
    origin, where none should go. `oidc`: the metadata is at the other well-known place."""

    def __init__(self, *, oidc: bool = False) -> None:
        self._oidc = oidc
        self.spot, self.fault_name = "", ""
        self.fault: Fault | None = None
        self.reached = 0
        self.strays: list[str] = []
        self._pushed: dict[str, str] = {}
        self._issued = itertools.count(1)
        self._over = threading.Event()
        self._doors = [socket.create_server(("127.0.0.1", free_port())) for _ in range(3)]
        origins = [f"http://127.0.0.1:{door.getsockname()[1]}" for door in self._doors]
        self.origin, self.issuer, self.elsewhere = origins
        self.url = self.origin + "/mcp"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, args=(n,)) for n in range(3)]

    def __enter__(self) -> Self:
        for thread in list(self._threads):
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends every connection, and returns when no thread of its own is left."""
        self._over.set()
        for number in range(3):
            self._shut(number)
        with self._lock:
            connections, threads = list(self._open), list(self._threads)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a thread of the stage does not end"

    def break_at(self, spot: str, name: str, fault: Fault) -> None:
        self.spot, self.fault_name, self.fault = spot, name, fault
        if name == REFUSED and spot not in _BEFORE:
            self._refuse()

    def mend(self) -> None:
        """Remove the fault; a port that was closed is opened again."""
        self.fault = None
        for number, origin in enumerate((self.origin, self.issuer)):
            if self._doors[number].fileno() == -1:
                port = int(origin.rpartition(":")[2])
                self._doors[number] = socket.create_server(("127.0.0.1", port))
                self._start(threading.Thread(target=self._accept, args=(number,)))

    def person(self, url: str) -> bool:
        """A browser whose user allows the login at once."""
        self._start(threading.Thread(target=self._visit, args=(url,), name="person"))
        return True

    def _visit(self, url: str) -> None:
        with suppress(OSError):
            target = _get(url)
            if target:
                _get(target)

    def _start(self, thread: threading.Thread) -> None:
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self, number: int) -> None:
        door = self._doors[number]
        with suppress(OSError, ValueError):
            while not self._over.is_set():
                if select.select([door], [], [], 0.1)[0]:
                    connection, _ = door.accept()
                    with self._lock:
                        self._open.add(connection)
                    self._start(threading.Thread(target=self._serve, args=(number, connection)))

    def _serve(self, number: int, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), connection:
            while (request := _received(connection)) and self._answered(
                number, connection, request
            ):
                pass
        with self._lock:
            self._open.discard(connection)

    def _answered(self, number: int, connection: socket.socket, request: Request) -> bool:
        """Return whether the connection is still usable afterwards."""
        if number == 2:
            self.strays.append(request.target)
        spot = self._spot(request)
        answer = self._good(spot, request)
        # some faults send the client to another path of the same place
        if self.fault and (spot == self.spot or request.path.endswith("/again")):
            self.reached += 1
            here = (self.origin, self.issuer, self.elsewhere)[number] + request.target
            wire = Wire(connection, here, self.elsewhere, answer, self._over)
            return self.fault(wire) is True
        refusing = self.fault is not None and self.fault_name == REFUSED
        if refusing and _BEFORE.get(self.spot) == spot:
            self._refuse()
        if refusing:
            answer = answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        connection.sendall(answer)
        return not refusing

    def _refuse(self) -> None:
        mcp = self.spot in ("probe", "resource-metadata", "authorized-request")
        self.reached += 1  # connections to a closed port cannot be counted
        self._shut(0 if mcp else 1)

    def _shut(self, number: int) -> None:
        with suppress(OSError):
            self._doors[number].shutdown(socket.SHUT_RDWR)
        self._doors[number].close()

    def _spot(self, request: Request) -> str:
        if request.path == "/mcp":
            return "authorized-request" if "authorization" in request.headers else "probe"
        if request.path == "/token":
            return _GRANTS.get(request.fields.get("grant_type", ""), "")
        if request.path == "/register" and request.method == "DELETE":
            return "revocation"
        return _PATHS.get(request.path, "")

    def _good(self, spot: str, request: Request) -> bytes:
        match spot:
            case "probe":
                place = f"{self.origin}/.well-known/oauth-protected-resource/mcp"
                return said(401, more={"WWW-Authenticate": f'Bearer resource_metadata="{place}"'})
            case "resource-metadata":
                return _json({"resource": self.url, "authorization_servers": [self.issuer]})
            case "server-metadata" | "oidc-metadata" if self._oidc == (spot == "oidc-metadata"):
                return _json(self._metadata())
            case "registration":
                return _json({"client_id": "dyn", "token_endpoint_auth_method": "none"}, 201)
            case "pushed-authorization":
                self._pushed = request.fields
                return _json({"request_uri": "urn:pushed", "expires_in": 60}, 201)
            case "device-authorization":
                place = self.issuer + "/activate"
                code = {"device_code": "planted-device", "user_code": "ABCD-EFGH"}
                more = {"verification_uri": place, "expires_in": 60, "interval": 1}
                return _json({**code, **more})
            case "authorize":
                asked = request.fields
                return self._sent_back(self._pushed if "request_uri" in asked else asked)
            case "code-exchange" | "device-token" | "refresh":
                n = next(self._issued)
                tokens = {"access_token": f"{NEW}-{n}", "token_type": "Bearer", "expires_in": 3600}
                return _json({**tokens, "refresh_token": f"{REFRESH}-{n}"})
            case "authorized-request":
                return _json({"jsonrpc": "2.0", "id": 1, "result": {}})
            case "revocation":
                return said(200)
        return said(404, b"not found", "text/plain")

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "registration_endpoint": self.issuer + "/register",
            "revocation_endpoint": self.issuer + "/revoke",
            "pushed_authorization_request_endpoint": self.issuer + "/par",
            "device_authorization_endpoint": self.issuer + "/device",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "jwks_uri": self.issuer + "/jwks",
        }

    def _sent_back(self, asked: dict[str, str]) -> bytes:
        answer = {"code": "planted-code", "state": asked.get("state", ""), "iss": self.issuer}
        return said(302, more={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})


def _json(value: Any, status: int = 200) -> bytes:
    return said(status, json.dumps(value).encode())


def _get(url: str) -> str:
    """Where a page redirects to; empty if it does not."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=_PATIENCE)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        answer.read()
        return answer.getheader("Location") or ""
    finally:
        connection.close()


def _received(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)
