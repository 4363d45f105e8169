"""A server whose certificate is a private authority's, and clients that were not told of it."""

from __future__ import annotations

import pytest

from mcp_client_auth import BrowserPrompt, HttpTransport, MCPAuth, MemoryStorage, Untrusted
from mcp_client_auth.testing import ScriptedBrowser
from tests.slow.interop.forms import TLS, Place
from tests.slow.interop.person import Person

UNTRUSTED = 5

pytestmark = pytest.mark.parametrize("place", [TLS], indirect=True, ids=[TLS.name])


def test_the_command_names_the_variable_that_would_help(place: Place, person: Person) -> None:
    answer = person.mcp_login(place.url, "--store", "file")
    assert answer.code == UNTRUSTED, answer.err
    assert "SSL_CERT_FILE" in answer.err
    assert "--ca" in answer.err


def test_the_command_takes_the_authority_as_an_option(place: Place, person: Person) -> None:
    person.authority = authority = place.environment["SSL_CERT_FILE"]
    examined = person.mcp_login("doctor", place.url, "--store", "file", "--ca", authority)
    assert examined.code == 0, examined.out
    person.log_in(place.url, "--ca", authority)
    status = person.mcp_login("status", place.url, "--check", "--ca", authority)
    assert status.code == 0, status.err
    request = person.mcp_login("request", place.url, "-d", "{}", "--ca", authority)
    assert "HTTP 400" in request.err  # no MCP request, but a token that it takes
    assert person.mcp_login("status", place.url, "--check").code == UNTRUSTED
    assert person.mcp_login("logout", place.url, "--ca", authority).code == 0


def test_the_library_takes_the_authority_as_an_argument(place: Place) -> None:
    authority = place.environment["SSL_CERT_FILE"]
    browser = ScriptedBrowser(cafile=authority)
    transport = HttpTransport(place.url, verify=authority)
    auth = MCPAuth(
        place.url,
        storage=MemoryStorage(),
        prompt=BrowserPrompt(open_url=browser),
        transport=transport,
    )
    assert auth.session.log_in().tokens.refresh_token
    assert browser.join(60)


def test_without_it_the_library_trusts_nobody_there(place: Place) -> None:
    auth = MCPAuth(place.url, storage=MemoryStorage(), prompt=BrowserPrompt())
    with pytest.raises(Untrusted, match="certificate"):
        auth.session.log_in()
