"""An MCP server and its authorization server, on two origins, that misbehave where a test says so.

Every spot answers well until `World.at` gives it another behaviour; nothing here is strict.
Not the demo server of `mcp_client_auth.testing`, which answers wrong fields (`change_answers`)
and refusals: here HTTP itself is broken, which a conforming server cannot do.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias, get_args
from urllib.parse import parse_qs, urlencode, urlsplit

Spot: TypeAlias = Literal[
    "probe", "resource", "server", "register", "authorize", "token", "refresh", "revoke", "answer"
]
SPOTS: tuple[Spot, ...] = get_args(Spot)
_PATHS: dict[str, Spot] = {
    "/.well-known/oauth-protected-resource/tenant/mcp": "resource",
    "/.well-known/oauth-authorization-server": "server",
    "/register": "register",
    "/authorize": "authorize",
    "/token": "token",
    "/revoke": "revoke",
}
ACCESS, REFRESH, CODE = "planted-access", "planted-refresh", "planted-code"
_PATIENCE = 90.0


class Exchange(BaseHTTPRequestHandler):
    """One request, and the raw means to answer it badly."""

    protocol_version = "HTTP/1.1"
    server: OneOrigin
    spot: Spot | None
    body: bytes

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = True
        with suppress(OSError):
            self.server.world.answer(self)

    do_GET = do_POST = do_OPTIONS = do_DELETE = _serve  # noqa: N815

    def reply(
        self,
        status: int = 200,
        body: bytes = b"",
        kind: str = "application/json",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.send_response(status)
        named = dict(headers)
        fixed = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
        for name, value in {**fixed, **named}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silence."""


class Answering(Protocol):
    def answer(self, exchange: Exchange) -> None: ...


