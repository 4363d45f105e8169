"""`OAuthClientProvider` for code that is written for the official SDK 2.x: change one import.

Its metadata and handlers are used; the flow and the storage are ours. Nothing is imported from the
SDK.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..errors import AuthError, LoginFailed, UsageError
from ..prompt.base import AnswerSource, Ending
from ..prompt.open_browser import checked_url
from ..prompt.race import Answer, FirstAnswer, Racing
from ..protocol.authorization import AuthorizationRequest
from ..protocol.options import Options
from ..protocol.redirects import Callback
from ..protocol.registration import ClientMetadataDocument
from ..threads import aborted
from .authorizer import Plan
from .httpx import MCPAuth

if TYPE_CHECKING:
    from .. import Login

Redirect = Callable[[str], Awaitable[object]]
Receive = Callable[[], Awaitable[Any]]


class OAuthClientProvider(MCPAuth):
    """An `MCPAuth` with the arguments of the SDK's provider.

    Of `client_metadata` it uses the first redirect URI, which must be on loopback, the scope and
    the client's name. A `storage` of the SDK is not used: the login is kept like that of any
    `MCPAuth`. The handlers run on the asyncio loop that the last request came from, otherwise
    on one of their own; without handlers a browser is opened. `arguments` are those of `MCPAuth`.
    """

    def __init__(
        self,
        server_url: str,
        client_metadata: Any,
        storage: Any = None,
        redirect_handler: Redirect | None = None,
        callback_handler: Receive | None = None,
        client_metadata_url: str | None = None,
        validate_resource_url: object = None,
        **arguments: Any,
    ) -> None:
        if validate_resource_url is not None:
            raise UsageError(
                "validate_resource_url cannot be used: the resource is always checked",
                hint="To name another one, pass options=Options(resource=…)",
            )
        self._loop: asyncio.AbstractEventLoop | None = None
        uris = [str(uri) for uri in client_metadata.redirect_uris or ()]
        options = Options(redirect_uri=uris[0] if uris else "")
        if client_metadata.client_name:
            options = replace(options, client_name=client_metadata.client_name)
        if redirect_handler and callback_handler:
            prompt = _Handlers(redirect_handler, callback_handler, lambda: self._loop)
            arguments.setdefault("prompt", prompt)
        if client_metadata_url:
            arguments.setdefault("client", ClientMetadataDocument(client_metadata_url))
        arguments.setdefault("storage", None if hasattr(storage, "get_tokens") else storage)
        arguments.setdefault("scope", client_metadata.scope)
        arguments.setdefault("options", options)
        super().__init__(server_url, **arguments)

    async def alogin(self, *, force: bool = False) -> Login:
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        return await super().alogin(force=force)

    def plan(self, method: str, url: str, headers: Mapping[str, str]) -> Plan:
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        return super().plan(method, url, headers)


class _Handlers:
    """The program's own prompt; the program decides where its callback arrives."""

    def __init__(
        self,
        redirect: Redirect,
        receive: Receive,
        loop: Callable[[], asyncio.AbstractEventLoop | None],
    ) -> None:
        self._redirect, self._receive, self._loop = redirect, receive, loop

    def visit(self, callback: Callback, server: str, account: str) -> _Visit:
        return _Visit(callback.uri, self._answer, self._loop())

    async def _answer(self, url: str) -> Any:
        await self._redirect(url)
        return await self._receive()


class _Visit(Racing):
    def __init__(
        self,
        redirect_uri: str,
        answer: Callable[[str], Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__()
        self.redirect_uri = redirect_uri
        self._answer, self._loop = answer, loop

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: AnswerSource) -> Answer:
        race = self.begin(request)
        with closing(race), _running(self._loop) as loop:
            answer = self._called(checked_url(request.url))
            handed = asyncio.run_coroutine_threadsafe(answer, loop)
            handed.add_done_callback(partial(_offer, race))
            try:
                return race.wait(timeout)
            finally:
                handed.cancel()

    async def _called(self, url: str) -> Any:
        if self.cancelled:  # before the loop ran this
            raise aborted()
        return await self._answer(url)

    def end(self, ending: Ending) -> None:
        """Do nothing: the program shows a page of its own, or none."""


def _offer(race: FirstAnswer, handed: Future[Any]) -> None:
    if handed.cancelled():
        return
    failure = handed.exception()
    if isinstance(failure, AuthError):
        race.fail(failure)
    elif failure is not None:  # its message may contain the answer
        name = type(failure).__name__
        race.fail(LoginFailed(f"a handler of this program raised {name}", code="handler"))
    elif not hasattr(handed.result(), "code"):  # SDK 1.x: a tuple, which has no iss
        given = type(handed.result()).__name__
        hint = "Return what the SDK 2.x does: AuthorizationCodeResult(code=…, state=…, iss=…)"
        race.fail(LoginFailed(f"the callback handler gave a {given}", code="handler", hint=hint))
    else:
        fields = {name: getattr(handed.result(), name, None) for name in ("code", "state", "iss")}
        if not race.offer(urlencode({name: text for name, text in fields.items() if text})):
            why = "the callback handler gave the answer to another login"
            race.fail(LoginFailed(why, code="handler"))


@contextmanager
def _running(loop: asyncio.AbstractEventLoop | None) -> Iterator[asyncio.AbstractEventLoop]:
    """The program's loop while it runs; otherwise one on a thread of its own."""
    if loop is not None and loop.is_running():
        yield loop
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mcp handlers", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        if left := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(left))
        loop.close()
