"""What is fuzzed: a row for each reader, with good inputs, and what is done with what it reads.

An input is bytes. Where an answer is expected it is an envelope of JSON, `{"status", "headers",
"body"}`, so that one that is cut by its structure stays an answer; anything else is its body. A
row goes on with what was read as a login does: it is sent, kept, read again, shown.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote

import httpcore

from mcp_client_auth.adapters.rpc import reply
from mcp_client_auth.cli import examination, mcp_configs, mcp_remote, offers, project
from mcp_client_auth.cli.describe import details, plain
from mcp_client_auth.cli.json_text import pretty, safe
from mcp_client_auth.credential import (
    Credential,
    Note,
    dumps,
    dumps_client,
    key_for,
    loads,
    loads_client,
)
from mcp_client_auth.doctor.client_metadata import content
from mcp_client_auth.errors import AuthError, BadResponse, LoginRequired, Unavailable
from mcp_client_auth.events import Event
from mcp_client_auth.grants.base import LoginConfig
from mcp_client_auth.grants.enterprise_managed import StoredGrant
from mcp_client_auth.grants.pending import PendingLogin
from mcp_client_auth.grants.retry import Attempt
from mcp_client_auth.keys.client_key import require_certificate
from mcp_client_auth.mcp.events import EventReader
from mcp_client_auth.mcp.exchange import (
    BeginOlder,
    Head,
    Read,
    Send,
    Server,
    call,
    is_stream,
    listen,
)
from mcp_client_auth.mcp.messages import (
    answers,
    encoded,
    error_of,
    is_request,
    read_messages,
    reply_to,
)
from mcp_client_auth.mcp.tools import Tool, ToolResult, has_headers, header_fault, mirrored
from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.paste import NotTheAnswer, query_of
from mcp_client_auth.protocol.authorization import (
    Unrelated,
    authorization_request,
    require_code_grant,
)
from mcp_client_auth.protocol.challenge import read_challenges, relevant
from mcp_client_auth.protocol.client_choice import client_kind
from mcp_client_auth.protocol.device import (
    authorize_device,
    poll,
    read_device_authorization,
    wait_after,
)
from mcp_client_auth.protocol.discovery import Discovery, discover
from mcp_client_auth.protocol.document import parsed
from mcp_client_auth.protocol.dpop import choose_algorithm, demanded, read_key, read_nonce
from mcp_client_auth.protocol.dynamic_registration import register
from mcp_client_auth.protocol.flow import Flow as ProtocolFlow
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.gateway import headers_at
from mcp_client_auth.protocol.id_token import Expected, read_id_token
from mcp_client_auth.protocol.jose import algorithm_for, signing_key
from mcp_client_auth.protocol.management import is_manageable, unregister
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.probe import ServerAnswer, ask_server, read_answer, redirect_target
from mcp_client_auth.protocol.pushed import push
from mcp_client_auth.protocol.registration import ClientMetadataDocument
from mcp_client_auth.protocol.scopes import choose_scope, step_up
from mcp_client_auth.protocol.times import retry_after
from mcp_client_auth.protocol.tokens import (
    exchange,
    read_static_token,
    read_token_response,
    refresh,
    refresh_id_token,
    revoke,
)
from mcp_client_auth.protocol.urls import Endpoint, Issuer, ServerUrl, is_relative, without_port
from mcp_client_auth.secret import Secret
from mcp_client_auth.session.cooldown import LOGIN, Cooling
from mcp_client_auth.session.notes import (
    MARK,
    error_fields,
    read_error,
    read_mark,
    read_outage,
    read_refusal,
)
from mcp_client_auth.storage.backend import Item
from mcp_client_auth.storage.directory import Directory
from mcp_client_auth.storage.index import Summary
from mcp_client_auth.storage.keys import Keys
from mcp_client_auth.storage.memory import MemoryBackend
from mcp_client_auth.storage.sealed import given_keys, is_key, is_sealed, seal, unseal
from mcp_client_auth.storage.settings import Settings
from mcp_client_auth.storage.store import OUTAGE, Store
from mcp_client_auth.transport.answers import first_message
from mcp_client_auth.transport.flow import Flow
from mcp_client_auth.transport.http import HttpTransport
from tests.support.key_samples import jwk, pem
from tests.support.protocol_samples import (
    ISSUER,
    PLANTED,
    REDIRECT,
    SERVER_URL,
    client,
    discovery,
    resource_document,
    server_document,
)
from tests.support.storage_samples import full, full_client

NOW: Final = 1_800_000_000.0
KEY: Final = key_for(SERVER_URL)
SEALING: Final = Secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
STATE, NONCE = Secret("planted-state-4Fq"), Secret("planted-nonce-9Zt")
IDENTITY: Final = ClientMetadataDocument("https://app.example/client.json")
OPTIONS: Final = Options()
PENDING: Final = ("pending", "default", STATE.reveal())


@dataclass(frozen=True, slots=True)
class Target:
    """`use` reads an input and goes on with it. Only errors of ours may come of it, and `own`
    where its function is documented to raise another."""

    name: str
    seeds: tuple[bytes, ...]
    use: Callable[[bytes], object] = field(repr=False)
    own: tuple[type[Exception], ...] = ()


# What is done with what was read


def told(error: AuthError) -> None:
    """It is shown, and noted for other processes."""
    text = str(error)
    assert text.isprintable(), ascii(text)
    assert len(text) < 3000, len(text)
    assert PLANTED not in text
    again = str(read_error(json.loads(json.dumps(error_fields(error)))))
    assert again.isprintable(), ascii(again)
    assert again == text or "****" in again  # a word of it is part of a secret by now


def heard(event: Event) -> None:
    text = str(event)
    assert text.isprintable(), ascii(text)
    assert len(text) < 5000, len(text)


class Arriving(httpcore.MockStream):
    """A connection, by TLS or not, on which these bytes come."""

    ahead = False

    def start_tls(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        return self


class Network(httpcore.MockBackend):
    def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        return Arriving([*self._buffer])


class Wire(Flow):
    """The transport of the product, to whose connections one answer arrives."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(HttpTransport(SERVER_URL, Options(http_timeout=5, patience=0)))
        pieces = [raw[at : at + 16_384] for at in range(0, len(raw), 16_384)]
        self._network = Network(pieces)

    def _pool(self, route: Any) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(_context(), network_backend=self._network)


