from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mcp_client_auth
from mcp_client_auth import (
    AuditEvent,
    AuthError,
    BrowserPrompt,
    ClientCredentials,
    ClientMetadataDocument,
    Credential,
    DeviceCode,
    DevicePrompt,
    Endpoints,
    EnterpriseManaged,
    Event,
    FileStorage,
    HttpTransport,
    Item,
    KeyringStorage,
    Keys,
    LoggedOut,
    Login,
    Logins,
    MCPAuth,
    MemoryStorage,
    Options,
    PostgresStorage,
    PreRegistered,
    RedisStorage,
    TokenRefused,
    WorkloadIdentity,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.grants.pending import PendingLogin
from mcp_client_auth.prompt.race import FirstAnswer
from mcp_client_auth.protocol.authorization import authorization_request
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.document import read_document
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.protocol.management import deletion_request
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import read_token_response, refresh_request
from mcp_client_auth.protocol.urls import Endpoint, Issuer, ServerUrl
from mcp_client_auth.secret import Secret, masked
from mcp_client_auth.storage.sealed import new_key

PLANTED = "planted-secret-7f3a"
SECRET = Secret(PLANTED)


SHOWN = {
    "repr": repr(SECRET),
    "str": str(SECRET),
    "f-string": f"{SECRET}",
    "f-string with a width": f"{SECRET!r:>30}",
    "f-string with a precision": f"{SECRET:.2}",
    "percent": "%s %r" % (SECRET, SECRET),  # noqa: UP031
    "in a list": repr([SECRET]),
    "in a dict": repr({SECRET: SECRET}),
    "pretty": pprint.pformat((SECRET,)),
    "ascii": ascii(SECRET),
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_no_way_of_showing_it_shows_it(shown: str) -> None:
    assert "planted" not in shown
    assert "**" in shown


def test_it_is_revealed_by_name_only() -> None:
    assert SECRET.reveal() == PLANTED
    assert not hasattr(SECRET, "__dict__")
    with pytest.raises(TypeError):
        vars(SECRET)


def test_it_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("x").debug("%s %r", SECRET, {"token": SECRET})
    assert PLANTED not in caplog.text


def test_it_is_neither_pickled_nor_made_json() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled") as caught:
            pickle.dumps(SECRET, protocol)
        assert PLANTED not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(TypeError):
        json.dumps(SECRET)


def test_a_copy_is_the_same_secret() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET


def test_it_compares_by_value_and_only_with_its_kind() -> None:
    assert Secret(PLANTED) == SECRET
    assert hash(Secret(PLANTED)) == hash(SECRET)
    assert Secret("other") != SECRET
    assert Secret("ü") == Secret("ü")
    assert SECRET != PLANTED
    assert Secret("") != SECRET


def test_an_empty_one_is_false() -> None:
    assert SECRET
    assert not Secret("")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bad eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJtZSJ9.c2ln-_s, sorry", "bad ****, sorry"),
        ("bad eyJhbGciOiJFUzI1NiJ9.eyJpc3", "bad ****"),
        ("keys eyJoy and okey.eyJ are words", "keys eyJoy and okey.eyJ are words"),
        (f"{PLANTED} and {PLANTED}", "**** and ****"),
    ],
)
def test_what_was_sent_or_signed_is_masked_in_a_servers_words(text: str, shown: str) -> None:
    assert masked(text, [SECRET, None]) == shown


# Everything that may hold one


