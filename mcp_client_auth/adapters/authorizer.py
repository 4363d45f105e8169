"""The authorization of one request as a plan that knows no HTTP library.

The plan is a generator: it yields what to send (`Send`), and is resumed with the status and the
response, or a Future to wait for. Its value is the error behind the last answer, if there is
one. An adapter carries the plan out with its library's own requests; all OAuth traffic has a
client of its own. Every decision is made here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, MutableMapping
from functools import cached_property, partial
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    NoReturn,
    Self,
    TypeAlias,
    Unpack,
)

from ..errors import AuthError, InsecureUrl, UsageError
from ..events import Event, logger, tell
from ..origin import same_origin, shown
from ..protocol.frozen import replace
from ..protocol.urls import ServerUrl, canonical
from ..secret import MaskedText
from ..session.open import Arguments, open_session, require_usable, shows_arguments

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..credential import Credential
    from ..protocol.flow import HttpResponse
    from ..protocol.probe import ServerAnswer
    from ..secret import Secret
    from ..session.session import Session
    from ..storage import Storage
    from .rpc import Reply

OnFailure: TypeAlias = Literal["raise", "response", "rpc"]
NOT_PICKLED: Final = "this {} is not pickled; make one in each process, they share the stored login"
NOTHING: Final[Mapping[str, str]] = {}
_NONE_YET: Final[dict[str, bool]] = {}
_KNOWN_URLS: Final = 64  # a URL may have 60,000 characters
_KNOWN_TOKENS: Final = 8


class Send:
    """Send the request with these headers; those that are None are removed. Its repr has no token.

    `gateway`: more headers, which go to this URL alone: no redirect may carry them.
    """

    __slots__ = ("gateway", "headers")
    redirected = False

    def __init__(
        self, headers: Mapping[str, str | None], gateway: Mapping[str, str] = NOTHING
    ) -> None:
        self.headers, self.gateway = headers, gateway


class SendRedirected(Send):
    """Send the request that redirects have led to, as it was last answered."""

    __slots__ = ()
    redirected = True


def set_headers(headers: MutableMapping[str, str], send: Send) -> None:
    """Set the headers, masked: tools that report an error show the headers in a frame."""
    for name, value in send.headers.items():
        if value is None:
            headers.pop(name, None)
        else:
            headers[name] = MaskedText(value)


def add_gateway(headers: MutableMapping[str, str], send: Send) -> list[str]:
    """Add the gateway's headers that the caller has not set; return the names of those added."""
    added = [name for name in send.gateway if name not in headers]
    for name in added:
        headers[name] = MaskedText(send.gateway[name])
    return added


def read_body(body: Any) -> bytes | None:
    """The body as bytes that can be sent again: a file or an iterator can be read only once."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read() if hasattr(body, "read") else b"".join(body))


def next_step(plan: Plan, answered: Answered | None = None) -> Step:
    """What to do next; at the end of the plan its value."""
    try:
        return plan.send(answered)
    except StopIteration as end:
        failure: AuthError | None = end.value
        return failure


def next_send(plan: Plan, answered: Answered | None = None) -> Send | AuthError | None:
    """The next `Send`, or the plan's value, for a thread that may block."""
    step = next_step(plan, answered)
    while step is not None and not isinstance(step, Send | AuthError):
        step = next_step(plan)
    return step


class Answer(NamedTuple):
    """What is needed of an answer to judge a refusal; the body is not read.

    `method` and `url` are those of the request that was answered, after the redirects that the
    client has followed; `first_url` is where the first answer on the way came from, or empty.
    """

    status: int
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    first_url: str = ""


Answered: TypeAlias = tuple[int, Any]  # the status, and the response of the HTTP library
Step: TypeAlias = "Send | Future[Any] | AuthError | None"
Plan: TypeAlias = "Generator[Send | Future[Any], Any, AuthError | None]"
_Retried: TypeAlias = (
    "Generator[Send | Future[Any], Any, tuple[Credential | None, Answered, AuthError | None]]"
)
_Proved: TypeAlias = "Generator[Send | Future[Any], Any, Answered]"


