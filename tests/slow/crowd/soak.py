"""Many processes share logins to several servers for a long time, and everything goes wrong.

    python -m tests.slow.crowd.soak MINUTES [--processes 50] [--servers 5] [--seed 1] [--pause 0.6]

Access tokens live 5 s, a refresh token is good once, and one that comes back revokes the login.
Servers answer late, with 503, with half an answer or none; 2 % of the requests with a good token
get a 401, never three times in a row for the same request. Processes are killed at any moment.
What may never happen: a `LoginRequired` or a 401 while the login is good; a login that is lost,
but for one whose refresh was answered to a process that had just been killed; growth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_client_auth import AuthError, BrowserPrompt, MCPAuth, Options, Unavailable, login
from mcp_client_auth.credential import key_for
from mcp_client_auth.storage import Storage, choose_storage
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.slow.crowd.soak_member import HEADERS, NAMED, PAUSE, member

LIFETIME: Final = 5
REFUSED: Final = 0.02
_IN_A_ROW: Final = 2
_TOKEN: Final = "/token"
_MCP: Final = "/mcp"
# Of each hundred requests. A token request is never broken once it was carried out: that loses
# the login, whatever a client does.
_MCP_FAULTS: Final = {"503": 1, "late": 2, "reset": 1, "cut": 1, "lost": 1}
_TOKEN_FAULTS: Final = {"503": 4, "late": 6, "reset": 4, "answered late": 4}
_LATE: Final = (0.1, 1.5)
_MORE_MEGABYTES: Final = 24
_MORE_HANDLES: Final = 12
_MORE_THREADS: Final = 10
_USUAL_KILLS: Final = 2.0  # seconds from one to the next
_PATIENCE: Final = 60.0


class Troubled:
    """The ASGI application in front of a server's own: it draws what goes wrong."""

    def __init__(self, app: ASGIApp, random: Random, revoked: Callable[[], int]) -> None:
        self._app, self._random, self._revoked = app, random, revoked
        self.quiet = False
        self.revoked_by: list[int] = []  # the processes whose token requests had a token of before
        self.latest = ""  # the refresh token that was issued last, and to which process
        self.holder = 0
        self.busy: Counter[int] = Counter()  # token requests under way, by process
        self.spurious = 0
        self._refusals: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] != "http" or not path.endswith((_TOKEN, _MCP)) or ".well-known" in path:
            await self._app(scope, receive, send)
        elif path.endswith(_TOKEN):
            await self._token(scope, receive, send)
        else:
            await self._mcp(scope, receive, send)

    def _drawn(self, faults: dict[str, int]) -> str:
        at = self._random.random() * 100
        for name, share in {} if self.quiet else faults.items():
            at -= share
            if at < 0:
                return name
        return ""

    async def _token(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = _process(scope)
        self.busy[number] += 1
        try:
            fault = self._drawn(_TOKEN_FAULTS)
            if fault == "reset":
                _abort(send)
                return
            if fault == "503":
                await _answer(send, 503)
                return
            if fault == "late":
                await asyncio.sleep(self._random.uniform(*_LATE))
            body = bytearray()

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start" and fault == "answered late":
                    await asyncio.sleep(self._random.uniform(*_LATE))
                body.extend(message.get("body", b""))
                await send(message)

            # a client that goes away ends no refresh: as behind any proxy it is carried out
            receive, before = await _whole(scope, receive), self._revoked()
            await self._app(scope, receive, noting)
            self.revoked_by += [number] * (self._revoked() - before)
            with suppress(ValueError):
                issued = json.loads(bytes(body)).get("refresh_token")
                self.latest, self.holder = issued or self.latest, number
        finally:
            self.busy[number] -= 1

    async def _mcp(self, scope: Scope, receive: Receive, send: Send) -> None:
        receive = await _whole(scope, receive)
        fault = self._drawn(_MCP_FAULTS)
        if fault == "reset":
            _abort(send)
            return
        if fault == "503":
            await _answer(send, 503)
            return
        if fault == "late":
            await asyncio.sleep(self._random.uniform(*_LATE))
        refused = not self.quiet and self._random.random() < REFUSED
        body = await receive()
        name = re.sub(rb'.*"id": ?"([^"]*)".*', rb"\1", body["body"]).decode()[:80]
        if not refused or self._refusals[name] >= _IN_A_ROW:
            self._refusals.pop(name, None)
            refused = False

        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start" and refused and message["status"] == 200:
                self._refusals[name] += 1
                self.spurious += 1
                challenge = [(b"www-authenticate", b'Bearer error="invalid_token"')]
                message = {"type": message["type"], "status": 401, "headers": challenge}
            elif message["type"] == "http.response.body" and (refused or fault == "cut"):
                if fault == "cut":
                    await send({**message, "body": message["body"][:5], "more_body": True})
                    _abort(send)
                    return
                message = {"type": message["type"], "body": b""}
            if fault == "lost":
                _abort(send)
                return
            await send(message)

        async def again() -> Message:
            return body

        await self._app(scope, again, changed)


def _process(scope: Scope) -> int:
    agent = dict(scope["headers"]).get(b"user-agent", b"").decode()
    return int(agent.removeprefix(NAMED)) if agent.startswith(NAMED) else 0


async def _whole(scope: Scope, receive: Receive) -> Receive:
    body = await Request(scope, receive).body()

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _abort(send: Any) -> None:
    """Reset the connection: what uvicorn sends by knows it."""
    send.__self__.transport.abort()


async def _answer(send: Send, status: int) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"retry-after", b"1")]}
    )
    await send({"type": "http.response.body", "body": b""})


