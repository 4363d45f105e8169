"""Step-ups at the same time: one browser for a resource, which the others join or wait for."""

from __future__ import annotations

import _thread
import asyncio
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BrowserPrompt,
    InsufficientScope,
    LoginFailed,
    MCPAuth,
    MemoryStorage,
    login,
)
from mcp_client_auth.grants.probe import too_little_scope
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.session_world import Person, Program, World, credential

SCOPES = [f"scope-{number}" for number in range(12)]


class Slow(World):
    """Calls `hook` with the last part of the URL of each OAuth request."""

    hook: Callable[[str], object] = staticmethod(lambda place: None)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.hook(request.url.rpartition("/")[2])
        return super().__call__(request)


@pytest.fixture
def world() -> Slow:
    return Slow()


def logged_in(world: World, person: Person) -> Program:
    program = Program(world, prompt=person)
    program.storage.save(credential(world))
    assert program.post() == 200
    return program


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def gathered(program: Program) -> set[str]:
    flight = program.session._flights._under_way.get("step-up login")
    return set(flight.gathering._wants) if flight else set()


def asking(program: Program) -> int:
    return sum(name.startswith("step-up scope") for name in program.session._flights._under_way)


def result(program: Program, scope: str) -> Any:
    try:
        return program.post(scope)
    except Exception as error:
        return type(error)


def all_at_once(program: Program, scopes: list[str]) -> list[Any]:
    with ThreadPoolExecutor(len(scopes)) as pool:
        return list(pool.map(lambda scope: result(program, scope), scopes))


def test_twelve_requests_with_twelve_scopes_open_one_browser(world: Slow) -> None:
    person = Person(world)
    program = logged_in(world, person)
    world.hook = lambda place: until(lambda: {*SCOPES} <= gathered(program))
    assert all_at_once(program, SCOPES) == [200] * 12
    assert len(person.visits) == 1
    assert set(person.scopes[0]) == {"read", *SCOPES}


@pytest.mark.parametrize("place", ["oauth-authorization-server", "register"])
def test_who_comes_before_the_browser_opens_joins(world: Slow, place: str) -> None:
    person = Person(world)
    program = logged_in(world, person)
    late: list[threading.Thread] = []
    statuses: list[Any] = []

    def before(here: str) -> None:
        if here == place and not late:
            late.append(threading.Thread(target=lambda: statuses.append(program.post("admin"))))
            late[0].start()
            until(lambda: "admin" in gathered(program))

    world.hook = before
    assert program.post("write") == 200
    late[0].join(60)
    assert statuses == [200]
    assert [set(scope) for scope in person.scopes] == [{"read", "write", "admin"}]


def while_the_browser_is_open(world: Slow, person: Person, *, allow: bool) -> list[Any]:
    """The results of twelve requests, eleven of which come too late for the first browser."""
    program = logged_in(world, person)
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(result, program, SCOPES[0])
        visit = person.asked.result(60)
        others = [pool.submit(result, program, scope) for scope in SCOPES[1:]]
        until(lambda: asking(program) == 12)
        time.sleep(0.1)  # none of them opens another one meanwhile
        assert len(person.visits) == 1
        person.decision = "allow"

        def all_gathered(place: str) -> None:
            if place == "oauth-authorization-server":
                until(lambda: {*SCOPES[1:]} <= gathered(program))

        world.hook = all_gathered
        visit.decide(allow=allow)
        return [future.result(60) for future in (first, *others)]


def test_who_comes_too_late_waits_and_asks_for_the_rest_together(world: Slow) -> None:
    person = Person(world, "wait")
    assert while_the_browser_is_open(world, person, allow=True) == [200] * 12
    assert len(person.visits) == 2
    assert set(person.scopes[1]) == {"read", *SCOPES}


def test_a_denial_counts_for_who_waits(world: Slow) -> None:
    person = Person(world, "wait")
    denied = while_the_browser_is_open(world, person, allow=False)
    assert denied == [AuthorizationDenied] * 12
    assert len(person.visits) == 1


def test_after_a_denial_the_resource_gets_no_other_step_up_for_a_while(world: Slow) -> None:
    person = Person(world, "deny")
    program = logged_in(world, person)
    with pytest.raises(AuthorizationDenied) as denied:
        program.post("write")
    for each in (program, Program(world, program.storage, person)):
        with pytest.raises(AuthorizationDenied) as cooling:
            each.post("admin")
        assert cooling.value.hint.startswith(f"{denied.value.hint}. For 60 s after that")
    assert len(person.visits) == 1
    assert program.post() == 200
    person.decision = "allow"
    world.clock.go(61)
    assert program.post("another") == 200