class Authorizer:
    """What the adapters have in common: one login, its plan for a request, and its end."""

    modes: ClassVar[tuple[OnFailure, ...]] = ("raise", "response", "rpc")
    opening: ClassVar[Callable[..., Session]] = staticmethod(open_session)

    @shows_arguments
    def __init__(
        self, url: str, *, on_failure: OnFailure = "raise", **arguments: Unpack[Arguments]
    ) -> None:
        if on_failure not in self.modes:
            raise UsageError(f"on_failure is one of {', '.join(map(repr, self.modes))}")
        require_usable(type(self).__name__, url, arguments)
        self._open = partial(self.opening, url, **arguments)
        self.last_error: AuthError | None = None
        self._on_failure = on_failure
        self.automatic = arguments.get("prompt", "auto") == "auto"
        self._covered = _NONE_YET
        self._warned = False
        self._sent: tuple[Secret, ...] = ()  # to tell our header from the caller's
        if arguments.get("grant") or not _plain(url, arguments.get("storage")):
            self.session  # noqa: B018 - what is wrong is raised here, not by the first request

    @cached_property
    def session(self) -> Session:
        """The session, opened by the first request: making a client does not load what it needs."""
        fields = self.__dict__
        if opening := fields.get("_open"):
            fields.setdefault("session", opening())  # the first one made, in every thread
        fields.pop("_open", None)
        session: Session = fields["session"]
        return session

    def plan(self, method: str, url: str, headers: Mapping[str, str]) -> Plan:
        """What to do for one request. `headers` are the caller's, in a case-insensitive mapping.

        The body must be one that can be sent again. Raises any `AuthError`, unless failures are
        handed back as the response: then the request is sent, and the failure is the value.
        """
        session = self.session  # arguments that cannot work are raised in every mode
        try:
            if not (self._covered.get(url) or (yield from self._covers(url))):
                self._tell("notice", url, detail="sent without a token")
                status, _ = yield self._unsigned(headers)
                if status == 401 and "Authorization" not in headers and not self._warned:
                    self._warned = True  # of what would otherwise look like a failed login
                    told = "%s was answered 401: it got no token, for the login is to %s"
                    logger.warning(told, shown(url), session.key.server)
                return None
            sent = session.current()
            if sent is None and not session.settled():
                from ..session.single_flight import awaited

                sent = yield from awaited(session.ready())
                self.last_error = None
                if sent is None:
                    session.connect_ahead()
            send = self._unsigned(headers) if sent is None else self._signed(method, url, sent)
            send.gateway = self.gateway(url)
        except AuthError as error:
            if (failure := self._handed_back(error)) is None:
                raise
            yield self._unsigned(headers)
            return failure
        return (yield from self.conclude(method, url, sent, (yield send)))

    def bearer(self, url: str) -> Credential | None:
        """The fresh token for this URL, if it is all that the request needs, as it is for most;
        otherwise None."""
        sent = self.session.current() if self._covered.get(url) else None
        if sent is None or sent.dpop_key is not None or self.session.ports.headers:
            return None
        return sent

    def is_plain(self, status: int) -> bool:
        """Whether an answer of this status leaves nothing to do; if not, `conclude` is the plan."""
        return status < 400 and self.session.proven

    def conclude(self, method: str, url: str, sent: Credential | None, answered: Answered) -> Plan:
        """What to do about the first answer; `sent`: what the request was signed with."""
        session, failure = self.session, None
        try:
            if sent is not None and sent.dpop_key is not None:
                answered = yield from self._proved(url, sent, answered)
            if answered[0] in (401, 403):
                sent, answered, failure = yield from self._retried(method, url, sent, answered)
            if sent is not None and answered[0] != 401:
                ended = session.accepted(sent, answered[0], url)
                if ended is not None:
                    from ..session.single_flight import awaited

                    yield from awaited(ended)
            elif sent is None:
                session.not_needed()
        except AuthError as error:
            if (failure := self._handed_back(error)) is None:
                raise
        return failure

    def instead(
        self, failure: AuthError | None, status: int, method: str, body: bytes
    ) -> Reply | None:
        """What a host gets in place of the answer to its request; None if it gets the answer."""
        if failure is None or self._on_failure != "rpc" or status not in (401, 403):
            return None
        from .rpc import reply

        return reply(failure, self.session.config, method, body)

    def read(self, response: Any) -> Answer:
        """The `Answer` for an adapter's response, which is one already here."""
        answer: Answer = response
        return answer

    def _retried(
        self, method: str, url: str, sent: Credential | None, answered: Answered
    ) -> _Retried:
        """What was sent last, its answer, and why no other token would help if it is a refusal."""
        from ..session.single_flight import awaited
        from ..session.unauthorized import Unauthorized

        unauthorized = Unauthorized(self.session, home=self.session.at_home(url, sent))
        again = False  # one step-up for each request
        try:
            while answered[0] in (401, 403):
                answer = self.read(answered[1])
                if not self._same_place(answer):
                    break
                ours = self._as_ours(answer)
                challenge = ours.challenge
                if answer.status == 401:
                    bound = sent is not None and sent.tokens.bound
                    if bound and challenge is not None and challenge.error == "use_dpop_nonce":
                        # even the nonce that it gave is refused: no token would help
                        return sent, answered, self._refused(sent)
                    self._tell("request", answer.url)
                    self._tell("challenge", answer.url, 401)
                    better = yield from unauthorized.better(sent, ours)
                elif sent and challenge and challenge.error == "insufficient_scope":
                    work = self.session.after_403(sent, challenge, again=again)
                    better = yield from awaited(work)
                    again = True
                else:
                    break
                if better is None:
                    return sent, answered, self._refused(sent)
                sent, self.last_error = better, None
                self._tell("authorized-request", url)
                send = self._signed(method, url, sent)
                # without the proof for the previous token
                answered = yield Send({"DPoP": None, **send.headers}, self.gateway(url))
                if sent.dpop_key is not None:
                    answered = yield from self._proved(url, sent, answered)
                unauthorized.heard(answered[0])
                self._tell("answer", url, answered[0])
        finally:
            unauthorized.close()
        return sent, answered, None

    def _refused(self, sent: Credential | None) -> AuthError:
        """Why the server's 401 to this token is handed back, in every mode."""
        from ..grants.probe import fresh_token_refused

        bound = sent is not None and sent.tokens.bound
        server = self.session.key.server
        refusal = self.session.refusal(sent) or fresh_token_refused(server, bound=bound)
        failure = self.last_error = refusal.fresh()
        return failure

    def _handed_back(self, error: AuthError) -> AuthError | None:
        """The error behind the response that is handed back; None if it is to be raised."""
        failure = error.fresh()  # whose traceback keeps no response open
        self.last_error = failure
        return None if self._on_failure == "raise" else failure

    def header(self, sent: Credential) -> str:
        """The header for a Bearer token. Most requests need it, so it makes no object and loads no
        module."""
        token = sent.tokens.access_token
        if not self._sent or token is not self._sent[0]:
            self._sent = token, *self._sent[: _KNOWN_TOKENS - 1]
        return f"Bearer {token.reveal()}"

    def _signed(self, method: str, url: str, sent: Credential) -> Send:
        header = self.header(sent)
        if sent.dpop_key is None:
            return Send({"Authorization": header})
        return Send(self.session.ports.token_signer(sent).headers(method, url))

    def gateway(self, url: str) -> Mapping[str, str]:
        """The gateway's headers for a request to this URL, not for one that it is redirected to."""
        headers = self.session.ports.headers
        if not headers:
            return NOTHING
        from ..protocol.gateway import headers_at

        return headers_at(headers, url)

    def _unsigned(self, headers: Mapping[str, str]) -> Send:
        """Send without our headers, which a host's request has if it follows redirects itself."""
        _, _, token = headers.get("Authorization", "").partition(" ")
        ours = token and any(sent.matches(token) for sent in self._sent)
        return Send({"Authorization": None, "DPoP": None} if ours else {})

    def _proved(self, url: str, sent: Credential, answered: Answered) -> _Proved:
        """The answer to a proof that the server can accept, or the first answer (RFC 9449 §9).

        A proof is for one URL and may need a nonce. Another is sent once if the client has followed
        a redirect with the old one, and once with the server's nonce. Neither refusal is about the
        token.
        """
        signer = self.session.ports.token_signer(sent)
        tried: set[str] = set()
        while signer.dpop:
            answer = self.read(answered[1])
            last = answer.url
            fresh = signer.take_nonce(_response(answer))
            why = "nonce" if fresh else "moved" if last != url else ""
            if answer.status != 401 or not why or why in tried:
                return answered
            if not (yield from self._covers(last)):
                break
            tried.add(why)
            url = last
            answered = yield SendRedirected(self._signed(answer.method, last, sent).headers)
        return answered

    def _as_ours(self, answer: Answer) -> ServerAnswer:
        from ..protocol.probe import read_answer

        server_url, ours = self.session.config.server_url, _response(answer)
        url = answer.url if _moved(server_url, answer) else server_url
        return read_answer(server_url, replace(ours, url=url), with_token=True)

    def _same_place(self, answer: Answer) -> bool:
        """Whether a refusal may be about our token; one from where a redirect led to is not.

        But if the server's own URL has moved out of its directory, a login reports that.
        """
        server_url = self.session.config.server_url
        if server_url.covers(answer.url):
            return True
        return answer.status == 401 and _moved(server_url, answer)

    def _covers(self, url: str) -> Generator[Future[Any], None, bool]:
        known = self._covered.get(url)
        if known is None:
            owns = self.session.owning(url)
            if not isinstance(owns, bool):
                from ..session.single_flight import awaited

                owns = yield from awaited(owns)
            if not 0 < len(self._covered) < _KNOWN_URLS:
                self._covered = {}
            known = self._covered[url] = owns
        return known

    def _tell(self, name: str, url: str, status: int = 0, detail: str = "") -> None:
        tell(self.session.ports.on_event, Event(name, url, status, detail))

    def close(self) -> None:
        """End a login that is still waiting for someone to sign in."""
        self.session.close()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(NOT_PICKLED.format(type(self).__name__))

    def __repr__(self) -> str:
        key = self.session.key
        return f"{type(self).__name__}({key.server!r}, account={key.account!r})"


def _plain(url: str, storage: Storage | str | None) -> bool:
    """Whether nothing about these can be wrong; raises `UsageError` for a URL that cannot work."""
    try:
        ServerUrl.checked(url)
    except InsecureUrl:
        return False
    return not isinstance(storage, str) and not os.environ.get("MCP_CLIENT_AUTH_STORAGE")


def _response(answer: Answer) -> HttpResponse:
    from ..protocol.flow import HttpResponse

    return HttpResponse(answer.status, answer.url, answer.headers)


def _moved(server_url: str, answer: Answer) -> bool:
    """Whether the client followed a redirect of the server's URL within its origin."""
    first = answer.first_url
    there = same_origin(server_url, first) and canonical(first) == canonical(server_url)
    return there and same_origin(server_url, answer.url)
