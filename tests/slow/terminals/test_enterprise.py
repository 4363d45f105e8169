"""A company's identity provider, with real processes: one sign-in, one refresh, and what a kill
leaves."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage
from tests.support.company import PROVIDER_SECRET, SERVER_SECRET, Company, company_in
from tests.support.terminal import Terminal
from tests.support.visiting import address


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with company_in(tmp_path) as company:
        yield company


def test_from_the_first_login_to_two_processes_that_renew_at_once(
    terminal: Terminal, company: Company
) -> None:
    first, second = (server.url for server in company.servers)
    with terminal.start(first, *company.command) as login:
        answer = login.end()
    assert answer.code == 0, answer.err
    assert f"Logged in to {first}" in answer.err
    answer = terminal.run(second, *company.command, CI="true")
    assert answer.code == 0, answer.err
    assert company.provider.visits == 1

    storage = FileStorage(terminal.store)
    company.expire(storage)
    with terminal.start("token", first) as one, terminal.start("token", second) as other:
        ended = [one.end(), other.end()]
    assert [each.code for each in ended] == [0, 0], ended
    assert company.provider.token_requests("refresh_token") == 1
    assert company.provider.refresh_tokens_reused == 0
    assert "whoami" in terminal.run("call", first, "whoami").out + terminal.run("tools", first).out

    secrets = {SERVER_SECRET, PROVIDER_SECRET, *company.provider.tokens}
    shown = "".join(each.err for each in ended) + answer.err
    assert not [secret for secret in secrets if secret and secret in shown]
    assert terminal.run("logout", company.provider.issuer).code == 0
    assert company.provider.issuer not in terminal.run("list").out


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_ends_at_the_sign_in_leaves_nothing_and_can_be_begun_again(
    terminal: Terminal, company: Company, how: signal.Signals
) -> None:
    terminal.decide("ignore")
    with terminal.start(company.server.url, *company.command) as login:
        page = address(login.wait_for("Waiting for you to sign in"))
        assert page.startswith(f"{company.provider.issuer}/authorize?")
        assert re.search(r"[?&]nonce=[\w-]{20}", page)
        login.send(how)
        login.end()
    assert FileStorage(terminal.store).list() == []
    terminal.decide("allow")
    answer = terminal.run(company.server.url, *company.command)
    assert answer.code == 0, answer.err
