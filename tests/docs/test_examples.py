"""Each example runs as it stands, as a process of its own, at a server that keeps sessions."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.testing import DemoServer, IdentityProvider, RegisteredClient, Settings
from tests.support.key_samples import pem, public_pem
from tests.support.python_path import ROOT
from tests.support.web_app import WebApp

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
PLAIN = ["asynchronous.py", "first.py", "official_sdk.py", "through_fastmcp.py"]
ANSWER = '"login_name": "Ada"'  # of the tool `whoami`
SECRET = "s3cret of the app"
CLIENT = RegisteredClient("app", SECRET, "client_secret_post", ("http://127.0.0.1/callback",))
SESSIONS = Settings(sessions=True)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    browser = f"{sys.executable} -m mcp_client_auth.testing.browser"
    changed = {
        "BROWSER": browser,
        "MCP_CLIENT_AUTH_HOME": str(tmp_path / "home"),
        "MCP_CLIENT_AUTH_STORAGE": "file",
    }
    return {**{k: v for k, v in os.environ.items() if k != "CI"}, **changed}


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return str(file)


def start(environment: dict[str, str], name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def run(environment: dict[str, str], name: str, *words: str) -> str:
    done = start(environment, name, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\", "")


@pytest.mark.parametrize("name", NAMES)
def test_without_arguments_it_says_what_it_wants(name: str, environment: dict[str, str]) -> None:
    done = start(environment, name)
    assert done.returncode == 1
    assert f"python {name} URL" in done.stderr


@pytest.mark.parametrize("name", PLAIN)
def test_an_example_calls_a_tool(name: str, environment: dict[str, str]) -> None:
    with DemoServer(SESSIONS) as server:
        assert ANSWER in run(environment, name, server.url)


def test_a_tool_called_through_the_sdk_may_take_its_time(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """An HTTP client with the library's defaults waits 5 s, the SDK's wait for minutes."""
    example = (EXAMPLES / "official_sdk.py").read_text()
    program = tmp_path / "slow.py"
    program.write_text(example.replace('"whoami"', '"slow", {"seconds": 6}'))
    with DemoServer(SESSIONS) as server:
        assert "is_error=False" in run(environment, str(program), server.url)


def test_the_example_of_the_pure_protocol_logs_in_by_its_own_browser_and_client(
    environment: dict[str, str], tmp_path: Path
) -> None:
    browser = tmp_path / "browser"  # the standard library accepts one word
    browser.write_text(f'#!/bin/sh\nexec {environment["BROWSER"]} "$@"\n')
    browser.chmod(0o700)
    environment["BROWSER"] = str(browser)
    with DemoServer(SESSIONS) as server:
        assert ANSWER in run(environment, "pure_protocol.py", server.url)


def test_the_example_with_its_own_backend_keeps_the_login_there(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with DemoServer(SESSIONS) as server:
        for _ in range(2):
            assert ANSWER in run(environment, "own_backend.py", server.url, str(tmp_path / "kept"))
        assert server.token_requests("authorization_code") == 1


def test_the_example_with_its_own_client_uses_it(
    environment: dict[str, str], tmp_path: Path, secret: str
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(pem("P-256"))
    redirects = CLIENT.redirect_uris
    signing = RegisteredClient(
        "signing", None, "private_key_jwt", redirects, public_key=public_pem("P-256")
    )
    settings = replace(SESSIONS, clients=(CLIENT, signing), registration=False)
    with DemoServer(settings) as server:
        said = run(environment, "own_client.py", server.url, "app", "--secret", secret)
        assert '"client_id": "app"' in said
    with DemoServer(settings) as server:
        said = run(environment, "own_client.py", server.url, "signing", "--key", str(key))
        assert '"client_id": "signing"' in said


def test_the_example_of_a_service_needs_nobody(environment: dict[str, str], secret: str) -> None:
    with DemoServer(replace(SESSIONS, clients=(CLIENT,), client_credentials=True)) as server:
        assert '"client_id": "app"' in run(environment, "service.py", server.url, "app", secret)


def test_the_example_of_a_workload_needs_only_its_jwt(
    environment: dict[str, str], tmp_path: Path
) -> None:
    jwt = tmp_path / "jwt"
    with (
        IdentityProvider() as provider,
        DemoServer(replace(SESSIONS, trusted_issuers=(provider.trusted,))) as server,
    ):
        jwt.write_text(provider.workload_token(server.issuer))
        assert '"login_name"' in run(environment, "workload.py", server.url, str(jwt))


def test_the_example_of_a_company_signs_in_once_for_two_servers(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "clients"
    file.write_text("desk\nsecret of the desk\ndemo-enterprise\nsecret of the app\n")
    desk = replace(CLIENT, client_id="desk", client_secret="secret of the desk")
    app = replace(CLIENT, client_id="demo-enterprise", client_secret="secret of the app")
    with IdentityProvider([desk]) as provider:
        known = replace(SESSIONS, clients=(app,), trusted_issuers=(provider.trusted,))
        with DemoServer(known) as first, DemoServer(known) as second:
            for server in (first, second):
                arguments = (server.url, provider.issuer, str(file))
                assert '"login_name"' in run(environment, "company.py", *arguments)
        assert provider.visits == 1


def test_the_example_on_another_device_waits_for_the_person_there(
    environment: dict[str, str],
) -> None:
    over = threading.Event()

    def person(server: DemoServer) -> None:
        while not over.wait(0.05):
            server.decide_device("allow")

    with DemoServer(replace(SESSIONS, device_authorization=True, device_interval=1)) as server:
        somebody = threading.Thread(target=person, args=(server,))
        somebody.start()
        try:
            assert ANSWER in run(environment, "on_another_device.py", server.url)
        finally:
            over.set()
            somebody.join()


@pytest.mark.parametrize("name", ["starlette_app.py", "django_app.py"])
def test_users_of_a_web_application_have_logins_of_their_own(
    name: str, environment: dict[str, str]
) -> None:
    """Begun in one worker, finished in another, used in both; no one gets another user's login."""
    environment["SESSION_KEY"] = "signs the sessions of this test's application"
    with DemoServer(SESSIONS) as server, WebApp(name, server.url, environment) as app:
        ada, bob = app.user("ada"), app.user("bob")
        callback = ada.connect()
        assert callback.startswith(app.at(1, "/oauth/callback?"))
        assert [ANSWER in ada.get("/whoami", worker).text for worker in (0, 1)] == [True, True]
        refused = bob.get("/whoami")
        assert (refused.status_code, "must log in" in refused.text) == (403, True)
        assert ANSWER in run(environment, "agent_worker.py", server.url, "ada")
        not_yet = start(environment, "agent_worker.py", server.url, "bob")
        assert (not_yet.returncode, not_yet.stderr) == (1, "bob has to log in first\n")
        # Bob's browser is sent to Ada's response: before she has finished, and after
        begun = ada.begin()
        stolen = bob.get(callback.removeprefix(app.at(1, "")), worker=1)
        assert (stolen.status_code, "not the login that was begun" in stolen.text) == (400, True)
        again = ada.get(callback.removeprefix(app.at(1, "")), worker=1)
        assert (again.status_code, "finished already" in again.text) == (400, True)
        ada.visit(begun)
        assert ada.last_page
        assert ada.last_page.status == 200
        bob.connect()
        assert ANSWER in bob.get("/whoami").text
        assert ada.post("/disconnect", worker=1).text == "forgotten"
        assert ada.get("/whoami", worker=1).status_code == 403
        assert ANSWER in bob.get("/whoami", worker=1).text
        assert server.count("/register") == 1


def test_the_notebook_runs_from_top_to_bottom(environment: dict[str, str]) -> None:
    import nbformat  # takes seconds to load, in each worker of the default run

    notebook: Any = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    code = "\n".join(cell.source for cell in cells)
    with DemoServer(SESSIONS) as server:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "MCP_URL": server.url},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert ANSWER in done.stdout


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{name}"' in text for name in NAMES)
