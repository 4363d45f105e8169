"""`mcp-login login --grant enterprise_managed`: told once, and found by every verb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.company import (
    AT_PROVIDER,
    AT_SERVER,
    PROVIDER_SECRET,
    SERVER_SECRET,
    Company,
    company_in,
)
from tests.support.inside import Inside

pytestmark = pytest.mark.usefixtures("short_waits")


NAMED = [
    *("--grant", "enterprise_managed", "--idp-issuer", "https://idp.example.com"),
    *("--idp-client-id", "there", "--client-id", "here"),
]


@pytest.fixture(scope="module")
def module_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company_in(tmp_path_factory.mktemp("company")) as company:
        yield company


@pytest.fixture
def company(module_company: Company, tmp_path: Path) -> Company:
    module_company.as_at_first(tmp_path)
    return module_company


def test_one_sign_in_and_then_every_verb_needs_the_url_alone(
    inside: Inside, company: Company
) -> None:
    first, second = (server.url for server in company.servers)
    ran = inside.log_in(first, *company.command)
    assert ran.err.count("Logged in to") == 1
    assert f"found its authorization server: {company.server.issuer}" in ran.err
    assert f"found the identity provider: {company.provider.issuer}" in ran.err
    assert inside.log_in("login", second, *company.command).code == 0
    assert company.provider.visits == 1
    for url in (first, second):
        assert "list_notes" in inside("tools", url).out
    company.expire(inside.storage)
    token = inside("token", first)
    assert token.code == 0, token.err
    assert company.provider.token_requests("refresh_token") == 1
    assert inside("refresh", second).code == 0
    assert company.provider.token_requests("refresh_token") == 1
    assert "already logged in" in inside(first).err
    assert company.provider.visits == 1


def test_logged_in_again_by_the_url_alone_it_is_the_provider_that_is_asked(
    inside: Inside, company: Company
) -> None:
    url = company.server.url
    inside.log_in(url, *company.command)
    company.provider.end_sessions()
    company.expire(inside.storage)
    ran = inside("token", url)
    assert (ran.code, ran.out) == (3, "")
    assert f"a person must sign in at {company.provider.issuer}" in ran.err
    assert ran.err.rstrip().endswith(f"Run: mcp-login {url}")
    assert inside.log_in(url).code == 0
    assert company.provider.visits == 2
    assert inside.log_in(url, "--force").code == 0
    assert company.provider.visits == 3
    assert company.server.count("/authorize") == company.server.count("/register") == 0


def test_list_and_status_show_both_and_send_nothing_of_the_sign_in(
    inside: Inside, company: Company
) -> None:
    inside.log_in(company.server.url, *company.command)
    company.server.clear_requests()
    shown = inside("list").out
    assert company.server.url in shown
    assert f"default (identity provider {AT_PROVIDER})" in shown
    grants = {each["server"]: each["grant"] for each in inside("list", "--json").answer["logins"]}
    assert grants[company.provider.issuer] == "identity_provider"
    assert inside("status").code == 0
    checked = inside("status", "--check")
    assert checked.code == 0, checked.err
    assert "accepted by the server" in checked.out
    assert len(company.server.requests) == 1


def test_logout_of_the_server_keeps_the_sign_in_and_that_of_the_provider_ends_it(
    inside: Inside, company: Company
) -> None:
    first, second = (server.url for server in company.servers)
    inside.log_in(first, *company.command)
    assert f"Logged out of {first}" in inside("logout", first).err
    inside.log_in(second, *company.command)
    assert company.provider.visits == 1
    refresh_token = company.held(inside.storage).tokens.refresh_token
    assert refresh_token
    ran = inside("logout", company.provider.issuer)
    assert f"Logged out of {company.provider.issuer}" in ran.err
    assert "did not confirm" not in ran.err
    assert inside.storage.load(company.key()) is None
    assert inside("token", second).code == 0, "its token lives on"
    company.expire(inside.storage)
    assert inside("token", second).code == 3


def test_without_the_secret_of_a_login_that_is_gone_no_one_is_sent_to_the_provider(
    inside: Inside, company: Company
) -> None:
    url = company.server.url
    inside.log_in(url, *company.command)
    inside("logout", company.provider.issuer)
    company.expire(inside.storage)
    ran = inside(url)
    assert ran.code == 3
    assert "--idp-client-secret-file FILE" in ran.err
    assert company.provider.visits == 1
    assert inside.log_in(url, *company.command).code == 0


def test_the_identity_providers_login_is_no_login_to_a_server(
    inside: Inside, company: Company
) -> None:
    inside.log_in(company.server.url, *company.command)
    for verb in ("token", "headers", "refresh"):
        ran = inside(verb, company.provider.issuer)
        assert (ran.code, ran.out) == (3, ""), verb


def test_no_secret_is_shown_or_kept_in_the_open(inside: Inside, company: Company) -> None:
    trace = inside.home / "trace"
    ran = inside.log_in(company.server.url, *company.command, "-v", "--trace", str(trace))
    shown = ran.out + ran.err + trace.read_text()
    entries = "".join(path.read_text() for path in (inside.home / "logins").glob("*.json"))
    secrets = {PROVIDER_SECRET, SERVER_SECRET, *company.provider.tokens}
    assert not [secret for secret in secrets if secret and secret in shown + entries]


def test_another_label_is_another_person(inside: Inside, company: Company) -> None:
    url = company.server.url
    inside.log_in(url, *company.command)
    company.provider.subject = "bob"
    inside.log_in(url, *company.command, "--account", "bob")
    assert company.provider.visits == 2
    tokens = [inside("token", url, *more).out for more in ((), ("--account", "bob"))]
    assert tokens[0] != tokens[1]
    accounts = {entry.key.account for entry in inside.storage.list()}
    assert accounts == {"default", "bob"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--idp-issuer", "https://idp.example.com"], "needs --grant enterprise_managed"),
        (["--grant", "enterprise_managed"], "needs --idp-issuer and --idp-client-id and"),
        (
            ["--grant", "enterprise_managed", "--idp-issuer", "https://a", "--client-id", "b"],
            "needs --idp-client-id",
        ),
        (["--grant", "client_credentials"], "is not 'enterprise_managed'"),
        ([*NAMED, "--idp-issuer", "idp.example.com"], "identity provider's issuer that was passed"),
        ([*NAMED, "--device"], "--device cannot be combined with --grant enterprise_managed"),
        (
            [*NAMED, "--idp-client-auth-method", "client_secret_basic"],
            "--idp-client-auth-method client_secret_basic needs --idp-client-secret-file",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    inside: Inside, company: Company, words: list[str], said: str
) -> None:
    ran = inside("login", company.server.url, *words)
    assert ran.code == 2
    assert said in ran.err
    assert company.server.requests == []


def test_a_name_that_only_a_file_nearby_gives_is_signed_in_to_by_nobody(
    inside: Inside, company: Company
) -> None:
    inside.names({"work": company.server.url})
    ran = inside("login", "work", *company.command)
    assert ran.code == 2
    assert "cannot be used with it" in ran.err
    assert company.provider.visits == 0


def test_a_damaged_record_is_a_login_to_make_again(inside: Inside, company: Company) -> None:
    url = company.server.url
    inside.log_in(url, *company.command)
    file = inside.home / "logins" / f"{company.key().id}.secret"
    file.write_text("{")
    company.expire(inside.storage, inside.held(url).key)
    assert inside("token", url).code != 0
    assert inside.log_in(url, *company.command).code == 0
    assert company.provider.visits == 2


@pytest.mark.parametrize(
    "named",
    [{}, {"issuer": 1}, {"issuer": "https://a"}, {"issuer": "a", "client_id": "b"}, "text", None],
)
def test_a_record_that_does_not_tell_its_provider_is_an_ordinary_login(
    inside: Inside, company: Company, named: object
) -> None:
    url = company.server.url
    inside.log_in(url, *company.command)
    held = inside.held(url)
    inside.keep(replace(held, options={**held.options, "idp": named}))
    assert inside("token", url).code == 0
    inside.expire(url)
    assert inside("token", url).code == 3


def test_the_doctor_knows_that_it_lasts(inside: Inside, company: Company) -> None:
    url = company.server.url
    inside.log_in(url, *company.command)
    checks = {each["check"]: each for each in inside("doctor", url, "--json").answer["findings"]}
    assert checks["login.lasting"]["level"] == "ok", checks["login.lasting"]


def test_the_client_of_the_server_is_in_what_json_says(inside: Inside, company: Company) -> None:
    ran = inside.log_in(company.server.url, *company.command, "--json")
    answer = json.loads(ran.out)["login"]
    assert (answer["client_id"], answer["renewable"]) == (AT_SERVER, True)