def everything(home: Path) -> dict[str, Any]:
    """An object of each public kind, and those on the way, with secrets wherever they can be."""
    url, issuer = ServerUrl("https://mcp.example.com/mcp"), Issuer("https://as.example")
    server = ServerMetadata(issuer, Endpoint(issuer + "/token"), "metadata")
    client = Client(
        "c",
        server.issuer,
        "dynamic",
        "client_secret_post",
        Secret(PLANTED),
        redirect_uris=("http://127.0.0.1/callback",),
        management_uri="https://as.example/c",
        management_token=Secret(PLANTED),
    )
    answer = {"access_token": PLANTED, "refresh_token": PLANTED, "client_secret": PLANTED}
    response = HttpResponse(200, server.token_endpoint, (), json.dumps(answer).encode())
    tokens = read_token_response(response, 1e9)
    credential = Credential(key_for(url), server.issuer, server.token_endpoint, client, tokens)
    identity = PreRegistered("app", PLANTED)
    memory, file, key = MemoryStorage(), FileStorage(home), new_key()
    for storage in (memory, file):
        storage.save(credential)
    auth = MCPAuth(url, client=identity, storage=memory, prompt=None)
    bare = MCPAuth(url, storage=memory, prompt=None)
    assert bare.session.usable() == credential
    request = authorization_request(
        Discovery(url, None, None, server, url),
        client,
        client.redirect_uris[0],
        None,
        Options(),
        state=Secret(PLANTED),
        verifier=Secret(PLANTED),
    )
    code = request.accept(f"code={PLANTED}&state={PLANTED}")
    refused = HttpResponse(400, server.token_endpoint, (), b'{"error": "%s"}' % PLANTED.encode())
    with pytest.raises(TokenRefused) as caught:
        read_token_response(refused, 1e9, sent=[SECRET])
    wire = {
        "HttpRequest": refresh_request(credential).signed(),
        "HttpResponse": response,
        "FormPost": refresh_request(credential),
        "Document": read_document(response, "token response"),
        "deletion": deletion_request(client),
        "AuthorizationRequest": request,
    }
    return {
        "BrowserPrompt": BrowserPrompt(),
        "ClientMetadataDocument": ClientMetadataDocument("https://app.example/c.json"),
        "Credential": credential,
        "AuditEvent": AuditEvent("audit", url, detail="begin"),
        "Event": Event("token", url),
        "FileStorage": file,
        "HttpTransport": HttpTransport(url),
        "Item": Item.of(credential.key),
        "Key": credential.key,
        "Keys": Keys(key),
        "KeyringStorage": KeyringStorage(),
        "LoggedOut": LoggedOut(True),
        "Logins": Logins(memory, redirect_uri="https://app.example/callback", client=identity),
        "Login": Login(bare, credential),
        "MCPAuth": bare,
        "MCPAuth of a client": auth,
        "MemoryStorage": memory,
        "Options": Options(),
        "PostgresStorage": PostgresStorage(f"postgresql://app:{PLANTED}@db.example", key=key),
        "PreRegistered": identity,
        "RedisStorage": RedisStorage(f"redis://:{PLANTED}@cache.example", key=key),
        "Secret": SECRET,
        "Store": memory,
        "ClientCredentials": ClientCredentials(),
        "DeviceCode": DeviceCode(),
        "DevicePrompt": DevicePrompt(lambda asked: None),
        "Endpoints": Endpoints(token="https://as.example/token"),
        "EnterpriseManaged": EnterpriseManaged(
            assertion=PLANTED, idp_client=identity, idp_issuer="https://idp.example"
        ),
        "WorkloadIdentity": WorkloadIdentity(assertion=PLANTED),
        "TokenRefused": caught.value,
        # not public, but in their reach
        "Session": bare.session,
        "Ports": bare.session.ports,
        "LoginConfig": auth.session.config,
        "Renewal": bare.session._renewal,
        "Knowledge": bare.session._renewal.known,
        "PendingLogin": PendingLogin(auth.session.config, request),
        "AuthorizationCode": code,
        "FirstAnswer": FirstAnswer(request),
        "Client": client,
        "TokenSet": tokens,
        **wire,
    }


