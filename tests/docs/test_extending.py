"""What is needed to extend the package has public names, and is complete."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from own_backend import SqliteBackend

import mcp_client_auth
from mcp_client_auth import MCPAuth, MemoryStorage, Store, extending, login, protocol
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.own_parts import OwnPrompt, own_transport
from tests.support.python_path import ROOT

PROTOCOLS = [
    *(extending.Prompt, extending.Visit, extending.Display, extending.CodeDisplay),
    *(extending.Vault, extending.Backend, extending.Storage),
]
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


def public() -> set[object]:
    """Everything that has a public name."""
    return {
        getattr(module, name)
        for module in (mcp_client_auth, extending, protocol)
        for name in module.__all__
        if isinstance(getattr(module, name), type)
    }


def ours(annotation: Any) -> Iterator[type]:
    """The classes of this package in a type."""
    if isinstance(annotation, type) and annotation.__module__.startswith("mcp_client_auth"):
        yield annotation
    if isinstance(annotation, list):  # the arguments of a Callable
        for inner in annotation:
            yield from ours(inner)
    for inner in typing.get_args(annotation):
        yield from ours(inner)


def named_by(kind: type) -> Iterator[type]:
    """The classes that its public methods, properties and fields name."""
    names = {**vars(mcp_client_auth), **{n: getattr(extending, n) for n in extending.__all__}}
    for cls in (each for each in kind.__mro__ if each.__module__.startswith("mcp_client_auth")):
        here = {**vars(sys.modules[cls.__module__]), **names}
        for name, member in vars(cls).items():
            function = member.fget if isinstance(member, property) else member
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            hints = typing.get_type_hints(function, here)
            for hint in hints.values():
                yield from ours(hint)


@pytest.mark.parametrize("kind", PROTOCOLS, ids=lambda kind: kind.__name__)
def test_every_type_that_it_names_is_public(kind: type) -> None:
    assert {each.__name__ for each in set(named_by(kind)) - public()} == set()


@pytest.mark.parametrize("kind", [extending.HttpRequest, extending.Item, extending.Callback])
def test_every_type_in_a_value_is_public(kind: type) -> None:
    hints = typing.get_type_hints(kind, vars(sys.modules[kind.__module__]))
    fields = [hints[name] for name in vars(kind)["__match_args__"]]
    assert {each for hint in fields for each in ours(hint)} <= public()


def test_every_name_of_the_protocol_is_there_and_no_more_is_listed() -> None:
    for name in protocol.__all__:
        assert getattr(protocol, name) is not None
    assert set(protocol.__all__) <= set(dir(protocol))
    with pytest.raises(AttributeError):
        protocol.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_the_protocols_names_load_nothing_until_they_are_used() -> None:
    code = (
        "import sys, mcp_client_auth.protocol;"
        "print(sum(n.startswith('mcp_client_auth.protocol.') for n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_an_own_prompt_and_transport_log_in(server: DemoServer) -> None:
    prompt, browser = OwnPrompt(ScriptedBrowser()), MemoryStorage()
    auth = MCPAuth(server.url, prompt=prompt, transport=own_transport, storage=browser)
    with httpx.Client(auth=auth, trust_env=False) as client:
        assert client.post(server.url, json=CALL, headers=HEADERS).status_code == 200
    assert [visit.endings for visit in prompt.visits] == [["signed-in"]]


def test_an_own_backend_keeps_the_login(server: DemoServer, tmp_path: Any) -> None:
    file = tmp_path / "logins"
    prompt = OwnPrompt(ScriptedBrowser())
    login(server.url, prompt=prompt, storage=Store("sqlite", SqliteBackend(file)))
    again = login(server.url, prompt=prompt, storage=Store("sqlite", SqliteBackend(file)))
    assert again.credential.tokens.access_token
    assert len(prompt.visits) == 1


@pytest.mark.slow
@pytest.mark.parametrize("file", ["tests/support/own_parts.py", "examples/own_backend.py"])
def test_what_is_written_with_public_names_has_types_in_another_checker(file: str) -> None:
    command = [sys.executable, "-m", "basedpyright", "--level", "error", file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


def test_what_is_written_with_public_names_imports_nothing_else() -> None:
    for name in ("tests/support/own_parts.py", "examples/own_backend.py"):
        for line in (ROOT / name).read_text().splitlines():
            if line.startswith("from mcp_client_auth"):
                assert line.split()[1] in ("mcp_client_auth", "mcp_client_auth.extending")
