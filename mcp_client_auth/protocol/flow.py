"""The seam between the protocol and the network.

A flow is a generator that yields the request it wants sent and is resumed with the
response. It holds no client, no lock and no store, so any client can drive it and a
test can drive it with a list of responses. It reports progress by yielding an
`Event`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from ..errors import AuthError
from ..events import Event, Listener, tell

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request of the flow. Headers and body may hold secrets and are never shown.

    `private`: the address may be a private one, no matter who named it; the login allowed it once.
    `redirects`: a GET may follow redirects within its origin. `repeatable`: it may be sent twice,
    as a GET may, because the second one does no harm. `to_issuer`: it goes to an endpoint of
    the authorization server, which may see the client certificate (RFC 8705). `gateway`: extra
    headers for a gateway in front of this URL only: no redirect carries them. `lasting`: how many
    seconds longer to wait for its answer once it was sent, because a lost one cannot be recovered.

    Example:
        ```python
        from mcp_client_auth.extending import HttpRequest

        request = HttpRequest("GET", "https://auth.example.com/.well-known/openid-configuration")
        print(request)  # headers and body are not shown
        ```
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    private: bool = False
    redirects: bool = True
    repeatable: bool = False
    to_issuer: bool = False
    gateway: Mapping[str, str] = field(default_factory=dict, repr=False)
    lasting: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The whole answer. `url` is the final one; `seconds` is how long it took.

    Example:
        ```python
        from mcp_client_auth.extending import HttpResponse

        headers = (("Content-Type", "text/plain"),)
        answer = HttpResponse(200, "https://auth.example.com/", headers, b"ok")
        print(answer.header("content-type"))
        ```
    """

    status: int
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    seconds: float = 0.0

    def header_values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        return ", ".join(self.header_values(name))


Flow: TypeAlias = Generator["HttpRequest | Event", "HttpResponse | None", T]
Transport: TypeAlias = Callable[[HttpRequest], HttpResponse]
"""Sends one OAuth request and gives the whole answer.

Example:
    ```python
    import httpx
    from mcp_client_auth import MCPAuth
    from mcp_client_auth.extending import HttpRequest, HttpResponse


    def send(request: HttpRequest) -> HttpResponse:
        '''OAuth requests by a client of yours; a real one checks addresses, too.'''
        answer = httpx.request(
            request.method, request.url, headers=request.headers, content=request.body
        )
        headers = tuple(answer.headers.multi_items())
        return HttpResponse(answer.status_code, str(answer.url), headers, answer.content)


    auth = MCPAuth("https://mcp.example.com/mcp", transport=send)
    ```
"""
AsyncTransport: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]


def send(request: HttpRequest) -> Flow[HttpResponse]:
    response = yield request
    if response is None:
        raise TypeError("a driver resumes a request with its response")
    return response


def run(
    flow: Flow[T],
    transport: Transport,
    on_event: Listener | None = None,
    *,
    before: Callable[[], object] | None = None,
) -> T:
    """Drive a flow with a blocking transport. `before`: called before each request, which it
    may forbid by raising an `AuthError`."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Event):
                tell(on_event, step)
                step = flow.send(None)
                continue
            try:
                if before:
                    before()
                response = transport(step)
            except AuthError as error:
                step = flow.throw(error)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


async def arun(flow: Flow[T], transport: AsyncTransport, on_event: Listener | None = None) -> T:
    """Drive a flow with your own asynchronous client."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Event):
                tell(on_event, step)
                step = flow.send(None)
                continue
            try:
                response = await transport(step)
            except AuthError as error:
                step = flow.throw(error)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()
