"""Authorization server metadata that is not at a well-known URL: the caller names it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from mcp_client_auth import Options, UsageError
from mcp_client_auth.testing import DemoServer
from tests.support.inside import Inside


class Host:
    """A server of one document, at any path; it records the paths."""

    def __init__(self) -> None:
        self.document, self.status, self.paths = b"", 200, list[str]()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.paths.append(self.path)
                self.send_response(host.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(host.document)))
                self.end_headers()
                self.wfile.write(host.document)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/docs/oauth.json"


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.server.serve_forever, daemon=True)
    thread.start()
    yield host
    host.server.shutdown()
    host.server.server_close()
    thread.join(10)


def metadata(server: DemoServer) -> bytes:
    return httpx.get(
        f"{server.issuer}/.well-known/oauth-authorization-server", trust_env=False
    ).content


def test_a_login_uses_the_document_that_the_caller_names(
    inside: Inside, server: DemoServer, host: Host
) -> None:
    host.document = metadata(server)
    server.clear_requests()
    ran = inside(server.url, "--issuer", server.issuer, "--metadata-url", host.url)
    assert ran.code == 0, ran.err
    assert host.paths == ["/docs/oauth.json"]
    assert server.count("/.well-known/oauth-authorization-server") == 0
    assert inside("refresh", server.url).code == 0


def test_one_that_names_another_issuer_is_refused(
    inside: Inside, server: DemoServer, host: Host
) -> None:
    host.document = metadata(server).replace(server.issuer.encode(), b"https://evil.example")
    ran = inside(server.url, "--issuer", server.issuer, "--metadata-url", host.url)
    assert ran.code == 5
    assert server.count("/register") == 0
    assert "--metadata-url" in ran.err
    assert "its own metadata is then read" not in ran.err


@pytest.mark.parametrize("status", [404, 405])
def test_where_it_has_none_the_option_is_to_be_checked(
    inside: Inside, server: DemoServer, host: Host, status: int
) -> None:
    host.status = status
    ran = inside(server.url, "--issuer", server.issuer, "--metadata-url", host.url)
    assert ran.code == 8
    assert "Check --metadata-url" in ran.err
    assert "operator" not in ran.err


def test_one_that_is_no_url_is_called_by_its_name() -> None:
    with pytest.raises(UsageError, match="the metadata URL that was passed"):
        Options(issuer="https://auth.example.com", metadata_url="nowhere")


def test_without_an_issuer_it_is_a_usage_error(inside: Inside, server: DemoServer) -> None:
    ran = inside(server.url, "--metadata-url", "https://docs.example.com/oauth.json")
    assert ran.code == 2
    assert "--issuer" in ran.err
    assert server.requests == []
