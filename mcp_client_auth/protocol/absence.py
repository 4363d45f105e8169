"""What to say about a server without metadata: what was seen there, not which standard it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import AuthError, BadResponse, LoginFailed, Remedy
from ..events import Event
from ..origin import origin_url, same_origin, shown, split
from ..secret import quoted
from .challenge import read_challenges
from .document import described
from .flow import Flow
from .metadata import IF_ELSEWHERE
from .probe import ServerAnswer, ask_server
from .urls import ServerUrl

_NOT_THERE: Final = (404, 405, 410)
_USUAL_PATHS: Final = ("/mcp", "/mcp/", "/sse", "/sse/")
_IF_IN_FRONT: Final = "If that is a sign-in page, something in front of the server answers"
_IF_RIGHT: Final = "If it is right, a firewall or sign-in page answers in the server's place"
_IN_FRONT: Final = (
    "A firewall, bot protection, a VPN or an access gateway answers in the server's place: its"
    " operator has to let the MCP endpoint and /.well-known/ through to the server"
)


@dataclass(frozen=True, slots=True)
class Absence:
    """A place that has no metadata. `is_object`: it has a JSON object that is unusable. `led_to`:
    where it redirects to, which is not followed."""

    url: str
    came: str
    status: int = 0
    is_page: bool = False
    is_object: bool = False
    led_to: str = ""

    def __str__(self) -> str:
        return f"{shown(self.url)} answered {self.came}"


def listed(tried: Sequence[Absence]) -> str:
    return "; ".join(map(str, tried))


def in_front(answer: ServerAnswer, tried: Sequence[Absence]) -> bool:
    """Whether the same 403, or the same web page, came for every address."""
    if not tried or answer.challenge or answer.status in _NOT_THERE:
        return False
    if any(absence.status != answer.status for absence in tried):
        return False
    pages = answer.kind == "page" and all(absence.is_page for absence in tried)
    return answer.status == 403 or pages


def no_authorization_server(
    server_url: str, answer: ServerAnswer, tried: Sequence[Absence]
) -> Flow[AuthError]:
    """The error of a login for which there is no authorization server.

    If the server's path seems to be wrong, the usual ones are tried, to name one that works.
    """
    error = _about_the_metadata(answer, tried) or _about_the_answer(server_url, answer, tried)
    website = error.code == "in_front" and answer.status < 300
    wrong_path = website or error.code in ("no_endpoint", "not_an_mcp_server")
    if wrong_path or is_downgrade(server_url, answer):
        works = yield from _working_url(server_url)
        if works and website:  # a site that answers all its own paths with one page
            error = _not_an_mcp_server(server_url, answer)
        if works:
            error.advised(f"The MCP server is at {works}: use that URL")
    return error


def _about_the_metadata(answer: ServerAnswer, tried: Sequence[Absence]) -> BadResponse | None:
    named = answer.challenge.resource_metadata if answer.challenge else ""
    if named:
        return BadResponse(
            "the server names its resource metadata, but no place has any: " + listed(tried),
            url=named,
            code="no_resource_metadata",
            hint=Remedy(
                "The server's operator has to serve the document of RFC 9728 there; {}",
                IF_ELSEWHERE,
            ),
        )
    if any(absence.is_object for absence in tried):
        return BadResponse(
            "the server's resource metadata is not usable: " + listed(tried),
            url=answer.url,
            code="no_resource_metadata",
            hint=Remedy("The server's operator has to fix this; {}", IF_ELSEWHERE),
        )
    return None


def _about_the_answer(
    server_url: str, answer: ServerAnswer, tried: Sequence[Absence]
) -> BadResponse | LoginFailed:
    url, status = server_url, answer.status
    came = described(answer.response)
    if answer.led_to and not same_origin(server_url, answer.led_to):
        return BadResponse(
            f"the server redirects to {shown(answer.led_to)}, which is another origin and was not"
            f" followed (HTTP {status})",
            url=url,
            code="redirected",
            hint=f"If the MCP server is there, use that URL. {_IF_IN_FRONT}",
        )
    if answer.led_to:
        followed = f"where there is {_what(answer)} (HTTP {status}), not an MCP server"
        left = f"which was not followed (HTTP {status})"
        return BadResponse(
            f"the server redirects to {shown(answer.led_to)},"
            f" {left if 300 <= status < 400 else followed}",
            url=url,
            code="not_an_mcp_server",
            status=status,
            hint=_check(server_url),
        )
    if in_front(answer, tried):
        every = f"HTTP {status} with {came} for every address that was tried"
        website = status < 300  # a site often has a page for each address, too
        return BadResponse(
            f"there is a web page at this address, not an MCP server: {every}"
            if website
            else f"something in front of the server answers: {every}{_asking_for(answer)}",
            url=url,
            code="in_front",
            status=status,
            hint=f"{_check(server_url)}. {_IF_RIGHT}" if website else _IN_FRONT,
        )
    if answer.open:
        return LoginFailed(
            "this server requires no login",
            url=url,
            code="login_not_required",
            hint=Remedy(
                "Use it without one; nothing was stored. If it protects some calls only, name its"
                " authorization server: {Options.issuer}"
            ),
        )
    if status in _NOT_THERE:
        return BadResponse(
            f"there is no MCP endpoint at this path: HTTP {status}",
            url=url,
            code="no_endpoint",
            status=status,
            hint=_check(server_url),
        )
    if 200 <= status < 300 and not answer.refuses:
        return _not_an_mcp_server(server_url, answer)
    return BadResponse(
        f"the server answered HTTP {status} with {came}, which does not ask for a login, and has"
        f" no metadata: {listed(tried)}",
        url=url,
        code="no_challenge",
        status=status,
        hint=Remedy("Check the URL; {}", IF_ELSEWHERE),
    )


def _asking_for(answer: ServerAnswer) -> str:
    """Which other login it asks for, as web servers do for a site that is not public yet."""
    headers = answer.response.header_values("www-authenticate") if answer.status == 401 else []
    schemes = {challenge.scheme: None for challenge in read_challenges(headers)}
    named = quoted(", ".join(scheme.capitalize() for scheme in schemes), 60)
    return f"; it asks for {named} authentication" if schemes else ""


def _check(server_url: str) -> str:
    at_mcp = split(server_url).path.rstrip("/").endswith("/mcp")
    return "Check the URL" if at_mcp else "Check the URL: most servers are at /mcp"


def _not_an_mcp_server(server_url: str, answer: ServerAnswer) -> BadResponse:
    return BadResponse(
        f"there is {_what(answer)} at this address, not an MCP server",
        url=server_url,
        code="not_an_mcp_server",
        status=answer.status,
        hint=_check(server_url),
    )


def is_downgrade(server_url: str, answer: ServerAnswer) -> bool:
    """Whether a server behind a TLS proxy believes that it is on http, and redirects there."""
    there = answer.led_to.partition("://")
    return there[0] == "http" and same_origin("https://" + there[2], server_url)


def _what(answer: ServerAnswer) -> str:
    page = answer.kind == "page"
    return "a web page" if page else f"an answer with {described(answer.response)}"


def _working_url(server_url: str) -> Flow[str]:
    """A URL near this one where an MCP server answers; empty for none.

    The same path with or without its slash, and the usual ones below it and at the root.
    """
    path = split(server_url).path
    bare = path.rstrip("/")
    paths = [bare if path != bare else bare + "/", *_USUAL_PATHS]
    if bare and not bare.endswith(("/mcp", "/sse")):
        paths.insert(1, bare + "/mcp")
    for each in dict.fromkeys(paths):
        if each in (path, "", "/"):
            continue
        try:
            answer = yield from ask_server(ServerUrl(origin_url(server_url) + each))
        except AuthError:
            return ""
        if not answer.led_to and (answer.asks or answer.open or answer.refuses):
            yield Event("notice", answer.url, answer.status, "an MCP server answers here")
            return shown(answer.url)
    return ""
