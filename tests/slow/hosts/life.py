"""One host's life with a login, in the host's own environment, as lines of JSON.

    python -m tests.slow.hosts.life HOST COLUMN …

The file of the host in `libraries` connects, and yields how a tool is called: `await
call("whoami")` gives the text of what the host shows, or raises what it raises.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_client_auth import BrowserPrompt, FileStorage, MCPAuth, MemoryStorage
from mcp_client_auth.adapters.authorizer import Authorizer
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings

Call: TypeAlias = Callable[..., Awaitable[str]]
Connect: TypeAlias = Callable[[str, Authorizer], AbstractAsyncContextManager[Call]]
LIMIT = 120.0  # of one column on a busy machine; who needs it hangs
WORKS, SAYS = "Ada", "mcp-login"
SLOW_PERSON = 35.0  # seconds, more than any host's connection has by default
GIVES_UP = 6.0  # seconds in which a host has asked for its stream as often as it does


class TalkingServer(DemoServer):
    """It keeps sessions, and has a stream for messages of its own, until it is cut."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.streams = self.refused = self._cuts = 0

    def cut(self) -> None:
        self._cuts += 1

    def _apps(self) -> tuple[ASGIApp, ASGIApp]:
        mcp, oauth = super()._apps()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/mcp"):
                await self._stream(Request(scope))(scope, receive, send)
            else:
                await mcp(scope, receive, send)

        return app, oauth

    def _stream(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self._ledger.access(token, self.url):
            self.refused += 1
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        assert self._serving is not None
        cuts = self._cuts
        self.streams += 1
        try:
            yield b": open\n\n"
            while self._cuts == cuts:
                await self._serving.pause(0.05)
        finally:
            self.streams -= 1


class World:
    """A server, a person at a browser, and one store.

    The library of the host may take another `MCPAuth` than the one for httpx.
    """

    def __init__(self, library: ModuleType, server: DemoServer, storage: Any) -> None:
        self.connect: Connect = library.connect
        self.kind: Callable[..., Any] = getattr(library, "MCPAuth", MCPAuth)
        self.server, self.storage = server, storage
        self.browser = ScriptedBrowser()

    def auth(self, *, asks: bool = True) -> Any:
        prompt = BrowserPrompt(open_url=self.browser) if asks else None
        return self.kind(self.server.url, storage=self.storage, prompt=prompt, on_failure="rpc")

    async def whoami(self, auth: Authorizer) -> str:
        async with self.connect(self.server.url, auth) as call:
            return await call("whoami")

    def log_in(self, *, force: bool = False) -> None:
        prompt = BrowserPrompt(open_url=self.browser)
        MCPAuth(self.server.url, storage=self.storage, prompt=prompt).login(force=force)

    async def log_in_elsewhere(self) -> None:
        await asyncio.to_thread(self.log_in, force=True)


async def login(world: World) -> str:
    return judged(await world.whoami(world.auth()), WORKS)


async def second_process(world: World) -> str:
    """Logged in by one process; another one connects, and has no browser."""
    with tempfile.TemporaryDirectory() as home:
        world.storage = FileStorage(home)
        world.log_in()
        again = [sys.executable, "-m", "tests.slow.hosts.life", sys.argv[1], world.server.url, home]
        done = await asyncio.to_thread(subprocess.run, again, capture_output=True, text=True)
    return (done.stdout.splitlines() or [done.stderr[-200:]])[-1]


async def token_ends(world: World) -> str:
    """In mid-session: renewed once, and no browser opens."""
    async with world.connect(world.server.url, world.auth()) as call:
        await call("whoami")
        visits, renewed = world.browser.visits, world.server.token_requests("refresh_token")
        await asyncio.sleep(4.2)
        said = await call("whoami")
    if world.browser.visits != visits or world.server.token_requests("refresh_token") == renewed:
        return "not renewed"
    return judged(said, WORKS)


async def step_up(world: World) -> str:
    async with world.connect(world.server.url, world.auth()) as call:
        await call("whoami")
        await call("add_note", text="of a host")
        said = await call("whoami")
    return judged(said, WORKS) if world.browser.visits == 2 else f"{world.browser.visits} visits"


async def two_loops(world: World) -> str:
    """Two threads with a loop each share one object over an expiry."""
    auth, said = world.auth(), list[str]()
    world.log_in()

    async def calls() -> None:
        async with world.connect(world.server.url, auth) as call:
            await call("whoami")
            await asyncio.sleep(4.2)
            said.append(judged(await call("whoami"), WORKS))

    threads = [threading.Thread(target=asyncio.run, args=(calls(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    if world.browser.visits != 1:
        return f"{world.browser.visits} visits"
    return "ok" if said == ["ok", "ok"] else f"failed: {said}"


async def nobody_at_connect(world: World) -> str:
    """What a host makes of it is its own: some hide the reason."""
    return judged(await world.whoami(world.auth(asks=False)), SAYS)


async def nobody_in_a_call(world: World) -> str:
    """The reason is shown, and the same call works after a login elsewhere."""
    world.log_in()
    async with world.connect(world.server.url, world.auth(asks=False)) as call:
        await call("whoami")
        world.server.revoke_everything()
        try:
            shown = judged(await call("whoami"), SAYS)
        except Exception as error:
            shown = judged(text_of(error), SAYS)
        if shown != "ok":
            return shown
        await world.log_in_elsewhere()
        return judged(await call("whoami"), WORKS)


async def own_messages(world: World) -> str:
    """The stream is cut while no one can sign in: does the host ask again after a login?"""
    server = world.server
    assert isinstance(server, TalkingServer)
    world.log_in()
    async with world.connect(server.url, world.auth(asks=False)) as call:
        await call("whoami")
        if not await soon(lambda: server.streams):
            return "asks for no stream"
        server.revoke_everything()
        server.cut()
        await soon(lambda: server.refused)
        await asyncio.sleep(GIVES_UP)
        await world.log_in_elsewhere()
        said = judged(await call("whoami"), WORKS)
        if said == "ok" and not await soon(lambda: server.streams):
            return "after the next connection"
        return said


async def slow_person(world: World) -> str:
    world.browser.delay = SLOW_PERSON
    began = time.monotonic()
    try:
        return judged(await world.whoami(world.auth()), WORKS)
    except Exception:
        return f"gives up after {time.monotonic() - began:.0f} s: log in first"


async def soon(happened: Callable[[], object]) -> bool:
    for _ in range(200):
        if happened():
            return True
        await asyncio.sleep(0.05)
    return False


COLUMNS: dict[str, tuple[Callable[[World], Awaitable[str]], Settings]] = {
    "login": (login, Settings()),
    "second process": (second_process, Settings()),
    "token ends": (token_ends, Settings(access_token_seconds=4)),
    "step-up": (step_up, Settings()),
    "two loops": (two_loops, Settings(access_token_seconds=4)),
    "nobody in a call": (nobody_in_a_call, Settings()),
    "nobody at connect": (nobody_at_connect, Settings()),
    "own messages": (own_messages, Settings(sessions=True)),
    "slow person": (slow_person, Settings()),
}


def judged(text: str, wanted: str) -> str:
    return "ok" if wanted in text else f"shows {text[:160]!r}"


def text_of(error: BaseException) -> str:
    """All that stands in it, in its groups and causes, which may go in a circle."""
    found: list[BaseException] = [error]
    for each in found:
        more = [*getattr(each, "exceptions", ()), each.__cause__, each.__context__]
        found += [one for one in more if one and one not in found]
    return " ".join(f"{type(each).__name__}: {each}" for each in found)


def run(library: ModuleType, name: str) -> str:
    column, settings = COLUMNS[name]
    with (TalkingServer if settings.sessions else DemoServer)(settings) as server:
        world = World(library, server, MemoryStorage())
        began = time.monotonic()
        try:
            return asyncio.run(asyncio.wait_for(column(world), LIMIT))
        except BaseException as error:
            if time.monotonic() - began >= LIMIT:
                return "hangs"
            if name == "nobody at connect":
                return judged(text_of(error), SAYS)
            return f"raises {type(error).__name__}: {text_of(error)[:300]}"


def main() -> None:
    library = importlib.import_module(f"tests.slow.hosts.libraries.{sys.argv[1]}")
    if sys.argv[2].startswith("http"):
        _, _, url, home = sys.argv
        kind = getattr(library, "MCPAuth", MCPAuth)
        auth = kind(url, storage=FileStorage(home), prompt=None, on_failure="rpc")

        async def whoami() -> str:
            async with library.connect(url, auth) as call:
                return judged(await call("whoami"), WORKS)

        print(asyncio.run(whoami()))
        return
    for name in sys.argv[2:]:
        began = time.monotonic()
        outcome = run(library, name)
        print(json.dumps([name, outcome, round(time.monotonic() - began, 1)]), flush=True)


if __name__ == "__main__":
    main()
