"""In a network namespace: a public server whose name servers change their mind, and a login.

The name resolves to a public address for a number of look-ups, and to this machine after that. The
server names what listens on this machine: in its metadata, or as the place of its sign-in page.
Prints one JSON line: how the login ended, and what was visited on this machine.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mcp_client_auth import AuthError, BrowserPrompt, MemoryStorage, Options, login

HOST, ADDRESS, FIRST, WAY = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PORT = 8080
visited: list[str] = []
opened: list[str] = []
asked: list[str] = []


class Inside(BaseHTTPRequestHandler):
    def handle_one_request(self) -> None:
        visited.append(f"{self.server.server_address}")
        self.close_connection = True


class Outside(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(201, {"client_id": "dyn"}) if "register" in self.path else self._say(401, {})

    def do_GET(self) -> None:
        base, inside = f"http://{HOST}:{PORT}", f"http://127.0.0.1:{PORT + 1}"
        if self.path == "/.well-known/oauth-protected-resource/mcp":
            server = inside if WAY == "issuer" else base
            self._say(200, {"resource": base + "/mcp", "authorization_servers": [server]})
            return
        page = inside if WAY == "page" else f"https://{HOST}"
        self._say(
            200,
            {
                "issuer": base,
                "authorization_endpoint": page + "/authorize",
                "token_endpoint": base + "/token",
                "registration_endpoint": base + "/register",
                "code_challenge_methods_supported": ["S256"],
            },
        )

    def _say(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        # each look-up is one more chance to change the answer, so no connection is kept
        for name, value in (("Content-Type", "application/json"), ("Connection", "close")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def answer_names() -> None:
    """Name servers (RFC 1035 §4): the A record that applies at the moment, and no AAAA."""
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 53))
    while True:
        query, client = names.recvfrom(512)
        question = query[12 : query.index(b"\0", 12) + 5]
        kind = int.from_bytes(question[-4:-2], "big")
        if kind != 1:
            names.sendto(query[:2] + b"\x84\x00\0\1\0\0\0\0\0\0" + question, client)
            continue
        address = ADDRESS if len(asked) < FIRST else "127.0.0.1"
        asked.append(address)
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
        names.sendto(query[:2] + b"\x84\x00\0\1\0\1\0\0\0\0" + question + record, client)


def serve(address: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
    server = ThreadingHTTPServer((address, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


threading.Thread(target=answer_names, daemon=True).start()
serve(ADDRESS, PORT, Outside)
for place in (PORT, PORT + 1):
    serve("127.0.0.1", place, Inside)


def browser(url: str) -> bool:
    opened.append(url.partition("?")[0])
    return True


try:
    login(
        f"http://{HOST}:{PORT}/mcp",
        storage=MemoryStorage(),
        prompt=BrowserPrompt(browser),
        options=Options(allow_insecure_http=True, login_timeout=1, http_timeout=30),
    )
    ended = "logged in"
except AuthError as error:
    ended = error.code
print(json.dumps({"ended": ended, "visited": visited, "opened": opened, "asked": asked}))
