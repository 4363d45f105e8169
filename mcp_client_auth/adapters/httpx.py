"""`MCPAuth`: the authorization of an MCP client as an `Auth` for httpx and httpx2.

It yields the caller's own request and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import AuthError, UsageError
from .authorizer import Answer, Authorizer, Send, next_send, next_step, set_headers

if TYPE_CHECKING:
    import httpx
    import httpx2

    from .. import Login
    from .rpc import Reply

    class _Auth(httpx.Auth, httpx2.Auth):
        """For the type checker both are always there; their requests are unrelated classes."""

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...

else:

    def _loaded() -> list[type]:
        """The `Auth` of each library that the program uses; `alias_httpx()` makes them one."""
        modules = [sys.modules.get(name) for name in ("httpx", "httpx2")]
        return list(dict.fromkeys(m.Auth for m in modules if hasattr(m, "Auth")))

    @cache
    def _seen_as(cls: type, *more: type) -> type:
        return type(cls.__name__, (cls, *more), {"__module__": cls.__module__})

    class _Auth(*_loaded()):
        @property
        def __class__(self) -> type:
            """What `isinstance` sees: also the `Auth` of a library that was imported later."""
            cls = type(self)
            later = [auth for auth in _loaded() if not issubclass(cls, auth)]
            return _seen_as(cls, *later) if later else cls


class MCPAuth(Authorizer, _Auth):
    """The login to one MCP server, for `httpx.Client(auth=…)`, httpx2's, and any MCP client.

    url         the MCP server
    account     a label, one for each person or tenant; "default" if none is given
    client      a `PreRegistered` or `ClientMetadataDocument` instead of dynamic registration
    scope       what to ask for instead of what the server suggests
    storage     a `Storage`, its name ("keyring", "file", "memory"), or the URL of one that hosts
                share; otherwise the OS keyring, or memory with a warning
    prompt      "auto" opens a browser if there is one, None asks no one, or a `Prompt`
    grant       how to get a token without a browser here: `ClientCredentials`,
                `WorkloadIdentity`, `EnterpriseManaged`, or `DeviceCode` with a `DevicePrompt`
    options     an `Options`
    on_failure  "raise" an `AuthError`; or keep it in `last_error` and hand back the server's
                "response", or for an MCP host what its call can show: "rpc", a JSON-RPC error
    on_event    called with an `Event` for each step
    transport   sends the OAuth requests; otherwise an `HttpTransport`

    A request may raise any `AuthError`. Its body is read into memory, because it may have to be
    sent twice. Safe from any thread, task and event loop. A copy is the object itself, so that
    hosts which copy their settings share one login.

    A redirect that httpx follows by itself (`follow_redirects=True`) never comes back here:
    within the origin httpx keeps the token on it, even outside the server's directory. Leave
    that off, as it is by default, if other paths of the origin cannot be trusted.

    Example:
        ```python
        import httpx
        from mcp_client_auth import MCPAuth

        auth = MCPAuth("https://mcp.example.com/mcp")
        with httpx.Client(auth=auth) as client:  # AsyncClient and httpx2 alike
            print(client.get("https://mcp.example.com/mcp").status_code)
        ```
    """

    def login(self, *, force: bool = False) -> Login:
        """Log in now, at once if a stored login is good enough (`force`: it never is).

        For a host, which allows a connection 5 to 30 seconds when a person needs longer: log in,
        then connect. With `prompt="auto"` it talks to the person as `login(url)` does.
        """
        from .. import Login

        return Login.of(self, force=force)

    async def alogin(self, *, force: bool = False) -> Login:
        """`login` for a running event loop, which it does not block; cancellation ends it."""
        from .. import Login
        from ..session.single_flight import cancellable

        return await cancellable("login", lambda caller: Login.of(self, force=force, caller=caller))

    def auth_flow(self, request: Any) -> NoReturn:
        """Refuse: httpx's own would let an `Auth` around this one send requests unsigned."""
        raise UsageError(
            "auth_flow() is not how an MCPAuth is used",
            hint="An Auth of your own around it calls sync_auth_flow() and async_auth_flow()",
        )

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        if not hasattr(request.stream, "__iter__"):  # the client refuses it, in its own words
            yield request
            return
        request.read()  # before the first yield, so that a streamed body can be sent again
        place, url = request.url, str(request.url)
        response: Any = None
        if sent := self.bearer(url):
            request.headers["Authorization"] = self.header(sent)
            response = yield request
            if self.is_plain(response.status_code):
                return
            plan = self.conclude(request.method, url, sent, _answered(response, request, url))
        else:
            plan = self.plan(request.method, url, request.headers)
        try:
            step = next_send(plan)
            while isinstance(step, Send):
                target = _to_send(step, request, response, place)
                to = str(target.url)
                response = yield target
                step = next_send(plan, _answered(response, target, to))
            if reply := self.instead(step, response.status_code, request.method, request.content):
                response.stream.close()
                _become(response, reply, type(request.stream))
        finally:
            plan.close()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        if not hasattr(request.stream, "__aiter__"):
            yield request
            return
        await request.aread()
        place, url = request.url, str(request.url)
        response: Any = None
        if sent := self.bearer(url):
            request.headers["Authorization"] = self.header(sent)
            response = yield request
            if self.is_plain(response.status_code):
                return
            plan = self.conclude(request.method, url, sent, _answered(response, request, url))
        else:
            plan = self.plan(request.method, url, request.headers)
        try:
            step = next_step(plan)
            while step is not None and not isinstance(step, AuthError):
                answered = None
                if isinstance(step, Send):
                    target = _to_send(step, request, response, place)
                    to = str(target.url)
                    response = yield target
                    answered = _answered(response, target, to)
                else:
                    from ..session.single_flight import until

                    await until(step)
                step = next_step(plan, answered)
            if reply := self.instead(step, response.status_code, request.method, request.content):
                await response.stream.aclose()
                _become(response, reply, type(request.stream))
        finally:
            plan.close()

    def read(self, response: Any) -> Answer:
        from ..transport.sender import FIRST_URL

        response, url = response  # as `_answered` returns them
        first = response.request.extensions.get(FIRST_URL, "")
        first = str(response.history[0].url) if response.history else first
        headers = tuple(response.headers.multi_items())
        return Answer(response.status_code, response.request.method, url, headers, first)


