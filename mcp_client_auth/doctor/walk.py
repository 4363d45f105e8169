"""Run a login's own steps, with its own code, to the point where a person would be asked.

An error on the way is what a login ends with. Nothing is kept, and nothing is registered unless
the operator asks for it; the sign-in page is requested, but not followed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from html import unescape
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl

from ..errors import AuthError, LoginFailed
from ..grants.base import LoginConfig, Ports
from ..grants.probe import answer_to, naming_redirect, require_covered
from ..origin import is_loopback_host, split
from ..protocol.authorization import AuthorizationRequest, Malformed, Unrelated
from ..protocol.client_choice import client_kind
from ..protocol.discovery import Discovery
from ..protocol.document import described, is_page, json_value, parsed, redirected_to
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.oauth_error import read_error, said
from ..protocol.registration import Client
from ..secret import quoted
from ..session.steps import find_server, log_in
from ..storage.memory import MemoryStorage
from ..transport.addresses import literal_address
from .exam import Exam
from .faults import host_of, internal

if TYPE_CHECKING:
    from ..prompt.base import Ending
    from ..prompt.race import Answer
    from ..protocol.redirects import Callback

_PORT: Final = 33418
_LONGEST: Final = 16_384
_UNSEEN: Final = re.compile(r"<(head|script|style|svg)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_TAGS: Final = re.compile(r"<[^>]*>")
_OF_ENTRA: Final = re.compile(r'"strServiceExceptionMessage":\s*("(?:[^"\\]|\\.)+")')
NO_PAGE: Final = (404, 405, 410, 501)


@dataclass(slots=True)
class Walk:
    """How far a login got. `error`: what it ended with; None if a person would be asked.

    `clients`: those that were registered on the way. `request`: what the sign-in page was sent;
    `page`: its answer.
    """

    discovery: Discovery | None = None
    error: AuthError | None = None
    clients: list[Client] = field(default_factory=list)
    request: AuthorizationRequest | None = None
    page: HttpResponse | None = None


def walk(exam: Exam, config: LoginConfig, *, register: bool) -> Walk:
    """Go as far as a login does without a person; with `register`, or with a client that was
    named, also to the sign-in page."""
    done = Walk()
    ports = Ports(_Storage(done), exam)
    try:
        answer = answer_to(config, ports, None)
        require_covered(config.server_url, answer)
        with naming_redirect(answer):
            done.discovery = find_server(config, ports, None, answer)
            if register or _needs_no_registration(config, done.discovery):
                log_in(config, ports, _TrialPrompt(exam, done), answer)
    except _PersonAskedError:
        pass
    except AuthError as error:
        done.error = error
    return done


def _needs_no_registration(config: LoginConfig, discovery: Discovery) -> bool:
    """Whether a client was named, so that the sign-in page can be asked at once."""
    if config.identity is None:
        return False
    with suppress(AuthError):
        return client_kind(config.identity, discovery.server, config.options) != "dynamic"
    return False


class _PersonAskedError(BaseException):
    """The login has reached the person. This is not a fault, and no step may catch it."""


class _Storage(MemoryStorage):
    """Remembers the clients that are registered, to delete them again."""

    def __init__(self, done: Walk) -> None:
        super().__init__()
        self._done = done

    def _save(self, value: Any, key: Any) -> None:
        if isinstance(value, Client):
            self._done.clients.append(value)
        super()._save(value, key)


@dataclass(frozen=True, slots=True)
class _TrialPrompt:
    exam: Exam
    done: Walk

    def visit(self, callback: Callback, server: str, account: str) -> _TrialVisit:
        from dataclasses import replace

        where = callback if callback.port else replace(callback, port=_PORT)
        return _TrialVisit(self.exam, self.done, where.uri)


@dataclass(frozen=True, slots=True)
class _TrialVisit:
    """Asks the sign-in page once, and follows nothing."""

    exam: Exam
    done: Walk
    redirect_uri: str

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: object) -> Answer:
        self.done.request, self.done.page = request, None
        headers = {"Accept": "text/html,application/xhtml+xml"}
        try:
            page = self.exam.send(HttpRequest("GET", request.url, headers, redirects=False))
        except AuthError as error:
            raise unreachable(request.server.authorization_endpoint, error) from None
        self.done.page = page
        target = page.header("location") if 300 <= page.status < 400 else ""
        place, _, query = target.partition("#")[0].partition("?")
        if place == request.redirect_uri:
            try:
                request.accept(query)  # an error is raised
            except Unrelated as other:
                raise no_answer(request.server.authorization_endpoint, other) from None
        elif _is_inside(target, request):
            raise led_inside(request.server.authorization_endpoint, page)
        elif _error_in(page) or (
            page.status >= 400 and (page.status not in (401, 403) or _is_of_an_api(page))
        ):
            raise refused(request.server.authorization_endpoint, page)
        raise _PersonAskedError

    def end(self, ending: Ending) -> None:
        """There is no one to show it to."""

    def cancel(self) -> None:
        """Nothing waits."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """No port is bound."""


def unreachable(url: str, error: AuthError) -> LoginFailed:
    """Return what a login ends with if its sign-in page cannot be opened: no one comes back."""
    return LoginFailed(
        f"the authorization endpoint cannot be reached, so no one can sign in: {error.summary}",
        url=url,
        code="authorize_absent",
    )


def _error_in(page: HttpResponse) -> str:
    """Return the error of a page that is not a sign-in page, although its status does not say so:
    it is at the end of a redirect, as Cognito's is, or within the page, as Entra's is."""
    _, _, query = page.header("location").partition("?")
    if 300 <= page.status < 400 and query:
        error = read_error(dict(parse_qsl(query.partition("#")[0])))
        return f"{error.code}{error.ending}" if error.code else ""
    told = _OF_ENTRA.search(page.body.decode("utf-8", "replace"))
    with suppress(ValueError):
        return str(json_value(told[1])) if told else ""
    return ""


def _visible(page: HttpResponse) -> str:
    """What a person would read on a page of HTML."""
    text = page.body[:_LONGEST].decode("utf-8", "replace") if is_page(page) else ""
    return " ".join(unescape(_TAGS.sub(" ", _UNSEEN.sub(" ", text))).split())


def _is_of_an_api(page: HttpResponse) -> bool:
    """Whether a refusal is made for programs: a wall that lets browsers through has a page."""
    return isinstance(parsed(page), dict)


def _is_inside(target: str, request: AuthorizationRequest) -> bool:
    """Whether a page redirects to where its server listens, but no browser gets: the unspecified
    address, a container's name, or a loopback that is not the client's."""
    there, here = host_of(target), host_of(request.url)
    address = literal_address(there)
    if address and ip_address(address).is_unspecified:
        return True
    if not there or there == here:
        return False
    if is_loopback_host(there):
        return not is_loopback_host(here) and split(target).port != split(request.redirect_uri).port
    outside = is_loopback_host(here) or not internal(here)
    return outside and "." not in there and not address


def led_inside(url: str, page: HttpResponse) -> LoginFailed:
    """The same where it redirects to an address that only its server has."""
    return LoginFailed(
        f"the authorization endpoint redirects to {redirected_to(page)}, an address of its own"
        " network, so no one can sign in",
        url=url,
        code="authorize_inside",
    )


def no_answer(url: str, other: Unrelated) -> LoginFailed:
    """The same if it leads back without the answer: a login then waits until it times out."""
    return LoginFailed(
        f"the authorization endpoint leads back to the client, but not with the answer: {other}",
        url=url,
        code="timeout",
        hint=f"The server's operator has to {other.fix}" if isinstance(other, Malformed) else "",
    )


def refused(url: str, page: HttpResponse) -> LoginFailed:
    """The same where it answers with a page that leads nowhere."""
    came = redirected_to(page) or described(page)
    value = parsed(page)
    words = read_error(value).text if isinstance(value, dict) else ""
    words = words or _error_in(page) or said(page) or _visible(page)
    came += f" ({quoted(words, 200)})" if words else ""
    return LoginFailed(
        f"the authorization endpoint answers HTTP {page.status} with {came}, so no one can sign in",
        url=url,
        code="authorize_absent" if page.status in NO_PAGE else "authorize_refused",
    )
