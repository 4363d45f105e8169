"""Each example runs as it stands, as a process of its own, at servers with and without sessions."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import DemoServer, IdentityProvider, RegisteredClient, Settings
from tests.support.key_samples import pem, public_pem
from tests.support.python_path import ROOT

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
CLIENT = RegisteredClient(
    "app", "s3cret of the app", "client_secret_post", ("http://127.0.0.1/callback",)
)


@pytest.fixture(params=[False, True], ids=["no sessions", "sessions"])
def kind(request: pytest.FixtureRequest) -> Settings:
    """A server that keeps MCP sessions, as most do, and one that keeps none."""
    return Settings(sessions=request.param)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    browser = f"{sys.executable} -m mcp_client_auth.testing.browser"
    changed = {
        "BROWSER": browser,
        "MCP_CLIENT_AUTH_HOME": str(tmp_path / "home"),
        "MCP_CLIENT_AUTH_STORAGE": "file",
    }
    return {**{k: v for k, v in os.environ.items() if k != "CI"}, **changed}


def run(environment: dict[str, str], name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "first.py",
        "asynchronous.py",
        "official_sdk.py",
        "through_fastmcp.py",
        "script.py",
        "watching.py",
    ],
)
def test_an_example_logs_in_and_lists_the_tools(
    name: str, environment: dict[str, str], kind: Settings
) -> None:
    with DemoServer(kind) as server:
        assert "whoami" in run(environment, name, server.url)


def test_the_example_of_the_pure_protocol_logs_in_by_its_own_browser_and_client(
    environment: dict[str, str], tmp_path: Path, kind: Settings
) -> None:
    browser = tmp_path / "browser"  # the standard library takes one word
    browser.write_text(f'#!/bin/sh\nexec {environment["BROWSER"]} "$@"\n')
    browser.chmod(0o700)
    environment["BROWSER"] = str(browser)
    with DemoServer(kind) as server:
        assert "whoami" in run(environment, "pure_protocol.py", server.url)


def test_the_example_without_a_person_names_the_command(
    environment: dict[str, str], kind: Settings
) -> None:
    with DemoServer(kind) as server:
        assert (
            run(environment, "without_a_person.py", server.url) == f"Run: mcp-login {server.url}\n"
        )
        run(environment, "first.py", server.url)
        assert "whoami" in run(environment, "without_a_person.py", server.url)


def test_the_example_with_its_own_client_uses_it(
    environment: dict[str, str], tmp_path: Path, kind: Settings
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret of the app\n")
    with DemoServer(replace(kind, clients=(CLIENT,), registration=False)) as server:
        assert "whoami" in run(environment, "own_client.py", server.url, "app", str(secret))


def test_the_example_with_bound_tokens_leaves_nothing_to_steal(
    environment: dict[str, str], kind: Settings
) -> None:
    with DemoServer(replace(kind, dpop="supported", dpop_nonces="both")) as server:
        assert "whoami" in run(environment, "bound_tokens.py", server.url)
        stored = FileStorage(environment["MCP_CLIENT_AUTH_HOME"]).load(key_for(server.url))
    assert stored is not None
    assert stored.tokens.bound


def test_the_example_of_a_service_needs_nobody(
    environment: dict[str, str], tmp_path: Path, kind: Settings
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret of the app\n")
    with DemoServer(replace(kind, clients=(CLIENT,), client_credentials=True)) as server:
        assert "whoami" in run(environment, "service.py", server.url, "app", str(secret))


def test_the_example_of_a_workload_needs_only_its_jwt(
    environment: dict[str, str], tmp_path: Path, kind: Settings
) -> None:
    jwt = tmp_path / "jwt"
    with (
        IdentityProvider() as provider,
        DemoServer(replace(kind, trusted_issuers=(provider.trusted,))) as server,
    ):
        jwt.write_text(provider.workload_token(server.issuer))
        assert "whoami" in run(environment, "workload.py", server.url, str(jwt))


def test_the_example_on_another_device_waits_for_the_person_there(
    environment: dict[str, str], kind: Settings
) -> None:
    over = threading.Event()

    def person(server: DemoServer) -> None:
        while not over.wait(0.05):
            server.decide_device("allow")

    with DemoServer(replace(kind, device_authorization=True, device_interval=1)) as server:
        somebody = threading.Thread(target=person, args=(server,))
        somebody.start()
        try:
            assert "whoami" in run(environment, "on_another_device.py", server.url)
        finally:
            over.set()
            somebody.join()


def test_the_example_with_a_key_signs_with_it(
    environment: dict[str, str], tmp_path: Path, kind: Settings
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(pem("P-256"))
    client = RegisteredClient(
        "app", None, "private_key_jwt", CLIENT.redirect_uris, public_key=public_pem("P-256")
    )
    with DemoServer(replace(kind, clients=(client,), registration=False)) as server:
        assert "whoami" in run(environment, "signing_client.py", server.url, "app", str(key))


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    names = {path.name for path in EXAMPLES.glob("*.py")} - {"mcp_http.py"}
    assert all(f'"{name}"' in text for name in names)