def _answered(response: Any, request: Any, url: str) -> tuple[int, tuple[Any, str]]:
    """The status, the response, and the URL it is from: `url`, unless a redirect was followed.

    A transport may write another URL into the request, such as one with an address for the name.
    """
    moved = response.request is not request
    return response.status_code, (response, str(response.request.url) if moved else url)


def _to_send(step: Send, request: Any, response: Any, place: Any) -> Any:
    target = response.request if step.redirected else request
    if target is request:
        request.url = place
    set_headers(target.headers, step)
    if step.gateway:
        kind: Any = type(target.headers)
        target.headers = (kind if hasattr(kind, "gateway") else _unshared(kind))(target.headers)
        target.headers.gateway = [
            (name.encode(), value.encode())
            for name, value in step.gateway.items()
            if name not in target.headers  # the caller's own counts
        ]
    return target


@cache
def _unshared(kind: Any) -> Any:
    """Headers whose `gateway` is sent but never copied: httpx copies headers for a redirect."""

    def raw(self: Any) -> list[tuple[bytes, bytes]]:
        return [*kind.raw.fget(self), *self.gateway]

    return type(kind.__name__, (kind,), {"raw": property(raw), "gateway": ()})


def _become(response: Any, reply: Reply, stream: Any) -> None:
    """Turn a response whose stream is closed into the reply: httpx hands on the object it knows.

    `stream` is its library's class for a body of bytes, which a request that was read has.
    """
    extensions = {**response.extensions}
    extensions.pop("reason_phrase", None)
    other = type(response)(
        reply.status,
        headers=reply.headers,
        stream=stream(reply.body),
        request=response.request,
        history=response.history,
        default_encoding=response.default_encoding,
        extensions=extensions,
    )
    with suppress(RuntimeError):  # not every transport sets it
        other.elapsed = response.elapsed
    vars(response).clear()  # it may have been read by a hook
    vars(response).update(vars(other))
