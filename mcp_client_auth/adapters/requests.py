"""`MCPAuth` for requests: the authorization of an MCP client as `auth` of a call or a session.

A hook sees each answer before requests follows a redirect. Nothing is imported from requests.
"""

from __future__ import annotations

from functools import partial
from inspect import iscoroutinefunction
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .authorizer import (
    Answer,
    Authorizer,
    Plan,
    Send,
    add_gateway,
    next_send,
    read_body,
    set_headers,
)

if TYPE_CHECKING:
    from .rpc import Reply


class MCPAuth(Authorizer):
    """The login to one MCP server, for `requests.get(…, auth=…)` or a session's `auth`.

    The arguments are those of `mcp_client_auth.MCPAuth`. A request blocks while it gets a token.
    """

    def __call__(self, request: Any) -> Any:
        if request.body is not None and not isinstance(request.body, bytes | str):
            request.body = read_body(request.body)
            request.headers.pop("Transfer-Encoding", None)  # requests sets the length again
        plan = self.plan(request.method, request.url, request.headers)
        gateway: list[str] = []
        if isinstance(send := next_send(plan), Send):
            set_headers(request.headers, send)
            gateway = add_gateway(request.headers, send)
        request.register_hook("response", partial(self._answered, plan, request, gateway))
        return request

    def _answered(
        self, plan: Plan, first: Any, gateway: list[str], response: Any, **how: Any
    ) -> Any:
        if iscoroutinefunction(getattr(response.connection, "send", None)):
            raise UsageError(
                "this MCPAuth cannot be used with an asynchronous session",
                hint="Use niquests.Session, or mcp_client_auth.MCPAuth with httpx.AsyncClient",
            )
        for name in gateway:  # before a redirect is followed, which copies them
            first.headers.pop(name, None)
            response.request.headers.pop(name, None)
        while not response.is_redirect:  # the answer after it comes to the same plan
            headers = tuple(response.raw.headers.items())
            method, url = response.request.method, response.request.url
            answer = Answer(response.status_code, method, url, headers, first.url)
            try:
                send = next_send(plan, (answer.status, answer))
            except BaseException:
                response.close()  # the caller gets the error instead
                raise
            if not isinstance(send, Send):
                reply = self.instead(send, answer.status, method, read_body(first.body) or b"")
                return _other(response, reply) if reply else response
            response.content, response.close()
            for request in (first, response.request):  # redirects copy the headers of either
                set_headers(request.headers, send)
            again = (response.request if send.redirected else first).copy()
            add_gateway(again.headers, send)
            before, response = response, response.connection.send(again, **how)
            response.history.append(before)
        return response


def _other(response: Any, reply: Reply) -> Any:
    response.close()
    other = type(response)()
    other.status_code, other.raw = reply.status, BytesIO(reply.body)
    other.headers.update(reply.headers)
    for name in ("url", "request", "connection", "history", "elapsed"):
        setattr(other, name, getattr(response, name))
    return other
