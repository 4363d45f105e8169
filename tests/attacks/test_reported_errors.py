"""Neither an error report, with the locals of its frames, nor a log of the tools holds a secret.

rich, Sentry and pytest's --showlocals print locals; asyncio's debug mode prints callbacks.
"""

from __future__ import annotations

import asyncio
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from mcp_client_auth import AuthError, BrowserPrompt, MCPAuth, Options
from tests.flows.test_http_libraries import LIBRARIES, Library
from tests.support.hostile import (
    ACCESS,
    CODE,
    REFRESH,
    Behaviour,
    Exchange,
    Spot,
    broken_gzip,
    cut,
    document,
    html,
    noise,
    redirect,
    reset,
    text,
    tokens,
)
from tests.support.victim import Victim, victim_of

CLIENT = "planted-client-secret"


def repeating(exchange: Exchange) -> None:
    said = exchange.body.decode()
    document({"error": "invalid_grant", "error_description": said}, 400)(exchange)


FAULTS: dict[str, Behaviour] = {
    "refused": repeating,
    "bound": document(tokens(token_type="DPoP")),
    "no header": document(tokens(access_token=ACCESS + "é")),
    "no object": document([ACCESS, REFRESH]),
    "no JSON": text(f'{{"access_token": "{ACCESS}"', 200, "application/json"),
    "a page": html(),
    "trouble": text("later", 503),
    "a redirect": redirect(f"https://elsewhere.example/?{ACCESS}"),
    "a reset": reset,
    "an end": cut,
    "noise": noise,
    "broken gzip": broken_gzip,
}
ANSWERS: dict[str, dict[str, str | None]] = {
    "of another issuer": {"iss": "https://evil.example"},
    "of no issuer": {"iss": None},
    "denied": {"error": "access_denied"},
    "in trouble": {"error": "server_error"},
    "without a code": {"code": None},
}
REGISTRATIONS: dict[str, dict[str, Any]] = {
    "another method": {"token_endpoint_auth_method": "tls_client_auth"},
    "other redirect URIs": {"redirect_uris": ["https://evil.example"]},
    "no id": {"client_id": None},
}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        victim.forget_client()
        yield victim


def reported(error: BaseException) -> str:
    """The error as tools print it, with the locals of each frame except the test's own."""
    made = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts, left = list[str](), [made]
    while left:
        one = left.pop()
        frames = [each for each in one.stack if "/tests/" not in each.filename]
        parts += [*one.format_exception_only(), repr([each.locals for each in frames])]
        left += [each for each in (one.__cause__, one.__context__) if each]
        if one.__suppress_context__ and one.__context__ in left:
            left.remove(one.__context__)
    return "\n".join(parts)


def verifiers(victim: Victim) -> list[str]:
    bodies = b" ".join(body for _, body in victim.world.bodies).decode()
    return re.findall(r"code_verifier=([\w-]+)", bodies)


def require_none(shown: str, victim: Victim) -> None:
    assert "planted" not in shown
    states = re.findall(r"state=([\w-]+)", " ".join(victim.opened))
    assert not [secret for secret in (*states, *verifiers(victim)) if secret in shown]


def require_a_clean_login(victim: Victim) -> None:
    with pytest.raises(AuthError) as raised:
        victim.log_in()
    victim.browser.join(60)
    require_none(reported(raised.value), victim)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_code_that_is_not_exchanged(victim: Victim, fault: str) -> None:
    victim.world.at("token", FAULTS[fault])
    require_a_clean_login(victim)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_refused(victim: Victim, answer: str) -> None:
    victim.world.at("authorize", victim.world.callback(**ANSWERS[answer]))
    require_a_clean_login(victim)


@pytest.mark.parametrize("registration", REGISTRATIONS)
def test_a_registration_that_is_refused(victim: Victim, registration: str) -> None:
    usual = {"client_id": "c", "client_secret": CLIENT, "registration_access_token": CLIENT}
    given = {**usual, **REGISTRATIONS[registration]}
    victim.world.at("register", document({name: v for name, v in given.items() if v}, 201))
    require_a_clean_login(victim)


Post = Callable[[Victim], Any]


def by_httpx(library: ModuleType) -> Post:
    def post(victim: Victim) -> Any:
        with library.Client(auth=MCPAuth(victim.world.url, **usual(victim))) as client:
            return client.post(victim.world.url, json={})

    return post


def by(library: Library) -> Post:
    return lambda victim: library.post(
        library.kind(victim.world.url, **usual(victim)), victim.world.url, b"{}"
    )


def usual(victim: Victim) -> dict[str, Any]:
    options = Options(http_timeout=30.0, patience=0)
    return {"storage": victim.storage, "prompt": None, "options": options}


POSTS: dict[str, Post] = {
    "httpx": by_httpx(httpx),
    "httpx2": by_httpx(httpx2),
    **{name: by(library) for name, library in LIBRARIES.items()},
}


def wants_more(exchange: Exchange) -> None:
    more = 'Bearer error="insufficient_scope", scope="notes:write"'
    exchange.reply(403, headers=[("WWW-Authenticate", more)])


REQUESTS: dict[str, tuple[Spot, Behaviour]] = {
    "more scope": ("answer", wants_more),
    **{f"refresh: {name}": ("refresh", fault) for name, fault in FAULTS.items()},
}


@pytest.mark.parametrize("fault", REQUESTS)
@pytest.mark.parametrize("library", POSTS)
def test_a_request_that_cannot_be_authorized(victim: Victim, library: str, fault: str) -> None:
    victim.remember()
    spot, behaviour = REQUESTS[fault]
    victim.world.at(spot, behaviour)
    if spot == "refresh":
        victim.expire()
    with pytest.raises(AuthError) as raised:
        POSTS[library](victim)
    require_none(reported(raised.value), victim)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_loop_in_debug_mode_with_every_log_on(
    victim: Victim, library: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    for name in ("asyncio", "httpcore", "httpcore2", "httpx", "httpx2", "mcp_client_auth"):
        caplog.set_level(1, name)
    url = victim.world.url

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0  # each callback is reported
        prompt = BrowserPrompt(victim._open)
        auth = MCPAuth(url, **{**usual(victim), "prompt": prompt, "account": "new"})
        async with library.AsyncClient(auth=auth, trust_env=False, timeout=60) as client:
            assert (await client.post(url, json={})).status_code == 200
            waiting = asyncio.ensure_future(client.post(url, json={}))
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            victim.world.at("answer", wants_more)
            silent = MCPAuth(url, **{**usual(victim), "account": "new"})
            with pytest.raises(AuthError):
                await client.post(url, json={}, auth=silent)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(main(), debug=True)
    victim.browser.join(60)
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert {"asyncio", "mcp_client_auth"} <= names
    # the scripted browser is a client of httpx, which logs the addresses that it visits
    lines = [r.getMessage() for r in caplog.records if f"code={CODE}" not in r.getMessage()]
    shown = "\n".join([*lines, *map(str, warned)])
    for secret in (
        ACCESS,
        REFRESH,
        *re.findall(r"code_verifier=([\w-]+)", str(victim.world.bodies)),
    ):
        assert secret not in shown


def test_these_tests_would_notice(victim: Victim) -> None:
    namespace: dict[str, Any] = {}
    code = "def leak():\n headers = {'Authorization': 'Bearer ' + secret}\n raise ValueError\n"
    exec(compile(code, "library.py", "exec"), {"secret": ACCESS}, namespace)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        namespace["leak"]()
    assert ACCESS in reported(raised.value)
