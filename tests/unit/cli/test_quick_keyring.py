"""A record in the Secret Service is read past `keyring`, only where keyring would read it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_client_auth.cli import quick_keyring
from mcp_client_auth.cli.quick import quick_exec, quick_token
from mcp_client_auth.cli.quick_keyring import BACKEND
from mcp_client_auth.credential import key_for
from mcp_client_auth.storage import storage_named
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.testing.secret_service import SecretService
from tests.support.inside import Inside, credential

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the Secret Service of Linux")
URL = "https://mcp.example.invalid/mcp"
TOKEN = "planted-access"


@pytest.fixture
def kept(inside: Inside, secret_service: SecretService, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """A fresh login in the real Secret Service."""
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "keyring")
    SHARED.reset()
    store = storage_named("keyring")
    store.check()
    store.save(credential(URL, TOKEN))
    return inside


def entry(inside: Inside) -> Path:
    return inside.record(URL, ".json")


def test_a_fresh_token_is_had_as_the_long_way_has_it(
    kept: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quick_token([URL]) == TOKEN
    monkeypatch.setattr("mcp_client_auth.cli.quick.quick_token", lambda words: None)
    assert kept("token", URL).out == f"{TOKEN}\n"


@pytest.mark.parametrize("verb", ["token", "headers", "exec"])
def test_keyring_itself_is_not_loaded(kept: Inside, verb: str) -> None:
    heavy = ("keyring", "click", "httpx", "importlib.metadata")
    code = (
        "import os, sys; from mcp_client_auth.cli import run\n"
        "def started(command, words, environment):\n"
        "    print(environment['MCP_ACCESS_TOKEN'])\n"
        "    raise SystemExit\n"
        "os.execvpe = started\n"
        f"try: run({[verb, URL, *(['--', 'true'] if verb == 'exec' else [])]!r})\n"
        "except SystemExit: pass\n"
        f"print(sorted({set(heavy)!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    )
    assert TOKEN in done.stdout
    assert done.stderr == "[]\n"


def test_exec_gets_the_environment_of_the_long_way(
    kept: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_ASSERTION_FILE", "/nowhere")  # not for other programs
    found = quick_exec([URL, "--", "env", "-0"])
    assert found
    command, environment = found
    assert command == ["env", "-0"]
    assert environment["MCP_ACCESS_TOKEN"] == TOKEN
    assert environment["MCP_SERVER_URL"] == URL
    assert "MCP_CLIENT_AUTH_ASSERTION_FILE" not in environment
    spelled = URL.replace("https", "HTTPS")
    for words in ([URL], [URL, "--"], [URL, "--header", "--", "env"], [spelled, "--", "env"]):
        assert quick_exec(words) is None


NAMED: dict[str, Callable[[pytest.MonkeyPatch, Path], object]] = {
    "another backend": lambda patch, home: patch.setenv(
        "PYTHON_KEYRING_BACKEND", "keyring.backends.kwallet.DBusKeyring"
    ),
    "another collection": lambda patch, home: patch.setenv(
        "KEYRING_PROPERTY_PREFERRED_COLLECTION", "/org/freedesktop/secrets/collection/login"
    ),
    "a chain in keyringrc.cfg": lambda patch, home: configured(home / "config", patch, "CONFIG"),
    "a keyringrc.cfg of old": lambda patch, home: configured(home / "data", patch, "DATA"),
    "no bus": lambda patch, home: patch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere"),
    "another system": lambda patch, home: patch.setattr(sys, "platform", "darwin"),
}


def configured(root: Path, patch: pytest.MonkeyPatch, kind: str) -> None:
    (root / "python_keyring").mkdir(parents=True)
    text = "[backend]\ndefault-keyring=keyring.backends.chainer.ChainerBackend\n"
    (root / "python_keyring" / "keyringrc.cfg").write_text(text)
    patch.setenv(f"XDG_{kind}_HOME", str(root))


@pytest.mark.parametrize("choose", NAMED.values(), ids=NAMED.keys())
def test_what_the_user_has_chosen_is_left_to_keyring(
    choose: Callable[[pytest.MonkeyPatch, Path], object],
    kept: Inside,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    choose(monkeypatch, tmp_path)
    assert quick_token([URL]) is None


def test_the_same_backend_may_be_named(kept: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{BACKEND}.Keyring")
    assert quick_token([URL]) == TOKEN


@pytest.mark.parametrize("backend", ["", "keyring.backends.kwallet", 7, None], ids=repr)
def test_without_the_index_naming_it_the_long_way_looks(backend: object, kept: Inside) -> None:
    """As after a login by version 0.1.0, until the next renewal."""
    raw = json.loads(entry(kept).read_text())
    assert raw.pop("backend") == BACKEND
    if backend != "":
        raw["backend"] = backend
    entry(kept).write_text(json.dumps(raw))
    assert quick_token([URL]) is None
    assert kept("token", URL).out == f"{TOKEN}\n"


def test_an_item_of_another_generation_is_not_taken(kept: Inside) -> None:
    raw = json.loads(entry(kept).read_text())
    entry(kept).write_text(json.dumps({**raw, "generation": 7}))
    assert quick_token([URL]) is None


def test_a_deleted_item_is_not_there(kept: Inside) -> None:
    from mcp_client_auth.storage.backend import Item

    storage_named("keyring").vault.delete(Item.of(key_for(URL)))
    assert quick_token([URL]) is None


@pytest.mark.usefixtures("kept")
def test_a_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("secretstorage.dbus_init", lambda: released.wait(60))
    monkeypatch.setattr(quick_keyring, "_PATIENCE", 0.05)
    began = time.monotonic()
    assert quick_token([URL]) is None
    assert time.monotonic() - began < 30
    released.set()


def test_a_locked_collection_is_not_unlocked(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SecretService.installed():
        pytest.skip("a Secret Service is needed")
    with SecretService() as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        service.lock()
        assert quick_keyring.secret_of(key_for(URL).id) is None
