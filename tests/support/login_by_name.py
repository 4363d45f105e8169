"""In a network namespace: a server, and a login to it by a name that has a dead address too.

Prints one JSON line: the seconds of the login, of a refresh and of an examination, how many
requests came for the first two, and what the last one found of the addresses.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from mcp_client_auth import BrowserPrompt, MemoryStorage, Options, login
from mcp_client_auth.doctor import Subject, examine

HOST, ADDRESS = sys.argv[1:3]
REQUESTS: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        asked = {name: value[0] for name, value in parse_qs(where.query).items()}
        match where.path:
            case "/.well-known/oauth-protected-resource/mcp":
                self._say(200, {"resource": URL, "authorization_servers": [BASE]})
            case "/.well-known/oauth-authorization-server":
                ends = ("authorization", "token", "registration")
                places = {f"{name}_endpoint": f"{BASE}/{name}" for name in ends}
                page = BASE.replace("http:", "https:") + "/authorization"
                places["authorization_endpoint"] = page  # a browser is sent to https only
                self._say(
                    200, {"issuer": BASE, "code_challenge_methods_supported": ["S256"], **places}
                )
            case "/authorization":
                back = urlencode({"code": "the-code", "state": asked["state"]})
                self._say(302, {}, ("Location", f"{asked['redirect_uri']}?{back}"))
            case _:
                self._say(404, {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path:
            case "/mcp":
                known = self.headers.get("Authorization", "").startswith("Bearer token-")
                self._say(200 if known else 401, {})
            case "/registration":
                self._say(201, {"client_id": "dyn"})
            case "/token":
                token = {"access_token": f"token-{len(REQUESTS)}", "token_type": "Bearer"}
                self._say(200, {**token, "expires_in": 3600, "refresh_token": "again"})

    def _say(self, status: int, body: dict[str, object], *headers: tuple[str, str]) -> None:
        REQUESTS.append(self.path.partition("?")[0])
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def browser(url: str) -> bool:
    """A browser avoids dead addresses by its own means, so this one uses the living address."""

    def visit() -> None:
        there = url.replace(f"https://{HOST}", f"http://{ADDRESS}")
        httpx.get(there, follow_redirects=True, trust_env=False, timeout=20)

    threading.Thread(target=visit, daemon=True).start()
    return True


server = ThreadingHTTPServer((ADDRESS, 0), Handler)
BASE = f"http://{HOST}:{server.server_port}"
URL = BASE + "/mcp"
threading.Thread(target=server.serve_forever, daemon=True).start()
began = time.monotonic()
me = login(
    URL,
    storage=MemoryStorage(),
    prompt=BrowserPrompt(browser),
    options=Options(allow_insecure_http=True),
)
logged_in = time.monotonic()
me.token(min_valid=1e6)
refreshed, requests = time.monotonic(), len(REQUESTS)
report = examine(Subject(MemoryStorage(), URL, options=Options(allow_insecure_http=True)))
print(
    json.dumps(
        {
            "login": logged_in - began,
            "refresh": refreshed - logged_in,
            "requests": requests,
            "doctor": time.monotonic() - refreshed,
            "found": [f.requested for f in report.findings if f.check == "network.address"],
        }
    )
)
