"""What an ID token must say, row by row (OpenID Connect Core §3.1.3.7, §12.2)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any, Final

import pytest

from mcp_client_auth import AuthError, BadResponse, Secret, Untrusted
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.protocol.id_token import Expected, read_id_token, require_id_token

NOW: Final = 1_800_000_000.0
ISSUER: Final = "https://login.example.com/tenant"
NONCE: Final = Secret("the-nonce-of-this-request")
SIGN_IN: Final = Expected(ISSUER, "desk", NONCE)
GOOD: Final = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": "desk",
    "iat": NOW - 5,
    "exp": NOW + 300,
    "nonce": NONCE.reveal(),
}


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def token(header: Any = None, **claims: Any) -> str:
    """`None` leaves a claim out."""
    said = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    return f"{part(header or {'alg': 'RS256', 'kid': 'a'})}.{part(said)}.{part(b'signature')}"


def answer(id_token: object, **more: Any) -> HttpResponse:
    body = {"access_token": "unused", "token_type": "Bearer", "id_token": id_token, **more}
    return HttpResponse(200, f"{ISSUER}/token", body=json.dumps(body).encode())


def refused(text: object, expected: Expected = SIGN_IN) -> AuthError:
    with pytest.raises(AuthError) as caught:
        require_id_token(answer(text), expected, NOW)
    error = caught.value
    assert not (isinstance(text, str) and len(text) > 20 and text[-20:] in str(error))
    assert NONCE.reveal() not in str(error)
    return error


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["desk"]},
        {"aud": ["desk", "other"], "azp": "desk"},
        {"azp": "desk"},
        {"iat": NOW + 60},
        {"exp": NOW + 0.5},
        {"exp": int(NOW) + 300, "iat": int(NOW)},
        {"email": "ada@example.com", "groups": ["a"] * 500},
    ],
    ids=str,
)
def test_a_good_one_is_taken_with_its_end(claims: dict[str, Any]) -> None:
    text = token(**claims)
    found, ends = require_id_token(answer(text), SIGN_IN, NOW)
    assert found == Secret(text)
    assert ends == claims.get("exp", NOW + 300)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256", "EdDSA", "HS256"])
def test_the_signature_is_for_who_gets_it(algorithm: str) -> None:
    assert require_id_token(answer(token({"alg": algorithm})), SIGN_IN, NOW)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example.com"}, "“iss” must be https://login.example.com/tenant"),
        ({"iss": ISSUER + "/"}, "“iss” must be"),
        ({"iss": None}, "got nothing"),
        ({"iss": [ISSUER]}, "“iss” must be"),
        ({"aud": "other"}, "“aud” must name the client “desk”, got “other”"),
        ({"aud": []}, "“aud” must name"),
        ({"aud": None}, "“aud” must name"),
        ({"aud": ["other", 7]}, 'got “["other", 7]”'),
        ({"aud": {"desk": 1}}, "“aud” must name"),
        ({"aud": ["desk", "other"]}, "there is no “azp”"),
        ({"aud": ["desk", "other"], "azp": "other"}, "“azp” must be"),
        ({"azp": "other"}, "“azp” must be"),
        ({"azp": 7}, "got “7”"),
        ({"exp": NOW}, "it ended 0 s ago"),
        ({"exp": NOW - 3600}, "it ended 3600 s ago"),
        ({"exp": None}, "must be numbers"),
        ({"exp": "soon"}, "must be numbers"),
        ({"exp": True}, "must be numbers"),
        ({"exp": 10**400}, "must be numbers"),
        ({"exp": float("inf")}, "must be numbers"),
        ({"exp": float("nan")}, "must be numbers"),
        ({"iat": None}, "must be numbers"),
        ({"iat": NOW + 301}, "it was issued 301 s in the future"),
        ({"nonce": None}, "it has no “nonce”"),
        ({"nonce": ""}, "it has no “nonce”"),
        ({"nonce": "another"}, "it has another “nonce”"),
        ({"nonce": [NONCE.reveal()]}, "it has another “nonce”"),
        ({"sub": None}, "it has no “sub”"),
        ({"sub": ""}, "it has no “sub”"),
        ({"sub": 7}, "it has no “sub”"),
    ],
    ids=str,
)
def test_one_that_fails_a_check_is_untrusted(claims: dict[str, Any], said: str) -> None:
    error = refused(token(**claims))
    assert isinstance(error, Untrusted)
    assert error.code == "id_token"
    assert said in str(error)
    assert "Nothing of it was used" in error.hint


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_one_without_a_signature_is_untrusted(algorithm: str) -> None:
    assert isinstance(refused(token({"alg": algorithm})), Untrusted)


@pytest.mark.parametrize(
    "text",
    [
        "not-a-jwt",
        "a.b",
        "a.b.c",
        "....",
        f"{part({'alg': 'RS256'})}.{part([1])}.x",
        f"{part({'alg': 'RS256'})}.{part(b'{')}.x",
        f"{part({})}.{part(GOOD)}.x",
        f"{part({'alg': 7})}.{part(GOOD)}.x",
        f"{part([])}.{part(GOOD)}.x",
        f"{part(b'nonsense')}.{part(GOOD)}.x",
        f"{part(b'[' * 20_000)}.{part(GOOD)}.x",
        f"{part({'alg': 'RS256'})}.{part(b'[' * 20_000)}.x",
        f"{part({'alg': 'RSA-OAEP', 'enc': 'A128GCM'})}.a.b.c.{part(GOOD)}",
        "ünicode.a.b",
        "a\n.b.c",
        token() + "\n",
        "",
        "x" * 70_000,
        token(padding="x" * 70_000),
        7,
        {"a": 1},
    ],
    ids=lambda text: f"{str(text)[:20]} {len(str(text))}",
)
def test_what_is_no_signed_jwt_is_a_bad_response(text: object) -> None:
    assert isinstance(refused(text), BadResponse)


def test_after_a_sign_in_there_has_to_be_one() -> None:
    error = refused(None)
    assert isinstance(error, BadResponse)
    assert "no “id_token”" in str(error)
    with pytest.raises(BadResponse):
        require_id_token(HttpResponse(200, ISSUER, body=b"[]"), SIGN_IN, NOW)


def test_one_that_ends_never_ends_in_ten_years() -> None:
    _, ends = require_id_token(answer(token(exp=1e17)), SIGN_IN, NOW)
    assert ends == NOW + 10 * 365 * 86_400


# A refresh


def renewing(**before: Any) -> Expected:
    return Expected(ISSUER, "desk", before=Secret(token(**before)))


def test_a_refresh_may_give_none() -> None:
    assert read_id_token(answer(None), renewing(), NOW) is None


@pytest.mark.parametrize("claims", [{"nonce": None}, {}, {"iat": NOW, "exp": NOW + 600}], ids=str)
def test_a_refresh_gives_one_for_the_same_person(claims: dict[str, Any]) -> None:
    assert read_id_token(answer(token(**claims)), renewing(), NOW)


def test_a_nonce_that_the_last_one_has_not_is_no_reason() -> None:
    assert read_id_token(answer(token(nonce="late")), renewing(nonce=None), NOW)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"sub": "mallory"}, "another person"),
        ({"nonce": "another"}, "not that of the sign-in"),
        ({"iss": "https://evil.example.com"}, "“iss” must be"),
        ({"aud": "other"}, "“aud” must name"),
        ({"exp": NOW - 1}, "it ended"),
    ],
    ids=str,
)
def test_a_refresh_that_gives_another_one_is_untrusted(claims: dict[str, Any], said: str) -> None:
    error = refused(token(**claims), renewing())
    assert isinstance(error, Untrusted)
    assert said in str(error)


def test_the_issuer_of_the_record_that_is_renewed_counts() -> None:
    other = Expected("https://new.example.com", "desk", before=Secret(token()))
    error = refused(token(iss="https://new.example.com"), other)
    assert "another person" in str(error)