@cache
def _context() -> ssl.SSLContext:
    """One for all, for it takes long; no certificate is looked at here."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def raw_answer(response: HttpResponse) -> bytes:
    head = [f"HTTP/1.1 {response.status} x"]
    head += [f"{name}: {value}" for name, value in response.headers]
    head += [f"Content-Length: {len(response.body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1", "replace") + response.body


def carried_out(flow: ProtocolFlow[Any], *responses: HttpResponse) -> Any:
    """A flow with its requests as they are sent; the last answer is given again and again."""
    left = list(responses)

    def send(request: HttpRequest) -> HttpResponse:
        response = left.pop(0) if len(left) > 1 else left[0]
        with closing(Wire(raw_answer(response))) as wire:
            return wire(request)

    return run(flow, send, heard)


_CONTROL: Final = {code: None for code in range(32) if code != 9}


def answer_of(data: bytes, status: int = 200, kind: str = "application/json") -> HttpResponse:
    """The answer that an input describes."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    url = ISSUER + "/somewhere"
    if not isinstance(value, dict) or "body" not in value:
        return HttpResponse(status, url, (("Content-Type", kind),), data[: 1 << 20])
    status = value.get("status", status)
    status = status if type(status) is int and 200 <= status <= 599 else 200
    named = value.get("headers")
    pairs = named.items() if isinstance(named, dict) else ()
    headers = tuple(
        (name, each.translate(_CONTROL).encode("latin-1", "replace").decode("latin-1").strip())
        for name, each in pairs
        if isinstance(each, str) and name.replace("-", "").isalpha() and name.isascii()
        if name.lower() not in ("content-length", "transfer-encoding", "connection")
    )
    body = value["body"]
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else deep_json(body)
    return HttpResponse(status, url, headers or (("Content-Type", kind),), raw[: 1 << 20])


