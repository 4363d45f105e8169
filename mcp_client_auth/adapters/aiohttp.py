"""`MCPAuth` for aiohttp: the authorization of an MCP client as a middleware of its session.

aiohttp comes here again for each redirect that it follows. It needs nothing of aiohttp itself.
"""

from __future__ import annotations

from typing import Any

from ..errors import AuthError
from .authorizer import Answer, Authorizer, Send, next_step, set_headers


class MCPAuth(Authorizer):
    """The login to one MCP server, for `aiohttp.ClientSession(middlewares=[…])`.

    The arguments are those of `mcp_client_auth.MCPAuth`, but that a failure is raised or handed
    back as the server's "response": aiohttp lets no one make another.
    """

    modes = ("raise", "response")

    async def __call__(self, request: Any, handler: Any) -> Any:
        from ..session.single_flight import until

        if request.body:
            await request.body.as_bytes()  # kept by it, so that it can be sent again
        url = str(request.url.with_fragment(None))
        plan = self.plan(request.method, url, request.headers)
        response: Any = None
        try:
            step = next_step(plan)
            while step is not None and not isinstance(step, AuthError):
                answered = None
                if isinstance(step, Send):
                    set_headers(request.headers, step)
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
        return response

    def read(self, response: Any) -> Answer:
        headers = tuple(response.headers.items())
        return Answer(response.status, response.method, str(response.url), headers)
