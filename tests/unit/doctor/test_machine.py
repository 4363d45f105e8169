"""What this machine gives to a login: storage, proxies, clock, port, browser."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mcp_client_auth.doctor import Finding, Subject, examine, machine
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.keyring import KeyringStorage
from mcp_client_auth.storage.memory import MemoryStorage
from tests.support.findings import Examine, only
from tests.support.hostile import Behaviour, Exchange, World


def one(check: Iterator[Finding]) -> Finding:
    (found,) = list(check)
    return found


def test_without_a_url_only_this_machine_is_looked_at() -> None:
    report = examine(Subject(MemoryStorage()))
    assert report.server == ""
    assert {f.check.partition(".")[0] for f in report.findings} == {"local"}


def test_a_machine_without_a_keyring_is_told_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    import keyring.backends.fail

    monkeypatch.setattr("keyring.get_keyring", keyring.backends.fail.Keyring)
    found = one(machine.storage(KeyringStorage(timeout=2)))
    assert found.error == "StorageError"
    assert "MCP_CLIENT_AUTH_STORAGE=file" in found.remedy


def test_a_file_is_honestly_named_and_leaves_no_canary() -> None:
    kept = FileStorage()
    found = one(machine.storage(kept))
    assert found.level == "note"
    assert "a file that only you can read" in found.came
    assert list(kept.directory.path.iterdir()) == []


def test_a_storage_that_forgets_is_an_error() -> None:
    class Forgetful(MemoryStorage):
        def check(self) -> None:
            raise StorageError("it does not keep what is written to it")

    assert one(machine.storage(Forgetful())).level == "error"


def test_variables_are_named_without_their_values() -> None:
    found = one(
        machine.variables({"MCP_CLIENT_AUTH_HOME": "/planted", "SSL_CERT_FILE": "/planted"})
    )
    assert found.came == "MCP_CLIENT_AUTH_HOME, SSL_CERT_FILE"
    assert one(machine.variables({})).level == "ok"


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:planted@proxy.example:3128/?planted",
        "http://ada:plan@ted/planted@proxy.example:3128",
        "ada:planted@proxy.example:3128",
        "http://proxy.example:3128",
    ],
)
def test_a_proxy_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "localhost")
    found = one(machine.proxies())
    assert "proxy.example:3128" in found.came
    assert "plan" not in found.came
    assert "ada" not in found.came


@pytest.mark.parametrize("missing", [True, False])
def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    found = None if missing else object()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    levels = [(each.level, each.remedy) for each in machine.proxies()]
    needed = ("error", "pip install 'mcp-client-auth[socks]'")
    assert (needed in levels) is missing


def dated(date: str) -> Behaviour:
    """A 404 with this Date, and no other."""

    def answer(exchange: Exchange) -> None:
        exchange.send_response_only(404)
        exchange.send_header("Date", date)
        exchange.send_header("Content-Length", "0")
        exchange.end_headers()

    return answer


@pytest.mark.parametrize(
    ("ahead", "level"), [(30, "ok"), (-30, "ok"), (90, "warning"), (-9e4, "warning")]
)
def test_a_clock_more_than_a_minute_off_is_a_warning(
    world: World, examined: Examine, ahead: float, level: str
) -> None:
    from email.utils import formatdate

    world.at("server", dated(formatdate(time.time() + ahead, usegmt=True)))
    found = [f for f in examined(world.url).findings if f.check == "local.clock"]
    assert [f.level for f in found if world.issuer in f.came] == [level]


def test_a_server_with_a_strange_date_has_no_clock(world: World, examined: Examine) -> None:
    world.at("server", dated("Sat, 99 Foo 99999 99:99:99 GMT"))
    report = examined(world.url)
    assert "itself failed" not in str(report)


def test_a_browser_that_cannot_open_is_no_fault(
    examined: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    found = one(machine.browser())
    assert found.level == "note"
    assert "--callback-port" in found.remedy
    monkeypatch.delenv("CI")
    monkeypatch.setenv("BROWSER", "firefox")
    assert one(machine.browser()).level == "ok"


def test_the_home_directory_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    from mcp_client_auth.doctor.report import clean

    for name in ("HOME", "USERPROFILE"):  # a person may be called “in”
        monkeypatch.setenv(name, str(Path("/home/martha").absolute()))
    inside = str(Path.home() / "logins")
    assert "martha" in inside
    assert "martha" not in clean(f"kept in {inside}")


def test_a_port_can_be_bound_here(world: World, examined: Examine) -> None:
    assert only(examined(world.url), "local.port").level == "ok"