class OneOrigin(ThreadingHTTPServer):
    """One of the origins of a `world`, which answers for all of them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, world: Answering) -> None:
        self.world = world
        super().__init__(("127.0.0.1", 0), Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


Behaviour: TypeAlias = Callable[[Exchange], None]


class World:
    """`url` is the MCP server; `elsewhere` is a third origin that no request should reach."""

    def __init__(self) -> None:
        self._servers = [OneOrigin(self) for _ in range(3)]
        origins = [f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers]
        self.origin, self.issuer, self.elsewhere = origins
        self.url = self.origin + "/tenant/mcp"
        self.over = threading.Event()
        self.visited: list[str] = []
        self.bodies: list[tuple[str, bytes]] = []
        self._behaviours: dict[Spot, Behaviour] = {}
        self._more: dict[str, Behaviour] = {}
        self._usual: dict[Spot, Behaviour] = {
            "probe": challenge(self.origin + next(iter(_PATHS))),
            "resource": document(self.resource_metadata()),
            "server": document(self.server_metadata()),
            "register": document({"client_id": "dyn", "token_endpoint_auth_method": "none"}, 201),
            "authorize": self.callback(),
            "token": for_known_codes(document(tokens())),
            "refresh": document(tokens()),
            "revoke": document({}),
            "answer": document({"jsonrpc": "2.0", "id": 1, "result": {}}),
        }

    def at(self, spot: Spot, behaviour: Behaviour) -> None:
        self._behaviours[spot] = behaviour

    def put(self, url: str, behaviour: Behaviour) -> None:
        """Add one more address, on any of the origins."""
        self._more[url] = behaviour

    def usual(self, spot: Spot) -> Behaviour:
        return self._usual[spot]

    def mend(self) -> None:
        """Everything answers well again, and counting starts again."""
        self._behaviours.clear()
        self.visited.clear()

    def resource_metadata(self, **changes: Any) -> dict[str, Any]:
        usual = {"resource": self.url, "authorization_servers": [self.issuer]}
        return _changed(usual, changes)

    def server_metadata(self, **changes: Any) -> dict[str, Any]:
        usual = {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "registration_endpoint": self.issuer + "/register",
            "revocation_endpoint": self.issuer + "/revoke",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return _changed(usual, changes)

    def callback(self, **changes: str | None) -> Behaviour:
        """The authorization endpoint sends the browser back, with these parameters changed."""

        def redirect_back(exchange: Exchange) -> None:
            asked = exchange.query
            if "redirect_uri" not in asked:
                return exchange.reply(400, b"invalid_request", "text/plain")
            usual = {"code": CODE, "state": asked.get("state", ""), "iss": self.issuer}
            target = f"{asked['redirect_uri']}?{urlencode(_changed(usual, changes))}"
            return exchange.reply(302, headers=[("Location", target)])

        return redirect_back

    def hang(self, exchange: Exchange) -> None:
        self.over.wait(_PATIENCE)

    def drip(self, exchange: Exchange) -> None:
        """A byte now and then: each arrives within any timeout for a read."""
        exchange.send_response(200)
        exchange.send_header("Content-Type", "application/json")
        exchange.end_headers()
        while not self.over.wait(0.05):
            exchange.wfile.write(b" ")
            exchange.wfile.flush()

    def answer(self, exchange: Exchange) -> None:
        spot = self._spot(exchange)
        name = spot or ("elsewhere" if self._foreign(exchange) else "nowhere")
        self.visited.append(name)
        self.bodies.append((name, exchange.body))
        behaviour = self._behaviours.get(spot) or self._usual[spot] if spot else _absent
        if self._foreign(exchange):
            behaviour = document({"elsewhere": True})
        here = f"http://127.0.0.1:{exchange.server.server_address[1]}{urlsplit(exchange.path).path}"
        self._more.get(here, behaviour)(exchange)

    def _foreign(self, exchange: Exchange) -> bool:
        return exchange.server is self._servers[2]

    def _spot(self, exchange: Exchange) -> Spot | None:
        if self._foreign(exchange):
            return None
        path = urlsplit(exchange.path).path
        if path == "/tenant/mcp":
            return "answer" if exchange.headers.get("Authorization") else "probe"
        spot = _PATHS.get(path)
        if spot == "token" and b"grant_type=refresh_token" in exchange.body:
            return "refresh"
        return spot

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


def for_known_codes(behaviour: Behaviour) -> Behaviour:
    """This behaviour, except that a code that was never issued is refused."""
    refusal = document({"error": "invalid_grant"}, 400)
    return lambda each: (refusal if each.form.get("code") == "made-up-code" else behaviour)(each)


def document(value: Any, status: int = 200, **headers: str) -> Behaviour:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda exchange: exchange.reply(status, body, headers=headers.items())


def text(body: str | bytes, status: int = 200, kind: str = "text/html") -> Behaviour:
    raw = body.encode() if isinstance(body, str) else body
    return lambda exchange: exchange.reply(status, raw, kind)


def html(status: int = 200) -> Behaviour:
    return text("<!DOCTYPE html><title>Sign in to the network</title>", status)


def challenge(metadata: str, scope: str = "") -> Behaviour:
    value = f'Bearer resource_metadata="{metadata}"' + (f', scope="{scope}"' if scope else "")
    return lambda exchange: exchange.reply(401, headers=[("WWW-Authenticate", value)])


def redirect(location: str, status: int = 307) -> Behaviour:
    return lambda exchange: exchange.reply(status, headers=[("Location", location)])


def huge(exchange: Exchange) -> None:
    """100 MB without a length, as one JSON string."""
    exchange.send_response(200)
    exchange.send_header("Content-Type", "application/json")
    exchange.end_headers()
    exchange.wfile.write(b'{"a": "')
    for _ in range(100):
        exchange.wfile.write(b"a" * 1_000_000)


def bomb(exchange: Exchange) -> None:
    """A gigabyte of zeros, a megabyte on the wire; the stream is never finished."""
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"0" * 10_000_000
    exchange.send_response(200)
    exchange.send_header("Content-Type", "application/json")
    exchange.send_header("Content-Encoding", "gzip")
    exchange.end_headers()
    for _ in range(100):
        exchange.wfile.write(packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH))


def reset(exchange: Exchange) -> None:
    """The connection is reset, as if the machine had disappeared."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.connection.close()


def cut(exchange: Exchange) -> None:
    """The body is shorter than its declared length."""
    exchange.reply(200, b'{"issuer":', headers=[("Content-Length", "9000")])


def noise(exchange: Exchange) -> None:
    exchange.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")


def broken_gzip(exchange: Exchange) -> None:
    exchange.reply(200, b"\x1f\x8b not gzip at all", headers=[("Content-Encoding", "gzip")])


def tokens(**changes: Any) -> dict[str, Any]:
    usual = {
        "access_token": ACCESS,
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": REFRESH,
    }
    return _changed(usual, changes)


def _absent(exchange: Exchange) -> None:
    exchange.reply(404, b"not found", "text/plain")


def _changed(usual: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with changes; None removes a key."""
    return {name: v for name, v in {**usual, **changes}.items() if v is not None}
