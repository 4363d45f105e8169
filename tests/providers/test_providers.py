"""Each provider from login to refresh: what works, with which option, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcp_client_auth import AuthError, LoginFailed, LoginRequired
from mcp_client_auth.cli.flags import hint_of
from tests.providers.fake_provider import Provider
from tests.providers.row import Refused, Row, Without
from tests.providers.rows import ROWS
from tests.providers.visitor import Visitor
from tests.support.ports import free_port

pytestmark = pytest.mark.usefixtures("short_waits")


@contextmanager
def visiting(row: Row, passes: Any = None, **more: Any) -> Iterator[Visitor]:
    with Provider(row.shape, {"port": str(free_port())}) as provider:
        wanted = (passes or row.passes)(provider.places)
        visitor = Visitor(provider, wanted, headers=row.headers, **more)
        yield visitor
        assert visitor.browser.join(60)


EACH = pytest.mark.parametrize("row", ROWS, ids=str)
WITHOUT = [(row, without) for row in ROWS for without in row.without]
REFUSED = [(row, refused) for row in ROWS for refused in row.refuses]


@EACH
def test_the_first_request_logs_in_and_a_later_program_renews(row: Row) -> None:
    with visiting(row) as visitor:
        assert visitor.call(visitor.program()) == 200
        assert visitor.browser.visits in (1, 2)  # 2 if something was repaired
        seen = visitor.browser.visits
        assert visitor.call(visitor.program(asks=False)) == 200
        visitor.expire()
        if not row.renews:
            with pytest.raises(LoginRequired):
                visitor.call(visitor.program(asks=False))
            return
        assert visitor.call(visitor.program(asks=False)) == 200
        visitor.expire()
        assert visitor.call(visitor.program(asks=False)) == 200
        assert visitor.provider.count("refresh") == 2
        assert visitor.provider.reused == 0
        assert visitor.browser.visits == seen


@pytest.mark.parametrize("row", [row for row in ROWS if row.logs_in], ids=str)
def test_a_login_before_the_first_request_serves_it(row: Row) -> None:
    with visiting(row) as visitor, visitor.login() as me:
        assert visitor.call(me.auth) == 200
        assert visitor.browser.visits in (1, 2)


def patience(error: type[AuthError]) -> float:
    """A time limit that is short only if no one comes back from the browser."""
    return 0.6 if error is LoginFailed else 60.0


@pytest.mark.parametrize(
    ("row", "without"), WITHOUT, ids=[f"{row}-{n}" for n, (row, _) in enumerate(WITHOUT)]
)
def test_the_default_refuses_and_names_the_option(row: Row, without: Without) -> None:
    with visiting(row, without.passes, login_timeout=patience(without.error)) as visitor:
        if without.refreshed:
            assert visitor.call(visitor.program()) == 200
            visitor.expire()
        asks = not without.refreshed
        with pytest.raises(AuthError) as caught:
            visitor.login() if without.logged_in else visitor.call(visitor.program(asks=asks))
        assert type(caught.value) is without.error, caught.value
        read = f"{caught.value} {hint_of(caught.value)}"  # in Python, and by the command
        assert [name for name in without.names if name not in read] == [], caught.value
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "refused"),
    REFUSED,
    ids=[f"{row}-{refused.wrong.at}-{n}" for n, (row, refused) in enumerate(REFUSED)],
)
def test_what_the_provider_refuses_is_refused(row: Row, refused: Refused) -> None:
    """The fake is as strict as the provider is said to be, and its answer becomes an error."""
    wrong = refused.wrong
    with visiting(row, login_timeout=patience(refused.error)) as visitor:
        refreshed = wrong.at == "refresh"
        if refreshed:
            assert visitor.call(visitor.program()) == 200
            visitor.expire()
        visitor.wrong = wrong
        with pytest.raises(AuthError) as caught:
            visitor.call(visitor.program(asks=not refreshed))
        assert type(caught.value) is refused.error, caught.value
        visitor.browser.join(60)  # it may get there after the caller has stopped waiting
        assert visitor.provider.count(wrong.at) in (1, 2)