# What goes over the wire is in clear there: it shows itself to nobody, but has to be taken apart
WIRE = {
    "HttpRequest",
    "HttpResponse",
    "FormPost",
    "Document",
    "deletion",
    "update",
    "AuthorizationRequest",
    "AuthorizationCode",  # it holds the request
    "PendingLogin",
}
WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda it: f"{it} {it!r:>10} {it!a}",
    "percent": lambda it: "%s %r" % (it, it),  # noqa: UP031
    "in a list": lambda it: repr([it]),
    "pretty": pprint.pformat,
    "logged": lambda it: logging.LogRecord("n", 10, "p", 1, "%s %r", (it, it), None).getMessage(),
    "traceback with locals": lambda it: traced(it),
}
REFUSALS = (TypeError, AttributeError, ValueError, pickle.PicklingError)
APART: dict[str, Callable[[Any], str]] = {
    "vars": lambda it: repr(vars(it)),
    "asdict": lambda it: repr(dataclasses.asdict(it)),
    "slots": lambda it: repr([getattr(it, name, "") for name in getattr(it, "__slots__", ())]),
    "json": json.dumps,
    "json of its fields": lambda it: json.dumps(dataclasses.asdict(it)),
    "json with str": lambda it: json.dumps([it], default=str),
    "json with vars": lambda it: json.dumps([it], default=lambda o: getattr(o, "__dict__", "")),
    "pickle": lambda it: pickle.dumps(it).decode("latin-1"),
    "deep copy": lambda it: repr(copy.deepcopy(it)),
}


def traced(it: Any) -> str:
    """As the tools show an error that print the locals of each frame."""
    try:
        raise ValueError(it)
    except ValueError as error:
        made = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(made.format())


@pytest.fixture
def things(tmp_path: Path) -> dict[str, Any]:
    return everything(tmp_path)


def test_the_table_has_every_public_kind(things: dict[str, Any]) -> None:
    kinds = {
        name
        for name in mcp_client_auth.__all__
        if isinstance(kind := getattr(mcp_client_auth, name), type)
        and not issubclass(kind, AuthError)
        and not getattr(kind, "_is_protocol", False)
        and not inspect.isabstract(kind)
    }
    assert kinds <= set(things)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_shows_a_secret(things: dict[str, Any], way: str) -> None:
    shown = {name for name, thing in things.items() if PLANTED in WAYS[way](thing)}
    assert shown == set()


@pytest.mark.parametrize("way", APART)
def test_nothing_gives_one_away_when_it_is_taken_apart(things: dict[str, Any], way: str) -> None:
    shown = set()
    for name in things.keys() - WIRE:
        with suppress(*REFUSALS):  # which show nothing either
            if PLANTED in APART[way](things[name]):
                shown.add(name)
    assert shown == set()


@pytest.mark.parametrize("name", ["Credential", "Client", "TokenSet", "PreRegistered", "Secret"])
def test_what_holds_a_secret_is_neither_pickled_nor_made_json(
    things: dict[str, Any], name: str
) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(things[name])
    with pytest.raises(TypeError):
        json.dumps(things[name])


@pytest.mark.parametrize(
    ("more", "status"),
    [({"token_type": "DPoP"}, 200), ({"access_token": PLANTED + "\n"}, 200), ({}, 500)],
    ids=["dpop", "no header", "status"],
)
def test_the_frames_of_an_error_hold_none(more: dict[str, str], status: int) -> None:
    """Some tools report an error with the locals of every frame."""
    answer = {"access_token": PLANTED, "refresh_token": PLANTED, "client_secret": PLANTED, **more}
    response = HttpResponse(status, "https://as.example/token", (), json.dumps(answer).encode())
    with pytest.raises(AuthError) as caught:
        read_token_response(response, 1e9)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "mcp_client_auth" in frame.filename]
    assert ours
    assert PLANTED not in repr([frame.locals for frame in ours if "/tests/" not in frame.filename])


def test_the_table_would_notice(things: dict[str, Any]) -> None:
    @dataclasses.dataclass
    class Leaky:
        token: str

    assert all(PLANTED in way(Leaky(PLANTED)) for way in WAYS.values())
    for name in ("vars", "asdict", "json of its fields", "json with vars", "deep copy"):
        assert PLANTED in APART[name](Leaky(PLANTED))
