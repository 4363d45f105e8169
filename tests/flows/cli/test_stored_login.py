"""What `mcp-login URL` says about its options when a login is already stored."""

from __future__ import annotations

import pytest

from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.session.renewal import Renewal
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import World
from tests.support.inside import Inside, credential

DOCUMENT = "https://app.example.com/client"


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        ([], ""),
        (["--name", "work", "-v", "--timeout", "5"], "--timeout"),
        (["--device", "--no-browser"], "--no-browser, --device"),
        (["--login-hint", "ada", "--param", "a=b"], "--login-hint, --param"),
        (["--callback-port", "8080"], "--callback-port"),
        (["--audience", "https://a.example"], "--audience"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_only_a_login_heeds_are_named(
    inside: Inside, shared: DemoServer, words: list[str], unused: str
) -> None:
    inside.keep(credential(shared.url, issuer=shared.issuer))
    ran = inside("login", shared.url, *words)
    assert (ran.code, shared.requests) == (0, [])
    assert "You are already logged in" in ran.err
    told = f"Not used, because you are logged in: {unused}. To log in again" in ran.err
    assert told == bool(unused)
    assert ("Not used" in ran.err) == bool(unused)


def test_a_login_is_not_moved_and_that_is_said(inside: Inside, shared: DemoServer) -> None:
    inside.keep(credential(shared.url))
    assert "Not used" not in inside(shared.url, "--store", "file").err
    elsewhere = inside(shared.url, "--store", "keyring")
    assert "kept in  a file" in elsewhere.err
    assert "Not used, because you are logged in: --store." in elsewhere.err


def test_what_the_environment_says_for_all_is_not_named(inside: Inside, shared: DemoServer) -> None:
    inside.keep(credential(shared.url))
    ran = inside("login", shared.url, MCP_CLIENT_AUTH_NO_BROWSER="1")
    assert "Not used" not in ran.err


def test_another_issuer_is_another_login(inside: Inside, shared: DemoServer) -> None:
    inside.keep(credential(shared.url))
    ran = inside.log_in(shared.url, "--issuer", shared.issuer)
    assert "Logging in again: you are logged in at https://auth.example.com" in ran.err
    assert inside.held(shared.url).issuer == shared.issuer
    again = inside(shared.url, "--issuer", shared.issuer)
    assert again.err.startswith("You are already logged in")


def test_an_issuer_that_cannot_be_used_leaves_the_login(inside: Inside, shared: DemoServer) -> None:
    before = inside.keep(credential(shared.url, issuer=shared.issuer))
    ran = inside(shared.url, "--issuer", "https://127.0.0.1:1")
    assert ran.code != 0
    assert "already" not in ran.err
    assert inside.held(shared.url).tokens == before.tokens


@pytest.mark.parametrize("server", [Settings(client_id_metadata_documents=True)], indirect=True)
def test_another_client_is_another_login(inside: Inside, server: DemoServer) -> None:
    ours = Client(DOCUMENT, server.issuer, "metadata-document", "none", None, ())
    inside.keep(credential(server.url, issuer=server.issuer, client=ours))
    same = inside(server.url, "--client-metadata-url", DOCUMENT)
    assert "already logged in" in same.err
    other = inside(server.url, "--client-metadata-url", DOCUMENT + "/2", "--timeout", "0.5")
    assert "Logging in again: the stored login has another client" in other.err


def test_who_insists_on_iss_gets_a_login_that_has_it(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    ran = inside.log_in(shared.url, "--require-iss")
    assert "Logging in again" in ran.err
    assert "already" in inside(shared.url, "--require-iss").err


def test_a_login_that_cannot_be_renewed_now_is_no_dead_end(inside: Inside, world: World) -> None:
    settle = Renewal.settle
    inside.patch.setattr(Renewal, "settle", lambda self, need, patience=0: settle(self, need, 0))
    inside.keep(credential(world.url, issuer="http://127.0.0.1:1", issued_at=1.0, expires_at=2.0))
    ran = inside(world.url)
    assert ran.code == 6
    assert "To log in again without renewing this login, add --force" in ran.err
    assert inside.log_in(world.url, "--force").code == 0
