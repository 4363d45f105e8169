"""Plug-ins of other packages for `keyring`, as they are installed: real entry points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage.keyring import KeyringStorage
from mcp_client_auth.testing import DemoServer
from tests.support.python_path import LEAN, ROOT, search_path
from tests.support.terminal import Answer, Terminal

pytestmark = pytest.mark.slow

CLASS = """
import json, os, pathlib, sys, logging
from keyring.backend import KeyringBackend
P = pathlib.Path(os.environ["VAULT"])
def read(): return json.loads(P.read_text()) if P.exists() else {}
class Works(KeyringBackend):
    priority = 5
    def get_password(self, s, u): return read().get(s)
    def set_password(self, s, u, p): P.write_text(json.dumps({**read(), s: p}))
    def delete_password(self, s, u):
        d = read(); del d[s]; P.write_text(json.dumps(d))
"""
READ_ONLY = """
from keyring.backend import KeyringBackend
class Registry(KeyringBackend):
    priority = PRIORITY
    def get_password(self, s, u): return None
    def set_password(self, s, u, p): raise NotImplementedError
"""
WITHOUT_PRIORITY = READ_ONLY.replace(
    "priority = PRIORITY", "@property\n    def priority(self): raise ModuleNotFoundError('flyte')"
)
NOT_MADE = (
    READ_ONLY.replace("PRIORITY", "8") + "    def __init__(self): raise OSError('not here')\n"
)
CHATTY = CLASS.replace("priority = 5", "priority = 6").replace(
    "def set_password(self, s, u, p): ",
    "def set_password(self, s, u, p):\n"
    "        print('keeping', p); print('keeping', p, file=sys.stderr)\n"
    "        logging.getLogger('chatty').error('keeping %s', p); ",
)
PRINTING = "import sys\nprint('hello from a plug-in')\nprint('and to stderr', file=sys.stderr)\n"
BAD_WORDS = ("Traceback", "Error initializing", "plug-in", "flyte", "keeping", "hello")


class Plugins:
    """`mcp-login` on a machine where these are installed beside it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.trace = terminal.home / "trace"
        self._site = terminal.home / "site"
        self.environment = {
            "PYTHONPATH": search_path(self._site, ROOT, LEAN),
            "MCP_CLIENT_AUTH_STORAGE": "keyring",
            "VAULT": str(terminal.home / "vault.json"),
        }

    def install(self, **bodies: str) -> None:
        for name, body in bodies.items():
            info = self._site / f"{name}-1.0.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[keyring.backends]\n{name} = {name}_plugin\n")
            (self._site / f"{name}_plugin.py").write_text(body)

    def run(self, *words: str) -> Answer:
        return self._terminal.run(*words, "--trace", str(self.trace), **self.environment)

    def events(self) -> str:
        lines = self.trace.read_text().splitlines()
        return " ".join(json.loads(line).get("detail", "") for line in lines)


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    return Plugins(Terminal(tmp_path))


@pytest.fixture
def server() -> object:
    with DemoServer() as server:
        yield server


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ("import flyte_that_is_not_there\n", "flyte_that_is_not_there"),
        (WITHOUT_PRIORITY, "flyte"),
        (READ_ONLY.replace("PRIORITY", "9"), "NotImplementedError"),
        (READ_ONLY.replace("PRIORITY", "99"), "NotImplementedError"),
        (NOT_MADE, "OSError"),
        (PRINTING, "hello from a plug-in … and to stderr"),
        ("raise SystemExit(3)\n", ""),
    ],
    ids=["import", "priority", "read-only", "above the chain", "init", "printing", "exit"],
)
def test_a_plug_in_costs_no_login_and_says_nothing_but_in_events(
    body: str, event: str, plugins: Plugins, server: DemoServer
) -> None:
    plugins.install(other=body, works=CLASS)
    answer = plugins.run(server.url)
    assert answer.code == 0, answer.err
    assert not [word for word in BAD_WORDS if word in answer.err + answer.out]
    assert event in plugins.events()
    answer = plugins.run("token", server.url)
    assert answer.code == 0, answer.err
    assert not [word for word in BAD_WORDS if word in answer.err + answer.out]


@pytest.mark.parametrize(
    "body",
    ["import flyte_that_is_not_there\n", WITHOUT_PRIORITY, READ_ONLY.replace("PRIORITY", "9")],
)
def test_where_there_is_no_other_it_ends_with_7_before_anything_is_sent(
    body: str, plugins: Plugins, server: DemoServer
) -> None:
    plugins.install(other=body)
    answer = plugins.run(server.url)
    assert answer.code == 7, answer.err
    assert "Traceback" not in answer.err
    assert server.requests == []


@pytest.mark.parametrize(
    ("variable", "file", "words"),
    [
        ("no.such.Backend", "", "that PYTHON_KEYRING_BACKEND names cannot be loaded"),
        ("os.path", "", "that PYTHON_KEYRING_BACKEND names cannot be loaded"),
        ("", "garbage", "(keyringrc.cfg) names cannot be loaded: MissingSectionHeaderError"),
        ("", "[backend]\ndefault-keyring=no.such.Backend", "(keyringrc.cfg) names cannot be"),
        ("keyring.backends.chainer.ChainerBackend", "", "found no backend"),
    ],
)
def test_a_backend_that_the_user_has_named_wrongly_is_said_to_be_named_there(
    variable: str, file: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyring.core._keyring_backend", None)
    monkeypatch.setattr("keyring.backend.get_all_keyring", list)
    monkeypatch.setattr("keyring.core._config_path", lambda: tmp_path / "keyringrc.cfg")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", variable)
    if file:
        (tmp_path / "keyringrc.cfg").write_text(file)
    with pytest.raises(StorageError) as caught:
        KeyringStorage().check()
    assert words in caught.value.summary
    assert "\n" not in str(caught.value)


def test_what_a_plug_in_says_of_a_secret_is_told_nowhere(
    plugins: Plugins, server: DemoServer
) -> None:
    plugins.install(chatty=CHATTY)
    answer = plugins.run(server.url, "--verbose")
    assert answer.code == 0, answer.err
    assert "keeping" not in answer.err + answer.out + plugins.events()
    assert "it wrote something" in plugins.events()
