from __future__ import annotations

import json
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from joserfc.jwk import import_key
from joserfc.jws import JWSRegistry

from mcp_client_auth.errors import DpopUnsupported
from mcp_client_auth.protocol.challenge import read_challenges, relevant
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.dpop import (
    ALGORITHMS,
    DpopKey,
    choose_algorithm,
    demanded,
    make_key,
    read_key,
    read_nonce,
    resource_wants_nonce,
    server_wants_nonce,
    target,
)
from mcp_client_auth.protocol.jose import thumbprint
from mcp_client_auth.secret import Secret
from tests.support.protocol_samples import ISSUER, answer, discovery, resource, server

URL = "https://server.example.com/token"
MEMBERS = {
    "EC": {"kty", "crv", "x", "y"},
    "OKP": {"kty", "crv", "x"},
    "RSA": {"kty", "n", "e"},
}
# RFC 9449 §4.1 (the key) and §6.1 (its thumbprint); RFC 8037 §A.2, §A.3; RFC 7638 §3.1
PUBLISHED = {
    "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I": {
        "kty": "EC",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        "crv": "P-256",
    },
    "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    },
    "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"
        "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"
        "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
        "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
        "Cur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
    },
}
OURS = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "alg": "Ed25519",
}


def part(segment: str) -> Any:
    return json.loads(urlsafe_b64decode(segment + "=="))


