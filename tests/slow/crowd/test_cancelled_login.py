"""A login that is cancelled ends, and the next one, in any process, need not wait for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    DeviceCode,
    DevicePrompt,
    LoginFailed,
    MCPAuth,
    MemoryStorage,
    Unavailable,
    alogin,
    login,
)
from mcp_client_auth.events import Event
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from mcp_client_auth.threads import Cancel
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Person, Scene, until
from tests.support.terminal import Running, Terminal

SOON = 60.0  # of a busy machine; without the fix it takes the ten minutes of a person
WAITING = "Another program is logging in to this server: waiting for it, at most 11 min"


@pytest.fixture
def nobody(scene: Scene) -> Scene:
    scene.storage.delete(scene.key)
    return scene


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.decision = "ignore"
    assert person.join(60)


async def until_set(event: threading.Event) -> None:
    with anyio.fail_after(PATIENCE):
        while not event.is_set():
            await anyio.sleep(0.01)


async def by_wait_for(task: Awaitable[object], ready: threading.Event) -> None:
    waiting = asyncio.ensure_future(asyncio.wait_for(task, PATIENCE))
    await until_set(ready)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def by_a_timeout(task: Awaitable[object], ready: threading.Event) -> None:
    async def expire(limit: asyncio.Timeout) -> None:
        await until_set(ready)
        limit.reschedule(asyncio.get_running_loop().time())

    async def impatient() -> None:
        async with asyncio.timeout(PATIENCE) as limit:
            tasks.append(asyncio.ensure_future(expire(limit)))
            await task

    tasks: list[asyncio.Future[None]] = []
    with pytest.raises(TimeoutError):
        await impatient()
    await tasks[0]


async def by_a_scope(task: Awaitable[object], ready: threading.Event) -> None:
    async with anyio.create_task_group() as group:

        async def expire() -> None:
            await until_set(ready)
            group.cancel_scope.cancel()

        group.start_soon(expire)
        await task


CANCELLED = pytest.mark.parametrize(
    ("backend", "cancelled"),
    [
        ("asyncio", by_wait_for),
        ("asyncio", by_a_timeout),
        ("asyncio", by_a_scope),
        ("trio", by_a_scope),
    ],
)
Cancelled = Callable[[Awaitable[object], threading.Event], Awaitable[None]]


def logins_under_way() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "mcp login"]


def log_in_elsewhere(scene: Scene, tmp_path: Path) -> float:
    """Another process logs in; how long that takes."""
    terminal = Terminal(tmp_path)
    terminal.environment["MCP_CLIENT_AUTH_HOME"] = os.environ["MCP_CLIENT_AUTH_HOME"]
    began = time.monotonic()
    answer = terminal.log_in(scene.server.url)
    assert "Logged in to" in answer.err
    return time.monotonic() - began


async def of_the_object(url: str, **arguments: Any) -> object:
    return await MCPAuth(url, **arguments).alogin()


@CANCELLED
@pytest.mark.parametrize("begin", [alogin, of_the_object])
def test_a_login_that_waits_for_its_person_ends_with_its_caller(
    nobody: Scene,
    person: Person,
    tmp_path: Path,
    backend: str,
    cancelled: Cancelled,
    begin: Callable[..., Awaitable[object]],
) -> None:
    async def main() -> None:
        prompt = BrowserPrompt(open_url=person)
        await cancelled(
            begin(nobody.server.url, storage=nobody.storage, prompt=prompt), person.asked
        )

    anyio.run(main, backend=backend)
    assert log_in_elsewhere(nobody, tmp_path) < SOON
    until(lambda: not logins_under_way())


@CANCELLED
def test_a_login_that_waits_for_another_one_ends_with_its_caller(
    nobody: Scene, person: Person, backend: str, cancelled: Cancelled
) -> None:
    waits = threading.Event()

    def listen(event: Event) -> None:
        if event.name == "waiting":
            waits.set()

    async def main() -> None:
        prompt = BrowserPrompt(open_url=person)
        await cancelled(
            alogin(nobody.server.url, storage=nobody.storage, prompt=prompt, on_event=listen),
            waits,
        )

    with nobody.storage.lock(nobody.key, "login"):
        anyio.run(main, backend=backend)
        until(lambda: not logins_under_way())
    assert person.visits == 0


@pytest.mark.parametrize("place", ["/mcp", "/oauth-authorization-server", "/register"])
def test_a_login_on_its_way_to_the_person_ends_with_its_caller(
    nobody: Scene, person: Person, place: str
) -> None:
    held = nobody.server.hold_next(place)

    async def main() -> None:
        prompt = BrowserPrompt(open_url=person)
        storage = MemoryStorage()  # where nothing is registered yet
        await by_wait_for(alogin(nobody.server.url, storage=storage, prompt=prompt), held.reached)

    asyncio.run(main())
    held.release()
    until(lambda: not logins_under_way())
    assert person.visits == 0
    assert nobody.logins == 0


@CANCELLED
def test_a_code_that_is_being_exchanged_is_kept(
    nobody: Scene, person: Person, backend: str, cancelled: Cancelled
) -> None:
    """The code is used up; a login thrown away would send the person to the browser again."""
    held = nobody.server.hold_next("/token")
    person.decision = "allow"

    async def main() -> None:
        prompt = BrowserPrompt(open_url=person)
        await cancelled(
            alogin(nobody.server.url, storage=nobody.storage, prompt=prompt), held.reached
        )

    anyio.run(main, backend=backend)
    assert nobody.storage.load(nobody.key) is None
    held.release()
    until(lambda: nobody.storage.load(nobody.key) is not None)
    assert person.join(60)
    assert person.last_page is not None
    assert "close this" in person.last_page.text
    assert login(nobody.server.url, storage=nobody.storage, prompt=None).token()
    assert nobody.logins == person.visits == 1


@CANCELLED
@pytest.mark.parametrize("settings", [Settings(device_authorization=True)])
def test_a_device_code_that_nobody_enters_ends_with_its_caller(
    nobody: Scene, tmp_path: Path, backend: str, cancelled: Cancelled
) -> None:
    shown = threading.Event()

    async def main() -> None:
        prompt = DevicePrompt(lambda invitation: shown.set())
        await cancelled(
            alogin(nobody.server.url, storage=nobody.storage, prompt=prompt, grant=DeviceCode()),
            shown,
        )

    anyio.run(main, backend=backend)
    assert log_in_elsewhere(nobody, tmp_path) < SOON
    until(lambda: not logins_under_way())


# Joined by another caller


def logging_in(auth: MCPAuth, caller: Cancel) -> tuple[threading.Thread, list[Any]]:
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(auth.session.log_in(caller=caller).tokens.access_token.reveal())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def callers(auth: MCPAuth) -> int:
    flight = auth.session._flights._under_way.get("login")
    return flight.callers if flight else 0


def test_a_login_that_a_request_has_joined_goes_on(nobody: Scene, person: Person) -> None:
    auth = nobody.auth(prompt=BrowserPrompt(open_url=person))
    caller, statuses = Cancel(), []

    def request() -> None:
        with httpx.Client(auth=auth, timeout=PATIENCE) as client:
            statuses.append(client.post(nobody.server.url, headers=HEADERS, json=LIST).status_code)

    thread, _ = logging_in(auth, caller)
    assert person.asked.wait(PATIENCE)
    asking = threading.Thread(target=request)
    asking.start()
    until(lambda: auth.session._flights._under_way["login"].outlives)
    caller.cancel()
    person.decision = "allow"
    for each in (asking, thread):
        each.join(PATIENCE)
    assert statuses == [200]
    assert person.visits == nobody.logins == 1


def test_a_login_goes_on_until_its_last_caller_has_left(nobody: Scene, person: Person) -> None:
    auth = nobody.auth(prompt=BrowserPrompt(open_url=person))
    one, other = Cancel(), Cancel()
    first, _ = logging_in(auth, one)
    assert person.asked.wait(PATIENCE)
    second, ended = logging_in(auth, other)
    until(lambda: callers(auth) == 2)
    one.cancel()
    assert not ended
    assert first.is_alive()
    other.cancel()
    for each in (first, second):
        each.join(SOON)
    assert [(type(error), error.code) for error in ended] == [(LoginFailed, "aborted")]


def test_the_other_caller_has_the_login(nobody: Scene, person: Person) -> None:
    auth = nobody.auth(prompt=BrowserPrompt(open_url=person))
    one = Cancel()
    first, _ = logging_in(auth, one)
    assert person.asked.wait(PATIENCE)
    second, ended = logging_in(auth, Cancel())
    until(lambda: callers(auth) == 2)
    one.cancel()
    person.decision = "allow"
    for each in (first, second):
        each.join(PATIENCE)
    assert ended == [nobody.stored.tokens.access_token.reveal()]


def test_a_caller_that_left_before_the_login_began_opens_nothing(
    nobody: Scene, person: Person
) -> None:
    caller = Cancel()
    caller.cancel()
    thread, ended = logging_in(nobody.auth(prompt=BrowserPrompt(open_url=person)), caller)
    thread.join(PATIENCE)
    assert [(type(error), error.code) for error in ended] == [(LoginFailed, "aborted")]
    assert person.visits == 0


def test_a_storage_without_the_code_is_waited_for_too(nobody: Scene) -> None:
    """Its `Unavailable` has no code; that the time is up tells."""

    class Own(MemoryStorage):
        @contextmanager
        def lock(self, key: Any, purpose: str = "refresh", timeout: float = 30.0) -> Iterator[None]:
            try:
                with super().lock(key, purpose, timeout):
                    yield
            except Unavailable as error:
                raise Unavailable(error.summary) from None

    storage, waits = Own(), threading.Event()
    browser = ScriptedBrowser()

    def log_in() -> None:
        login(
            nobody.server.url,
            storage=storage,
            prompt=BrowserPrompt(open_url=browser),
            on_event=lambda event: waits.set() if event.name == "waiting" else None,
        )

    thread = threading.Thread(target=log_in)
    with storage.lock(nobody.key, "login"):
        thread.start()
        assert waits.wait(PATIENCE)
    thread.join(PATIENCE)
    assert storage.load(nobody.key) is not None
    assert browser.join(60)


# Real signals

SCRIPT = """
import asyncio, signal, sys
from mcp_client_auth import BrowserPrompt, alogin, login
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a program of its own
def show(url):
    print(url, flush=True)
