"""`MCPAuth` for aiohttp: the authorization of an MCP client as a middleware of its session.

aiohttp calls it again for each redirect that it follows. Nothing is imported from aiohttp.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from ..errors import AuthError
from .authorizer import Answer, Authorizer, Send, add_gateway, next_step, set_headers

# Where the last answer of this task redirects to: aiohttp does not mark the request that follows.
_REDIRECTED: Final[ContextVar[Any]] = ContextVar("_REDIRECTED", default=None)


class MCPAuth(Authorizer):
    """The login to one MCP server, for `aiohttp.ClientSession(middlewares=[…])`.

    The arguments are those of `mcp_client_auth.MCPAuth`, except that a failure is raised or handed
    back as the server's "response": aiohttp does not let us make another.
    """

    modes = ("raise", "response")

    async def __call__(self, request: Any, handler: Any) -> Any:
        from ..session.single_flight import until

        if request.body:
            await request.body.as_bytes()  # aiohttp keeps it, so that it can be sent again
        url = request.url.with_fragment(None)
        redirected = url == _REDIRECTED.get()
        plan = self.plan(request.method, str(url), request.headers)
        response: Any = None
        try:
            step = next_step(plan)
            while step is not None and not isinstance(step, AuthError):
                answered = None
                if isinstance(step, Send):
                    set_headers(request.headers, step)
                    if not redirected:
                        add_gateway(request.headers, step)
                    if response is not None:
                        response.release()
                    response = await handler(request)
                    answered = response.status, response
                else:
                    await until(step)
                step = next_step(plan, answered)
        except BaseException:
            if response is not None:
                response.close()
            raise
        finally:
            plan.close()
        _REDIRECTED.set(_target(url, response))
        return response

    def read(self, response: Any) -> Answer:
        headers = tuple(response.headers.items())
        return Answer(response.status, response.method, str(response.url), headers)


def _target(url: Any, response: Any) -> Any:
    """Where aiohttp goes next, if it follows this response."""
    location = response.headers.get("Location") or response.headers.get("URI")
    if not (300 < response.status < 400 and location):
        return None
    with suppress(ValueError):  # aiohttp reports it, if it follows
        return url.join(type(url)(location)).with_fragment(None)
    return None
