"""What a page in a browser may read: the CORS protocol of the Fetch standard (§3.3).

A browser asks first whether it may send MCP-Protocol-Version, which is no ordinary header; it
then shows the page an answer only if that allows its origin.
"""

from __future__ import annotations

from typing import Final

from ..errors import AuthError
from ..probing import probe_request
from ..protocol.discovery import metadata_request
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.urls import shown, split
from .exam import Check, Exam
from .finding import Finding

ORIGIN: Final = "https://client.example"
HEADERS: Final = ("authorization", "content-type", "mcp-protocol-version")
LEAN: Final = ("mcp-protocol-version",)  # what a client of MCP sends with discovery at least
_PREFLIGHT: Final = (
    "2xx with Access-Control-Allow-Origin, -Methods with GET and OPTIONS, -Headers with"
    " Authorization, Content-Type and MCP-Protocol-Version (Fetch §3.3)"
)
_STUMBLES: Final = "clients that run in a browser, such as the MCP Inspector"
_MEND: Final = (
    "Answer with Access-Control-Allow-Origin: *, Access-Control-Allow-Methods: GET, OPTIONS,"
    " Access-Control-Allow-Headers: Authorization, Content-Type, MCP-Protocol-Version"
)


def document(exam: Exam, url: str) -> Check[None]:
    """The preflight and the answer of a metadata document."""
    asked = f"OPTIONS {shown(url)} from {ORIGIN}"
    try:
        response = exam.send(_preflight(url, "GET"))
        stumbles = _STUMBLES
        if lacking(response) and not lacking(exam.send(_preflight(url, "GET", LEAN)), LEAN):
            stumbles = "pages that send more than MCP-Protocol-Version; the others get through"
    except AuthError as error:
        yield _silent("cors.preflight", asked, error)
    else:
        yield _allowed(asked, split(url).path, response, stumbles)
    yield _readable(exam, url)


def endpoint(exam: Exam, url: str, what: str) -> Check[None]:
    """A POST of a page: to the MCP endpoint, the token or the registration endpoint."""
    asked = f"OPTIONS {shown(url)} from {ORIGIN}"
    standard = "CORS for POST, if pages shall use it (Fetch §3.3)"
    try:
        missing = lacking(exam.send(_preflight(url, "POST")))
    except AuthError as error:
        missing = [f"an answer: {error.summary}"]
    if not missing:
        yield Finding("cors.endpoint", "ok", asked, f"{what}: a page may post there", standard)
        return
    came = f"{what} lacks " + "; ".join(missing)
    yield Finding("cors.endpoint", "note", asked, came, standard, _STUMBLES)


def challenge(exam: Exam) -> Check[None]:
    """Whether a page can read the challenge, which is no header that it sees by default."""
    request = probe_request(exam.server_url)
    headers = {**request.headers, "Origin": ORIGIN}
    try:
        response = exam.send(HttpRequest(request.method, request.url, headers, request.body))
    except AuthError:
        return  # the same request without an origin has told why
    if response.status != 401:
        return
    asked = f"POST {shown(exam.server_url)} from {ORIGIN}"
    exposed = _words(response, "access-control-expose-headers")
    standard = "Access-Control-Expose-Headers with WWW-Authenticate (Fetch §3.3.3)"
    if _origin(response) and exposed & {"www-authenticate", "*"}:
        came = "a page can read WWW-Authenticate"
        yield Finding("cors.challenge", "ok", asked, came, standard)
        return
    came = "a page cannot read WWW-Authenticate"
    mend = "Expose it, so that pages need not guess the well-known places"
    yield Finding("cors.challenge", "note", asked, came, standard, _STUMBLES, mend)


def lacking(response: HttpResponse, wanted: tuple[str, ...] = HEADERS) -> list[str]:
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
    starred = set(wanted) - {"authorization"} if "*" in headers else set()
    absent = [name for name in wanted if name not in headers | starred]
    if absent:
        missing.append(f"{', '.join(absent)} in Access-Control-Allow-Headers")
    return missing


def _allowed(asked: str, path: str, response: HttpResponse, stumbles: str) -> Finding:
    missing = lacking(response)
    if missing:
        came = f"{path} lacks " + "; ".join(missing)
        return Finding("cors.preflight", "warning", asked, came, _PREFLIGHT, stumbles, _MEND)
    methods = _words(response, "access-control-allow-methods")
    unnamed = [m for m in ("GET", "OPTIONS") if not methods & {m.lower(), "*"}]
    if unnamed:
        came = f"{path} may be read; {' and '.join(unnamed)} not in Access-Control-Allow-Methods"
        why = "no browser, which lets GET pass unnamed; tools that compare the lists"
        return Finding("cors.preflight", "note", asked, came, _PREFLIGHT, why, _MEND)
    came = f"{path} may be read"
    return Finding("cors.preflight", "ok", asked, came, _PREFLIGHT)


def _readable(exam: Exam, url: str) -> Finding:
    request = metadata_request(url)
    asked, path = f"GET {shown(url)} from {ORIGIN}", split(url).path
    standard = "Access-Control-Allow-Origin on the answer itself (Fetch §3.3.3)"
    try:
        response = exam.send(HttpRequest("GET", url, {**request.headers, "Origin": ORIGIN}))
    except AuthError as error:
        return _silent("cors.answer", asked, error)
    allowed = _origin(response)
    if allowed:
        return Finding("cors.answer", "ok", asked, f"{path} allows {allowed}", standard)
    came = f"{path} has no Access-Control-Allow-Origin for any origin"
    return Finding("cors.answer", "warning", asked, came, standard, _STUMBLES, _MEND)


def _silent(check: str, asked: str, error: AuthError) -> Finding:
    return Finding(check, "warning", asked, error.summary, _PREFLIGHT, _STUMBLES, _MEND)


def _preflight(url: str, method: str, headers: tuple[str, ...] = HEADERS) -> HttpRequest:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(headers),
    }
    return HttpRequest("OPTIONS", url, asked)


def _origin(response: HttpResponse) -> str:
    """`*` or our origin, if the answer allows it; a list of two is none (Fetch §3.3.3)."""
    value = response.header("access-control-allow-origin").strip()
    return value if value in ("*", ORIGIN) else ""


def _words(response: HttpResponse, name: str) -> set[str]:
    return {word.strip().lower() for word in response.header(name).split(",")} - {""}
