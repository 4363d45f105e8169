"""What a DPoP signer signs, receives and remembers."""

from __future__ import annotations

import itertools
import json
import time
from base64 import urlsafe_b64decode
from hashlib import sha256
from typing import Any

import pytest

from mcp_client_auth import (
    MCPAuth,
    MemoryStorage,
    StorageError,
    UsageError,
)
from mcp_client_auth.keys import dpop_key
from mcp_client_auth.keys.dpop_key import DpopSigner, TokenSigner, bearer_warning
from mcp_client_auth.protocol.client_auth import FormPost, RequestSigner
from mcp_client_auth.protocol.dpop import make_key
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.token_set import TokenSet
from mcp_client_auth.secret import Secret
from tests.support.key_samples import claims
from tests.support.session_world import SERVER

URL = "https://auth.example.com/token"
RESOURCE = "https://mcp.example.com/mcp"
HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
KEY = make_key("ES256")
TOKEN = Secret("t0ken")
PUBLIC = Client("c1", "https://auth.example.com", "dynamic", "none")


def dpop_signer(**more: Any) -> DpopSigner:
    numbers = itertools.count(1)
    return DpopSigner(KEY, lambda: 1000.0, lambda: f"jti-{next(numbers)}", **more)


def answer(status: int, url: str = URL, body: Any = None, **headers: str) -> HttpResponse:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, url, pairs, b"" if body is None else json.dumps(body).encode())


WANTS = {"error": "use_dpop_nonce"}


class Server:
    """A transport that gives these answers and keeps the proofs that came."""

    def __init__(self, *answers: HttpResponse) -> None:
        self._answers = list(answers)
        self.proofs: list[dict[str, Any]] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.proofs.append(claims(request.headers["DPoP"]))
        return self._answers.pop(0)


# What it signs and hears


def test_a_form_post_is_sent_once_more_with_the_nonce_and_a_new_jti() -> None:
    server = Server(answer(400, body=WANTS, dpop_nonce="n1"), answer(200, body={}))
    response = run(FormPost(URL, PUBLIC, "a=b").send(dpop_signer()), server)
    assert response.status == 200
    assert [(p["jti"], p.get("nonce")) for p in server.proofs] == [("jti-1", None), ("jti-2", "n1")]
    assert all((p["htm"], p["htu"], p["iat"]) == ("POST", URL, 1000) for p in server.proofs)


def test_a_server_whose_nonce_never_does_gets_two_requests() -> None:
    refusals = [answer(400, body=WANTS, dpop_nonce=f"n{number}") for number in range(5)]
    server = Server(*refusals)
    assert run(FormPost(URL, PUBLIC, "a=b").send(dpop_signer()), server).status == 400
    assert len(server.proofs) == 2


def test_a_server_that_wants_a_nonce_and_gives_none_gets_one_request() -> None:
    server = Server(answer(400, body=WANTS))
    assert run(FormPost(URL, PUBLIC, "a=b").send(dpop_signer()), server).status == 400
    assert len(server.proofs) == 1


def test_a_nonce_of_a_good_answer_is_in_the_next_proof() -> None:
    signing = dpop_signer()
    server = Server(answer(200, body={}, dpop_nonce="next"), answer(200, body={}))
    for _ in range(2):
        run(FormPost(URL, PUBLIC, "a=b").send(signing), server)
    assert [p.get("nonce") for p in server.proofs] == [None, "next"]


def test_a_good_answer_with_a_nonce_is_not_asked_for_again() -> None:
    signing = dpop_signer()
    assert not signing.take_resource_nonce(answer(200, dpop_nonce="next"))
    refused = answer(401, dpop_nonce="n", www_authenticate='DPoP error="use_dpop_nonce"')
    assert signing.take_resource_nonce(refused)


