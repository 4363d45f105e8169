"""Log in with the pure protocol and a client of your own: python pure_protocol.py URL.

Nothing here is stored, refreshed or locked, and no address is checked: that is what `MCPAuth` is
for. Each step is a request and the reader of its response, so it can be compared to the standard.
"""

import secrets
import sys
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx

from mcp_client_auth import Options, Secret
from mcp_client_auth.mcp import Connection, Tools
from mcp_client_auth.protocol import (
    HttpRequest,
    HttpResponse,
    ServerUrl,
    ask_server,
    authorization_request,
    choose_scope,
    discover,
    exchange,
    register,
    run,
)

if len(sys.argv) != 2:
    sys.exit(__doc__)

url, options = sys.argv[1], Options()


def send(request: HttpRequest) -> HttpResponse:
    """Our plain request, sent by whatever client you have; OAuth follows no redirect."""
    answer = httpx.request(
        request.method, request.url, headers=request.headers, content=request.body, trust_env=False
    )
    headers = tuple(answer.headers.multi_items())
    return HttpResponse(answer.status_code, str(answer.url), headers, answer.content)


class Callback(BaseHTTPRequestHandler):
    """Keeps the query of the request that the browser ends on."""

    query = ""

    def do_GET(self) -> None:
        Callback.query = self.path.partition("?")[2]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"You may close this window.")


server_url = ServerUrl.checked(url)
with HTTPServer(("127.0.0.1", 0), Callback) as listener:  # before the address is known to anyone
    answer = run(ask_server(server_url), send)  # 1, 2
    discovery = run(discover(server_url, answer, options), send)  # 3 to 6
    redirect_uri = f"http://127.0.0.1:{listener.server_port}/callback"
    scope = choose_scope(discovery, None)
    client = run(register(discovery.server, redirect_uri, scope, options), send)  # 7, 8
    state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(48))
    request = authorization_request(
        discovery, client, redirect_uri, scope, options, state=state, verifier=verifier
    )
    # some browsers block their caller until they have the callback's answer
    threading.Thread(target=webbrowser.open, args=(request.url,), daemon=True).start()  # 9, 10
    while not Callback.query:
        listener.handle_request()  # 11
code = request.accept(Callback.query)  # state, iss and error are checked here
tokens = run(exchange(code, time.time()), send)  # 12, 13

headers = {"Authorization": f"Bearer {tokens.access_token.reveal()}"}
with httpx.Client(headers=headers) as http, Connection(http, url) as connection:
    print(Tools(connection).call("whoami", {}).text)  # 14, 15
