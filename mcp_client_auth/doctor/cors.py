"""What a page in a browser may read: the CORS protocol of the Fetch standard (§3.3).

A browser first asks whether it may send MCP-Protocol-Version, which is no ordinary header; it
then shows the page a response only if that allows its origin.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..errors import AuthError
from ..origin import shown, split
from ..protocol.discovery import metadata_request
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.probe import probe_request
from .exam import Check, Exam

ORIGIN: Final = "https://client.example"
HEADERS: Final = ("authorization", "content-type", "mcp-protocol-version")
LEAN: Final = ("mcp-protocol-version",)  # what a client of MCP sends with discovery at least
_PREFLIGHT: Final = (
    "2xx with Access-Control-Allow-Origin, -Methods with GET and OPTIONS, -Headers with"
    " Authorization, Content-Type and MCP-Protocol-Version (Fetch §3.3)"
)
_AFFECTED: Final = "clients that run in a browser, such as the MCP Inspector"
_REMEDY: Final = (
    "Answer with Access-Control-Allow-Origin: *, Access-Control-Allow-Methods: GET, OPTIONS,"
    " Access-Control-Allow-Headers: Authorization, Content-Type, MCP-Protocol-Version"
)


def document(exam: Exam, url: str) -> Check[None]:
    """The preflight and the response of a metadata document."""
    path, affected = split(url).path, _AFFECTED
    question = exam.ask("cors.preflight", f"OPTIONS {shown(url)} from {ORIGIN}", _PREFLIGHT)
    try:
        response = exam.send(_preflight(url, "GET"))
        missing = lacking(response)
        if missing and not lacking(exam.send(_preflight(url, "GET", LEAN)), LEAN):
            affected = "pages that send more than MCP-Protocol-Version; the others get through"
    except AuthError as error:
        yield question.warning(error.summary, _AFFECTED, _REMEDY)
    else:
        methods = _words(response, "access-control-allow-methods")
        unnamed = [m for m in ("GET", "OPTIONS") if not methods & {m.lower(), "*"}]
        if missing:
            yield question.warning(f"{path} lacks " + "; ".join(missing), affected, _REMEDY)
        elif unnamed:
            yield question.note(
                f"{path} may be read; {' and '.join(unnamed)} not in Access-Control-Allow-Methods",
                "no browser, which lets GET pass unnamed; tools that compare the lists",
                _REMEDY,
            )
        else:
            yield question.ok(f"{path} may be read")
    standard = "Access-Control-Allow-Origin on the answer itself (Fetch §3.3.3)"
    question = exam.ask("cors.answer", f"GET {shown(url)} from {ORIGIN}", standard)
    try:
        allowed = _origin(exam.send(_of_a_page(metadata_request(url))))
    except AuthError as error:
        yield question.warning(error.summary, _AFFECTED, _REMEDY)
        return
    if allowed:
        yield question.ok(f"{path} allows {allowed}")
    else:
        came = f"{path} has no Access-Control-Allow-Origin for any origin"
        yield question.warning(came, _AFFECTED, _REMEDY)


def endpoint(exam: Exam, url: str, what: str) -> Check[None]:
    """A POST of a page: to the MCP endpoint, the token or the registration endpoint."""
    standard = "CORS for POST, if pages are to use it (Fetch §3.3)"
    question = exam.ask("cors.endpoint", f"OPTIONS {shown(url)} from {ORIGIN}", standard)
    try:
        missing = lacking(exam.send(_preflight(url, "POST")))
    except AuthError as error:
        missing = [f"a response: {error.summary}"]
    if missing:
        yield question.note(f"{what} lacks " + "; ".join(missing), _AFFECTED)
    else:
        yield question.ok(f"{what}: a page may post there")


def challenge(exam: Exam) -> Check[None]:
    """Whether a page can read the challenge, which is no header that it sees by default."""
    try:
        response = exam.send(_of_a_page(probe_request(exam.endpoint)))
    except AuthError:
        return  # an error of the same request without an origin
    if response.status != 401:
        return
    standard = "Access-Control-Expose-Headers with WWW-Authenticate (Fetch §3.3.3)"
    question = exam.ask("cors.challenge", f"POST {shown(exam.endpoint)} from {ORIGIN}", standard)
    exposed = _words(response, "access-control-expose-headers")
    if _origin(response) and exposed & {"www-authenticate", "*"}:
        yield question.ok("a page can read WWW-Authenticate")
    else:
        remedy = "Expose it, so that pages need not guess the well-known places"
        yield question.note("a page cannot read WWW-Authenticate", _AFFECTED, remedy)


def lacking(response: HttpResponse, required: tuple[str, ...] = HEADERS) -> list[str]:
    """What stands between a page and its GET or POST; these two need no leave of their own."""
    if not any(name.lower().startswith("access-control-allow") for name, _ in response.headers):
        return [f"every CORS header (HTTP {response.status})"]
    missing = []
    if not 200 <= response.status < 300:
        missing.append(f"an ok status, got HTTP {response.status}")
    if not _origin(response):
        missing.append("Access-Control-Allow-Origin for any origin")
    headers = _words(response, "access-control-allow-headers")
    # Fetch §3.3.4: the wildcard stands for every header but Authorization
    starred = set(required) - {"authorization"} if "*" in headers else set()
    absent = [name for name in required if name not in headers | starred]
    if absent:
        missing.append(f"{', '.join(absent)} in Access-Control-Allow-Headers")
    return missing


def _of_a_page(request: HttpRequest) -> HttpRequest:
    return replace(request, headers={**request.headers, "Origin": ORIGIN})


def _preflight(url: str, method: str, headers: tuple[str, ...] = HEADERS) -> HttpRequest:
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(headers),
    }
    return HttpRequest("OPTIONS", url, asks)


def _origin(response: HttpResponse) -> str:
    """`*` or our origin, if the response allows it; a list of two is none (Fetch §3.3.3)."""
    value = response.header("access-control-allow-origin").strip()
    return value if value in ("*", ORIGIN) else ""


def _words(response: HttpResponse, name: str) -> set[str]:
    return {word.strip().lower() for word in response.header(name).split(",")} - {""}
