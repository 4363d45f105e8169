"""`MCPAuth` for urllib3, which has no hook for authorization: a `request` method that sends with
the caller's pool."""

from __future__ import annotations

import json as json_text
from collections.abc import Mapping
from copy import copy
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

from urllib3 import HTTPHeaderDict, HTTPResponse

from ..errors import UsageError
from .authorizer import Answer, Authorizer, Send, add_gateway, next_send, read_body, set_headers


class MCPAuth(Authorizer):
    """The login to one MCP server: `auth.request(pool, "POST", url, json=…)`.

    The arguments are those of `mcp_client_auth.MCPAuth`. A request blocks while it gets a token.
    """

    def request(
        self,
        pool: Any,
        method: str,
        url: str,
        *,
        body: Any = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Any:
        """Send a request, and return what `request(…)` of the `PoolManager` returns."""
        if not hasattr(pool, "headers"):
            raise UsageError("the pool must be a urllib3.PoolManager", hint="Pass one first")
        sent = HTTPHeaderDict(pool.headers if headers is None else headers)
        if json is not None:
            body = json_text.dumps(json)
            sent.setdefault("Content-Type", "application/json")
        body, first = read_body(body), (method, url)
        plan = self.plan(method, url, sent)
        response: Any = None
        answer: Answer | None = None
        try:
            step = next_send(plan)
            while isinstance(step, Send):
                if response is not None:
                    response.close()
                if step.redirected and answer:
                    body = body if method == answer.method else None
                    method, url = answer.method, answer.url
                response = _at(pool, step).request(
                    method, url, body=body, headers=_signed(sent, step), **how
                )
                answer = _answer(method, url, first[1], response)
                step = next_send(plan, (answer.status, answer))
        finally:
            plan.close()
        if answer and (reply := self.instead(step, answer.status, method, body or b"")):
            response.close()
            return HTTPResponse(BytesIO(reply.body), reply.headers, reply.status, request_url=url)
        return response


def _signed(headers: HTTPHeaderDict, send: Send) -> HTTPHeaderDict:
    """A signed copy, in no frame of ours when an error is raised, because its repr shows values."""
    signed = headers.copy()
    set_headers(signed, send)
    return signed


def _at(pool: Any, send: Send) -> Any:
    """The pool for one request: a gateway's headers go with it, but not with its redirects."""
    if not send.gateway:
        return pool
    first, added, view = True, list[str](), copy(pool)  # the copy has the same connections

    def urlopen(method: str, url: str, *, headers: HTTPHeaderDict, **how: Any) -> Any:
        nonlocal first, added
        headers = headers.copy()
        if first:
            first, added = False, add_gateway(headers, send)
        else:  # urllib3 calls this again for each redirect
            for name in added:
                headers.discard(name)
        return type(pool).urlopen(view, method, url, headers=headers, **how)

    view.urlopen = urlopen
    return view


def _answer(method: str, url: str, first_url: str, response: Any) -> Answer:
    """The answer, from where the redirects that urllib3 followed have led."""
    for past in response.retries.history if response.retries else ():
        if past.redirect_location:
            url = urljoin(url, past.redirect_location)
            method = "GET" if past.status == 303 and method != "HEAD" else method
    return Answer(response.status, method, url, tuple(response.headers.items()), first_url)
