"""The MCP request that asks a server what it requires, and the answer to it.

A redirect within the server's origin is followed with the same method and body, as Starlette and
nginx send `/mcp` to `/mcp/`. One that leads away is not followed, and is remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol
from urllib.parse import urldefrag, urljoin

from ..errors import BadResponse
from ..events import Event
from ..origin import same_origin, shown, split
from .challenge import Challenge, read_challenges, relevant
from .document import is_page, parsed
from .flow import Flow, HttpRequest, HttpResponse, send
from .urls import ServerUrl, canonical

_MOST_REDIRECTS: Final = 5
# RFC 9110 §15.4: 303 asks for a GET of something else. 301 and 302 are repeated as POST, because
# servers send them where they mean 307 and 308.
REPEATED: Final = (301, 302, 307, 308)
_METHOD_NOT_FOUND: Final = -32601  # JSON-RPC 2.0 §5.1

_UNAUTHORIZED: Final = re.compile(
    r"\b(?:unauthori[sz]ed|unauthenticated|not (?:authenticated|authori[sz]ed|logged in)"
    r"|authentication (?:is )?required|(?:missing|invalid|no) (?:access |bearer )?token)\b",
    re.IGNORECASE,
)

Kind = Literal["message", "page", "other"]


class Signer(Protocol):
    """What authorizes a request at each URL that it goes to."""

    def headers(self, method: str, url: str) -> Mapping[str, str]: ...
    def take_nonce(self, response: HttpResponse) -> bool:
        """Keep the nonce of a response; return whether the request has to be sent again (§9)."""


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """A server's answer to the MCP request.

    `url` is the endpoint: the URL that was requested, or the one that its redirects end at.
    `led_to` is where a redirect pointed, if not to the endpoint: off the server's origin, or to a
    page that is not an MCP server's.
    """

    url: str
    response: HttpResponse
    challenge: Challenge | None = None
    led_to: str = ""

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def requires_authorization(self) -> bool:
        """Whether it is a 401, or a 403 for more scope, which a server sends only after a 401."""
        if self.led_to:
            return False
        more = self.challenge is not None and self.challenge.error == "insufficient_scope"
        return self.status == 401 or (self.status == 403 and more)

    @property
    def asks(self) -> bool:
        """Whether an MCP server asks for authorization here, and not a web page for a password."""
        return self.status == 401 and (self.challenge is not None or self.kind != "page")

    @property
    def kind(self) -> Kind:
        """Whether the body is an MCP message, a web page, or something else."""
        if self.response.header("content-type").lower().startswith("text/event-stream"):
            return "message"
        if is_page(self.response):
            return "page"
        value = parsed(self.response)
        # also a batch of messages (JSON-RPC 2.0 §4, §6)
        messages = value if isinstance(value, list) and value else [value]
        rpc = all(isinstance(each, dict) and each.get("jsonrpc") == "2.0" for each in messages)
        return "message" if rpc else "other"

    @property
    def refuses(self) -> bool:
        """Whether a JSON-RPC error asks for a login, instead of a 401 in HTTP."""
        value = parsed(self.response) if self.kind == "message" else None
        error = value.get("error") if isinstance(value, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return isinstance(message, str) and bool(_UNAUTHORIZED.search(message))

    @property
    def open(self) -> bool:
        """Whether an MCP server answered as it answers everyone.

        From revision 2026-07-28 on there is no `initialize`: such a server answers with an error.
        """
        if self.kind != "message" or self.status in (401, 403) or self.refuses:
            return False
        if 200 <= self.status < 300:
            return True
        value = parsed(self.response)
        error = value.get("error") if isinstance(value, dict) else None
        if not isinstance(error, dict):
            return False
        data = error.get("data")
        versions = isinstance(data, dict) and "supported" in data
        return error.get("code") == _METHOD_NOT_FOUND or versions

    def is_of_the_server(self, requested: str) -> bool:
        """Whether redirects from `requested` that ended here have led to the MCP server."""
        same = canonical(requested) == canonical(self.url)
        return same or self.asks or self.challenge is not None or self.kind == "message"


def ask_server(
    server_url: ServerUrl, signer: Signer | None = None, *, start: str = ""
) -> Flow[ServerAnswer]:
    """Send the MCP request to `start` (default: the server's URL) and follow its redirects.

    A token goes only where it belongs. Raises `BadResponse` after five redirects.
    """
    began = url = start or server_url
    for _ in range(_MOST_REDIRECTS + 1):
        response = replace((yield from _sent(url, signer)), url=url)
        target = redirect_target(response)
        inside = server_url.covers(target) if signer else same_origin(server_url, target)
        if not target or not inside or response.status not in REPEATED:
            answer = read_answer(began, response, target, with_token=signer is not None)
            return (yield from _older(answer)) if signer is None else answer
        yield Event(
            "notice",
            url,
            response.status,
            f"redirects to {shown(target)}",
            "followed within the origin, with the same method and body (RFC 9110 §15.4)",
            response.seconds,
        )
        url = target
    raise BadResponse(
        f"the server redirected the request more than {_MOST_REDIRECTS} times",
        url=server_url,
        code="redirects",
        hint="The server's operator has to fix this; a URL with or without a trailing slash may"
        " work",
    )


def _sent(url: str, signer: Signer | None) -> Flow[HttpResponse]:
    if signer is None:
        return (yield from send(probe_request(url)))
    response = yield from send(probe_request(url, signer.headers("POST", url)))
    if signer.take_nonce(response):
        response = yield from send(probe_request(url, signer.headers("POST", url)))
        signer.take_nonce(response)  # this answer, too, may bring the next nonce
    return response


def _older(answer: ServerAnswer) -> Flow[ServerAnswer]:
    """The answer to a GET if a server of MCP 2024-11-05 is there, otherwise that to the POST."""
    if answer.status not in (404, 405) or answer.led_to:
        return answer
    get = HttpRequest("GET", answer.url, {"Accept": "text/event-stream"})
    older = read_answer(answer.url, (yield from send(get)))
    return older if older.asks or older.open else answer


def read_answer(
    requested: str, response: HttpResponse, led_to: str = "", *, with_token: bool = False
) -> ServerAnswer:
    """The answer to a request to `requested`, which may have come after redirects.

    `led_to` is a redirect that was not followed. The challenge of a 403 is read only `with_token`.
    """
    refusal = response.status == 401 or (with_token and response.status == 403)
    headers = response.header_values("www-authenticate") if refusal else []
    challenge = relevant(read_challenges(headers))
    answer = ServerAnswer(response.url, response, challenge, led_to)
    if led_to or not answer.is_of_the_server(requested):
        return replace(answer, url=requested, led_to=led_to or response.url)
    return answer


def redirect_target(response: HttpResponse) -> str:
    """Where an answer redirects the request; empty if it does not, or not to a usable URL."""
    location = next(iter(response.header_values("location")), "").strip()
    if not 300 <= response.status < 400 or not location:
        return ""
    try:
        target = urldefrag(urljoin(response.url, location)).url
        return target if "@" not in split(target).netloc else ""
    except ValueError:
        return ""


_NO_PROOF: Final[Mapping[str, str]] = {}


def probe_request(server_url: str, proof: Mapping[str, str] = _NO_PROOF) -> HttpRequest:
    """An MCP `initialize`: every revision before 2026-07-28 answers it, that one refuses it."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "mcp-login", "version": "1"},
        },
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        **proof,
    }
    body = json.dumps(message).encode()
    return HttpRequest("POST", server_url, headers, body, repeatable=True)
