"""What a page in a browser may read: the CORS protocol of the Fetch standard (§3.3).

Only what clients in pages send counts: a GET with MCP-Protocol-Version for a document, for which
the browser first asks permission. A client that is denied it sends the GET again without that
header. What is the same at every place is one finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..errors import AuthError
from ..origin import shown, split
from ..protocol.discovery import metadata_request
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.probe import probe_request
from .exam import Check, Exam

ORIGIN: Final = "https://client.example"
DISCOVERY: Final = ("mcp-protocol-version",)  # what a client in a page sends for a document
# what it sends with an MCP request, and to register; a form needs no permission
CALLS: Final = ("authorization", "content-type", "mcp-protocol-version")
REGISTERS: Final = ("content-type",)
_READABLE: Final = "one Access-Control-Allow-Origin on the answer (Fetch §3.3.3)"
_PREFLIGHT: Final = (
    "2xx with Access-Control-Allow-Origin, and -Headers with MCP-Protocol-Version (Fetch §3.3)"
)
_AFFECTED: Final = "clients that run in a browser, such as the MCP Inspector"


def documents(exam: Exam, places: Iterable[str]) -> Check[None]:
    """Check whether a page may read the documents, and may request them as clients do."""
    closed: dict[str, list[str]] = {}
    shy: list[str] = []
    places = list(dict.fromkeys(places))
    for url in places:
        try:
            answer = exam.send(of_a_page(metadata_request(url)))
            ahead = exam.send(preflight(url, "GET", DISCOVERY))
        except AuthError as error:
            closed.setdefault(error.summary, []).append(url)
            continue
        if why := unreadable(answer):
            closed.setdefault(why, []).append(url)
        elif lacking(ahead, DISCOVERY):
            shy.append(url)
    for why, urls in closed.items():
        fault = "cors-twice" if "twice" in why else "cors-absent"
        question = exam.ask("cors.answer", f"GET {_listed(urls)} from {ORIGIN}", _READABLE, urls[0])
        came = f"{why} at {' and '.join(split(url).path for url in urls)}"
        yield question.found("warning", fault, came, _AFFECTED)
    if shy:
        question = exam.ask("cors.preflight", f"OPTIONS {_listed(shy)} from {ORIGIN}", _PREFLIGHT)
        yield question.note(
            "a page may read the documents, but not send MCP-Protocol-Version for"
            f" {' and '.join(split(url).path for url in shy)}",
            "pages that do not try again without the header",
            "Add MCP-Protocol-Version to Access-Control-Allow-Headers",
        )
    if places and not closed and not shy:
        question = exam.ask("cors.answer", f"GET {_listed(places)} from {ORIGIN}", _READABLE)
        yield question.ok("may read the documents")


def endpoints(exam: Exam, named: dict[str, str], registration: str) -> Check[None]:
    """A POST of a page: to the MCP endpoint, the token or the registration endpoint."""
    standard = "CORS for POST, if pages are to use it (Fetch §3.3)"
    closed: list[str] = []
    for url, what in named.items():
        needs = REGISTERS if url == registration else () if what.endswith("token") else CALLS
        try:
            missing = lacking(exam.send(preflight(url, "POST", needs)), needs)
        except AuthError as error:
            missing = [f"a response: {error.summary}"]
        if missing:
            closed.append(f"{what} ({'; '.join(missing)})")
    question = exam.ask("cors.endpoint", f"OPTIONS {_listed(named)} from {ORIGIN}", standard)
    if closed:
        yield question.note(f"a page cannot post to the {', the '.join(closed)}", _AFFECTED)
    else:
        yield question.ok(f"may post to {', '.join(named.values())}")


def challenge(exam: Exam) -> Check[None]:
    """Check whether a page can read the challenge, a header that it does not see by default."""
    try:
        response = exam.send(of_a_page(probe_request(exam.endpoint)))
    except AuthError:
        return  # an error of the same request without an origin
    if response.status != 401:
        return
    standard = "Access-Control-Expose-Headers with WWW-Authenticate (Fetch §3.3.3)"
    question = exam.ask("cors.challenge", f"POST {shown(exam.endpoint)} from {ORIGIN}", standard)
    exposed = _words(response, "access-control-expose-headers")
    if not unreadable(response) and exposed & {"www-authenticate", "*"}:
        yield question.ok("may read WWW-Authenticate")
    else:
        remedy = "Expose it, so that pages need not guess the well-known places"
        yield question.note("a page cannot read WWW-Authenticate", _AFFECTED, remedy)


def unreadable(response: HttpResponse) -> str:
    """Why a page cannot read an answer; empty where it can. Two origins are none (Fetch §3.3.3)."""
    values = response.header_values("access-control-allow-origin")
    if not values:
        return "no Access-Control-Allow-Origin"
    if len(values) > 1 or "," in values[0]:
        return "Access-Control-Allow-Origin twice"
    allowed = values[0].strip() in ("*", ORIGIN)
    return "" if allowed else f"Access-Control-Allow-Origin for one page only ({shown(values[0])})"


def lacking(response: HttpResponse, required: tuple[str, ...]) -> list[str]:
    """Return what a page lacks for its GET or POST; the methods themselves need no permission."""
    missing = []
    if not 200 <= response.status < 300:
        missing.append(f"HTTP {response.status} to OPTIONS")
    if why := unreadable(response):
        return [*missing, why]
    headers = _words(response, "access-control-allow-headers")
    # Fetch §3.3.4: the wildcard stands for every header but Authorization
    starred = set(required) - {"authorization"} if "*" in headers else set()
    absent = [name for name in required if name not in headers | starred]
    if absent:
        missing.append(f"{', '.join(absent)} not in Access-Control-Allow-Headers")
    return missing


def of_a_page(request: HttpRequest) -> HttpRequest:
    """The request as a page of another origin sends it."""
    return replace(request, headers={**request.headers, "Origin": ORIGIN})


def preflight(url: str, method: str, headers: tuple[str, ...]) -> HttpRequest:
    """Return the preflight that a browser sends before such a request with these headers."""
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": method}
    if headers:
        asks["Access-Control-Request-Headers"] = ",".join(headers)
    return HttpRequest("OPTIONS", url, asks)


def _listed(urls: Iterable[str]) -> str:
    return ", ".join(map(shown, urls))


def _words(response: HttpResponse, name: str) -> set[str]:
    return {word.strip().lower() for word in response.header(name).split(",")} - {""}
