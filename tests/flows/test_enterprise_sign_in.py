"""A person signs in at their company's identity provider, once for all of its MCP servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    ClientMetadataDocument,
    EnterpriseManaged,
    FileStorage,
    IssuerMismatch,
    Key,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    TokenRefused,
    Unavailable,
    Untrusted,
    UsageError,
    login,
    logout,
)
from tests.support.company import AT_SERVER, Company, company_in
from tests.support.grants_scene import HEADERS, LIST

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture(scope="module")
def module_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company_in(tmp_path_factory.mktemp("company")) as company:
        yield company


@pytest.fixture
def company(module_company: Company, tmp_path: Path) -> Company:
    module_company.as_at_first(tmp_path)
    return module_company


def call(auth: MCPAuth) -> int:
    url = auth.session.config.server_url
    with httpx.Client(auth=auth, timeout=60, trust_env=False) as client:
        return client.post(url, headers=HEADERS, json=LIST).status_code


def own_key(company: Company, number: int = 0) -> Key:
    return Key(company.servers[number].url, client=AT_SERVER)


def test_one_sign_in_serves_all_servers_of_the_company(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    assert call(company.auth(storage, 1)) == 200
    assert company.provider.visits == 1
    assert [server.count("/authorize") for server in company.servers] == [0, 0]
    assert [server.count("/register") for server in company.servers] == [0, 0]
    assert len(company.provider.exchanges) == 2


def test_another_program_finds_the_sign_in_and_needs_no_one(company: Company) -> None:
    assert call(company.auth(FileStorage())) == 200
    assert call(company.auth(FileStorage(), 1, prompt=None)) == 200
    assert company.provider.visits == 1


def test_an_expired_token_is_had_again_from_the_id_token_that_still_lives(
    company: Company,
) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.expire(storage, own_key(company))
    assert call(company.auth(storage, prompt=None)) == 200
    assert len(company.provider.exchanges) == 2
    assert company.provider.token_requests("refresh_token") == 0


def test_an_id_token_that_is_about_to_end_is_renewed_before_it_is_passed_on(
    company: Company,
) -> None:
    """The exchange may take a moment, and the servers' clocks differ."""
    storage, now = MemoryStorage(), time.time()
    assert call(company.auth(storage)) == 200
    company.expire(storage, own_key(company))
    held = company.held(storage)
    tokens = replace(held.tokens, issued_at=now - 1, expires_at=now + 25)
    storage.save(replace(held, tokens=tokens))
    assert call(company.auth(storage, prompt=None)) == 200
    assert company.provider.token_requests("refresh_token") == 1


@pytest.mark.parametrize("scope", ["email groups", ["email", "groups"]])
def test_scopes_may_be_words_or_a_list(scope: Any) -> None:
    client = PreRegistered("a")
    grant = EnterpriseManaged(
        idp_client=client, idp_issuer="https://idp.example.com", idp_scope=scope
    )
    assert grant.provider
    assert grant.provider.scope == ("email", "groups")


