"""How `mcp-login request` asks and shows: httpx with the login, and the answer as it comes."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from ..credential import key_for
from ..errors import LoginRequired, Unavailable, UsageError, quoted
from ..protocol.urls import canonical, covers, is_loopback, shown, split
from ..transport import reason
from .opening import listening, other_accounts
from .screen import screen
from .wishes import Asked, connection, usual

if TYPE_CHECKING:
    import httpx

    from ..auth import MCPAuth

_OURS: Final = ("authorization", "dpop")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_FAILED: Final = 400
_USUAL: Final = {
    "accept": "application/json, text/event-stream",
    "user-agent": "mcp-login",
}


def run_request(url: str, asked: Asked) -> int:
    """Send it and print what comes; 1 for a status of 400 or more."""
    import httpx

    data = _data(asked["data"])
    method = _method(asked["method"] or ("GET" if data is None else "POST"))
    headers = _headers(asked["headers"], data)
    server = _server_for(url, asked["account"])
    with _opened(server, asked) as client, _telling(url, server, asked["account"]):
        request = client.build_request(method, url, headers=headers, content=data)
        response = client.send(request, auth=_auth(server, asked), stream=True)
        try:
            _print(response, asked)
        finally:
            response.close()
    if response.status_code >= _FAILED:
        said = f"{response.status_code} {httpx.codes.get_reason_phrase(response.status_code)}"
        screen.say(f"mcp-login: HTTP {said}".rstrip())
        return 1
    return 0


def _server_for(url: str, account: str) -> str:
    """The server whose login goes with the URL: the most specific one that covers it."""
    from ..storage.index import Index

    canonical(url)  # raises for what is none
    held = [entry.key for entry in Index().all()]
    ours = [key.server for key in held if key == key_for(key.server, account)]
    covering = [server for server in ours if covers(server, url)]
    return max(covering, key=len, default=url)


def _auth(server: str, asked: Asked) -> MCPAuth:
    from ..auth import MCPAuth
    from ..storage import choose_storage
    from .storing import tell_of_waiting

    tell_of_waiting()
    account = asked["account"]
    return MCPAuth(
        server,
        account=account,
        storage=choose_storage(asked["store"], key_for(server, account)),
        prompt=None,
        on_event=listening(asked),
        **usual(server, asked),
    )


def _opened(server: str, asked: Asked) -> httpx.Client:
    """A client for the person's own request; what is on this machine is not asked by a proxy."""
    import ssl

    import httpx

    from ..certificates import tls_context

    said = connection(asked)
    local = is_loopback(server)
    plain = local and split(server).scheme == "http"  # the authorities take long to load
    try:
        return httpx.Client(
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if plain
            else tls_context(said.get("verify", True), said.get("cert")),
            proxy=None if local else said.get("proxy"),
            trust_env=not local,
            timeout=httpx.Timeout(asked["timeout"]),
            follow_redirects=False,
        )
    except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
        raise UsageError(
            f"the proxy or certificate settings cannot work: {quoted(str(error))}",
            hint="Check --proxy, --ca, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
        ) from None


@contextmanager
def _telling(url: str, server: str, account: str) -> Iterator[None]:
    """What httpx says, as an error of ours; and which other accounts there are."""
    import httpx

    try:
        yield
    except LoginRequired as error:
        raise other_accounts(error, key_for(server, account)) from None
    except (httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: an `xn--` host that is none
        raise UsageError(f"the URL cannot be used: {reason(error)}", url=shown(url)) from None
    except httpx.TimeoutException:
        raise Unavailable("no answer in time", url=shown(url), hint="See --timeout") from None
    except httpx.LocalProtocolError:  # it may quote a header
        raise UsageError("the request cannot be sent as it is", url=shown(url)) from None
    except httpx.HTTPError as error:
        raise Unavailable(
            f"no answer: {reason(error)}", url=shown(url), hint="Check the address"
        ) from None


def _method(word: str) -> str:
    if not _TOKEN.fullmatch(word):
        raise UsageError(f"{quoted(word, 60)} cannot be a method", hint="For example -X DELETE")
    return word


def _headers(lines: tuple[str, ...], data: bytes | None) -> list[tuple[str, str]]:
    """The person's, each as often as it is given, and the usual ones that are not among them."""
    said = [_header(line, data) for line in lines]
    usual = dict(_USUAL) if data is None else {**_USUAL, "content-type": "application/json"}
    for name, _ in said:
        usual.pop(name, None)
    return [*usual.items(), *said]


def _header(line: str, data: bytes | None) -> tuple[str, str]:
    """Name and value; `UsageError` for none, and for one that would take the login's place."""
    name, colon, value = line.partition(":")
    name = name.strip().lower()
    if not (colon and _TOKEN.fullmatch(name) and line.isascii() and line.isprintable()):
        raise UsageError("a header is NAME: VALUE, in ASCII", hint="For example -H 'X-Trace: 1'")
    if name in _OURS:
        raise UsageError(
            f"the header {name} is the login's",
            hint="Leave it out, or use curl for a header of your own",
        )
    if name == "content-length" and value.strip() != str(len(data or b"")):
        raise UsageError(
            "the header content-length is not the length of the body", hint="Leave it out"
        )
    return name, value.strip()


def _data(said: str | None) -> bytes | None:
    if said is None or not said.startswith("@"):
        return None if said is None else os.fsencode(said)  # also what is no text
    try:
        if said == "@-":
            return sys.stdin.buffer.read()
        with open(os.path.expanduser(said[1:]), "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"{quoted(said, 120)} cannot be read: {error.strerror}") from None


def _print(response: httpx.Response, asked: Asked) -> None:
    """Head and body, piece by piece."""
    if asked["output"] and asked["output"] != "-":
        with _file(asked["output"]) as file:
            _copy(response, file.write)
        return
    write = _writer()
    if asked["include"]:
        version, phrase = response.http_version, response.reason_phrase
        lines = [f"{version} {response.status_code} {phrase}".rstrip()]
        lines += [f"{name}: {value}" for name, value in response.headers.multi_items()]
        write(("\n".join(lines) + "\n\n").encode())
    _copy(response, write)


def _copy(response: httpx.Response, write: Any) -> None:
    for piece in response.iter_bytes():
        write(piece)


def _file(path: str) -> BinaryIO:
    try:
        return open(os.path.expanduser(path), "wb")
    except OSError as error:
        raise UsageError(f"{quoted(path, 120)} cannot be written: {error.strerror}") from None


def _writer() -> Any:
    """Bytes as they are; at a terminal without what could steer it.

    A carriage return is left out: many servers end their lines with one.
    """
    out = sys.stdout
    if not out.isatty():
        return _flushed
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(piece: bytes) -> None:
        text = decoder.decode(piece).replace("\r", "")
        click.echo("".join(c if c.isprintable() or c in "\n\t" else "�" for c in text), nl=False)

    return write


def _flushed(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
