"""One examination: it sends what the checks ask for, keeps the answers, and limits each check.

A check is a generator of findings that may return what the next checks build on. If one fails,
hangs or has a bug, that becomes a finding, and the next one runs.
"""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, TypeVar

from .. import __version__
from ..errors import AuthError, Untrusted
from ..events import Listener, logger
from ..origin import origin_url, shown
from ..protocol.discovery import Discovery
from ..protocol.flow import Flow, HttpRequest, HttpResponse, Transport, run
from ..protocol.options import Options
from ..protocol.times import http_date
from ..protocol.urls import ServerUrl
from ..secret import Secret
from ..threads import done_within
from ..transport import HttpTransport
from ..transport.addresses import Addresses
from .clients.verdict import ClientVerdict
from .products import product_of
from .report import Finding, Question, Report

T = TypeVar("T")
Check: TypeAlias = Generator[Finding, None, T]
_SLOW: Final = 4.0  # seconds
TlsSeen: TypeAlias = dict[str, tuple[str, dict[str, Any]]]


@dataclass(slots=True)
class Exam:
    """What an examination works with, and what it has gathered.

    `secrets`: those that no finding may show. By origin: `reached` are those that answered,
    `skews` the seconds that their clocks are ahead of ours, `tls` the version and certificate of
    their connections, `products` what answers in front of them. `patience`: seconds for one check.
    `endpoint`: where the server's URL leads. `cause`: the finding that ends a login. `clients`:
    what other clients would meet. `unproven`: the origins whose certificate is not trusted;
    `behind`: the transport that reads from them anyway. `created`: the status of a POST, by its
    URL. `slow`: the seconds that late answers took, by method and URL. `discovery`: what a login
    has found.
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
    unproven: set[str] = field(default_factory=set)
    behind: Transport | None = None
    created: dict[str, int] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    discovery: Discovery | None = None
    _known: dict[tuple[str, str, bytes], HttpResponse | AuthError] = field(
        default_factory=dict, init=False
    )

    @classmethod
    def over_http(
        cls,
        url: str,
        options: Options,
        on_check: Callable[[str], None],
        requests: int,
        **connection: Any,
    ) -> Exam:
        """Use the default transport. Whether `url` is that of a server is left to a check.

        `requests`: how many a check may wait for in sequence.
        """
        seen: TlsSeen = {}

        def on_tls(url: str, connection: Any) -> None:
            if connection is not None:
                certificate = dict(connection.getpeercert() or {})
                seen[origin_url(url)] = str(connection.version()), certificate

        transport = HttpTransport(url, options, on_tls=on_tls, **connection)
        patience = requests * options.http_timeout + 1
        return cls(
            ServerUrl(url),
            options,
            transport,
            patience,
            on_check=on_check,
            endpoint=url,
            tls=seen,
            behind=_unverified(url, options, connection.get("proxy")),
        )

    def report(self) -> Report:
        """Return what there is to show. All secrets are known only at the end: a server's early
        answer may repeat what it was sent on another occasion."""
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
        outside, behind = self.transport, self.behind
        with ExitStack() as open_flows:
            if flow := getattr(outside, "flow", None):
                self.transport = open_flows.enter_context(flow())
            if flow := getattr(behind, "flow", None):
                self.behind = open_flows.enter_context(flow())
            try:
                yield
            finally:
                self.transport, self.behind = outside, behind

    def send(self, request: HttpRequest) -> HttpResponse:
        """The response, as a login gets it; a plain GET and the request without a token are sent
        once, however many checks ask for them."""
        return self._once(request, self._sent)

    def look(self, request: HttpRequest) -> HttpResponse:
        """The same, read also from a host whose certificate is not trusted: a place for metadata
        or the request without a token, which carry no secret (RULES, Discovery and Traffic)."""
        try:
            return self.send(request)
        except Untrusted as error:
            if error.code != "certificate" or self.behind is None or not _is_public(request):
                raise
            self.unproven.add(origin_url(request.url))
            bare = replace(request, redirects=False, gateway={}, to_issuer=False)
            response = self._once(bare, self.behind, "unproven ")
            # the addresses that either transport connected to count in this examination: whom the
            # server may name does not depend on its certificate
            ours = getattr(self.transport, "addresses", None)
            theirs = getattr(self.behind, "addresses", None)
            if isinstance(ours, Addresses) and isinstance(theirs, Addresses):
                ours.learn(theirs)
            return response

    def is_unproven(self, url: str) -> bool:
        """Whether what was read there proves nothing, so that nothing else may go there."""
        try:
            return origin_url(url) in self.unproven
        except ValueError:
            return False

    def _once(self, request: HttpRequest, send: Transport, how: str = "") -> HttpResponse:
        headers = {name.lower() for name in request.headers}
        asks = request.method == "GET" or request.repeatable
        if not asks or headers & {"origin", "authorization", "mcp-session-id", "user-agent"}:
            return send(request)
        key = how + request.method, request.url, request.body
        if key not in self._known:
            try:
                self._known[key] = send(request)
            except AuthError as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, AuthError):
            raise known.fresh()
        return known

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """As the transport of a login's own steps."""
        return self.send(request)

    def check(self, url: str) -> None:
        """The login's own check of a page that a browser is to open."""
        own = getattr(self.transport, "check", None)
        (own or Addresses(self.server_url, self.options).check_page)(url)

    def follow(
        self, flow: Flow[T], on_event: Listener | None = None, *, looking: bool = False
    ) -> T:
        """Drive a protocol flow and return what a login would get. `looking`: also read behind a
        certificate that is not trusted."""
        return run(flow, self.look if looking else self.send, on_event)

    def perform(self, name: str, check: Check[T], patience: float | None = None) -> T | None:
        """Run a check to its end or its time limit; None if it has no result.

        It runs in a thread of its own, which is abandoned at the limit. Whatever it finds after
        that is lost.
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
        self.findings += [self._marked(finding) for finding in tuple(findings)]
        if done:
            return result.result()
        late = f"no end within {limit:g} s"
        self.findings.append(self.ask(name, name).finding("error", late, error="Unavailable"))
        return None

    def _marked(self, finding: Finding) -> Finding:
        """Mark the finding if it was read from a host that is not proven."""
        texts = f"{finding.requested} {finding.where} "
        read = any(f"{origin}/" in texts or f"{origin} " in texts for origin in self.unproven)
        proved = finding.fault.startswith("certificate")
        return replace(finding, unproven=True) if read and not proved else finding

    def _sent(self, request: HttpRequest) -> HttpResponse:
        response = self.transport(request)
        if response.seconds > _SLOW:
            self.slow[f"{request.method} {request.url}"] = response.seconds
        if request.method == "POST":
            self.created[request.url] = response.status
        self.reached.add(origin_url(response.url))
        if product := product_of(response):
            self.products.setdefault(origin_url(response.url), product)
        there = http_date(response.header("date"))  # none without a clock (RFC 9110 §6.6.1)
        if there is not None:
            self.skews.setdefault(origin_url(response.url), there - self.clock())
        return response


def _is_public(request: HttpRequest) -> bool:
    """Whether a request may go to a host that is not proven: it contains no one's secret."""
    if any(name.lower() == "authorization" for name in request.headers):
        return False
    place = request.method == "GET" and "/.well-known/" in request.url
    return place or (request.method == "POST" and request.repeatable)


def _unverified(url: str, options: Options, proxy: str | None) -> Transport | None:
    """A transport without a client certificate that trusts any host; None where it would have to
    trust any proxy, too, which may be given a password."""
    proxies = [proxy] if proxy else list(urllib.request.getproxies().values())
    if any(each.lower().startswith("https:") for each in proxies):
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HttpTransport(url, options, verify=context, proxy=proxy)