def test_an_expired_id_token_is_renewed_and_what_was_rotated_is_kept(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    for times in (1, 2):
        company.expire(storage)
        assert call(company.auth(storage, prompt=None)) == 200
        assert company.provider.token_requests("refresh_token") == times
    assert company.provider.visits == 1
    assert company.provider.refresh_tokens_reused == 0


def test_a_client_that_is_named_without_its_secret_has_it_from_the_first_login(
    company: Company,
) -> None:
    """A session that names no grant, as in a notebook after a login by the command."""
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.expire(storage)
    bare = MCPAuth(
        company.server.url, client=PreRegistered(AT_SERVER), storage=storage, prompt=None
    )
    assert call(bare) == 200
    assert company.provider.token_requests("refresh_token") == 1


def test_a_crowd_renews_the_id_token_once(company: Company) -> None:
    assert call(company.auth(FileStorage())) == 200
    assert call(company.auth(FileStorage(), 1)) == 200
    company.expire(FileStorage())
    auths = [company.auth(FileStorage(), n % 2, prompt=None) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(call, auths)) == [200] * 6
    assert company.provider.token_requests("refresh_token") == 1
    assert company.provider.refresh_tokens_reused == 0
    assert company.provider.visits == 1


def test_two_first_logins_at_once_ask_once(company: Company) -> None:
    auths = [company.auth(FileStorage(), n) for n in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(call, auths)) == [200, 200]
    assert company.provider.visits == 1


def test_the_client_at_the_server_may_be_a_metadata_document(tmp_path: Path) -> None:
    document, storage = "https://app.example.com/client.json", MemoryStorage()
    with company_in(tmp_path, client_id_metadata_documents=True) as company:
        company.provider.client_at = document
        auth = company.auth(storage, client=ClientMetadataDocument(document))
        assert call(auth) == 200
        company.expire(storage)
        assert call(MCPAuth(company.server.url, storage=storage, prompt=None)) == 200
        assert company.server.count("/register") == company.server.count("/authorize") == 0
        other = company.auth(storage, client=ClientMetadataDocument(document + "?other"))
        with pytest.raises(TokenRefused):  # it does not get another client's token
            call(other)


# The sign-in has ended


def test_a_sign_in_that_was_ended_is_asked_for_again(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.provider.end_sessions()
    company.expire(storage)
    assert call(company.auth(storage)) == 200
    assert company.provider.visits == 2
    assert company.provider.token_requests("refresh_token") == 1


def test_if_no_one_can_sign_in_the_command_that_helps_is_named(company: Company) -> None:
    storage = MemoryStorage()
    with pytest.raises(LoginRequired, match="must sign in at") as first:
        call(company.auth(storage, client=PreRegistered(AT_SERVER), prompt=None))
    assert company.provider.issuer in str(first.value)
    assert call(company.auth(storage)) == 200
    company.provider.end_sessions()
    company.expire(storage)
    for _ in range(2):
        with pytest.raises(LoginRequired, match="must sign in at"):
            call(company.auth(storage, prompt=None))
    assert company.provider.token_requests("refresh_token") == 1, "it was refused for good"
    assert company.held(storage, own_key(company)), "the login is kept"


def test_a_token_that_lives_is_used_though_the_sign_in_has_ended(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.provider.end_sessions()
    company.expire(storage, company.key())
    held = company.held(storage, own_key(company))
    now = time.time()
    due = replace(held.tokens, issued_at=now - 3600, expires_at=now + 20)
    storage.save(replace(held, tokens=due))
    auth = company.auth(storage, prompt=None)
    assert [call(auth) for _ in range(5)] == [200] * 5
    assert company.provider.token_requests("refresh_token") <= 1


def test_a_provider_that_renews_no_id_token_is_signed_in_at_again(company: Company) -> None:
    storage = MemoryStorage()
    company.provider.renews_id_tokens = False
    assert call(company.auth(storage)) == 200
    company.expire(storage)
    assert call(company.auth(storage)) == 200
    assert (company.provider.visits, company.provider.token_requests("refresh_token")) == (2, 1)


def test_an_id_token_that_is_wrong_costs_no_refresh_token(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.expire(storage)
    company.provider.id_token_claims = {"sub": "mallory"}
    with pytest.raises(Untrusted, match="another person"):
        call(company.auth(storage, prompt=None))
    assert len(company.provider.exchanges) == 1
    company.provider.id_token_claims = {}
    assert call(company.auth(storage, prompt=None)) == 200
    assert company.provider.refresh_tokens_reused == 0


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://other.example.com"}, "“iss” must be"),
        ({"aud": "another client"}, "“aud” must name"),
        ({"nonce": "another"}, "has another “nonce”"),
        ({"nonce": None}, "has no “nonce”"),
        ({"exp": 1000}, "it ended"),
    ],
)
def test_a_wrong_id_token_is_not_passed_on_and_not_kept(
    company: Company, claims: dict[str, Any], said: str
) -> None:
    storage = MemoryStorage()
    company.provider.id_token_claims = claims
    with pytest.raises(Untrusted, match=said) as caught:
        call(company.auth(storage))
    assert not any(token in str(caught.value) for token in company.provider.tokens)
    assert company.provider.exchanges == []
    assert storage.list() == []


# What the company decides


def test_a_refusal_by_the_company_opens_no_other_way_in(company: Company) -> None:
    storage = MemoryStorage()
    company.provider.allows_exchange = False
    with pytest.raises(TokenRefused, match="access_denied") as caught:
        call(company.auth(storage))
    assert "administrator" in caught.value.hint
    assert company.server.count("/authorize") == company.server.count("/register") == 0
    company.provider.allows_exchange = True
    assert call(company.auth(storage)) == 200
    assert company.provider.visits == 1, "the sign-in itself was kept"


def test_a_stored_login_is_not_got_around_by_a_session_that_names_no_grant(
    company: Company,
) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.expire(storage, own_key(company))
    company.provider.allows_exchange = False
    bare = MCPAuth(
        company.server.url,
        client=PreRegistered(AT_SERVER),
        storage=storage,
        prompt=company.browser.prompt,
    )
    with pytest.raises(TokenRefused, match="access_denied"):
        call(bare)
    assert company.server.count("/authorize") == 0


def test_a_denied_sign_in_is_an_error_and_asked_for_once(company: Company) -> None:
    storage = MemoryStorage()
    company.browser.decision = "deny"
    for _ in range(2):
        with pytest.raises(AuthorizationDenied):
            call(company.auth(storage))
    assert company.provider.visits == 1, "the second time within a minute no browser opens"
    with pytest.raises(AuthorizationDenied):
        company.auth(storage).login()
    assert company.provider.visits == 2, "but it does for someone who logs in themselves"
    assert storage.list() == []


def test_an_outage_of_the_provider_keeps_everything(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.expire(storage)
    before = company.held(storage)
    company.provider.available = False
    with pytest.raises(Unavailable):
        call(company.auth(storage, prompt=None, options=Options(patience=0.0)))
    company.provider.available = True
    assert company.held(storage).tokens == before.tokens
    assert call(company.auth(storage, prompt=None)) == 200


# Persons


def test_two_accounts_are_two_persons(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage, account="ada")) == 200
    company.provider.subject = "bob"
    assert call(company.auth(storage, account="bob")) == 200
    assert company.provider.visits == 2
    subjects = [company.held(storage, company.key(name)) for name in ("ada", "bob")]
    assert subjects[0].tokens.access_token != subjects[1].tokens.access_token
    owners = [
        company.held(storage, replace(own_key(company), account=name)).options["owner"]
        for name in ("ada", "bob")
    ]
    assert owners[0] != owners[1]


def test_what_one_person_was_granted_is_not_renewed_for_another(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    was = company.held(storage, own_key(company))
    company.provider.subject = "bob"
    login(
        company.servers[1].url,
        storage=storage,
        client=company.client,
        grant=company.grant,
        prompt=company.browser.prompt,
        force=True,
    )
    company.expire(storage, own_key(company))
    assert call(company.auth(storage, prompt=None)) == 200
    now = company.held(storage, own_key(company))
    assert now.options["owner"] != was.options["owner"]
    assert company.provider.visits == 2


def test_force_signs_in_at_the_provider_again_without_a_word_to_it_that_is_the_servers(
    company: Company,
) -> None:
    storage, arguments = MemoryStorage(), {"client": company.client, "grant": company.grant}
    for _ in range(2):
        me = login(
            company.server.url,
            storage=storage,
            prompt=company.browser.prompt,
            force=True,
            **arguments,  # type: ignore[arg-type]
        )
    assert me.server == company.server.url
    assert company.provider.visits == 2
    assert company.held(storage).generation == 1


def test_logging_out_of_the_provider_is_by_its_issuer(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    issuer = company.provider.issuer
    assert not logout(issuer, account="bob", storage=storage)
    done = logout(issuer, storage=storage)
    assert (done.found, done.revoked, done.trouble) == (True, True, ())
    assert storage.load(company.key()) is None
    assert not logout(issuer, storage=storage)
    company.expire(storage)
    with pytest.raises(LoginRequired):
        call(company.auth(storage, prompt=None))
    assert logout(company.server.url, storage=storage).found is False, "a program's own client"


# Another login to the same server


def test_a_login_of_another_kind_is_replaced_and_not_taken_for_it(company: Company) -> None:
    storage = MemoryStorage()
    ordinary: dict[str, Any] = {"client": None, "grant": None}
    assert call(company.auth(storage, **ordinary)) == 200
    assert company.server.count("/authorize") > 0
    auth = MCPAuth(
        company.server.url,
        storage=storage,
        client=company.client,
        grant=company.grant,
        prompt=company.browser.prompt,
    )
    assert call(auth) == 200
    assert company.provider.visits == 1


def test_a_server_that_names_another_issuer_gets_nothing(company: Company) -> None:
    storage = MemoryStorage()
    assert call(company.auth(storage)) == 200
    company.expire(storage, own_key(company))
    held = company.held(storage, own_key(company))
    storage.save(replace(held, issuer="https://old.example.com"))
    exchanges = len(company.provider.exchanges)
    with pytest.raises(IssuerMismatch):
        login(
            company.server.url,
            storage=storage,
            client=company.client,
            grant=company.grant,
            prompt=company.browser.prompt,
            force=True,
        )
    assert len(company.provider.exchanges) == exchanges


# Interrupted


def test_a_login_that_ends_after_the_sign_in_needs_no_second_one(company: Company) -> None:
    storage = MemoryStorage()
    company.server.fail_next("/oauth2/token", 503)
    with pytest.raises(Unavailable):
        call(company.auth(storage, options=Options(patience=0.0)))
    assert call(company.auth(storage)) == 200
    assert company.provider.visits == 1


def test_closing_ends_the_wait_for_the_person(company: Company) -> None:
    company.browser.decision = "ignore"
    auth = company.auth(MemoryStorage())
    ended: list[BaseException] = []

    def run() -> None:
        try:
            call(auth)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(3000):
        if company.browser.visits:
            break
        time.sleep(0.02)
    auth.close()
    thread.join(60)
    assert [getattr(error, "code", error) for error in ended] == ["aborted"]


# What cannot work


@pytest.mark.parametrize(
    "wrong",
    [
        {"idp_issuer": "", "idp_token_endpoint": "https://idp.example.com/token"},
        {"idp_token_endpoint": "https://idp.example.com/token"},
        {"assertion_type": "saml2"},
        {"idp_issuer": ""},
        {"idp_scope": 5},
        {"idp_scope": ["openid", None]},
    ],
)
def test_a_sign_in_needs_the_issuer_alone(wrong: dict[str, Any]) -> None:
    usual = {"idp_client": PreRegistered("a"), "idp_issuer": "https://idp.example.com"}
    with pytest.raises(UsageError):
        EnterpriseManaged(**{**usual, **wrong})
