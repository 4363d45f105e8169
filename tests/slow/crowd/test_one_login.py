"""A person is asked once, by one process, and not again for a while after a no."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BrowserPrompt,
    LoginFailed,
    MCPAuth,
    login,
)
from mcp_client_auth.testing import ScriptedBrowser
from tests.slow.crowd.crowd_scene import (
    BROWSER,
    HEADERS,
    LIST,
    PATIENCE,
    Crowd,
    Person,
    Scene,
    until,
)


@pytest.fixture
def nobody(scene: Scene) -> Scene:
    scene.storage.delete(scene.key)
    return scene


def browser_command(log: Path, decision: str, delay: float) -> str:
    return f"{sys.executable} {BROWSER} {log} {decision} {delay} %s"


def post(auth: MCPAuth, url: str, timeout: float = PATIENCE) -> int:
    with httpx.Client(auth=auth, timeout=timeout) as client:
        return client.post(url, headers=HEADERS, json=LIST).status_code


def test_five_processes_open_one_browser(nobody: Scene, crowd: Crowd, tmp_path: Path) -> None:
    log = tmp_path / "browser.log"
    command = browser_command(log, "allow", 1.0)
    assert crowd.together(5, "ask", "1", BROWSER=command) == [[200, 200]] * 5
    assert log.read_text().splitlines() == ["opened"]
    assert nobody.logins == 1
    assert nobody.refreshes == 0


def test_a_no_counts_for_five_processes(nobody: Scene, crowd: Crowd, tmp_path: Path) -> None:
    log = tmp_path / "browser.log"
    command = browser_command(log, "deny", 1.0)
    denied = ["AuthorizationDenied", "access_denied"]
    assert crowd.together(5, "ask", "1", BROWSER=command) == [[denied, denied]] * 5
    assert log.read_text().splitlines() == ["opened"]

    browser = ScriptedBrowser()
    me = login(nobody.server.url, storage=nobody.storage, prompt=BrowserPrompt(open_url=browser))
    assert browser.join(60)
    assert post(me.auth, nobody.server.url) == 200
    assert crowd.together(1, "ask", BROWSER=command) == [[200]]
    assert log.read_text().splitlines() == ["opened"]


def test_a_no_is_remembered_by_one_process_until_an_explicit_login(nobody: Scene) -> None:
    browser = ScriptedBrowser("deny")
    auth = nobody.auth(prompt=BrowserPrompt(open_url=browser))
    for _ in range(3):
        with pytest.raises(AuthorizationDenied):
            post(auth, nobody.server.url)
        assert browser.join(60)
    assert browser.visits == 1
    browser.decision = "allow"
    auth.session.log_in()
    assert browser.join(60)
    assert post(auth, nobody.server.url) == 200
    assert browser.visits == 2


def test_a_thousand_requests_ask_once(nobody: Scene) -> None:
    browser = ScriptedBrowser(delay=0.2)
    auth = nobody.auth(prompt=BrowserPrompt(open_url=browser))

    async def main() -> list[int]:
        async with httpx.AsyncClient(auth=auth, timeout=PATIENCE) as client:
            ask = [client.post(nobody.server.url, headers=HEADERS, json=LIST) for _ in range(200)]
            return [answer.status_code for answer in await asyncio.gather(*ask)]

    assert asyncio.run(main()) == [200] * 200
    assert browser.join(60)
    assert browser.visits == nobody.logins == 1


async def with_asyncio_timeout(client: Any, url: str, person: Person) -> None:
    async def expire(limit: asyncio.Timeout) -> None:
        await anyio.to_thread.run_sync(person.asked.wait, PATIENCE)
        limit.reschedule(asyncio.get_running_loop().time())

    async def impatient() -> None:
        async with asyncio.timeout(PATIENCE) as limit:
            tasks.append(asyncio.ensure_future(expire(limit)))
            await client.post(url, headers=HEADERS, json=LIST)

    tasks: list[asyncio.Future[None]] = []
    with pytest.raises(TimeoutError):
        await impatient()
    await tasks[0]


async def with_a_cancelled_scope(client: Any, url: str, person: Person) -> None:
    async def watch(scope: anyio.CancelScope) -> None:
        await anyio.to_thread.run_sync(person.asked.wait, PATIENCE)
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, tasks.cancel_scope)
        await client.post(url, headers=HEADERS, json=LIST)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("backend", "impatient"),
    [
        ("asyncio", with_asyncio_timeout),
        ("asyncio", with_a_cancelled_scope),
        ("trio", with_a_cancelled_scope),
    ],
)
def test_a_login_outlives_the_request_that_began_it(
    nobody: Scene, library: Any, backend: str, impatient: Any
) -> None:
    person = Person()
    auth = nobody.auth(prompt=BrowserPrompt(open_url=person))
    url = nobody.server.url

    async def main() -> None:
        async with library.AsyncClient(auth=auth, timeout=PATIENCE) as client:
            await impatient(client, url, person)

    anyio.run(main, backend=backend)
    waiting = threading.Thread(target=post, args=(auth, url))
    waiting.start()
    person.decision = "allow"
    waiting.join(PATIENCE)
    assert person.join(60)
    assert post(auth, url) == 200
    assert person.visits == nobody.logins == 1


def test_a_timeout_of_httpx_is_about_the_server_and_not_the_person(nobody: Scene) -> None:
    person = Person()
    auth = nobody.auth(prompt=BrowserPrompt(open_url=person))
    statuses: list[int] = []
    asking = threading.Thread(
        target=lambda: statuses.append(post(auth, nobody.server.url, timeout=8))
    )
    asking.start()
    assert person.asked.wait(PATIENCE)
    time.sleep(8.5)  # longer than httpx waits for a server
    person.decision = "allow"
    asking.join(PATIENCE)
    assert person.join(60)
    assert statuses == [200]
    assert person.visits == 1


def asking_in_vain(auth: MCPAuth, url: str) -> tuple[threading.Thread, list[BaseException]]:
    """A request on a thread of its own, and the errors that it ends in."""
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            post(auth, url)
        except BaseException as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    return asking, caught


ABORTED = [(LoginFailed, "aborted")]


def test_closing_ends_the_login(nobody: Scene) -> None:
    person = Person()
    auth = nobody.auth(prompt=BrowserPrompt(open_url=person))
    asking, caught = asking_in_vain(auth, nobody.server.url)
    assert person.asked.wait(PATIENCE)
    auth.close()
    asking.join(60)
    assert [(type(error), getattr(error, "code", "")) for error in caught] == ABORTED
    person.decision = "ignore"
    assert person.join(60)


def test_closing_ends_a_login_that_has_not_reached_the_browser(nobody: Scene) -> None:
    browser = ScriptedBrowser()
    auth = nobody.auth(prompt=BrowserPrompt(open_url=browser))
    held = nobody.server.hold_next("/oauth-authorization-server", processed=False)
    asking, caught = asking_in_vain(auth, nobody.server.url)
    held.wait()
    auth.close()
    held.release()
    asking.join(60)
    assert [(type(error), getattr(error, "code", "")) for error in caught] == ABORTED
    assert browser.visits == 0
    assert post(auth, nobody.server.url) == 200, "closing is not for ever"
    assert browser.join(60)


def test_a_login_closed_while_it_waited_for_another_program_opens_nothing(nobody: Scene) -> None:
    browser = ScriptedBrowser()
    auth = nobody.auth(prompt=BrowserPrompt(open_url=browser))
    with nobody.storage.lock(nobody.key, "login"):
        asking, caught = asking_in_vain(auth, nobody.server.url)
        until(lambda: "login" in auth.session._flights._under_way)
        auth.close()
    asking.join(60)
    assert [(type(error), getattr(error, "code", "")) for error in caught] == ABORTED
    assert browser.visits == 0
