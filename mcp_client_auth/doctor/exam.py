"""One examination: it sends what the checks ask for, keeps what came, and gives each check a limit.

A check is a generator of findings that may return what the next checks build on. One that
fails, hangs or is wrong itself becomes a finding, and the next one goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeVar

from ..errors import AuthError
from ..events import logger
from ..protocol.flow import Flow, HttpRequest, HttpResponse, Transport, run
from ..protocol.options import Options
from ..protocol.urls import origin_url
from ..secret import Secret
from .finding import Finding, failed

T = TypeVar("T")
Check: TypeAlias = Generator[Finding, None, T]
_POLL = 0.2


@dataclass(slots=True)
class Exam:
    """What an examination works with, and what it has gathered.

    `secrets` are those that no finding may show. By origin: `reached` are those that answered,
    `skews` the seconds that their clocks are ahead of ours, `tls` what the connections came to.
    `patience`: seconds for one check.
    """

    server_url: str
    options: Options
    transport: Transport
    patience: float
    clock: Callable[[], float] = time.time
    on_check: Callable[[str], None] = lambda name: None
    findings: list[Finding] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    skews: dict[str, float] = field(default_factory=dict)
    tls: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    _known: dict[str, HttpResponse | AuthError] = field(default_factory=dict, init=False)

    def send(self, request: HttpRequest) -> HttpResponse:
        """The answer; a plain GET is sent once, however many checks ask for it."""
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

    def follow(self, flow: Flow[T]) -> T:
        """Drive a flow of the protocol: what it says is what a login would do."""
        return run(flow, self.send)

    def perform(self, name: str, check: Check[T], patience: float | None = None) -> T | None:
        """Run a check to its end or its limit; None where it came to nothing."""
        self.on_check(name)
        work = _Work(self, name, check)
        limit = self.patience if patience is None else patience
        work.wait(limit)
        if not work.over.is_set():
            work.abandon()
            late = f"no end within {limit:g} s"
            self.add(Finding(name, "error", name, late, error="Unavailable"))
        value: T | None = work.value
        return value

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)

    def _sent(self, request: HttpRequest) -> HttpResponse:
        response = self.transport(request)
        self.reached.add(origin_url(response.url))
        try:
            there = parsedate_to_datetime(response.header("date")).timestamp()
            self.skews.setdefault(origin_url(response.url), there - self.clock())
        except (ValueError, TypeError, OverflowError):
            pass  # a server without a clock need not say so (RFC 9110 §6.6.1)
        return response


class _Work:
    """A check on a thread of its own, which can be left behind."""

    def __init__(self, exam: Exam, name: str, check: Check[Any]) -> None:
        self.over = threading.Event()
        self.value: Any = None
        self._exam, self._name, self._check = exam, name, check
        self._turn, self._abandoned = threading.Lock(), False
        threading.Thread(target=self._run, name=f"doctor {name}", daemon=True).start()

    def wait(self, limit: float) -> None:
        until = time.monotonic() + limit
        while not self.over.is_set() and (left := until - time.monotonic()) > 0:
            self.over.wait(min(left, _POLL))  # in pieces: Windows hears Ctrl-C between them

    def abandon(self) -> None:
        with self._turn:
            self._abandoned = True

    def _run(self) -> None:
        try:
            value = self._collect()
            with self._turn:
                self.value = None if self._abandoned else value
        except AuthError as error:
            self._tell(failed(self._name, error, error.url or self._name))
        except Exception as error:
            logger.debug("the check %s failed: %s", self._name, type(error).__name__)
            broken = f"the check itself failed: {type(error).__name__}"
            mend = "Report it with this report: it is a defect of mcp-client-auth"
            self._tell(Finding(self._name, "error", self._name, broken, remedy=mend))
        finally:
            self.over.set()

    def _collect(self) -> Any:
        while True:
            try:
                self._tell(next(self._check))
            except StopIteration as stop:
                return stop.value

    def _tell(self, finding: Finding) -> None:
        with self._turn:
            if not self._abandoned:
                self._exam.add(finding)
