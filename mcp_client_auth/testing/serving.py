"""Serves ASGI applications on sockets that are already bound, on a daemon thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

_PATIENCE = 10.0
_GRACE = 1.0  # for answers that are under way at the end
_TICK, _TICKS, _PAUSE = 0.1, 864_000, 0.002
_TURNS = 10


def bound_socket(port: int = 0, backlog: int | None = 128) -> socket.socket:
    """A listening socket on 127.0.0.1: clients wait in its queue until the server runs.
    Without a `backlog` it does not listen: a connection is refused, and the port is kept."""
    # the protocol is named: only then does asyncio turn off Nagle's algorithm, which delays each
    # answer on a kept-open connection by 40 ms
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there the option would let two servers share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        if backlog is not None:
            bound.listen(backlog)
    except OSError:
        bound.close()
        raise
    return bound


class _Server(uvicorn.Server):
    """Ends once it is told to; uvicorn's own checks ten times a second, and then waits again."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % _TICKS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for bound in sockets or ():
            bound.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline, state = time.monotonic() + _GRACE, self.server_state
        while (state.connections or state.tasks) and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE)
        for task in state.tasks:
            task.cancel()


class Serving:
    """One thread, one event loop, a uvicorn server for each socket."""

    def __init__(self, make_apps: Callable[[], Sequence[tuple[ASGIApp, socket.socket]]]) -> None:
        self._make_apps = make_apps
        self._servers: list[_Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="demo-server", daemon=True)

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the server."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + _PATIENCE
        while not (self._servers and all(server.started for server in self._servers)):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the demo server did not start") from self._failure
            time.sleep(_PAUSE)

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has already ended
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join(_PATIENCE)

    def _end(self) -> None:
        self._closing.set()
        for server in self._servers:
            server.should_exit = True

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:
            self._failure = failure

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        apps = self._make_apps()
        self._servers = [_Server(_config(app), self._closing) for app, _ in apps]
        serving = zip(self._servers, apps, strict=True)
        try:
            await asyncio.gather(*(server.serve([bound]) for server, (_, bound) in serving))
        finally:
            await self._hang_up()
            for _, bound in apps:
                bound.close()

    async def _hang_up(self) -> None:
        # a request that was cut short leaves its connection open, and one that came with the end
        # becomes a connection some turns of the loop later
        for _ in range(_TURNS):
            for server in self._servers:
                for connection in list(server.server_state.connections):
                    transport = getattr(connection, "transport", None)
                    if isinstance(transport, asyncio.Transport):
                        transport.abort()
            await asyncio.sleep(0)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        # uvicorn's 5 s would close a connection just as a slow machine sends its next request on it
        timeout_keep_alive=120,
    )