def test_a_nonce_belongs_to_one_origin_in_one_role() -> None:
    signing = dpop_signer()
    signing.take_nonce(answer(200, "https://one.example/token", dpop_nonce="as"))
    signing.take_resource_nonce(answer(200, "https://one.example/mcp", dpop_nonce="rs"))

    def nonce(proof: str) -> Any:
        return claims(proof).get("nonce")

    assert nonce(signing.proof("POST", "https://one.example/revoke")) == "as"
    assert nonce(signing.proof("POST", "https://two.example/token")) is None
    assert nonce(signing.headers(TOKEN, "GET", "https://one.example/other")["DPoP"]) == "rs"
    assert nonce(signing.headers(TOKEN, "GET", "https://one.example:8443/mcp")["DPoP"]) is None


def test_the_headers_of_a_request_bind_the_token_to_it() -> None:
    headers = dpop_signer().headers(TOKEN, "GET", RESOURCE + "?page=2")
    assert headers["Authorization"] == "DPoP t0ken"
    found = claims(headers["DPoP"])
    assert (found["htm"], found["htu"]) == ("GET", RESOURCE)
    assert urlsafe_b64decode(found["ath"] + "=") == sha256(b"t0ken").digest()


class Asserting(RequestSigner):
    def assertion(self, client: Client) -> str:
        return f"assertion of {client.client_id}"

    def take_nonce(self, response: HttpResponse) -> bool:
        return response.status == 409


def test_it_decorates_what_proves_the_client() -> None:
    signing = dpop_signer()
    beside = signing.for_client(Asserting())
    assert beside.assertion(PUBLIC) == "assertion of c1"
    assert beside.take_nonce(answer(409))
    assert not beside.take_nonce(answer(200, dpop_nonce="n"))
    assert claims(signing.proof("POST", URL))["nonce"] == "n", "what one hears the other knows"
    with pytest.raises(UsageError):
        signing.assertion(PUBLIC)


def test_a_token_without_a_key_is_a_bearer_and_needs_no_nonce() -> None:
    bearer = TokenSigner(TOKEN)
    assert bearer.headers("GET", RESOURCE) == {"Authorization": f"Bearer {TOKEN.reveal()}"}
    challenge = (("www-authenticate", 'DPoP error="use_dpop_nonce"'), ("dpop-nonce", "n"))
    wanted = HttpResponse(401, RESOURCE, challenge)
    assert not bearer.take_nonce(wanted)
    bound = TokenSigner(TOKEN, dpop_signer())
    assert bound.headers("GET", RESOURCE)["Authorization"] == f"DPoP {TOKEN.reveal()}"
    assert bound.take_nonce(wanted)


def test_a_key_is_read_once_and_what_is_none_is_damage() -> None:
    known: dict[Secret, DpopSigner] = {}

    def of(kept: Secret) -> DpopSigner:
        return dpop_key.dpop_signer(known, kept, time.time, lambda: "x", "the test")

    assert of(KEY.kept) is of(Secret(KEY.kept.reveal()))
    with pytest.raises(StorageError) as caught:
        of(Secret("{}"))
    assert caught.value.code == "damaged_record"


def test_a_session_does_not_collect_keys() -> None:
    known: dict[Secret, DpopSigner] = {}
    for _ in range(20):
        dpop_key.dpop_signer(known, make_key("ES256").kept, time.time, lambda: "x", "the test")
    assert len(known) <= 4


def test_without_a_key_nothing_is_bound() -> None:
    ports = MCPAuth(SERVER, storage=MemoryStorage(), prompt=None).session.ports
    assert not ports.signer(None).binds
    assert ports.signer(None).proof("POST", URL) == ""
    assert ports.signer(None, KEY.kept).binds


@pytest.mark.parametrize(
    ("bound", "before", "warned"),
    [
        (True, None, False),
        (True, True, False),
        (True, False, False),
        (False, None, True),
        (False, True, True),
        (False, False, False),
    ],
)
def test_a_token_that_is_not_bound_is_warned_of_unless_none_was_before(
    bound: bool, before: bool | None, warned: bool
) -> None:
    then = None if before is None else TokenSet(TOKEN, 0.0, bound=before)
    assert bool(bearer_warning(TokenSet(TOKEN, 0.0, bound=bound), then)) is warned