prompt = BrowserPrompt(open_url=lambda url: False, show_url=show)
async def main():
    await alogin(sys.argv[1], storage="file", prompt=prompt)
"""
LOOPS = {
    "asyncio": "asyncio.run(main())",
    "trio": "import trio; trio.run(main)",
    "blocking": "login(sys.argv[1], storage='file', prompt=prompt)",
}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


class Program:
    """A program that logs in, and the address that it shows."""

    def __init__(self, url: str, loop: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT + LOOPS[loop], url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, self.process.communicate()

    def ended(self, number: signal.Signals, then: Callable[[], object] = lambda: None) -> str:
        """What is on its stderr after this signal; `then` comes when it was sent."""
        self.process.send_signal(number)
        then()
        return self.process.communicate(timeout=SOON)[1]


@pytest.fixture
def program(nobody: Scene) -> Iterator[Callable[[str], Program]]:
    started: list[Program] = []

    def start(loop: str) -> Program:
        started.append(Program(nobody.server.url, loop))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_is_interrupted_or_killed_leaves_no_lease(
    nobody: Scene,
    program: Callable[[str], Program],
    tmp_path: Path,
    loop: str,
    number: signal.Signals,
) -> None:
    err = program(loop).ended(number)
    assert err.strip().endswith("KeyboardInterrupt" if number == signal.SIGINT else "")
    assert "Exception" not in err
    assert log_in_elsewhere(nobody, tmp_path) < SOON


@POSIX
@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_while_the_code_is_being_exchanged_costs_no_login(
    nobody: Scene, program: Callable[[str], Program], loop: str
) -> None:
    held = nobody.server.hold_next("/token")
    browser, running = ScriptedBrowser(), program(loop)
    assert browser(running.address)
    assert held.reached.wait(PATIENCE)
    # in time: who is interrupted waits a second for an answer that is on its way
    assert running.ended(signal.SIGINT, held.release).strip().endswith("KeyboardInterrupt")
    assert nobody.stored.alive(time.time())
    assert browser.join(60)
    if loop == "blocking":  # elsewhere the process ends as soon as the login is kept
        assert browser.last_page is not None
        assert "close this" in browser.last_page.text


# The command: who waits, and who is waited for


@pytest.fixture
def terminal(nobody: Scene, tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.environment["MCP_CLIENT_AUTH_HOME"] = os.environ["MCP_CLIENT_AUTH_HOME"]
    return terminal


def approve(holder: Running, server: DemoServer) -> None:
    """The person of the first login opens its address."""
    shown = next(word for word in holder.err.split() if "authorize?" in word)
    browser = ScriptedBrowser()
    browser.visit(shown)
    assert browser.error is None


def test_who_waits_says_so_and_takes_what_the_other_one_got(
    nobody: Scene, terminal: Terminal
) -> None:
    url = nobody.server.url
    with terminal.start(url, "--no-browser") as holder:
        holder.wait_for("Waiting for you")
        with terminal.start(url) as waiter:
            waiter.wait_for(WAITING)
            approve(holder, nobody.server)
            assert holder.end().code == 0
            answer = waiter.end()
    assert answer.code == 0, answer.err
    assert "Logged in to" in answer.err
    assert nobody.logins == 1


@POSIX
def test_ctrl_c_ends_the_wait_and_not_the_login_that_is_waited_for(
    nobody: Scene, terminal: Terminal
) -> None:
    url = nobody.server.url
    with terminal.start(url, "--no-browser") as holder:
        holder.wait_for("Waiting for you")
        with terminal.start(url) as waiter:
            waiter.wait_for(WAITING)
            waiter.send(signal.SIGINT)
            answer = waiter.end(SOON)
        assert answer.code == 130
        assert "Traceback" not in answer.err
        approve(holder, nobody.server)
        assert holder.end().code == 0


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_who_waits_goes_on_when_the_other_one_is_ended(
    nobody: Scene, terminal: Terminal, number: signal.Signals
) -> None:
    url = nobody.server.url
    with terminal.start(url, "--no-browser") as holder:
        holder.wait_for("Waiting for you")
        with terminal.start(url) as waiter:
            waiter.wait_for(WAITING)
            holder.send(number)
            holder.end(SOON)
            answer = waiter.end(SOON)
    assert answer.code == 0, answer.err
    assert nobody.logins == 1


def test_a_wait_lasts_as_long_as_its_own_person_would_have_and_a_minute(
    nobody: Scene, terminal: Terminal
) -> None:
    url = nobody.server.url
    with nobody.storage.lock(nobody.key, "login"), terminal.start(url, "--timeout", "1") as waiter:
        waiter.wait_for("waiting for it, at most 61 s")


def test_the_library_tells_of_a_wait_as_an_event(nobody: Scene) -> None:
    seen: list[Event] = []
    browser = ScriptedBrowser()
    waits = threading.Event()

    def listen(event: Event) -> None:
        seen.append(event)
        if event.name == "waiting":
            waits.set()

    def log_in() -> None:
        prompt = BrowserPrompt(open_url=browser)
        login(nobody.server.url, storage=nobody.storage, prompt=prompt, on_event=listen)

    waiting = threading.Thread(target=log_in)
    with nobody.storage.lock(nobody.key, "login"):
        waiting.start()
        assert waits.wait(PATIENCE)
    waiting.join(PATIENCE)
    assert browser.join(60)
    told = [event for event in seen if event.name == "waiting"]
    assert [event.detail for event in told] == [WAITING[0].lower() + WAITING[1:]]
    assert nobody.logins == 1