def deep_json(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"[" * 5000


def envelope(body: Any, status: int = 200, **headers: str) -> bytes:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return json.dumps({"status": status, "headers": named, "body": body}).encode()


def good_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def used(found: Discovery) -> None:
    """A discovery up to the address that the browser opens."""
    repr(found), repr(found.server), repr(found.metadata)
    assert str(found.server.issuer.shown).isprintable()
    with suppress(AuthError):
        require_code_grant(found.server, OPTIONS)
    with suppress(AuthError):
        client_kind(IDENTITY, found.server, OPTIONS)
    with suppress(AuthError):
        choose_algorithm(found)
    demanded(found)
    scope = choose_scope(found, None)
    request = authorization_request(
        found, client(), REDIRECT, scope, OPTIONS, state=STATE, verifier=Secret("v" * 43)
    )
    assert request.url.isascii() or not found.server.authorization_endpoint.isascii()
    repr(request)
    attempt = Attempt(found, "dynamic", scope)
    error = AuthError("refused", code="invalid_scope")
    attempt.recovery(error, reused=True, visited=False)
    attempt.advise(error, IDENTITY)
    told(error)
    pending = PendingLogin(LoginConfig(SERVER_URL, KEY), request)
    with suppress(AuthError):
        assert PendingLogin.loads(pending.dumps()).url == request.url
    if found.server.pushed_authorization_request_endpoint:
        with suppress(AuthError):
            carried_out(push(request), HttpResponse(503, ISSUER))


def kept(credential: Credential) -> None:
    """A login is written, read again, and sent and shown as it was read."""
    again = loads(dumps(credential), "a place")
    assert again == credential
    summary = Summary.of(again, "file")
    for name, text in details(summary, "a place").items():
        assert text.isprintable(), (name, ascii(text))
    repr(again), again.managed, again.renews, again.endpoint(ServerUrl(again.key.server))
    headers_at(again.headers, SERVER_URL)
    with suppress(AuthError):
        require_certificate(again.client, None)
    with suppress(AuthError):
        StoredGrant.of(again)
    if again.renewable:
        with suppress(AuthError):
            carried_out(refresh(again, NOW), HttpResponse(200, ISSUER, (), b"{}"))
    if again.revocation_endpoint:
        with suppress(AuthError):
            carried_out(revoke(again, again.tokens.access_token, "access_token"), OK)
    store = Store("memory", MemoryBackend())
    store.save(again)
    assert store.load(again.key) == again
    store.list(server=again.key.server)


OK: Final = HttpResponse(200, ISSUER, (), b"{}")


def kept_client(made: Any) -> None:
    assert loads_client(dumps_client(made), "a place") == made
    repr(made), made.expired(NOW)
    if made.management_uri and is_manageable(made.management_uri, discovery().server):
        with suppress(AuthError):
            carried_out(unregister(made), OK)


# The network


def server_metadata(data: bytes) -> None:
    pages = HttpResponse(200, SERVER_URL, (), good_json(resource_document())), answer_of(data)
    used(carried_out(discover(SERVER_URL, None, OPTIONS), *pages))


def resource_metadata(data: bytes) -> None:
    pages = answer_of(data), HttpResponse(200, ISSUER, (), good_json(server_document()))
    used(carried_out(discover(SERVER_URL, None, OPTIONS), *pages))


def nothing_there(data: bytes) -> None:
    """Where no metadata lies: what is said of that."""
    answer = read_answer(SERVER_URL, replace(answer_of(data, 401), url=SERVER_URL))
    used(carried_out(discover(SERVER_URL, answer, OPTIONS), answer_of(data)))


def challenge(data: bytes) -> None:
    text = data.decode("latin-1")
    found = relevant(read_challenges([text, text[: len(text) // 2]]))
    if found is None:
        return
    step_up(("a",), ("b",), found.scope or ())
    answer = ServerAnswer(SERVER_URL, HttpResponse(401, SERVER_URL), found)
    used(replace(discovery(), challenge=found))
    carried_out(discover(SERVER_URL, answer, OPTIONS), HttpResponse(404, SERVER_URL))


def probe(data: bytes) -> None:
    response = answer_of(data, 401)
    answer = carried_out(ask_server(SERVER_URL), response)
    repr((answer.kind, answer.open, answer.asks, answer.requires_authorization))
    redirect_target(response), retry_after(response), read_nonce(response)


def registration(data: bytes) -> None:
    found = discovery()
    made = carried_out(register(found.server, REDIRECT, ("a",), OPTIONS), answer_of(data, 201))
    kept_client(made)
    used_client = authorization_request(
        found, made, REDIRECT, None, OPTIONS, state=STATE, verifier=Secret("v" * 43)
    )
    with suppress(AuthError):
        carried_out(exchange(used_client.accept(f"code=c&state={STATE.reveal()}"), NOW), OK)


def token(data: bytes) -> None:
    request = request_of()
    code = request.accept(f"code={PLANTED}&state={STATE.reveal()}")
    tokens = carried_out(exchange(code, NOW), answer_of(data))
    kept(replace(full(KEY), tokens=tokens))


def refreshed(data: bytes) -> None:
    before = replace(full(KEY), client=replace(full_client(), secret=Secret(PLANTED)))
    kept(before.renewed(carried_out(refresh(before, NOW), answer_of(data))))


@cache
def request_of() -> Any:
    made = client("client_secret_post", PLANTED)
    return authorization_request(
        discovery(), made, REDIRECT, ("a",), OPTIONS, state=STATE, verifier=Secret("v" * 43)
    )


def pushed(data: bytes) -> None:
    place = ISSUER + "/par"
    server = replace(discovery().server, pushed_authorization_request_endpoint=Endpoint(place))
    made = carried_out(push(replace(request_of(), server=server)), answer_of(data, 201))
    assert made.url.isascii()


def device(data: bytes) -> None:
    place = Endpoint(ISSUER + "/device")
    found = replace(
        discovery(), server=replace(discovery().server, device_authorization_endpoint=place)
    )
    response = answer_of(data)
    authorization = carried_out(authorize_device(found, client(), ("a",)), response)
    assert authorization == read_device_authorization(found, client(), ("a",), response)
    assert authorization.user_code.isprintable()
    plain(authorization.verification_uri), repr(authorization)
    refused: AuthError | None = None
    try:
        carried_out(poll(authorization, NOW), response)
    except AuthError as error:
        refused = error
    assert refused is None or 1 <= wait_after(refused, authorization.interval) <= 86_400


def callback(data: bytes) -> None:
    code = request_of().accept(data.decode("utf-8", "surrogateescape"))
    carried_out(exchange(code, NOW), OK)


def pasted(data: bytes) -> None:
    request_of().accept(query_of(data.decode("utf-8", "replace"), request_of()))


class Listening:
    """The listener's own handler at a pair of sockets."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.listener.hold = 0.0
        self.listener.patience = 5.0
        self.listener.shorten(ISSUER + "/authorize", lambda text: None)
        self.listener._offer, self.listener._posted = self._offer, lambda: None

    def _offer(self, query: str) -> bool:
        with suppress(Unrelated, AuthError):
            request_of().accept(query)
        return False

    def serve(self, data: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            with suppress(BlockingIOError):
                ours.send(data.replace(b"PORT", str(self.listener.port).encode())[:100_000])
            ours.setblocking(True)
            ours.shutdown(socket.SHUT_WR)
            with suppress(OSError):  # the handler's own, which its server takes
                server = self.listener._servers[0]
                server.RequestHandlerClass(theirs, ("127.0.0.1", 1), server)
            theirs.shutdown(socket.SHUT_RDWR)
            return ours.recv(1 << 16)


@cache
def listening() -> Listening:
    return Listening()


def listener(data: bytes) -> None:
    said = listening().serve(data)
    assert not said or said.startswith((b"HTTP/1.0 ", b"HTTP/1.1 ", b"<!doctype")), said[:80]
    assert PLANTED.encode() not in said


def id_token(data: bytes) -> None:
    """The input is `[header, claims]`, or else a whole token."""
    try:
        parts = json.loads(data)
        words = [urlsafe_b64encode(deep_json(part)).rstrip(b"=").decode() for part in parts]
        text = ".".join([*words, "c2ln"])
    except (ValueError, TypeError, RecursionError):
        text = data.decode("latin-1")
    answer = {"access_token": "a", "id_token": text, "token_type": "Bearer"}
    response = HttpResponse(200, ISSUER + "/token", (), good_json(answer))
    before = replace(full(KEY), issuer=ISSUER)
    found = read_id_token(response, Expected(ISSUER, "client-1", NONCE), NOW)
    if found is not None:
        made = replace(before.tokens, access_token=found[0], expires_at=found[1])
        kept(replace(before, tokens=made))
        renewed = carried_out(refresh_id_token(before, ISSUER, NOW), response)
        if renewed.fault:
            told(renewed.fault)


def http_answer(data: bytes) -> None:
    """Whatever bytes come over a connection."""
    with closing(Wire(data)) as wire:
        response = wire(HttpRequest("GET", ISSUER + "/x"))
    read_answer(SERVER_URL, response)
    with suppress(AuthError):
        read_token_response(response, NOW)


def event_stream(data: bytes) -> None:
    """Whole, and cut up; both give the same, and both readers the same first message."""
    data = data[:50_000]
    whole, pieces = streamed([data]), [data[at : at + 7] for at in range(0, len(data), 7)]
    assert streamed(pieces) == whole
    first = first_message([data])
    assert first_message(pieces) == first
    with suppress(UnicodeDecodeError):
        assert whole[:1] == ([first.decode()] if first else [])


def streamed(pieces: Iterable[bytes]) -> list[str]:
    reader = EventReader(1 << 21)
    texts: list[str] = []
    try:
        for piece in pieces:
            texts += reader.feed(piece)
    except BadResponse as error:
        texts.append(str(error))
    for text in texts:
        with suppress(AuthError):
            each_message(text)
    return texts


def each_message(text: str) -> None:
    for message in read_messages(text):
        answers(message, 1), error_of(message)
        if is_request(message):
            encoded(reply_to(message))


def messages(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    each_message(text)
    for message in read_messages(text):
        result = message.get("result")
        if isinstance(result, dict):
            with suppress(AuthError):
                said = ToolResult.read(result, SERVER_URL)
                safe(said.text), pretty(said.raw)
            for each in result["tools"] if isinstance(result.get("tools"), list) else ():
                if tool := Tool.read(each):
                    repr((tool.properties, tool.required))
                    header_fault(tool.input_schema), has_headers(tool.input_schema)
                    if not header_fault(tool.input_schema):
                        mirrored(tool.input_schema, {"a": "é", "b": {"c": 1}})
                    pretty(tool.raw), plain(tool.description)


def mcp_server(data: bytes) -> None:
    """A call and a listening stream against a script: `[[status, headers, body], …]`."""
    try:
        script = json.loads(data)
    except (ValueError, RecursionError):
        script = None
    script = script if isinstance(script, list) else [[200, {}, data.decode("latin-1")]]
    server = Server(SERVER_URL, {"name": "x", "version": "1"})
    for plan in (call(server, "tools/list", {}), listen(server)):
        heads = iter(script)
        pieces: list[bytes] = []
        with ExitStack() as stack:
            stack.callback(plan.close)
            try:
                step = next(cast("Any", plan))
                for _ in range(200):
                    given: Any = None
                    if isinstance(step, (Send, BeginOlder)):
                        assert all(f"{n}{v}".isprintable() for n, v in step.headers.items())
                        head = next(heads, None)
                        if head is None:
                            step = plan.throw(Unavailable("no answer"))
                            continue
                        given, pieces = _head(head)
                        if isinstance(step, BeginOlder):  # the driver's own id, or none
                            own = {"mcp-session-id": "older-1"} if is_stream(given) else {}
                            given = Head(
                                given.status, {**given.headers, "mcp-session-id": "", **own}
                            )
                    elif isinstance(step, Read):
                        given = pieces.pop(0) if pieces else b""
                    elif isinstance(step, dict):
                        assert step.get("jsonrpc") == "2.0"
                    step = plan.send(given)
            except StopIteration:
                pass
            except AuthError as error:
                told(error)


def _head(value: Any) -> tuple[Head, list[bytes]]:
    status, headers, body = value if isinstance(value, list) and len(value) == 3 else (200, {}, "")
    named = headers.items() if isinstance(headers, dict) else ()
    fit = {name.lower(): text for name, text in named if isinstance(text, str)}
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else deep_json(body)
    status = status if type(status) is int and 200 <= status <= 599 else 200
    return Head(status, fit), [raw[at : at + 4096] for at in range(0, len(raw), 4096)]


def caller_message(data: bytes) -> None:
    """A host's own request, to which an error is handed back."""
    config = LoginConfig(SERVER_URL, KEY)
    for method in ("POST", "GET"):
        answer = reply(Unavailable("x", retry_after=3.0), config, method, data)
        if answer and answer.body:
            json.loads(answer.body)


def client_document(data: bytes) -> None:
    document = parsed(HttpResponse(200, SERVER_URL, body=data))
    if isinstance(document, dict):
        for finding in content("https://app.example/client.json", document):
            assert str(finding.came).isprintable()


def url(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    is_relative(text), without_port(text)
    told(AuthError("x", url=text))
    with suppress(AuthError):
        endpoint = Endpoint.checked(text, "the endpoint")
        endpoint.with_query([("a", "b")])
        with suppress(AuthError), closing(Wire(raw_answer(OK))) as wire:
            wire(HttpRequest("GET", endpoint))
    with suppress(AuthError):
        issuer = Issuer.checked(text, "the issuer")
        for place in issuer.metadata_places():
            Endpoint.checked(place, "a place")
    SERVER_URL.covers(text), SERVER_URL.is_described_by(text)
    with suppress(ValueError):
        SERVER_URL.below(text)
    server = ServerUrl.checked(text)
    assert ServerUrl.checked(server.canonical).canonical == server.canonical
    assert server.covers(server) or ".." in unquote(server), server  # which leads elsewhere
    server.below(server + "/a/b")
    key_for(server).login_command()
    resource = json.dumps(resource_document(resource=server)).encode()
    resource_metadata(resource)


# Our own files


def record(data: bytes) -> None:
    kept(loads(data.decode("utf-8", "replace"), "a place"))


def registered(data: bytes) -> None:
    kept_client(loads_client(data.decode("utf-8", "replace"), "a place"))


def stored(data: bytes) -> None:
    """A record, its entry and its tombstone, as they lie there: `[record, entry, tombstone]`."""
    backend = MemoryBackend()
    store = Store("file", backend)
    texts = json.loads(data)
    endings = (".secret", ".json", ".deleted")
    for ending, text in zip(endings, texts if isinstance(texts, list) else (), strict=False):
        if isinstance(text, str):
            backend.write(Item(KEY.id, ending), text)
    store.summary(KEY)
    list(store.list()), store.list(account="default"), store.list(1)
    with suppress(AuthError):
        if found := store.load(KEY):
            kept(found)
    store.save(full(KEY))
    assert store.load(KEY) == full(KEY)


def notes(data: bytes) -> None:
    store, text = Store("file", MemoryBackend()), data.decode("utf-8", "replace")
    for name in (MARK, "ended", OUTAGE, "cooling"):
        store.save(text, Note(KEY, name))
    for found in (read_mark(store, KEY), read_refusal(store, full(KEY))):
        if found is not None:
            json.dumps(error_fields(AuthError(str(found))))
    if outage := read_outage(store, KEY, NOW):
        told(outage[0])
    cooling = Cooling(store, KEY, lambda: NOW)
    with suppress(AuthError):
        cooling.check(LOGIN)
    cooling.remember(LOGIN, AuthError("x", code="y"))


def held(data: bytes) -> None:
    store, backend = _held_in(data)
    store.pop("a name")
    assert list(backend.names()) == []


def _held_in(data: bytes) -> tuple[Store, MemoryBackend]:
    backend = MemoryBackend()
    store = Store("memory", backend)
    store.hold("a name", "x", 60.0)
    (name,) = backend.names()
    backend._texts[name] = lambda: data.decode("utf-8", "replace")
    return store, backend


@cache
def room() -> Path:
    """A directory of this process, in memory where there is such."""
    memory = Path("/dev/shm")
    made = tempfile.TemporaryDirectory(
        prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None
    )
    _rooms.append(made)
    return Path(made.name)


_rooms: list[tempfile.TemporaryDirectory[str]] = []


def write(name: str, data: bytes) -> Path:
    path = room() / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def settings(data: bytes) -> None:
    place = write("home/settings.conf", data).parent
    kept_there = Settings(Directory(place))
    kept_there.chosen(), kept_there.allows("/a", b"x")
    kept_there.names()
    kept_there.name("short", SERVER_URL)
    assert kept_there.names()["short"] == SERVER_URL
    kept_there.allow("/a", b"x")
    assert kept_there.allows("/a", b"x")
    for each in place.iterdir():
        each.unlink()


def sealed(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    if is_sealed(text):
        unseal(text, SEALING, ("a", "b"), "a place")
    keys = Keys(SEALING)
    keys.unseal(text, ("a", "b"), "a place")


def pending_seal(data: bytes) -> None:
    """What is sealed is the input itself, as who has the key could write it."""
    text = data.decode("utf-8", "replace")
    with suppress(AuthError):
        PendingLogin.unseal(text, SEALING, state=STATE.reveal())
    whole = seal(text, SEALING, PENDING)
    login = PendingLogin.unseal(whole, SEALING, state=STATE.reveal())
    repr(login), login.is_bound_to("x")
    with suppress(AuthError):
        assert PendingLogin.loads(login.dumps()).url == login.url
    with suppress(Unrelated):
        login.request.accept(f"code=c&state={login.state}&iss={ISSUER}")


def bridge_config(data: bytes) -> None:
    home = room() / "user"
    write("user/.claude.json", data)
    write("user/work/.mcp.json", data)
    mcp_configs.known_launches(home, home / "work")
    for name in ("demo", ""):
        found = mcp_configs.named_server(name, home, home / "work")
        if found is not None:
            with suppress(AuthError):
                ServerUrl.checked(found.url)


def mcp_remote_cache(data: bytes) -> None:
    """`[tokens, client, log]` of one login."""
    name = "0" * 32
    try:
        texts = [deep_json(part) for part in json.loads(data)]
    except (ValueError, TypeError, RecursionError):
        texts = [data, data, data]
    endings = ("tokens.json", "client_info.json", "debug.log")
    for ending, text in zip(endings, texts, strict=False):
        write(f"cache/mcp-remote-v1/{name}_{ending}", text)
    cache_there = mcp_remote.read_cache(room() / "cache", NOW)
    for line in cache_there.skipped:
        assert line.isprintable()
    launches = [mcp_remote.Launch(SERVER_URL)]
    mcp_remote.assign(cache_there, launches)
    for login in cache_there.logins:
        made = offers._client_there(login, discovery().server, NOW)
        if isinstance(made, str):
            assert made.isprintable()
        else:
            kept(replace(full(KEY), tokens=login.tokens, client=made))


def key_file(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(ValueError):
        kept_key = read_key(Secret(text))
        kept_key.proof("POST", SERVER_URL, now=NOW, jti="x", nonce="y", token=Secret("z"))
    is_key(text)
    key = signing_key(Secret(text))
    algorithm_for(key, listed=("ES256",))


def environment_key(data: bytes) -> None:
    path = write("key", data)
    before = os.environ.pop("MCP_CLIENT_AUTH_KEY_FILE", None)
    os.environ["MCP_CLIENT_AUTH_KEY_FILE"] = str(path)
    try:
        given_keys()
    finally:
        del os.environ["MCP_CLIENT_AUTH_KEY_FILE"]
        if before is not None:
            os.environ["MCP_CLIENT_AUTH_KEY_FILE"] = before


def project_file(data: bytes) -> None:
    project._account_in(data)


def baseline(data: bytes) -> None:
    reports = examination.read_baseline(str(write("baseline.json", data)))
    for report in reports.values():
        examination.changed(report, {"findings": [], "server": "x"})


def static_token(data: bytes) -> None:
    tokens = read_static_token(data.decode("utf-8", "replace"), NOW)
    kept(replace(full(KEY), tokens=tokens))


_SERVER: Final = server_document(
    revocation_endpoint=ISSUER + "/revoke",
    pushed_authorization_request_endpoint=ISSUER + "/par",
    device_authorization_endpoint=ISSUER + "/device",
    scopes_supported=["a", "b", "offline_access"],
    grant_types_supported=["authorization_code", "refresh_token"],
    token_endpoint_auth_methods_supported=["none", "client_secret_basic"],
    token_endpoint_auth_signing_alg_values_supported=["ES256"],
    dpop_signing_alg_values_supported=["ES256"],
    client_id_metadata_document_supported=True,
    authorization_response_iss_parameter_supported=True,
    require_pushed_authorization_requests=False,
    prompt_values_supported=["consent", "select_account"],
    mtls_endpoint_aliases={"token_endpoint": ISSUER + "/mtls/token"},
)
_RESOURCE: Final = resource_document(
    scopes_supported=["a", "b"],
    dpop_signing_alg_values_supported=["ES256"],
    dpop_bound_access_tokens_required=False,
    resource_name="Notes",
)
_TOKENS: Final = {
    "access_token": "access-" + "a" * 30,
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "refresh-" + "b" * 30,
    "scope": "a b",
}
_ERROR: Final = {
    "error": "invalid_request",
    "error_description": f"not {PLANTED}",
    "error_uri": "x",
}
_CLIENT: Final = {
    "client_id": "c1",
    "client_secret": PLANTED,
    "client_secret_expires_at": 0,
    "token_endpoint_auth_method": "client_secret_basic",
    "redirect_uris": [REDIRECT],
    "scope": "a b",
    "registration_access_token": "registration-" + "c" * 30,
    "registration_client_uri": ISSUER + "/register/c1",
    "dpop_bound_access_tokens": False,
}
_DEVICE: Final = {
    "device_code": PLANTED,
    "user_code": "WDJB-MJHT",
    "verification_uri": ISSUER + "/device",
    "verification_uri_complete": ISSUER + "/device?user_code=WDJB-MJHT",
    "expires_in": 600,
    "interval": 5,
}
_CLAIMS: Final = {
    "iss": ISSUER,
    "aud": ["client-1"],
    "azp": "client-1",
    "sub": "u1",
    "nonce": NONCE.reveal(),
    "exp": NOW + 600,
    "iat": NOW,
}
_DOCUMENT: Final = {
    "client_id": "https://app.example/client.json",
    "client_name": "App",
    "redirect_uris": ["http://127.0.0.1/callback", "app.example:/cb"],
    "token_endpoint_auth_method": "private_key_jwt",
    "grant_types": ["authorization_code"],
    "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]},
}
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "x-mcp-header": "A"},
        "b": {"type": "object", "properties": {"c": {"type": "integer", "x-mcp-header": "C"}}},
    },
    "required": ["a"],
}
_LISTED: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {"tools": [{"name": "t", "title": "T", "inputSchema": _SCHEMA}], "nextCursor": "x"},
}
_CALLED: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {
        "content": [{"type": "text", "text": "hello"}],
        "structuredContent": {"a": 1},
        "isError": False,
        "resultType": "complete",
    },
}
_RPC_ERROR: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "error": {"code": -32022, "message": "no", "data": {"supported": ["2025-11-25"]}},
}
_PING: Final = {"jsonrpc": "2.0", "id": "p", "method": "ping", "params": {}}
_EVENTS: Final = (
    b"\xef\xbb\xbf: hello\nid: 7\nretry: 300\nevent: message\ndata: " + good_json(_CALLED) + b"\n\n"
)
_JSON: Final = {"content-type": "application/json"}
_STREAM: Final = {"content-type": "text/event-stream", "mcp-session-id": "s-1"}
_WELCOME: Final = {
    "jsonrpc": "2.0",
    "id": 2,
    "result": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x"}},
}
_SCRIPTS: Final = (
    [[200, _JSON, _LISTED]],
    [
        [400, _JSON, _RPC_ERROR],
        [200, _STREAM, f"id: 1\ndata: {json.dumps(_WELCOME)}\n\n"],
        [202, {}, ""],
        [200, _STREAM, f"id: 2\ndata: {json.dumps(_PING)}\n\nid: 3\nretry: 10\n"],
        [200, _STREAM, f"data: {json.dumps({**_LISTED, 'id': 3})}\n\n"],
        [404, _JSON, {"error": "no session"}],
    ],
)
_CONFIG: Final = {
    "mcpServers": {
        "demo": {"type": "http", "url": SERVER_URL},
        "old": {
            "command": "npx",
            "args": ["-y", "mcp-remote", SERVER_URL, "--header", "A: b", "--resource", "x"],
        },
    },
    "projects": {"/a": {"servers": {"demo": {"serverUrl": SERVER_URL}}}},
}
_REPORT: Final = {
    "reports": [
        {
            "server": SERVER_URL,
            "findings": [{"check": "a", "fault": "b", "level": "error", "requested": "c"}],
        }
    ]
}
_REFUSED: Final = {
    "token": "t",
    "since": NOW,
    "generation": 7,
    "reason": error_fields(LoginRequired("no login", server=SERVER_URL, scope=("a",))),
    "unproven": False,
    "again": True,
}
_OUTAGE: Final = {
    "error": error_fields(Unavailable("down", url=ISSUER, retry_after=3.0)),
    "pause": 0.5,
    "wait": 60.0,
    "since": NOW,
}
_COOLING: Final = {LOGIN: {**error_fields(AuthError("denied", code="x")), "until": NOW + 30}}


def _pending() -> bytes:
    login = PendingLogin(
        LoginConfig(SERVER_URL, KEY, scope=("a",), options=Options(issuer=ISSUER)),
        request_of(),
        expires_at=NOW,
    )
    return login.dumps().encode()


def _records() -> tuple[bytes, ...]:
    whole = full(KEY)
    named = replace(whole, headers={"https://gate.example": {"X-Gate": Secret("g")}}, dpop_key=None)
    return tuple(dumps(each).encode() for each in (whole, named))


def _entry() -> str:
    backend = MemoryBackend()
    Store("file", backend).save(full(KEY))
    return backend.read(Item(KEY.id, ".json")) or ""


def _request(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: 127.0.0.1:PORT", *headers, "", ""]).encode()


_CHALLENGE: Final = (
    'Bearer realm="x", error="insufficient_scope", scope="a b", '
    'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", '
    'DPoP algs="ES256", Basic dXNlcg=='
)
TARGETS: Final = (
    Target("server metadata", (envelope(_SERVER),), server_metadata),
    Target("resource metadata", (envelope(_RESOURCE),), resource_metadata),
    Target(
        "no metadata",
        (
            envelope("<!doctype html><p>x", 404, Content_Type="text/html"),
            envelope(_ERROR, 302, Location="https://elsewhere.example/login", Server="x"),
        ),
        nothing_there,
    ),
    Target("challenge", (_CHALLENGE.encode(),), challenge),
    Target(
        "first answer",
        (
            envelope(_ERROR, 401, WWW_Authenticate=_CHALLENGE, DPoP_Nonce="n"),
            envelope(_CALLED, 200, Content_Type="application/json"),
            envelope("", 307, Location="/mcp/", Retry_After="3"),
            envelope("", 503, Retry_After="Sun, 06 Nov 2094 08:49:37 GMT", Date="x"),
        ),
        probe,
    ),
    Target("registration", (envelope(_CLIENT, 201), envelope(_ERROR, 400)), registration),
    Target(
        "token response",
        (
            envelope(_TOKENS),
            envelope(_ERROR, 400),
            envelope({"ok": True, "authed_user": _TOKENS}),
            envelope("access_token=a&expires_in=5&refresh_token=b", Content_Type="text/plain"),
        ),
        token,
    ),
    Target("refresh response", (envelope(_TOKENS), envelope(_ERROR, 401)), refreshed),
    Target(
        "pushed request",
        (envelope({"request_uri": "urn:x:y", "expires_in": 60}, 201), envelope(_ERROR, 400)),
        pushed,
    ),
    Target("device authorization", (envelope(_DEVICE), envelope(_ERROR, 400)), device),
    Target(
        "callback",
        (
            f"code=c&state={STATE.reveal()}&iss=https%3A%2F%2Fauth.example.com".encode(),
            f"error=access_denied&error_description=no&state={STATE.reveal()}".encode(),
        ),
        callback,
        (Unrelated,),
    ),
    Target(
        "pasted address",
        (f"<{REDIRECT}?code=c&state={STATE.reveal()}#x>".encode(),),
        pasted,
        (Unrelated, NotTheAnswer),
    ),
    Target(
        "listener",
        (
            _request(f"GET /callback?code={PLANTED}&state=s HTTP/1.1", "Origin: http://a"),
            _request("POST /callback HTTP/1.0", "Content-Length: 3", "Sec-Purpose: prefetch"),
        ),
        listener,
    ),
    Target("ID token", (good_json([{"alg": "RS256", "kid": "1"}, _CLAIMS]),), id_token),
    Target(
        "bytes of an answer",
        (
            raw_answer(HttpResponse(200, ISSUER, (("X", "y"),), good_json(_TOKENS))),
            b"HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: 26\r\n\r\n"
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00",
        ),
        http_answer,
    ),
    Target("event stream", (_EVENTS,), event_stream),
    Target(
        "MCP messages",
        tuple(good_json(each) for each in (_LISTED, _CALLED, _RPC_ERROR, _PING, [_PING, _CALLED])),
        messages,
    ),
    Target("MCP server", tuple(good_json(each) for each in _SCRIPTS), mcp_server),
    Target("message of a host", (good_json(_PING), good_json([_PING])), caller_message),
    Target("client metadata document", (good_json(_DOCUMENT),), client_document),
    Target("URL", (SERVER_URL.encode(), b"https://[::1]:8443/a/b/?q=1#f"), url),
    Target("record of a login", _records(), record),
    Target("record of a client", (dumps_client(full_client()).encode(),), registered),
    Target(
        "record and entry",
        (good_json([dumps(full(KEY)), _entry(), ""]), good_json([dumps(full(KEY)), "", "9"])),
        stored,
        (ValueError, RecursionError),  # of the input's own envelope
    ),
    Target("notes", tuple(good_json(each) for each in (_REFUSED, _OUTAGE, _COOLING)), notes),
    Target("held text", (good_json({"until": time.time() + 9, "text": "x"}),), held),
    Target(
        "settings",
        (
            good_json(
                {"version": 1, "storage": "file", "names": {"a": "b"}, "allowed": {"/a": "b"}}
            ),
        ),
        settings,
    ),
    Target("sealed text", (seal("text", SEALING, ("a", "b")).encode(),), sealed),
    Target("login under way", (_pending(),), pending_seal),
    Target("configuration of a program", (good_json(_CONFIG),), bridge_config),
    Target(
        "cache of mcp-remote",
        (
            good_json(
                [
                    {**_TOKENS, "expires_at": (NOW + 60) * 1000, "issuer": ISSUER},
                    {**_CLIENT, "issuer": ISSUER},
                    f"fetching {SERVER_URL} now",
                ]
            ),
        ),
        mcp_remote_cache,
    ),
    Target(
        "key file",
        (pem("P-256").encode(), jwk("P-256", alg="ES256").encode(), jwk("RSA").encode()),
        key_file,
    ),
    Target("sealing key", (f"{SEALING.reveal()}\n{SEALING.reveal()}".encode(),), environment_key),
    Target(
        "file of a project",
        (b'account = "work"\n[other]\nx = [1, 2]\n',),
        project_file,
        (mcp_remote.Unusable,),
    ),
    Target("baseline", (good_json(_REPORT),), baseline),
    Target("token by hand", (b"token-" + b"x" * 40,), static_token),
)
BY_NAME: Final = {target.name: target for target in TARGETS}
