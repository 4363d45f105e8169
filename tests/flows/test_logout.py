"""The end of a login: here, at the authorization server, and for the client registered for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    FileStorage,
    Login,
    MemoryStorage,
    Options,
    PreRegistered,
    StorageError,
    login,
    logout,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.grants.clients import client_key
from mcp_client_auth.protocol.management import (
    deletion_request,
    is_manageable,
    read_deletion,
)
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.urls import Endpoint, Issuer
from mcp_client_auth.session.logout import LoggedOut
from mcp_client_auth.session.open import open_session
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings
from tests.support.codes import coded

MANAGED = Settings(registration_management=True)
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    with DemoServer(getattr(request, "param", MANAGED)) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path / "store")


@pytest.fixture
def log_in(server: DemoServer, files: FileStorage) -> Callable[..., Login]:
    def log_in(**arguments: object) -> Login:
        prompt = BrowserPrompt(open_url=ScriptedBrowser())
        arguments = {"url": server.url, "storage": files, "prompt": prompt, **arguments}
        return login(**arguments)  # type: ignore[arg-type]

    return log_in


def status(server: DemoServer, token: str) -> int:
    headers = {**HEADERS, "Authorization": f"Bearer {token}"}
    return httpx.post(server.url, json=CALL, headers=headers, trust_env=False).status_code


def deletions(server: DemoServer) -> list[int]:
    return [r.status for r in server.requests if r.method == "DELETE"]


def test_a_logout_revokes_then_deletes_the_client_and_leaves_nothing_here(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    me = log_in()
    token = me.token()
    assert logout(server.url, storage=files) == LoggedOut(True, revoked=True, unregistered=True)
    assert status(server, token) == 401
    asked = [r.path.rpartition("/")[2] for r in server.requests if r.side == "as"]
    assert asked.index("revoke") < len(asked) - 1
    assert deletions(server) == [204]
    left = {path.suffix for path in files.directory.path.iterdir()}
    assert left <= {".lock", ".deleted"}


@pytest.mark.usefixtures("ports_of_ours")
def test_a_client_that_another_login_uses_stays_until_that_one_ends(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    me, work = log_in(), log_in(account="work")
    assert me.credential.client.client_id == work.credential.client.client_id
    assert me.logout() == LoggedOut(True, revoked=True)
    assert status(server, work.token()) == 200
    server.expire_access_tokens()
    assert deletions(server) == []
    assert work.logout() == LoggedOut(True, revoked=True, unregistered=True)
    assert deletions(server) == [204]


@pytest.mark.parametrize("server", [Settings()], indirect=True)
def test_without_a_management_uri_the_registration_is_forgotten_here_alone(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    client = log_in().credential.client
    key = client_key(client.issuer, client.redirect_uris[0])
    assert files.load(key) is not None
    assert logout(server.url, storage=files) == LoggedOut(True, revoked=True)
    assert files.load(key) is None
    assert deletions(server) == []


@pytest.mark.parametrize(
    "server",
    [
        Settings(
            clients=(RegisteredClient("ours", redirect_uris=("http://127.0.0.1/callback",)),),
            registration=False,
        )
    ],
    indirect=True,
)
def test_a_client_of_the_callers_is_left_alone(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    me = log_in(client=PreRegistered("ours"))
    assert me.logout() == LoggedOut(True, revoked=True)
    assert deletions(server) == []
    log_in(client=PreRegistered("ours"))  # which is a login of its own
    assert logout(server.url, storage=files) == LoggedOut(False)
    done = logout(server.url, storage=files, client=PreRegistered("ours"))
    assert done == LoggedOut(True, revoked=True)


def test_local_asks_no_server(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    token = log_in().token()
    server.clear_requests()
    assert logout(server.url, storage=files, local=True) == LoggedOut(True)
    assert server.requests == []
    assert status(server, token) == 200
    assert {path.suffix for path in files.directory.path.iterdir()} <= {".lock", ".deleted"}


def test_nothing_is_nothing(server: DemoServer, files: FileStorage) -> None:
    assert logout(server.url, storage=files) == LoggedOut(False)


@pytest.mark.parametrize("what", ["/revoke", "/register/"])
@pytest.mark.parametrize("code", [500, 404, 401])
def test_a_server_that_refuses_does_not_keep_the_local_part_from_happening(
    what: str,
    code: int,
    server: DemoServer,
    files: FileStorage,
    log_in: Callable[..., Login],
) -> None:
    client = log_in().credential.client.client_id
    path = f"/register/{client}" if what == "/register/" else what
    server.fail_next(path, code, times=9)
    done = logout(server.url, storage=files)
    assert done.found
    assert (done.revoked, done.unregistered) == (what != "/revoke", what != "/register/")
    assert files.load(key_for(server.url)) is None


def test_a_server_that_is_gone_is_said_and_everything_here_is_deleted(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    log_in()
    server.stop()
    done = logout(server.url, storage=files)
    assert (done.found, done.revoked, done.unregistered) == (True, False, False)
    assert any(server.issuer in text for text in done.trouble)
    assert {path.suffix for path in files.directory.path.iterdir()} <= {".lock", ".deleted"}
    server.start()


def test_a_server_that_never_answers_costs_its_time_limit_and_no_more(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    log_in()
    server.expire_access_tokens()
    held = [server.hold_next("/revoke"), server.hold_next("/revoke")]
    hurried = open_session(server.url, storage=files, options=Options(http_timeout=0.2))
    assert hurried.log_out().revoked is False
    for each in held:
        each.release()


def test_what_cannot_be_read_can_still_be_deleted_and_is_said(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    log_in()
    record = files.directory.path / f"{key_for(server.url).id}.secret"
    record.write_text("{")
    server.clear_requests()
    done = logout(server.url, storage=files)
    assert (done.found, done.revoked) == (True, None)
    assert "could not be read" in done.trouble[0] or "damaged" in done.trouble[0]
    assert server.requests == []
    assert not record.exists()


def test_a_record_of_a_newer_version_is_left_alone(
    server: DemoServer, files: FileStorage, log_in: Callable[..., Login]
) -> None:
    log_in()
    record = files.directory.path / f"{key_for(server.url).id}.secret"
    record.write_text(record.read_text().replace('"version":1', '"version":9'))
    with pytest.raises(StorageError, check=coded("newer_record")):
        logout(server.url, storage=files)
    assert record.exists()


def test_a_record_sealed_with_a_lost_key_can_be_logged_out_of(
    server: DemoServer,
    files: FileStorage,
    log_in: Callable[..., Login],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import base64

    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", base64.b64encode(os.urandom(32)).decode())
    log_in()
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", base64.b64encode(os.urandom(32)).decode())
    done = logout(server.url, storage=files)
    assert (done.found, done.revoked) == (True, None)
    assert "another key" in done.trouble[0]
    assert list(files.list()) == []


def test_a_record_whose_key_is_not_at_hand_can_be_logged_out_of(
    server: DemoServer,
    files: FileStorage,
    log_in: Callable[..., Login],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import base64

    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", base64.b64encode(os.urandom(32)).decode())
    log_in()
    monkeypatch.delenv("MCP_CLIENT_AUTH_KEY")
    done = logout(server.url, storage=files)
    assert (done.found, done.revoked) == (True, None)
    assert "so nothing could be revoked" in done.trouble[0]
    assert list(files.list()) == []


def test_memory_forgets_too(server: DemoServer, log_in: Callable[..., Login]) -> None:
    memory = MemoryStorage()
    me = log_in(storage=memory)
    assert me.logout() == LoggedOut(True, revoked=True, unregistered=True)
    assert list(memory.list()) == []


# Where a registration's token may go


SERVER = default_server_metadata(Issuer("https://auth.example.com"))


@pytest.mark.parametrize(
    ("uri", "home"),
    [
        ("https://auth.example.com/register/abc", True),
        ("https://AUTH.example.com:443/register/abc", True),
        ("https://registration.example.com/abc", True),
        ("https://evil.example.com/abc", False),
        ("http://auth.example.com/register/abc", False),
        ("http://169.254.169.254/abc", False),
        ("file:///etc/passwd", False),
        ("", False),
        ("https://[", False),
    ],
)
def test_a_registrations_token_goes_home_only(uri: str, home: bool) -> None:
    endpoint = Endpoint("https://registration.example.com/register")
    server = replace(SERVER, registration_endpoint=endpoint)
    assert is_manageable(uri, server) is home


def test_a_management_uri_elsewhere_is_forgotten_with_its_token(
    server: DemoServer, log_in: Callable[..., Login], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.grants.clients.is_manageable", lambda uri, server: False)
    client = log_in().credential.client
    assert (client.management_uri, client.management_token) == ("", None)


def test_the_request_is_a_delete_with_the_registrations_token(
    log_in: Callable[..., Login],
) -> None:
    client = log_in().credential.client
    request = deletion_request(client)
    assert client.management_token is not None
    assert (request.method, request.url) == ("DELETE", client.management_uri)
    assert request.headers["Authorization"] == f"Bearer {client.management_token.reveal()}"
    assert client.management_token.reveal() not in repr(request)


@pytest.mark.parametrize(("code", "gone"), [(204, True), (200, True), (401, False), (405, False)])
def test_only_a_success_counts(code: int, gone: bool) -> None:
    from mcp_client_auth.protocol.flow import HttpResponse

    assert read_deletion(HttpResponse(code, "https://auth.example.com/register/abc")) is gone
