"""The network of a fleet: hosts that are network namespaces, or processes if none can be made.

Each host reaches the engine by its own link, which can be cut. The servers listen on loopback, and
each host reaches them at the same addresses of its own loopback.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from tests.support.namespaces import missing

_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_NETWORK: Final = 0x40000000  # CLONE_NEWNET
_PIECE: Final = 65536


class Relay:
    """Passes bytes from listening sockets to ports of loopback, unless it is `cut`."""

    def __init__(self) -> None:
        self.passed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def listen(self, at: socket.socket, port: int) -> None:
        async def serve() -> None:
            async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._pass(reader, writer, port)

            self._servers.append(await asyncio.start_server(passing, sock=at))

        asyncio.run_coroutine_threadsafe(serve(), self._loop).result(30)

    def cut(self) -> None:
        """Nothing arrives any more, and neither side is told."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.set)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await self._whole.wait()
            there, back = await asyncio.open_connection("127.0.0.1", port)
            for each in (writer, back):
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        writer.close()
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_PIECE):
                await self._whole.wait()
                self.passed += len(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            if task:
                task.cancel()
        await asyncio.sleep(0.05)


class Way(NamedTuple):
    """One host: what its commands begin with, the engine's address from there, and the link to it.

    `serve` makes a port of this machine's loopback reachable on the host's own.
    """

    command: Sequence[str]
    engine: Callable[[str], str]
    cut: Callable[[], None]
    mend: Callable[[], None]
    serve: Callable[[int], None]


class Network:
    """`addresses`: where an engine must listen for the hosts to reach it."""

    def __init__(self, ways: Sequence[Way], addresses: Sequence[str], words: str) -> None:
        self.ways, self.addresses, self.words = ways, addresses, words


@contextmanager
def network(hosts: int) -> Iterator[Network]:
    with ExitStack() as open_now:
        if missing():
            yield Network([_near(open_now) for _ in range(hosts)], [], "processes")
            return
        high, low = divmod(os.getpid(), 128)  # another run has other addresses
        ways, addresses = [], []
        for number in range(hosts):
            subnet = f"10.{64 + low}.{high % 32 * 8 + number}"
            addresses.append(f"{subnet}.1")
            ways.append(_far(open_now, number, f"{subnet}.1", f"{subnet}.2"))
        yield Network(ways, addresses, "network namespaces")


def _near(open_now: ExitStack) -> Way:
    """A host of processes on this machine, which reach the engine through a relay."""
    relay = open_now.enter_context(Relay())
    known: dict[int, int] = {}

    def engine(url: str) -> str:
        port = urlsplit(url).port or 0
        if port not in known:
            listening = socket.create_server(("127.0.0.1", 0))
            known[port] = listening.getsockname()[1]
            relay.listen(listening, port)
        return url.replace(f":{port}", f":{known[port]}")

    return Way((), engine, relay.cut, relay.mend, lambda _: None)


def _far(open_now: ExitStack, number: int, own: str, theirs: str) -> Way:
    name, link = f"mcp-fleet-{os.getpid()}-{number}", f"m{os.getpid()}n{number}"
    peer = link.replace("n", "p")
    _ip("netns", "add", name)
    open_now.callback(_ip, "netns", "del", name)
    _ip("link", "add", link, "type", "veth", "peer", "name", peer, "netns", name)
    _ip("addr", "add", f"{own}/30", "dev", link)
    _ip("link", "set", link, "up")
    _ip("-n", name, "addr", "add", f"{theirs}/30", "dev", peer)
    for each in ("lo", peer):
        _ip("-n", name, "link", "set", each, "up")
    relay = open_now.enter_context(Relay())

    def serve(port: int) -> None:
        relay.listen(_inside(name, port), port)

    return Way(
        (shutil.which("ip", path=_PATH) or "ip", "netns", "exec", name),
        lambda url: url.replace("127.0.0.1", own),
        lambda: _ip("link", "set", link, "down"),  # the end away from the host, which is not told
        lambda: _ip("link", "set", link, "up"),
        serve,
    )


def _inside(name: str, port: int) -> socket.socket:
    """A socket that listens on a namespace's loopback; any thread may accept from it."""
    made: list[socket.socket] = []

    def make() -> None:
        with open(f"/var/run/netns/{name}") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NETWORK):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=make)  # it ends in that namespace
    thread.start()
    thread.join()
    return made[0]


def _ip(*words: str) -> None:
    environ = {**os.environ, "PATH": _PATH}
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=90, env=environ)
    assert done.returncode == 0, done.stderr
