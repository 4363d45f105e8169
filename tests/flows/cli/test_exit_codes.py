"""The exit codes of docs/errors.md, one by one, each from what really happens."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mcp_client_auth.cli import EXIT_CODES, INTERRUPTED, exit_code
from mcp_client_auth.errors import AuthError
from tests.support.hostile import Spot, World, document, html
from tests.support.inside import Inside, credential
from tests.support.python_path import ROOT

PAGE = ROOT / "docs" / "errors.md"
Prepared = Callable[[Inside, World], object]


def nothing(inside: Inside, world: World) -> None:
    """All is well."""


def held(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer))


def absent(inside: Inside, world: World) -> None:
    held(inside, world)
    world.at("answer", html(404))


def damaged(inside: Inside, world: World) -> None:
    held(inside, world)
    inside.record(world.url).write_text("{")


def at(spot: Spot, value: object, status: int = 200) -> Prepared:
    return lambda inside, world: world.at(spot, document(value, status))


def takeover(inside: Inside, world: World) -> None:
    world.at("server", document(world.server_metadata(issuer="https://evil.example")))


def denied(inside: Inside, world: World) -> None:
    world.at("authorize", world.callback(code=None, error="access_denied"))


def broken(inside: Inside, world: World) -> None:
    world.at("resource", document({"resource": world.url}))


def interrupted(inside: Inside, world: World) -> None:
    held(inside, world)

    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    inside.patch.setattr("mcp_client_auth.storage.index.Index.all", press)
    inside.patch.setattr(signal, "signal", lambda *_: None)


@dataclass(frozen=True)
class Case:
    """What was prepared, what was said, and how it ended."""

    code: int
    words: str
    said: str
    prepared: Prepared = nothing


CASES = {
    "a login": Case(0, "URL", "Logged in to"),
    "help": Case(0, "--help", ""),
    "version": Case(0, "--version", ""),
    "an empty list": Case(0, "list", "not logged in to any"),
    "a logout of nothing": Case(0, "logout URL", "You were not logged in"),
    "an answer of 404": Case(1, "request URL", "HTTP 404", absent),
    "no arguments": Case(2, "", "Usage"),
    "an unknown word": Case(2, "frobnicate", "neither a command"),
    "a server that is none": Case(2, "ftp://x.example/", "not a server URL"),
    "an option too much": Case(2, "list --nonsense", "no such option"),
    "no login": Case(3, "token URL", "not logged in"),
    "an account without a login": Case(3, "exec URL --account work -- true", "--account", held),
    "a denial": Case(4, "URL", "denied in the browser", denied),
    "a registration refused": Case(
        4, "URL", "regist", at("register", {"error": "invalid_client_metadata"}, 400)
    ),
    "another issuer": Case(5, "URL", "issuer", takeover),
    "clear text": Case(5, "http://mcp.lan/mcp", "--allow-insecure-http"),
    "a server out of order": Case(6, "URL", "503", at("server", {}, 503)),
    "nobody there": Case(6, "http://127.0.0.1:1/mcp", "no answer"),
    "a damaged record": Case(7, "token URL", "damaged", damaged),
    "no keyring": Case(
        7,
        "URL --store keyring",
        "--store file",
        lambda i, w: i.patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring"),
    ),
    "metadata without servers": Case(8, "URL", "authorization_servers", broken),
    "nobody signs in": Case(
        9, "URL --timeout 0.2", "no one signed in", lambda i, w: i.decide("ignore")
    ),
    "Ctrl-C": Case(130, "status", "mcp-login: interrupted", interrupted),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_end_has_its_code(inside: Inside, world: World, case: Case) -> None:
    case.prepared(inside, world)
    ran = inside(*case.words.replace("URL", world.url).split())
    assert (ran.code, case.said in ran.err) == (case.code, True), ran.err
    assert "Traceback" not in ran.err
    if case.code not in (0, 1, 130):
        assert ran.out == ""


def test_each_code_is_here() -> None:
    assert {case.code for case in CASES.values()} == {0, 1, INTERRUPTED, *EXIT_CODES.values()}


def test_the_page_has_the_same_table() -> None:
    told = re.findall(r"^\| `([A-Z]\w+)`.* \| (\d) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {name: int(code) for name, code in told} == EXIT_CODES


def test_every_class_of_error_has_one() -> None:
    rest, codes = [AuthError], set()
    while rest:
        kind = rest.pop()
        rest += kind.__subclasses__()
        codes.add(exit_code(kind))
    assert codes == {1, *EXIT_CODES.values()}
