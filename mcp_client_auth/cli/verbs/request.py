"""`mcp-login request`: curl with the login: httpx sends it, and the answer is shown as it comes."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ...environment import is_terminal
from ...errors import Unavailable, UsageError
from ...secret import quoted
from ..arguments import AboutLogin, command_line, group, option, server, timeout
from ..commands import verb

if TYPE_CHECKING:
    import httpx

_OURS: Final = ("authorization", "dpop")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_FAILED: Final = 400
_BEGINNING: Final = 1024
_INDENTED: Final = 1024 * 1024  # more than a person reads
_SESSION_ID: Final = "mcp-session-id"
_SESSION: Final = (
    "This server keeps sessions: send initialize first, with -v, which shows the Mcp-Session-Id"
    " of its answer; then send notifications/initialized and each request with that header (-H)"
)
_USUAL: Final = {
    "accept": "application/json, text/event-stream",
    "user-agent": "mcp-login",
}


@command_line
class Arguments:
    url: str = server()
    method: str | None = option(
        "-X", "--method", metavar="METHOD", help="HTTP method (default: GET, or POST with data)."
    )
    headers: tuple[str, ...] = option(
        "-H", "--header", multiple=True, metavar="NAME: VALUE", help="Header to send (repeatable)."
    )
    data: str | None = option(
        "-d",
        "--data",
        metavar="DATA",
        help="Body: a text, @FILE, or @- for standard input; JSON unless a header says otherwise.",
    )
    timeout: float = timeout(60.0, "How long to wait for the next bytes")
    login: AboutLogin = group(AboutLogin)


@verb("request", Arguments)
def command(arguments: Arguments) -> int:
    """SERVER is the server, or a URL below it. The body of the response goes to stdout as it
    arrives, streams too; only a terminal gets JSON indented. With --verbose its status and headers
    go to stderr. Redirects are not followed: where those of the server's own URL lead is known from
    the login. The exit code is 0 for a status below 400, otherwise 1.
    """
    import httpx

    from ...prompt.screen import screen
    from ...transport.faults import reason
    from ..client import authorized

    url, data = arguments.url, _data(arguments.data)
    method = arguments.method or ("GET" if data is None else "POST")
    if not _TOKEN.fullmatch(method):
        raise UsageError(f"{quoted(method, 60)} cannot be a method", hint="For example -X DELETE")
    headers = _headers(arguments.headers, data)
    with authorized(url, arguments.login, arguments.timeout) as (client, where, _):
        request = client.build_request(method, where, headers=headers, content=data)
        with screen.waiting_for("the answer"):
            response = client.send(request, stream=True)
        try:
            began = _print(response, head=arguments.login.output.verbose)
        except httpx.TransportError as error:
            late = isinstance(error, httpx.TimeoutException)
            raise Unavailable(
                f"the answer broke off: {reason(error)}",
                url=where,
                hint="See --timeout" if late else "Try again later",
            ) from None
        finally:
            response.close()
    return _ended(request, response, began)


def _ended(request: httpx.Request, response: httpx.Response, began: bytes) -> int:
    """Show how it ended and return the exit code: 1 for a status of 400 or more."""
    import httpx

    from ...prompt.screen import blamed, hanging, screen, tinted
    from ..describe import plain

    status = response.status_code
    if response.has_redirect_location:
        where = plain(response.headers["location"])
        screen.say(blamed("mcp-login:", f"HTTP {status} to {where}, which is not followed"))
    if status < _FAILED:
        return 0
    phrase = httpx.codes.get_reason_phrase(status)
    screen.say(blamed("mcp-login:", f"HTTP {status} {phrase}".rstrip()))
    # the server keeps MCP sessions, and the request named none
    stray = _SESSION_ID not in request.headers and b"session" in began.lower()
    if status == _FAILED and stray:
        screen.say(tinted(hanging("  ", _SESSION), "hint"))
    return 1


def _headers(lines: tuple[str, ...], data: bytes | None) -> list[tuple[str, str]]:
    """Return the user's headers, each as often as it is given, and the usual ones not among them.

    Raises `UsageError` for what is not a header, and for one that would replace the login's.
    """
    own: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = (part.strip() for part in line.partition(":"))
        name = name.lower()
        if not (colon and _TOKEN.fullmatch(name) and line.isascii() and line.isprintable()):
            raise UsageError(
                "a header must be NAME: VALUE, in ASCII", hint="For example -H 'X-Trace: 1'"
            )
        if name in _OURS:
            raise UsageError(
                f"the header {name} comes from the login",
                hint="Leave it out, or send your own with curl",
            )
        if name == "content-length" and value != str(len(data or b"")):
            raise UsageError(
                "the header content-length is not the length of the body", hint="Leave it out"
            )
        own.append((name, value))
    usual = _USUAL if data is None else {**_USUAL, "content-type": "application/json"}
    return [*((name, v) for name, v in usual.items() if name not in dict(own)), *own]


def _data(word: str | None) -> bytes | None:
    if word is None or not word.startswith("@"):
        return None if word is None else os.fsencode(word)  # also what is no text
    try:
        if word == "@-":
            return sys.stdin.buffer.read()
        with open(os.path.expanduser(word[1:]), "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"{quoted(word, 120)} cannot be read: {error.strerror}") from None


def _print(response: httpx.Response, *, head: bool) -> bytes:
    """Print status and headers to stderr, and the body piece by piece; return its beginning.

    A terminal gets JSON indented, streams as they come, nothing that could control it, and a line
    break at the end. Anything else gets what came, byte for byte.
    """
    from ...prompt.screen import screen
    from ..describe import plain

    out = sys.stdout
    if head:  # what is shown with --verbose is pasted into issues
        version, phrase = response.http_version, response.reason_phrase
        screen.say(plain(f"{version} {response.status_code} {phrase}".rstrip()))
        for name, value in response.headers.multi_items():
            shown = "…" if name.lower() == "set-cookie" else plain(value, 2000)
            screen.say(f"  {plain(name)}: {shown}")
    began = b""
    pieces = response.iter_bytes()
    if is_terminal(out):
        return _print_for_a_person(pieces, response.headers.get("content-type", ""))
    for piece in pieces:
        out.buffer.write(piece)
        out.buffer.flush()
        began += piece[: _BEGINNING - len(began)]
    return began


def _print_for_a_person(pieces: Iterator[bytes], kind: str) -> bytes:
    import httpx

    from ...protocol.document import json_value
    from ..json_text import pretty, safe, write

    began, end, whole = b"", "\n", bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    may_be_json = "json" in kind.lower()
    try:
        for piece in pieces:
            began += piece[: _BEGINNING - len(began)]
            whole += piece
            if may_be_json and len(whole) <= _INDENTED:
                continue
            may_be_json, text = False, safe(decoder.decode(bytes(whole)))
            whole.clear()
            write(text, nl=False)
            end = text[-1:] or end
    except httpx.HTTPError:  # what is said of it begins a line
        write(safe(decoder.decode(bytes(whole))), nl=bool(whole) or end != "\n")
        raise
    if may_be_json:
        try:
            text = pretty(json_value(whole.decode("utf-8-sig")))
        except ValueError:
            text = safe(whole.decode("utf-8", "replace"))
        write(text, nl=False)
        end = text[-1:] or end
    rest = safe(decoder.decode(b"", final=True))
    write(rest + ("" if (rest or end) == "\n" else "\n"), nl=False)
    return began
