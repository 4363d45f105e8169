"""A document may be a megabyte: reading it takes time in proportion to its size, not the square."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_client_auth.doctor.exam import Exam
from mcp_client_auth.doctor.issuer import Issuer as Learned
from mcp_client_auth.doctor.issuer import abilities
from mcp_client_auth.errors import AuthorizationDenied
from mcp_client_auth.grants.probe import too_little_scope
from mcp_client_auth.grants.retry import Attempt
from mcp_client_auth.prompt.paste import NotTheAnswer, repaired
from mcp_client_auth.protocol.challenge import read_challenges
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import Endpoint, Issuer, ServerUrl
from tests.support.hostile import World, document
from tests.support.session_world import World as Memory
from tests.support.session_world import credential
from tests.support.victim import Victim, victim_of

MANY = tuple(f"s{number}" for number in range(60_000))
ISSUER = Issuer("https://as.example")
SERVER = ServerMetadata(ISSUER, Endpoint(ISSUER + "/token"), "metadata")


@contextmanager
def in_time(seconds: float = 15.0) -> Iterator[None]:
    """Limit this process's CPU time; the square of these numbers would take a minute."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


def test_the_scopes_that_a_server_does_not_list() -> None:
    server = replace(SERVER, scopes_supported=MANY[::-1])
    discovery = Discovery(ServerUrl("https://mcp.example"), None, None, server, None)
    attempt = Attempt(discovery, "dynamic", (*MANY, "beyond"))
    with in_time():
        error = AuthorizationDenied("no", code="invalid_scope")
        assert attempt.recovery(error, reused=False, visited=True) == "scopes"


def test_the_scopes_that_were_not_granted() -> None:
    held = credential(Memory(), scope=MANY[::-1])
    with in_time():
        too_little_scope(held, (*MANY, "withheld"))


def test_the_scopes_that_the_doctor_compares() -> None:
    exam = Exam.over_http("https://mcp.example/mcp", Options(), lambda name: None, 1)
    with in_time():
        findings = list(
            abilities(exam, Learned(replace(SERVER, scopes_supported=MANY), ()), MANY[::-1])
        )
    assert [each.level for each in findings if each.check == "issuer.scopes"] == ["ok"]


HEADERS: dict[str, Callable[[int], str]] = {
    "parameters": lambda size: "Bearer " + "a=b, " * (size // 5),
    "schemes": lambda size: "Bearer " * (size // 7),
    "quotes": lambda size: 'Bearer a="' + '\\"' * (size // 2),
    "commas": lambda size: "," * size,
    "junk": lambda size: '"' * size,
    "blanks": lambda size: "Bearer" + " " * size + "=",
    "equals": lambda size: "a = " * (size // 4),
    "padding": lambda size: "Bearer " + "=" * size,
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_challenge(header: str) -> None:
    with in_time():
        read_challenges([HEADERS[header](500_000)])


@pytest.mark.parametrize("text", [" \t" * 32_000, "< " * 16_000 + " >" * 16_000, " \n" * 32_000])
def test_a_pasted_text_of_blanks(text: str) -> None:
    with in_time(), suppress(NotTheAnswer):
        repaired(f"a{text}b")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


@pytest.mark.parametrize("number", [20, 25_000])
def test_a_list_of_authorization_servers(victim: Victim, number: int) -> None:
    """Those that are held come first; each look-up reads a file."""
    world: World = victim.world
    others = [f"{world.elsewhere}/{each}" for each in range(number)]
    listed = [*others[:5], world.issuer, *others[5:]]
    world.at("resource", document(world.resource_metadata(authorization_servers=listed)))
    with in_time():
        victim.log_in()
    assert max(map(len, victim.events)) < 3000
