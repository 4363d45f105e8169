"""Nothing of a person's login at their company's identity provider goes to an MCP server, to its
authorization server, or to another account; whatever such a server says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    AuthError,
    FileStorage,
    HttpTransport,
    IssuerMismatch,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    login,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.origin import origin_url
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.company import (
    AT_SERVER,
    PROVIDER_SECRET,
    SERVER_SECRET,
    Company,
    Wire,
    company_in,
)
from tests.support.grants_scene import HEADERS, LIST

pytestmark = pytest.mark.usefixtures("short_waits")
WRITE = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "add_note", "arguments": {"text": "a"}},
}


@pytest.fixture(scope="module")
def module_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company_in(tmp_path_factory.mktemp("company")) as company:
        yield company


@pytest.fixture
def company(module_company: Company, tmp_path: Path) -> Company:
    module_company.as_at_first(tmp_path)
    return module_company


def posted(auth: MCPAuth, message: object = LIST) -> tuple[int, str]:
    """The status, and all headers that the caller's own request went out with."""
    url, seen = auth.session.config.server_url, []

    def look(request: httpx.Request) -> None:
        seen.append(str(dict(request.headers)))

    hooks = {"request": [look]}
    with httpx.Client(auth=auth, timeout=60, trust_env=False, event_hooks=hooks) as client:
        answer = client.post(url, headers=HEADERS, json=message)
        seen.append(str(dict(answer.request.headers)))
        return answer.status_code, "\n".join(seen)


def test_the_servers_see_the_grant_alone_and_the_provider_nothing_of_theirs(
    company: Company,
) -> None:
    storage, wire = MemoryStorage(), Wire(HttpTransport(company.server.url))
    shown = []
    for message in (LIST, WRITE):  # a login, and a step-up
        status, headers = posted(company.auth(storage, transport=wire), message)
        assert status == 200
        shown.append(headers)
    company.expire(storage)
    status, headers = posted(company.auth(storage, transport=wire))
    assert status == 200
    assert company.provider.token_requests("refresh_token") == 1
    key = key_for(company.server.url, client=AT_SERVER)
    auth = company.auth(storage, transport=wire)
    token = company.held(storage, key).tokens.access_token.reveal()
    auth.session.log_out()
    theirs = "\n".join(
        [
            *shown,
            headers,
            wire.texts(origin_url(company.server.url)),
            wire.texts(company.server.issuer),
        ]
    )
    assert "assertion=" in theirs
    secrets = {PROVIDER_SECRET, *company.provider.tokens}
    assert [secret for secret in secrets if secret and secret in theirs] == []
    there = wire.texts(company.provider.issuer)
    assert "subject_token=" in there
    assert [secret for secret in (SERVER_SECRET, token) if secret in there] == []
    assert company.server.url not in wire.texts(f"{company.provider.issuer}/authorize")


def test_a_server_that_names_another_issuer_first_gets_a_grant_that_is_good_there_only(
    company: Company,
) -> None:
    """The provider decides whether it knows that audience; the person's login does not go there."""
    settings = Settings(trusted_issuers=(company.provider.trusted,))
    with DemoServer(settings) as evil:
        company.server.change_answers(
            "/oauth-protected-resource/mcp", authorization_servers=[evil.issuer]
        )
        wire = Wire(HttpTransport(company.server.url))
        try:
            with pytest.raises(AuthError):
                posted(company.auth(MemoryStorage(), transport=wire))
            pinned = Options(issuer=company.server.issuer)
            again = company.auth(MemoryStorage(), transport=wire, options=pinned)
            assert posted(again)[0] == 200
        finally:
            company.server.change_answers("/oauth-protected-resource/mcp")
        theirs = wire.texts(evil.issuer)
    assert "assertion=" in theirs
    assert [token for token in company.provider.tokens if token and token in theirs] == []
    assert company.provider.exchanges[0]["audience"] == evil.issuer
    assert company.provider.exchanges[-1]["audience"] == company.server.issuer


def test_a_server_that_moves_to_another_issuer_gets_nothing_at_all(company: Company) -> None:
    storage = MemoryStorage()
    assert posted(company.auth(storage))[0] == 200
    with DemoServer(Settings(trusted_issuers=(company.provider.trusted,))) as evil:
        company.server.change_answers(
            "/oauth-protected-resource/mcp", authorization_servers=[evil.issuer]
        )
        company.server.expire_access_tokens()
        exchanges = len(company.provider.exchanges)
        try:
            with pytest.raises(IssuerMismatch):
                login(
                    company.server.url,
                    storage=storage,
                    force=True,
                    client=company.client,
                    grant=company.grant,
                    prompt=company.browser.prompt,
                )
        finally:
            company.server.change_answers("/oauth-protected-resource/mcp")
        assert evil.token_requests("jwt-bearer") == 0
    assert len(company.provider.exchanges) == exchanges


def test_a_server_at_the_providers_own_address_does_not_get_its_login(company: Company) -> None:
    """The provider's record is not a login to an MCP server there, whichever client asks."""
    storage = MemoryStorage()
    assert posted(company.auth(storage))[0] == 200
    for client in (None, PreRegistered("desk-sso")):
        auth = MCPAuth(company.provider.issuer, storage=storage, client=client, prompt=None)
        assert auth.session.usable() is None
        with pytest.raises(LoginRequired):
            auth.session.fresh()


def test_a_record_that_is_copied_to_the_key_of_a_server_is_not_read(company: Company) -> None:
    storage = FileStorage()
    assert posted(company.auth(storage))[0] == 200
    home = Path(storage.directory.path)
    there = key_for(company.provider.issuer)
    (home / f"{there.id}.secret").write_bytes((home / f"{company.key().id}.secret").read_bytes())
    auth = MCPAuth(company.provider.issuer, storage=storage, prompt=None)
    with pytest.raises(AuthError):
        auth.session.fresh()


@pytest.mark.parametrize("account", ["bob", "default "])
def test_another_account_does_not_get_it(company: Company, account: str) -> None:
    storage = MemoryStorage()
    assert posted(company.auth(storage))[0] == 200
    with pytest.raises(LoginRequired):
        posted(company.auth(storage, account=account, prompt=None))


def test_a_provider_that_says_who_it_is_in_another_way_is_not_signed_in_at(
    company: Company,
) -> None:
    grant = replace(
        company.grant, idp_issuer=company.provider.issuer.replace("127.0.0.1", "localhost")
    )
    with pytest.raises(IssuerMismatch):
        posted(company.auth(MemoryStorage(), grant=grant))
    assert company.provider.visits == 0


def test_what_a_gateway_wants_does_not_go_to_the_provider(company: Company) -> None:
    storage, wire = MemoryStorage(), Wire(HttpTransport(company.server.url))
    options = Options(headers={"X-Gateway": "the-secret-of-the-gateway"})
    assert posted(company.auth(storage, transport=wire, options=options))[0] == 200
    gateways: list[Any] = [
        r.gateway for r in wire.sent if r.url.startswith(company.provider.issuer)
    ]
    assert gateways
    assert not any(gateways)
    assert company.held(storage).headers == {}
