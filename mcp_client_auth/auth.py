"""`MCPAuth`: the authorization of an MCP client as an `Auth` for httpx and httpx2.

It yields the caller's own request and nothing else; all OAuth traffic has a client of its
own. One plan serves the blocking and the asynchronous flow.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Literal

from .errors import AuthError, InsecureUrl, UsageError
from .events import Event, Listener, tell
from .opening import Asking, open_session
from .protocol.urls import canonical, covers, require_secure, shown

if TYPE_CHECKING:
    import httpx
    import httpx2

    from .credential import Credential
    from .protocol.challenge import Challenge
    from .protocol.flow import HttpResponse, Transport
    from .protocol.grants import Grant
    from .protocol.options import Options
    from .protocol.registration import Identity
    from .session import Session
    from .storage import Storage

    class _HttpAuth(httpx.Auth, httpx2.Auth):
        """For the type checker both are always there; their requests are unrelated classes."""

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...

else:
    _INSTALLED: Final = [n for n in ("httpx", "httpx2") if importlib.util.find_spec(n)]
    # alias_httpx() of httpx2 makes the two one class, which may stand there only once
    _BASES: Final = dict.fromkeys(importlib.import_module(n).Auth for n in _INSTALLED)
    _HttpAuth = type("_HttpAuth", tuple(_BASES), {})

_KNOWN_URLS: Final = 256


class MCPAuth(_HttpAuth):
    """Hand it to `httpx.Client(auth=…)`, `httpx.AsyncClient` or httpx2's, or an MCP client.

    `url`: the MCP server; `account`: a label, one for each person or tenant. `client`: a
    `PreRegistered` or `ClientMetadataDocument` instead of dynamic registration. `scope`: what
    to ask for instead of what the server suggests. `storage`: a `Storage`, "keyring", "file"
    or "memory" (default: the OS keyring, else memory with a warning). `prompt`: "auto" opens a
    browser where one can be, None never asks. `grant`: how to get a token without a browser
    here (`ClientCredentials`, `WorkloadIdentity`, `EnterpriseManaged`, `DeviceCode`; the last
    wants a `DevicePrompt`). `on_failure`: "raise" an `AuthError`, or hand
    back the server's "response" and keep the error in `last_error`. `on_event`: called with an
    `Event` for each step. `transport`: sends the OAuth requests (default: `HttpTransport`).

    A request may raise any `AuthError`. Safe from any thread, task and event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        account: str = "default",
        client: Identity = None,
        scope: str | Sequence[str] | None = None,
        storage: Storage | str | None = None,
        prompt: Asking = "auto",
        grant: Grant | None = None,
        options: Options | None = None,
        on_failure: Literal["raise", "response"] = "raise",
        on_event: Listener | None = None,
        transport: Transport | None = None,
    ) -> None:
        if on_failure not in ("raise", "response"):
            raise UsageError('on_failure is "raise" or "response"')
        self._open = partial(
            open_session,
            url,
            account=account,
            client=client,
            scope=scope,
            storage=storage,
            prompt=prompt,
            grant=grant,
            options=options,
            on_event=on_event,
            transport=transport,
        )
        self.last_error: AuthError | None = None
        self._on_failure = on_failure
        self._covered: dict[str, bool] = {}
        if grant is not None or not _plain(url, storage):
            self.session  # noqa: B018 - what is wrong is said here

    @cached_property
    def session(self) -> Session:
        """Opened by the first request: what it needs is not loaded to make a client."""
        fields = self.__dict__
        if opening := fields.get("_open"):
            fields.setdefault("session", opening())  # the first one made, in every thread
        fields.pop("_open", None)
        session: Session = fields["session"]
        return session

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        request.read()  # before the first yield, so that a streamed body can be sent again
        plan = self._plan(request)
        with closing(plan), suppress(StopIteration):
            wanted = next(plan)
            while True:
                wanted = next(plan) if isinstance(wanted, Future) else plan.send((yield wanted))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        await request.aread()
        plan = self._plan(request)
        with closing(plan), suppress(StopIteration):
            wanted = next(plan)
            while True:
                if isinstance(wanted, Future):
                    from .flight import until

                    await until(wanted)
                    wanted = next(plan)
                else:
                    wanted = plan.send((yield wanted))

    def _plan(self, request: Any) -> Generator[Any, Any, None]:
        """Yields the request to send, or a Future that it will wait for next.

        One answer to each refusal: a server that refuses everything costs two requests.
        """
        if not self._covers(str(request.url)):
            tell(
                self.session.edges.on_event,
                Event("notice", shown(str(request.url)), detail="sent without a token"),
            )
            yield request
            return
        sent = self.session.current()
        if sent is None and not self.session.settled():
            sent = yield from self._patient(self.session.ready())
        response = yield self._signed(request, sent)
        if sent is not None and sent.dpop_key is not None:
            response = yield from self._proved(request, sent, response)
        answered: set[int] = set()
        while response.status_code in (401, 403) and self._same_place(response):
            again = response.status_code in answered
            answered.add(response.status_code)
            better = yield from self._patient(self._answer_to(sent, response, again=again))
            if better is None:
                break
            sent = better
            self._narrate("authorized-request", request)
            request.headers.pop("DPoP", None)  # of the token before
            response = yield self._signed(request, sent)
            if sent.dpop_key is not None:
                response = yield from self._proved(request, sent, response)
            self._narrate("answer", request, response.status_code)
        if sent is not None and response.status_code != 401:
            self.session.accepted(sent)

    def _signed(self, request: Any, credential: Credential | None) -> Any:
        if credential is None:
            return request
        token = credential.tokens.access_token
        if credential.dpop_key is not None and (binding := self.session.binding(credential)):
            request.headers.update(binding.headers(token, request.method, str(request.url)))
        else:
            request.headers["Authorization"] = f"Bearer {token.reveal()}"
        return request

    def _proved(self, request: Any, sent: Credential, response: Any) -> Generator[Any, Any, Any]:
        """The answer to a proof that the server can accept, else the first one (RFC 9449 §9).

        A proof is for one URL and may want a nonce: once more where the client has followed a
        redirect with the old one, and once with the server's nonce. Neither tells of the token.
        """
        binding = self.session.binding(sent)
        tried: set[str] = set()
        while binding is not None:
            last = response.request
            asked = binding.heard_from_resource(_as_ours(response))
            why = "nonce" if asked else "moved" if last.url != request.url else ""
            if response.status_code != 401 or not why or why in tried:
                break
            if not self._covers(str(last.url)):
                break
            tried.add(why)
            request = last
            response = yield self._signed(last, sent)
        return response

    def _patient(self, future: Future[Any] | None) -> Generator[Any, Any, Credential | None]:
        """What the future gives; None where a failure is to be handed back as the response."""
        if future is None:
            return None
        from .flight import wait

        try:
            yield future  # a task waits for it here, a thread below
            credential: Credential | None = wait(future)
        except AuthError as error:
            self.last_error = error
            if self._on_failure == "raise":
                raise
            return None
        self.last_error = None
        return credential

    def _answer_to(
        self, sent: Credential | None, response: Any, *, again: bool
    ) -> Future[Credential] | None:
        """What may help, None for nothing: one new token and one step-up for each request."""
        challenge = _challenge(response)
        if response.status_code == 401:
            if sent and sent.tokens.bound and challenge and challenge.error == "use_dpop_nonce":
                return None  # the nonce that it gave will not do: no token can
            if again:
                self.session.refused(sent) if sent else None
                return None
            self._narrate("request", response.request)
            self._narrate("challenge", response.request, 401)
            return self.session.after_401(sent, challenge)
        if sent and challenge and challenge.error == "insufficient_scope":
            return self.session.after_403(sent, challenge, again=again)
        return None

    def _same_place(self, response: Any) -> bool:
        """A refusal from where a redirect led to says nothing about our token."""
        return covers(self.session.wanted.server_url, str(response.url))

    def _covers(self, url: str) -> bool:
        known = self._covered.get(url)
        if known is None:
            if len(self._covered) >= _KNOWN_URLS:
                self._covered.clear()
            known = self._covered[url] = self.session.owns(url)
        return known

    def _narrate(self, name: str, request: Any, status: int = 0) -> None:
        tell(self.session.edges.on_event, Event(name, shown(str(request.url)), status))

    def close(self) -> None:
        """End a login that is still waiting for its person."""
        self.session.close()

    def __repr__(self) -> str:
        key = self.session.key
        return f"MCPAuth({key.server!r}, account={key.account!r})"


def _plain(url: str, storage: Storage | str | None) -> bool:
    """Whether nothing about these can be wrong; raises `UsageError` for what is no server URL."""
    try:
        require_secure(canonical(url), "the server URL")
    except InsecureUrl:
        return False
    return not isinstance(storage, str) and not os.environ.get("MCP_CLIENT_AUTH_STORAGE")


def _as_ours(response: Any) -> HttpResponse:
    """What a nonce is read from; the body is not."""
    from .protocol.flow import HttpResponse

    headers = tuple(response.headers.multi_items())
    return HttpResponse(response.status_code, str(response.url), headers)


def _challenge(response: Any) -> Challenge | None:
    from .protocol.challenge import read_challenges, relevant

    return relevant(read_challenges(response.headers.get_list("www-authenticate")))