def test_a_step_up_that_waited_for_another_programs_keeps_what_that_one_gained(
    world: Slow,
) -> None:
    first, second = Person(world, "wait"), Person(world)
    program = logged_in(world, first)
    other = Program(world, program.storage, second)
    assert other.post() == 200
    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(result, program, "write")
        visit = first.asked.result(60)
        waiting = pool.submit(result, other, "admin")
        until(lambda: "waiting" in [event.name for event in other.events])
        visit.decide(allow=True)
        assert [begun.result(60), waiting.result(60)] == [200, 200]
    assert [set(scope) for scope in second.scopes] == [{"read", "write", "admin"}]
    assert program.post("write admin") == 200
    assert len(first.visits) == 1


def test_an_explicit_login_ends_the_cooling_time(world: Slow) -> None:
    person = Person(world, "deny")
    program = logged_in(world, person)
    with pytest.raises(AuthorizationDenied):
        program.post("write")
    person.decision = "allow"
    with pytest.raises(AuthorizationDenied):
        program.post("admin")
    program.session.log_in(force=True)
    assert program.post("admin") == 200


def test_a_step_up_that_did_not_help_its_request_is_remembered_too(world: Slow) -> None:
    person = Person(world)
    program = logged_in(world, person)
    world.authorization.granting = lambda asked: tuple(s for s in asked if s != "write")
    for scope in ("write", "admin"):
        with pytest.raises(InsufficientScope):
            program.post(scope)
    assert len(person.visits) == 1
    world.clock.go(61)
    assert program.post("admin") == 200


def test_closing_ends_a_step_up_for_all_who_have_joined_it(world: Slow) -> None:
    person = Person(world, "wait")
    program = logged_in(world, person)
    world.hook = lambda place: until(lambda: {*SCOPES[:3]} <= gathered(program))
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(result, program, scope) for scope in SCOPES[:3]]
        person.asked.result(60)
        program.auth.close()
        assert [future.result(60) for future in futures] == [LoginFailed] * 3
    assert len(person.visits) == 1


def test_an_interrupted_call_of_a_login_ends_its_step_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next cell of a notebook logs in, and does not wait for the interrupted step-up."""
    ended = threading.Event()

    class Window(ScriptedBrowser):
        def invite(self, url: str, redirect_uri: str) -> None: ...
        def waiting(self, left: float) -> None: ...
        def typed(self, count: int) -> None: ...
        def say(self, text: str) -> None: ...
        def over(self) -> None:
            ended.set()

    window = Window()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with DemoServer(Settings()) as server:
            prompt = BrowserPrompt(window, display=window)
            me = login(server.url, prompt=prompt, storage=MemoryStorage())
            ended.clear()
            monkeypatch.setattr(Window, "__call__", lambda self, url: _thread.interrupt_main())
            with me:
                with pytest.raises(KeyboardInterrupt):
                    me.call("add_note", text="milk")
                assert ended.wait(60)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_crowd_of_tasks_at_a_real_server_opens_one_browser() -> None:
    """Like an agent that calls twelve tools at once. The person decides within milliseconds."""
    browser = ScriptedBrowser()

    def answer(request: httpx.Request) -> httpx.Response:
        held = auth.session.current()
        granted = held.tokens.scope if held else None
        wanted = request.headers["X-Needs"]
        if wanted in (granted or ()):
            return httpx.Response(200)
        challenge = f'Bearer error="insufficient_scope", scope="{wanted}"'
        return httpx.Response(403, headers={"WWW-Authenticate": challenge})

    with DemoServer(Settings(scopes=("notes:read", *SCOPES))) as server:
        prompt = BrowserPrompt(open_url=browser)
        auth = MCPAuth(server.url, storage=MemoryStorage(), scope="notes:read", prompt=prompt)
        auth.session.log_in()

        async def main() -> list[int]:
            transport = httpx.MockTransport(answer)
            async with httpx.AsyncClient(auth=auth, transport=transport) as client:
                calls = [client.post(server.url, headers={"X-Needs": scope}) for scope in SCOPES]
                return [response.status_code for response in await asyncio.gather(*calls)]

        assert asyncio.run(main()) == [200] * 12
        assert browser.join(60)
    assert browser.visits == 2, "the login, and one step-up"


@pytest.mark.parametrize(
    ("granted", "requested", "said"),
    [
        (("read",), ("read", "write"), "after “read write” was requested; “write” was not granted"),
        (("read", "write"), ("read", "write"), "after “read write” was requested"),
        (("read",), ("read", "offline_access"), "after “read offline_access” was requested"),
        (("read",), (), "and names none"),
    ],
)
def test_what_is_lacking_is_said_and_what_was_granted_is_not(
    granted: tuple[str, ...], requested: tuple[str, ...], said: str
) -> None:
    error = too_little_scope(credential(World(), scope=granted), requested)
    assert error.summary.endswith(said)
    assert (error.requested, error.granted) == (requested, granted)