def hash_of(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


def opened(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a proof whose signature fits the key in it."""
    header, claims = (part(segment) for segment in proof.split(".")[:2])
    signed, _, signature = proof.rpartition(".")
    algorithm = JWSRegistry.algorithms[header["alg"]]
    key = import_key(header["jwk"], header["jwk"]["kty"])
    assert algorithm.verify(signed.encode(), urlsafe_b64decode(signature + "=="), key)
    return header, claims


def proof(key: DpopKey, **more: Any) -> str:
    return key.proof("POST", URL, **{"now": 1562262616.9, "jti": "-BwC3ESc6acc2lTc", **more})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_proof_has_the_shape_of_the_standards_examples(algorithm: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of the name EdDSA nobody here needs to be warned
        header, claims = opened(proof(make_key(algorithm)))
    assert header.keys() == {"typ", "alg", "jwk"}
    assert (header["typ"], header["alg"]) == ("dpop+jwt", algorithm)
    assert header["jwk"].keys() == MEMBERS[header["jwk"]["kty"]]
    assert claims == {"jti": "-BwC3ESc6acc2lTc", "htm": "POST", "htu": URL, "iat": 1562262616}


def test_a_proof_for_a_resource_has_the_tokens_hash_and_the_nonce() -> None:
    # the token and its hash of RFC 9449 §7.1
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    _, claims = opened(proof(make_key("ES256"), token=Secret(token), nonce="eyJ7S_zG.eyJH0-Z"))
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" == hash_of(token)
    assert claims["nonce"] == "eyJ7S_zG.eyJH0-Z"


@pytest.mark.parametrize(("expected", "public"), PUBLISHED.items())
def test_a_thumbprint_is_the_published_one(expected: str, public: dict[str, str]) -> None:
    assert thumbprint(public) == expected


def test_a_kept_key_is_read_back_with_its_thumbprint() -> None:
    key = read_key(Secret(json.dumps(OURS)))
    assert key.jkt == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert opened(proof(key))[0]["jwk"] == {k: OURS[k] for k in ("kty", "crv", "x")}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_key_can_be_kept_and_used_again(algorithm: str) -> None:
    made = make_key(algorithm)
    again = read_key(made.kept)
    assert (again.algorithm, again.jkt, again.public) == (algorithm, made.jkt, made.public)
    header, _ = opened(proof(again))
    assert thumbprint(header["jwk"]) == made.jkt


def test_each_key_is_another() -> None:
    assert make_key("ES256").jkt != make_key("ES256").jkt


@pytest.mark.parametrize(
    "kept",
    [
        *("", "{", "[]", "7", "null", "{}"),
        json.dumps({k: v for k, v in OURS.items() if k != "alg"}),
        json.dumps({k: v for k, v in OURS.items() if k != "d"}),
        json.dumps({**OURS, "alg": "none"}),
        json.dumps({**OURS, "alg": "HS256"}),
        json.dumps({**OURS, "alg": "ES256"}),
        json.dumps({**OURS, "alg": ["ES256"]}),
        json.dumps({**OURS, "kty": "oct", "k": "c2VjcmV0"}),
        json.dumps({**OURS, "d": 7}),
        json.dumps({**OURS, "d": "!"}),
        json.dumps({**OURS, "key_ops": "x"}),
        pytest.param('{"kty": ' + "[" * 100_000 + "]" * 100_000 + "}", id="deep"),
    ],
)
def test_what_is_no_private_key_is_said_without_showing_it(kept: str) -> None:
    with pytest.raises(ValueError, match="not a private key") as caught:
        read_key(Secret(kept))
    assert caught.value.__cause__ is None
    assert OURS["d"] not in str(caught.value)


def test_a_key_shows_nothing_secret() -> None:
    key = read_key(Secret(json.dumps(OURS)))
    assert OURS["d"] not in f"{key!r} {key}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com/mcp?tenant=1#part", "https://mcp.example.com/mcp"),
        ("https://MCP.Example.com:443/Mcp/", "https://mcp.example.com/Mcp/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("http://[::1]:8080/a%20b", "http://[::1]:8080/a%20b"),
        ("https://u:p@mcp.example.com/mcp", "https://mcp.example.com/mcp"),
    ],
)
def test_a_target_has_neither_query_nor_fragment_nor_user_info(url: str, expected: str) -> None:
    assert target(url) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        (["eyJ7S_zG.eyJH0-Z.HX4w-7v"], "eyJ7S_zG.eyJH0-Z.HX4w-7v"),
        ([" n1 "], "n1"),
        (["!~"], "!~"),  # the first and the last letter that it may have
        (["a\x7f"], ""),
        (["a", "b"], ""),
        (["a b"], ""),
        (['a"b'], ""),
        (["a\\b"], ""),
        (["ä"], ""),
        (["x" * 1024], "x" * 1024),
        (["x" * 1025], ""),
    ],
)
def test_a_nonce_is_read_by_its_grammar(values: list[str], expected: str) -> None:
    headers = tuple(("DPoP-Nonce", value) for value in values)
    assert read_nonce(replace(answer(), headers=headers)) == expected


@pytest.mark.parametrize(
    ("status", "body", "wants"),
    [
        (400, {"error": "use_dpop_nonce"}, True),
        (401, {"error": "use_dpop_nonce"}, True),
        (200, {"error": "use_dpop_nonce"}, False),
        (500, {"error": "use_dpop_nonce"}, False),
        (400, {"error": "invalid_dpop_proof"}, False),
        (400, ["use_dpop_nonce"], False),
        (400, b"use_dpop_nonce", False),
    ],
)
def test_an_authorization_server_asks_by_its_error(status: int, body: Any, wants: bool) -> None:
    assert server_wants_nonce(answer(body, status)) is wants


@pytest.mark.parametrize(
    ("status", "challenge", "wants"),
    [
        (401, 'DPoP error="use_dpop_nonce"', True),
        (401, 'Bearer realm="x", DPoP error="use_dpop_nonce", algs="ES256"', True),
        (401, 'Bearer error="use_dpop_nonce"', False),
        (401, 'DPoP error="invalid_token"', False),
        (401, 'DPoP realm="error=use_dpop_nonce"', False),
        (400, 'DPoP error="use_dpop_nonce"', False),
    ],
)
def test_a_resource_asks_by_its_challenge(status: int, challenge: str, wants: bool) -> None:
    assert resource_wants_nonce(answer(b"", status, www_authenticate=challenge)) is wants


def asked(
    challenge: str = "", *, required: Any = ..., theirs: Any = ..., resources: Any = ...
) -> Discovery:
    """A discovery with this challenge and these lists of algorithms."""
    documents = resource(
        dpop_bound_access_tokens_required=required, dpop_signing_alg_values_supported=resources
    )
    return discovery(
        challenge=relevant(read_challenges([challenge])),
        metadata=documents,
        server=server(dpop_signing_alg_values_supported=theirs),
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (asked(), False),
        (asked(theirs=["ES256"]), False),
        (asked("Bearer", theirs=["ES256"]), False),
        (asked("Bearer, DPoP"), False),
        (asked("DPoP"), True),
        (asked(required=True), True),
        (asked("Bearer", required=True), True),
        (asked(required="true"), False),
        (asked(required=False), False),
        (replace(asked("DPoP"), metadata=None), True),
        (replace(asked(), metadata=None), False),
    ],
)
def test_only_the_resource_demands_bound_tokens(found: Discovery, expected: bool) -> None:
    assert demanded(found) is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (asked(), "ES256"),
        (asked(theirs=["RS256", "ES256"]), "ES256"),
        (asked(theirs=["RS256", "PS256"]), "PS256"),
        (asked(theirs=["EdDSA"]), "EdDSA"),
        (asked(theirs=["EdDSA", "Ed25519"]), "Ed25519"),
        (asked(theirs=["ES384", "ES512"]), "ES384"),
        (asked('DPoP algs="RS256 ES384"', theirs=["ES256", "ES384"]), "ES384"),
        (asked(theirs=["ES256", "RS256"], resources=["RS256"]), "RS256"),
        (replace(asked(theirs=["ES384"]), metadata=None), "ES384"),
    ],
)
def test_an_algorithm_is_one_that_both_servers_take(found: Discovery, expected: str) -> None:
    assert choose_algorithm(found) == expected


@pytest.mark.parametrize(
    "found",
    [
        asked(theirs=[]),
        asked(theirs=["ES512"]),
        asked(theirs=["none", "HS256"]),
        asked(theirs=["ES256"], resources=["ES384"]),
        asked('DPoP algs="ES512"'),
    ],
)
def test_without_a_common_algorithm_it_is_said_who_takes_what(found: Discovery) -> None:
    with pytest.raises(DpopUnsupported) as caught:
        choose_algorithm(found)
    assert caught.value.url == ISSUER.shown
    assert "ES256" in caught.value.hint
