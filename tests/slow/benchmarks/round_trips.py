"""Round trips of a first login over https, ours and that of the official SDK's client.

What is counted is how much later the caller's first request is answered over the network that
`network.py` makes than over one without a distance, in its round trips: all those that something
waits for, and no processor time. The person's browser is open and connected already, and their
own POST of the consent page, a round trip, is left out.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_client_auth import BrowserPrompt, HttpTransport, MCPAuth, MemoryStorage
from mcp_client_auth.testing import DemoServer
from mcp_client_auth.testing.settings import Addresses
from tests.slow.benchmarks.counts import HEADERS, LIST, OpenBrowser
from tests.support.mutual_tls import Authority
from tests.support.ports import free_port

SDK = importlib.util.find_spec("mcp") is not None and importlib.util.find_spec("httpx2") is not None


class Far(DemoServer):
    """Both servers of a demo, reached by the ports of a network: one origin, or two."""

    def __init__(self, ports: tuple[int, int], fronts: tuple[int, ...]) -> None:
        super().__init__()
        self._ports, self._fronts = ports, fronts

    def _where(self) -> Addresses:
        mcp, issuer = self._fronts[0], self._fronts[-1]
        return Addresses(f"https://127.0.0.1:{mcp}", f"https://127.0.0.1:{issuer}")

    def _apps(self) -> tuple[ASGIApp, ASGIApp]:
        """Either answers for both, so that one origin can be all there is."""
        mcp, issuer = super()._apps()

        async def both(scope: Scope, receive: Receive, send: Send) -> None:
            own = scope["path"].endswith("/mcp")
            await (mcp if own else issuer)(scope, receive, send)

        return both, both


class Unhurried(HttpTransport):
    """One that connects when it has something to send."""

    __slots__ = ()
    ahead = None  # type: ignore[assignment]


class Person(OpenBrowser):
    """Their browser is connected to the sign-in page's server."""

    def __init__(self, trusted: ssl.SSLContext, issuer: str) -> None:
        super().__init__()
        self._http.close()
        self._http = httpx.Client(
            verify=trusted, trust_env=False, follow_redirects=True, timeout=20
        )
        self._http.get(issuer)


@dataclass(frozen=True, slots=True)
class Distance:
    """A server so far away, and whom to trust there."""

    server: Far
    trusted: ssl.SSLContext

    def seconds(self, login: Callable[[Distance, Person], None]) -> float:
        """Of one first login."""
        person = Person(self.trusted, self.server.issuer)
        try:
            began = time.perf_counter()
            login(self, person)
            took = time.perf_counter() - began
        finally:
            person.close()
        return took


@contextmanager
def distance(folder: Path, rtt: float, *, elsewhere: bool) -> Iterator[Distance]:
    folder.mkdir(parents=True)
    authority = Authority(folder)
    ports = free_port(), free_port()
    script = str(Path(__file__).with_name("network.py"))
    behind = [str(port) for port in ports[: 2 if elsewhere else 1]]
    command = [sys.executable, script, str(rtt), *authority.issue("server"), *behind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as network:
        assert network.stdout
        try:
            fronts = tuple(int(port) for port in network.stdout.readline().split())
            with Far(ports, fronts) as server:
                trusted = ssl.create_default_context(cafile=authority.file)
                yield Distance(server, trusted)
        finally:
            network.terminate()


def ours(there: Distance, person: Person, kind: type[HttpTransport] = HttpTransport) -> None:
    url = there.server.url
    auth = MCPAuth(
        url,
        storage=MemoryStorage(),
        prompt=BrowserPrompt(open_url=person),
        transport=kind(url, verify=there.trusted),
    )
    with httpx.Client(auth=auth, verify=there.trusted, trust_env=False, timeout=30) as client:
        client.post(url, json=LIST, headers=HEADERS).raise_for_status()


def unhurried(there: Distance, person: Person) -> None:
    """The same where no connection is made before it is known to be needed."""
    ours(there, person, Unhurried)


def official(there: Distance, person: Person) -> None:
    asyncio.run(_official(there, person))


async def _official(there: Distance, person: Person) -> None:
    import httpx2
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

    arrived: asyncio.Future[dict[str, list[str]]] = asyncio.get_running_loop().create_future()

    async def callback(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readline()).split()[1].decode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        arrived.set_result(parse_qs(urlsplit(target).query))

    async def result() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**{k: v[0] for k, v in (await arrived).items()})

    async def visit(url: str) -> None:
        person(url)

    async with await asyncio.start_server(callback, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        metadata = OAuthClientMetadata.model_validate(
            {"redirect_uris": [f"http://127.0.0.1:{port}/callback"], "client_name": "benchmark"}
        )
        url = there.server.url
        auth = OAuthClientProvider(url, metadata, Kept(), visit, result)
        async with httpx2.AsyncClient(
            auth=auth, verify=there.trusted, trust_env=False, timeout=30
        ) as client:
            (await client.post(url, json=LIST, headers=HEADERS)).raise_for_status()


class Kept:
    """Where the SDK's client keeps what it got."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


def measured(folder: Path, rtt: float, times: int, *, elsewhere: bool) -> dict[str, float]:
    """Of each way to log in: the median of what the distance adds, each time side by side."""
    ways = {"likely": ours, "in general": unhurried, **({"official": official} if SDK else {})}
    added: dict[str, list[float]] = {name: [] for name in ways}
    with (
        distance(folder / "near", 0.0, elsewhere=elsewhere) as near,
        distance(folder / "far", rtt, elsewhere=elsewhere) as far,
    ):
        for login in ways.values():
            near.seconds(login)  # what is loaded by the first
        for _ in range(times):
            for name, login in ways.items():
                added[name].append((far.seconds(login) - near.seconds(login)) / rtt - 1)
    return {name: statistics.median(found) for name, found in added.items()}
