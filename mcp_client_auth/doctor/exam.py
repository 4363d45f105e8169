"""One examination: it sends what the checks ask for, keeps what came, and limits each check.

A check is a generator of findings that may return what the next checks build on. One that
fails, hangs or is wrong itself becomes a finding, and the next one goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from .. import __version__
from ..errors import AuthError
from ..events import Listener, logger
from ..origin import origin_url, shown
from ..protocol.flow import Flow, HttpRequest, HttpResponse, Transport, run
from ..protocol.options import Options
from ..protocol.times import http_date
from ..protocol.urls import ServerUrl
from ..secret import Secret
from ..threads import done_within
from ..transport import HttpTransport
from .clients.verdict import ClientVerdict
from .products import product_of
from .report import Finding, Question, Report

T = TypeVar("T")
Check: TypeAlias = Generator[Finding, None, T]
TlsSeen: TypeAlias = dict[str, tuple[str, dict[str, Any]]]


@dataclass(slots=True)
class Exam:
    """What an examination works with, and what it has gathered.

    `secrets` are those that no finding may show. By origin: `reached` are those that answered,
    `skews` the seconds that their clocks are ahead of ours, `tls` version and certificate of the
    connections, `products` what answers in front. `patience`: seconds for one check. `endpoint`
    is where the server's URL leads to. `cause`: the finding that a login ends at. `clients`: what
    other clients would meet.
    """

    server_url: ServerUrl
    options: Options
    transport: Transport
    patience: float
    clock: Callable[[], float] = time.time
    on_check: Callable[[str], None] = lambda name: None
    endpoint: str = ""
    findings: list[Finding] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    skews: dict[str, float] = field(default_factory=dict)
    tls: TlsSeen = field(default_factory=dict)
    clients: tuple[ClientVerdict, ...] = ()
    products: dict[str, str] = field(default_factory=dict)
    cause: Finding | None = None
    _known: dict[str, HttpResponse | AuthError] = field(default_factory=dict, init=False)

    @classmethod
    def over_http(
        cls,
        url: str,
        options: Options,
        on_check: Callable[[str], None],
        requests: int,
        **connection: Any,
    ) -> Exam:
        """With the default transport. Whether `url` is one of a server is left to a check.

        `requests`: how many a check may wait for, one after the other.
        """
        seen: TlsSeen = {}

        def on_tls(url: str, connection: Any) -> None:
            if connection is not None:
                certificate = dict(connection.getpeercert() or {})
                seen[origin_url(url)] = str(connection.version()), certificate

        transport = HttpTransport(url, options, on_tls=on_tls, **connection)
        patience = requests * options.http_timeout + 1
        return cls(
            ServerUrl(url), options, transport, patience, on_check=on_check, endpoint=url, tls=seen
        )

    def report(self) -> Report:
        """What there is to show. Only at the end all secrets are known: a server may repeat early
        what it was sent in another life."""
        findings = tuple(finding.fit(self.secrets) for finding in self.findings)
        clients = tuple(verdict.fit(self.secrets) for verdict in self.clients)
        cause = self.findings.index(self.cause) if self.cause in self.findings else -1
        server = shown(self.server_url) if self.server_url else ""
        return Report(server, __version__, findings, clients, cause)

    def ask(self, check: str, requested: str, standard: str = "", where: str = "") -> Question:
        """A question about the server, whose remedies name it and the product in front of it."""
        return Question(check, requested, standard, where, self.server_url, self.products)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Keep the connections of the default transport meanwhile, and what it learns."""
        flow = getattr(self.transport, "flow", None)
        if flow is None:
            yield
            return
        with flow() as transport:
            outside, self.transport = self.transport, transport
            try:
                yield
            finally:
                self.transport = outside

    def send(self, request: HttpRequest) -> HttpResponse:
        """The response; a plain GET is sent once, however many checks ask for it."""
        if request.method != "GET" or "Origin" in request.headers:
            return self._sent(request)
        if request.url not in self._known:
            try:
                self._known[request.url] = self._sent(request)
            except AuthError as error:
                self._known[request.url] = error
        known = self._known[request.url]
        if isinstance(known, AuthError):
            raise known.fresh()
        return known

    def follow(self, flow: Flow[T], on_event: Listener | None = None) -> T:
        """Drive a flow of the protocol: its result is what a login would get."""
        return run(flow, self.send, on_event)

    def perform(self, name: str, check: Check[T], patience: float | None = None) -> T | None:
        """Run a check to its end or its limit; None where it came to nothing.

        It has a thread of its own, which is left behind at the limit, and with it what it finds
        from then on.
        """
        self.on_check(name)
        findings: list[Finding] = []
        result: Future[T | None] = Future()

        def work() -> None:
            value = None
            try:
                while True:
                    findings.append(next(check))
            except StopIteration as stop:
                value = stop.value
            except AuthError as error:
                findings.append(self.ask(name, error.url or name).failed(error))
            except Exception as error:
                logger.debug("the check %s failed: %s", name, type(error).__name__)
                broken = f"the check itself failed: {type(error).__name__}"
                remedy = "Report it with this report: it is a defect of mcp-client-auth"
                findings.append(self.ask(name, name).finding("error", broken, remedy=remedy))
            finally:
                result.set_result(value)

        threading.Thread(target=work, name=f"doctor {name}", daemon=True).start()
        limit = self.patience if patience is None else patience
        done = done_within(result, limit)
        self.findings += tuple(findings)
        if done:
            return result.result()
        late = f"no end within {limit:g} s"
        self.findings.append(self.ask(name, name).finding("error", late, error="Unavailable"))
        return None

    def _sent(self, request: HttpRequest) -> HttpResponse:
        response = self.transport(request)
        self.reached.add(origin_url(response.url))
        if product := product_of(response):
            self.products.setdefault(origin_url(response.url), product)
        there = http_date(response.header("date"))  # none without a clock (RFC 9110 §6.6.1)
        if there is not None:
            self.skews.setdefault(origin_url(response.url), there - self.clock())
        return response
