"""A server names endpoints that no browser is given and no token is sent to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_client_auth import BadResponse, InsecureUrl, IssuerMismatch
from tests.support.hostile import challenge, document
from tests.support.victim import Victim, victim_of

NOT_FOR_A_BROWSER = [
    "javascript:alert(1)//x",
    "JavaScript:alert(1)",
    "file:///etc/passwd",
    "data:text/html,<script>1</script>",
    "ms-msdt:/id",
    "vbscript:x",
    "ftp://evil.example/authorize",
    "-https://evil.example/authorize",
    "--new-window",
    "https://evil.example/\x1b]8;;x\x07authorize",
    "https://evil.example/authorize\n-x",
    "https://evil.example/a b",
    "https://evil.example\\@good.example/",
    "https://good.example@evil.example/authorize",
    "https://gооd.example/authorize",
    "https://",
    "https://evil.example:99999/",
    "//evil.example/authorize",
    "/authorize",
    "http://evil.example/authorize",
    "http://127.0.0.1.evil.example/authorize",
    "http://localhost.evil.example/authorize",
]
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


@pytest.mark.parametrize("address", NOT_FOR_A_BROWSER, ids=ascii)
def test_it_is_neither_opened_nor_printed(victim: Victim, address: str) -> None:
    bad = victim.world.server_metadata(authorization_endpoint=address)
    victim.world.at("server", document(bad))
    with victim.unharmed(InsecureUrl):
        victim.log_in()
    assert victim.opened == victim.shown == []
    assert "register" not in victim.world.visited


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "address", ["http://evil.example/x", "file:///x", "https://u:p@evil.example"]
)
def test_an_endpoint_in_clear_text_is_refused(victim: Victim, name: str, address: str) -> None:
    victim.world.at("server", document(victim.world.server_metadata(**{name: address})))
    with victim.unharmed(InsecureUrl) as raised:
        victim.log_in()
    assert name.replace("_", " ") in str(raised.value)
    assert victim.world.visited == ["probe", "resource", "server"]


@pytest.mark.parametrize(
    "address", ["http://evil.example", "javascript:x", "https://u:p@evil.example", "evil.example"]
)
def test_an_issuer_in_clear_text_is_not_fetched(victim: Victim, address: str) -> None:
    bad = victim.world.resource_metadata(authorization_servers=[address])
    victim.world.at("resource", document(bad))
    with victim.unharmed(InsecureUrl):
        victim.log_in()
    assert victim.world.visited == ["probe", "resource"]


@pytest.mark.parametrize(
    "address",
    ["http://evil.example/prm", "javascript:x", "//evil.example", "https://u@evil.example"],
)
def test_a_challenge_cannot_lead_to_clear_text(victim: Victim, address: str) -> None:
    victim.world.at("probe", challenge(address))
    with victim.unharmed(InsecureUrl):
        victim.log_in()
    assert victim.world.visited == ["probe"]


@pytest.mark.parametrize("host", ["xn--", "xn--a", "xn--zz--"])
def test_a_host_that_stands_for_no_name_is_refused(victim: Victim, host: str) -> None:
    """httpx decodes such a host (RFC 5891) while it builds the request."""
    victim.world.at("probe", challenge(f"https://{host}/prm"))
    with victim.unharmed(InsecureUrl) as raised:
        victim.log_in()
    assert raised.value.url == f"https://{host}/prm"
    assert victim.world.visited == ["probe"]


@pytest.mark.parametrize(
    "tail", ["$(calc)", "%USERPROFILE%", "`id`", "'\"", "|calc", "^&calc", ";x"]
)
def test_what_a_shell_would_read_is_one_address(victim: Victim, tail: str) -> None:
    """It is legal in a URL; that it reaches no shell is tested where a browser is started."""
    named = f"{victim.world.issuer}/authorize?x={tail}"
    victim.world.at("server", document(victim.world.server_metadata(authorization_endpoint=named)))
    victim.log_in()
    assert len(victim.opened) == 1
    assert victim.opened[0].isprintable()
    assert " " not in victim.opened[0]


def test_another_authorization_server_gets_nothing_of_the_old_login(victim: Victim) -> None:
    """The resource metadata now names a server that answers for the old issuer."""
    world = victim.world
    bad = world.resource_metadata(authorization_servers=[world.elsewhere])
    world.at("resource", document(bad))
    with victim.unharmed(BadResponse):
        victim.log_in()
    assert set(world.visited) <= {"probe", "resource", "elsewhere"}
    assert not [body for body in world.bodies if "elsewhere" in body[0] and body[1]]


def test_metadata_for_somebody_elses_issuer_is_refused(victim: Victim) -> None:
    bad = victim.world.server_metadata(issuer=victim.world.elsewhere)
    victim.world.at("server", document(bad))
    with victim.unharmed(IssuerMismatch):
        victim.log_in()
    assert "register" not in victim.world.visited
    assert victim.opened == []
