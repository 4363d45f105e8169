"""A connection to one MCP server, over a client of httpx or httpx2 that brings the login."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from .. import __version__
from ..errors import AuthError, Unavailable
from ..origin import shown
from ..transport.faults import Place, fault
from .exchange import (
    ENDED,
    SESSION,
    BeginOlder,
    Head,
    Plan,
    Send,
    Server,
    Step,
    Wait,
    call,
    exchange,
    farewell,
)
from .messages import Message, is_request, reply_to
from .open_exchange import OpenExchange, Stopped

if TYPE_CHECKING:
    from .older import OlderSession

T = TypeVar("T")
_PATIENCE: Final = 300.0
_FAREWELL: Final = 2.0
_LATE: Final = "timeout"
_OLDER: Final = "http+sse-"


class Connection:
    """Requests to the server at `url`. Safe from any thread.

    `client` sends them, with its own authorization; its maker closes it. `timeout`: seconds until
    the answer to a request must be there. `on_message` is called with each message that comes
    beside the answer. `fault_of` turns an error of the client into one of ours.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        *,
        timeout: float = _PATIENCE,
        on_message: Callable[[Message], None] = lambda message: None,
        fault_of: Callable[[Exception], AuthError] | None = None,
    ) -> None:
        self.server = Server(url, {"name": "mcp-client-auth", "version": __version__})
        self._client, self._timeout, self._on_message = client, timeout, on_message
        self._older: dict[str, OlderSession] = {}
        self._fault_of = fault_of or (lambda error: fault(error, Place(url, timeout)))
        roots = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
        library = sys.modules[next(root for root in roots if root in ("httpx", "httpx2"))]
        self._errors: tuple[type[Exception], ...] = (
            library.HTTPError,
            library.InvalidURL,
            UnicodeError,  # a host that is not a name (RFC 5891)
            Unavailable,
        )

    def request(
        self, method: str, params: Message | None = None, headers: Mapping[str, str] | None = None
    ) -> Message:
        """The result of a request. Raises any `AuthError`; `ServerError` is the server's own."""
        return self.run(call(self.server, method, params or {}, headers))

    def run(
        self, plan: Plan[T], timeout: float | None = None, via: OpenExchange | None = None
    ) -> T:
        """Carry out a plan of `exchange`, blocking, until it ends or the time is up. Only the
        server's time counts, not that of a login.

        `via`: what sends its requests, if another thread may stop it; raises `Stopped` then.
        """
        patience = self._timeout if timeout is None else timeout
        via = via or OpenExchange(self._client, self.server.url)
        began = time.monotonic() - via.waited  # for an earlier plan
        with closing(plan), closing(via) as open_exchange:
            try:
                step = next(plan)
                while True:
                    try:
                        left = patience - (time.monotonic() - began - via.waited)
                        if left <= 0 or (isinstance(step, Wait) and step.seconds >= left):
                            raise self._late(patience)
                        if isinstance(step, dict):
                            self._take(step, left)
                            given = None
                        else:
                            given = self._done(step, left, open_exchange)
                    except self._errors as error:
                        if open_exchange.stopped:
                            raise Stopped from None
                        late = time.monotonic() - began - via.waited >= patience
                        if late or getattr(error, "code", "") == _LATE:
                            raise self._late(patience) from None
                        step = plan.throw(self._ours(error))
                    else:
                        step = plan.send(given)
            except StopIteration as end:
                result: T = end.value
                return result

    def _done(self, step: Step, left: float, by: OpenExchange) -> Head | bytes | None:
        if isinstance(step, BeginOlder):
            return self._begun(step, left, by)
        if not isinstance(step, Send):
            return by.do(step, left)
        identity = step.headers.get(SESSION, "")
        if session := self._older.get(identity):
            head = session.carry(step, by, left)
            if session.ended:
                self._older.pop(identity, None)
            return head
        if identity.startswith(_OLDER):  # another request has learned that it has ended
            return Head(404, {})
        return by.do(step, left)

    def _begun(self, step: BeginOlder, left: float, by: OpenExchange) -> Head:
        """Begin a session over HTTP+SSE; it replaces an earlier one."""
        from .older import OlderSession

        stream = by.another()
        session = OlderSession(f"{_OLDER}{next(self.server.numbers)}", stream)
        plan = session.stream(dict(step.headers))
        threading.Thread(
            target=self._bring, args=(session, plan, stream), daemon=True, name="events"
        ).start()
        try:
            head = session.begin(by, left)
        except BaseException:
            session.end()
            raise
        if not session.ended:
            for each in self._older.values():
                each.end()
            self._older = {session.identity: session}
        return head

    def _bring(self, session: OlderSession, plan: Plan[None], stream: OpenExchange) -> None:
        why = None
        try:
            self.run(plan, math.inf, stream)
        except AuthError as error:
            why = error
        except Stopped:
            pass
        except RuntimeError:  # the client was closed
            if not session.ended:
                raise
        finally:
            session.end(why)

    def _ours(self, error: Exception) -> AuthError:
        """An error of the client as one of ours; what was sent may have been done all the same."""
        if isinstance(error, Unavailable):
            return error
        ours, connecting = self._fault_of(error), type(error).__name__.startswith("Connect")
        if ours.code == Unavailable.default_code and not connecting:
            ours.advised(ENDED)
        return ours

    def _late(self, patience: float) -> Unavailable:
        return Unavailable(
            f"no answer within {patience:g} s", url=self.server.url, code=_LATE, hint=ENDED
        )

    def _take(self, message: Message, left: float) -> None:
        """Take a message beside the answer. A request gets an answer, whose failure is ignored;
        from 2026-07-28 on there is none (transports, “Receiving Messages”)."""
        self._on_message(message)
        if is_request(message) and not self.server.stateless:
            with suppress(AuthError):
                self.run(exchange(self.server, reply_to(message)), left)

    def close(self) -> None:
        """End the session at the server, if there is one; a failure is ignored."""
        with suppress(AuthError):
            self.run(farewell(self.server), _FAREWELL)
        for session in self._older.values():
            session.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Connection({shown(self.server.url)!r}, version={self.server.version!r})"
