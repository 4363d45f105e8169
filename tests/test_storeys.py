"""Imports point down only (the house has four storeys), and the protocol touches nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcp_client_auth

PACKAGE = Path(mcp_client_auth.__file__).parent
# From the ground up. `credential` is a value like those below it: the record that a storage
# keeps, so the edges know it although it is the session that thinks in it.
STOREYS = (
    {"errors", "events", "secret", "forking", "certificates", "home"},
    {"protocol"},
    {"credential", "addresses"},
    {"transport", "storage", "prompt"},
    {
        "session",
        "renewal",
        "steps",
        "binding",
        "probing",
        "attempts",
        "clients",
        "obtaining",
        "assertions",
        "proving",
        "flight",
        "cooling",
        "leaving",
        "redeeming",
        "requiring",
        "keeping",
        "polling",
    },
    {"cli", "auth", "opening", "signin", "notebook", "testing", "doctor"},
    {"__init__", "__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(STOREYS) for room in rooms}
EDGES = STOREYS[3]
WORLD = {
    "asyncio", "concurrent", "datetime", "http", "httpx", "httpx2", "keyring", "logging", "os",
    "pathlib", "random", "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess",
    "sys", "tempfile", "threading", "time", "uuid", "webbrowser",
}  # fmt: skip
MAKERS = {
    "ResourceMetadata": {"protocol/metadata.py"},
    "ServerMetadata": {"protocol/metadata.py"},
    "AuthorizationRequest": {"protocol/authorization.py"},
    "AuthorizationCode": {"protocol/authorization.py"},
    "TokenSet": {"protocol/tokens.py", "credential.py"},  # from an answer, and from a record
    "DeviceAuthorization": {"protocol/device.py"},
    "Challenge": {"protocol/challenge.py"},
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def imports(file: str) -> Iterator[tuple[int, str]]:
    """Line and absolute module name of every import, also of those inside functions."""
    package = ["mcp_client_auth", *file.split("/")[:-1]]
    for node in ast.walk(ast.parse((PACKAGE / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if node.module or not node.level:
                yield node.lineno, module
            else:
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def rooms_used(file: str) -> Iterator[tuple[int, str]]:
    for line, module in imports(file):
        head, _, rest = module.partition(".")
        if head == "mcp_client_auth":
            room = rest.partition(".")[0]
            known = (PACKAGE / f"{room}.py").exists() or (PACKAGE / room).is_dir()
            yield line, room if room and known else "__init__"


@pytest.mark.parametrize("file", FILES)
def test_every_module_has_a_storey(file: str) -> None:
    assert room_of(file) in FLOOR


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down_only(file: str) -> None:
    own = FLOOR[room_of(file)]
    up = [
        f"line {line}: {room}"
        for line, room in rooms_used(file)
        if FLOOR[room] > own and not _front_uses_the_public_names(file, room)
    ]
    assert up == []


def _front_uses_the_public_names(file: str, room: str) -> bool:
    """The front may use the package as its users do: its names load what they need, lazily."""
    return room == "__init__" and room_of(file) in STOREYS[5]


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) in EDGES])
def test_an_edge_does_not_know_another_edge(file: str) -> None:
    others = EDGES - {room_of(file)}
    assert [room for _, room in rooms_used(file) if room in others] == []


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) == "protocol"])
def test_the_protocol_has_no_clock_no_chance_and_no_io(file: str) -> None:
    used = {module.partition(".")[0] for _, module in imports(file)}
    assert used & WORLD == set()
    tree = ast.parse((PACKAGE / file).read_text("utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names & {"open", "print", "input", "global"} == set()


@pytest.mark.parametrize("value", MAKERS)
def test_only_its_reader_makes_a_checked_value(value: str) -> None:
    ours = [file for file in FILES if room_of(file) != "testing"]  # a server with words of its own
    assert {file for file in ours if value in _called(file)} == MAKERS[value]


def _called(file: str) -> set[str]:
    tree = ast.parse((PACKAGE / file).read_text("utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        call.id if isinstance(call, ast.Name) else call.attr
        for call in calls
        if isinstance(call, ast.Name | ast.Attribute)
    }