class TroubledServer(DemoServer):
    def __init__(self, random: Random) -> None:
        super().__init__(Settings(access_token_seconds=LIFETIME))
        self._random = random
        self.sides: dict[str, Troubled] = {}

    def _gated(self, side: Any, app: ASGIApp) -> Any:
        gated = super()._gated(side, app)
        self.sides[side] = Troubled(gated, self._random, lambda: self.families_revoked)
        return self.sides[side]

    @property
    def tokens(self) -> Troubled:
        return self.sides["as"]

    def calm(self, *, calm: bool) -> None:
        for side in self.sides.values():
            side.quiet = calm


@dataclass
class Process:
    process: Any
    told: Connection
    sizes: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass
class Report:
    """`outcomes` of all requests; `wrong`: what may never happen, as a line each."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    killed: int = 0
    lost_with_their_process: int = 0
    refreshes: int = 0
    spurious: int = 0
    grown: tuple[int, int, int] = (0, 0, 0)

    def lines(self) -> Iterator[str]:
        requests = sum(self.outcomes.values())
        yield f"{requests} requests, {self.refreshes} refreshes, {self.spurious} spurious 401s"
        yield f"{self.killed} processes killed, {self.lost_with_their_process} answers with them"
        yield "at most {} MB, {} handles and {} threads more".format(*self.grown)
        for outcome, times in self.outcomes.most_common():
            yield f"{times:7} {outcome}"
        yield from (f"WRONG: {line}" for line in self.wrong)


class Soak:
    def __init__(
        self, home: Path, processes: int, servers: int, seed: int, pause: float = PAUSE
    ) -> None:
        self._home, self._count, self._random = home, processes, Random(seed)
        self._pause = pause
        self._servers = [TroubledServer(Random(seed + n)) for n in range(servers)]
        self._stack = ExitStack()
        self._running: dict[Connection, Process] = {}
        self._spans: dict[int, list[tuple[float, float]]] = defaultdict(list)  # without a login
        self._complaints: list[tuple[int, float, float, str]] = []
        self._killed: set[int] = set()
        self._seed = seed * 100_000
        self.report = Report()

    def run(self, seconds: float, kills: float = _USUAL_KILLS) -> Report:
        os.environ["MCP_CLIENT_AUTH_HOME"] = str(self._home)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.slow.crowd.soak_member"])
        with self._stack:
            for server in self._servers:
                self._stack.enter_context(server)
                self._log_in(server)
            self._stack.callback(self._end_all)
            for _ in range(self._count):
                self._start(context)
            end, next_kill = time.monotonic() + seconds, time.monotonic() + 2 * kills
            while time.monotonic() < end:
                self._hear(0.2)
                if time.monotonic() > next_kill:
                    next_kill += self._random.expovariate(1 / kills)
                    self._kill()
                    self._start(context)
            for server in self._servers:
                server.calm(calm=True)
            self._finish()
            self._judge()
        return self.report

    @property
    def _storage(self) -> Storage:
        return choose_storage("file")

    def _log_in(self, server: TroubledServer) -> None:
        server.calm(calm=True)
        browser = ScriptedBrowser()
        prompt = BrowserPrompt(open_url=browser)
        try:
            login(
                server.url,
                storage=self._storage,
                prompt=prompt,
                force=True,
                options=Options(patience=0),
            ).close()
        except Unavailable:  # it is kept: only the first answer is missing, on a busy machine
            pass
        except AuthError as error:
            self.report.wrong.append(f"a new login: {error}")
        browser.join(_PATIENCE)
        server.calm(calm=False)

    def _start(self, context: Any) -> None:
        ours, theirs = context.Pipe()
        self._seed += 1
        urls = [server.url for server in self._servers]
        process = context.Process(
            target=member, args=(theirs, urls, self._seed, self._pause), daemon=True
        )
        process.start()
        theirs.close()
        self._running[ours] = Process(process, ours)

    def _hear(self, seconds: float) -> None:
        for told in wait(list(self._running), seconds):
            assert isinstance(told, Connection)
            each = self._running[told]
            try:
                while told.poll():
                    self._heard(each, told.recv())
            except (EOFError, OSError):
                del self._running[told]
                each.process.join(_PATIENCE)
                if each.process.exitcode != 0:
                    self.report.wrong.append(f"a process ended with {each.process.exitcode}")

    def _heard(self, each: Process, value: tuple[Any, ...]) -> None:
        if len(value) == 3:
            each.sizes.append(value)
        elif len(value) == 4:
            where, began, ended, outcome = value
            self.report.outcomes[re.sub(r"https?://\S+", "URL", outcome)] += 1
            if outcome.startswith(("4", "LoginRequired", "TokenRefused")):
                self._complaints.append((where, began, ended, outcome))
            elif outcome not in ("200", "503", "broken") and not outcome.startswith("Unavailable"):
                self.report.wrong.append(outcome)

    def _kill(self) -> None:
        """Kill one process, and see whether the answer of a refresh has died with it."""
        told = self._random.choice(list(self._running))
        each = self._running.pop(told)
        began = time.monotonic()
        number = each.process.pid
        each.process.kill()
        each.process.join(_PATIENCE)
        told.close()
        self._killed.add(number)
        self.report.killed = len(self._killed)
        for where, server in enumerate(self._servers):
            until = time.monotonic() + _PATIENCE
            while server.tokens.busy[number] and time.monotonic() < until:
                self._hear(0.02)
            if self._lost(server, number):
                self._log_in(server)
                self._spans[where].append((began, time.monotonic()))
                self.report.lost_with_their_process += 1

    def _lost(self, server: TroubledServer, number: int) -> bool:
        """Whether a login was lost with the process that was killed: the answer of its refresh
        came to nobody, or its refresh was carried out after that of the next process."""
        if number in server.tokens.revoked_by:
            return True
        if server.tokens.holder != number:
            return False
        stored = self._storage.load(key_for(server.url))
        kept = stored.tokens.refresh_token if stored else None
        return kept is None or not kept.matches(server.tokens.latest)

    def _finish(self) -> None:
        for each in self._running.values():
            with suppress(OSError):
                each.told.send("end")
        until = time.monotonic() + _PATIENCE
        ended = list(self._running.values())
        while self._running and time.monotonic() < until:
            self._hear(0.2)
        if self._running:
            self.report.wrong.append(f"{len(self._running)} processes have not ended")
        for each in ended:
            self._grown(each.sizes[2:])

    def _grown(self, sizes: list[tuple[int, int, int]]) -> None:
        """From the first look after the start to the last."""
        if len(sizes) < 2:
            return
        first, last = sizes[0], sizes[-1]
        more = tuple(max(b - a, 0) for a, b in zip(first, last, strict=True))
        was = self.report.grown
        self.report.grown = (max(was[0], more[0]), max(was[1], more[1]), max(was[2], more[2]))

    def _judge(self) -> None:
        report = self.report
        report.refreshes = sum(s.token_requests("refresh_token") for s in self._servers)
        report.spurious = sum(s.sides["mcp"].spurious for s in self._servers)
        for where, began, ended, outcome in self._complaints:
            if not any(began <= end and ended >= start for start, end in self._spans[where]):
                report.wrong.append(f"server {where}, {ended - began:.1f} s: {outcome}")
        for server in self._servers:
            alive = [each for each in server.tokens.revoked_by if each not in self._killed]
            report.wrong += [f"process {each} came back with a token of before" for each in alive]
        for server in self._servers:
            report.wrong += self._works(server)
        limits = (_MORE_MEGABYTES, _MORE_HANDLES, _MORE_THREADS)
        if any(more > limit for more, limit in zip(report.grown, limits, strict=True)):
            report.wrong.append(f"a process has grown: {report.grown}")

    def _works(self, server: TroubledServer) -> Iterator[str]:
        """Whether a new program goes on with what is stored, over a renewal."""
        import httpx

        auth = MCPAuth(server.url, storage=self._storage, prompt=None)
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        with httpx.Client(auth=auth, timeout=_PATIENCE, trust_env=False) as client:
            for again in (False, True):
                if again:
                    server.expire_access_tokens()
                    time.sleep(LIFETIME / 2)  # a young token is tried twice
                try:
                    status = client.post(server.url, headers=HEADERS, json=message).status_code
                    if status != 200:
                        yield f"the login does not work in the end: {status}"
                except AuthError as error:
                    yield f"the login does not work in the end: {error}"

    def _end_all(self) -> None:
        for each in self._running.values():
            each.process.kill()
            each.process.join(_PATIENCE)
            each.told.close()


def soak(
    seconds: float, processes: int, servers: int, seed: int = 1, pause: float = PAUSE
) -> Report:
    with tempfile.TemporaryDirectory(prefix="soak-") as home:
        return Soak(Path(home), processes, servers, seed, pause).run(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.slow.crowd.soak")
    parser.add_argument("minutes", type=float)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--servers", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--pause", type=float, default=PAUSE, help="seconds between two requests of a thread"
    )
    wanted = parser.parse_args()
    report = soak(wanted.minutes * 60, wanted.processes, wanted.servers, wanted.seed, wanted.pause)
    print("\n".join(report.lines()))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
