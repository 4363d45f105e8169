from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.credential import (
    ClientKey,
    Credential,
    Key,
    dumps,
    dumps_client,
    key_for,
    loads,
    loads_client,
)
from mcp_client_auth.errors import StorageError, UsageError
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.protocol.urls import ServerUrl
from mcp_client_auth.secret import Secret
from tests.support.codes import coded

YEAR_3000 = 32_503_680_000.0
PLANTED = "planted-secret-7f3a"
ISSUER = "https://auth.example.com"
PUBLIC = Client("c1", ISSUER, "dynamic", "none", redirect_uris=("http://127.0.0.1:1/cb",))
CONFIDENTIAL = replace(
    PUBLIC,
    method="client_secret_post",
    secret=Secret(PLANTED),
    scope=("a",),
    secret_expires_at=9.0,
    management_uri=ISSUER + "/register/c1",
    management_token=Secret(PLANTED),
)
BARE = Credential(
    key_for("https://mcp.example.com/mcp"),
    ISSUER,
    ISSUER + "/token",
    PUBLIC,
    TokenSet(Secret(PLANTED), 1.0),
)
FULL = Credential(
    key_for("https://mcp.example.com/mcp", "work", "c1"),
    ISSUER,
    ISSUER + "/token",
    CONFIDENTIAL,
    TokenSet(Secret(PLANTED), 1.0, 100.0, Secret(PLANTED), ("a", "b"), True),
    resource="https://mcp.example.com/",
    revocation_endpoint=ISSUER + "/revoke",
    requested=(),
    options={"assume_pkce_s256": True},
    generation=7,
    dpop_key=Secret(json.dumps({"kty": "EC", "alg": "ES256", "d": PLANTED})),
    final_url="https://mcp.example.com/mcp/",
)
text = st.text(st.characters(codec="utf-8"))
sendable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
words = st.none() | st.lists(text).map(tuple)


@pytest.mark.parametrize("credential", [BARE, FULL], ids=["bare", "full"])
def test_a_record_is_read_back_as_it_was(credential: Credential) -> None:
    assert loads(dumps(credential), "the test") == credential
    assert json.loads(dumps(credential))["version"] == 1


@given(sendable, st.none() | text, words, words, st.none() | st.floats(0, YEAR_3000))
def test_any_values_are_read_back(
    token: str,
    refresh_token: str | None,
    scope: tuple[str, ...] | None,
    requested: tuple[str, ...] | None,
    expires_at: float | None,
) -> None:
    renewal = None if refresh_token is None else Secret(refresh_token)
    tokens = TokenSet(Secret(token), 1.0, expires_at, renewal, scope)
    credential = replace(FULL, tokens=tokens, requested=requested)
    assert loads(dumps(credential), "the test") == credential


@pytest.mark.parametrize("client", [PUBLIC, CONFIDENTIAL], ids=["public", "confidential"])
def test_a_registration_is_read_back_as_it_was(client: Client) -> None:
    assert loads_client(dumps_client(client), "the test") == client


def test_a_client_with_a_key_is_read_back_with_its_path() -> None:
    keyed = replace(PUBLIC, method="private_key_jwt", key_file="/keys/k.pem", algorithm="ES256")
    assert loads_client(dumps_client(keyed), "the test") == keyed
    assert loads(dumps(replace(FULL, client=keyed)), "the test").client == keyed


def test_a_record_of_before_there_were_keys_is_read() -> None:
    for record in (json.loads(dumps_client(PUBLIC)), json.loads(dumps(FULL))["client"]):
        assert not {"key_file", "algorithm"} & set(record), "and an older program reads ours"


LATER = {"dpop_key", "final_url"}  # what the first records did not have


def damages(record: str) -> dict[str, str]:
    """The record with each field taken out or made of another type."""
    fields: dict[str, Any] = json.loads(record)
    found = {"empty": "", "not JSON": record[:-5], "an array": "[]", "a string": '"x"'}
    for name in sorted(fields.keys() - LATER):
        found[f"no {name}"] = json.dumps({k: v for k, v in fields.items() if k != name})
    for name in ("client", "tokens", "key", "version", "redirect_uris", "scope"):
        if name not in fields:
            continue
        wrongs: list[Any] = [None, 7, [[]], "x"]
        for wrong in wrongs:
            if wrong is not fields[name] and (name, wrong) != ("scope", None):
                found[f"{name} is {wrong!r}"] = json.dumps({**fields, name: wrong})
    return found


DAMAGED = damages(dumps(FULL))


@pytest.mark.parametrize("record", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_a_storage_error_that_shows_nothing_of_it(record: str) -> None:
    with pytest.raises(StorageError) as caught:
        loads(record, "the keyring")
    assert caught.value.code in ("damaged_record", "newer_record")
    assert "the keyring" in str(caught.value)
    assert PLANTED not in f"{caught.value} {caught.value.__cause__}"


def test_a_record_from_before_keys_is_of_bearer_tokens_and_no_key() -> None:
    fields = json.loads(dumps(BARE))
    assert not {"dpop_key", "bound", "dpop"} & {*fields, *fields["tokens"], *fields["client"]}
    old = loads(json.dumps(fields), "the test")
    assert old == BARE
    assert old.dpop_key is None
    assert not old.tokens.bound


@pytest.mark.parametrize("wrong", [7, {}, ["x"], True, "", "{}", "[]", PLANTED])
def test_what_is_no_key_is_damage(wrong: object) -> None:
    fields = {**json.loads(dumps(FULL)), "dpop_key": wrong}
    with pytest.raises(StorageError) as caught:
        loads(json.dumps(fields), "the keyring")
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("wrong", [7, ["x"], {"a": 1}, "nonsense", "//mcp.example.com/mcp/"])
def test_what_is_no_final_url_is_damage(wrong: object) -> None:
    raw = {**json.loads(dumps(FULL)), "final_url": wrong}
    with pytest.raises(StorageError, check=coded("damaged_record")):
        loads(json.dumps(raw), "x")


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        ("", "https://mcp.example.com/v1/mcp"),
        ("https://mcp.example.com/v1/mcp/", "https://mcp.example.com/v1/mcp/"),
        ("https://mcp.example.com/v2/mcp", "https://mcp.example.com/v1/mcp"),
        ("https://evil.example/v1/mcp/", "https://mcp.example.com/v1/mcp"),
    ],
)
def test_a_final_url_counts_only_where_the_token_may_go(final: str, expected: str) -> None:
    server = ServerUrl("https://mcp.example.com/v1/mcp")
    assert replace(BARE, key=key_for(server), final_url=final).endpoint(server) == expected


def test_a_record_of_a_newer_version_is_left_alone() -> None:
    for record, read in ((dumps(FULL), loads), (dumps_client(PUBLIC), loads_client)):
        newer = json.dumps({**json.loads(record), "version": 2, "unheard_of": 1})
        with pytest.raises(StorageError, check=coded("newer_record")) as caught:
            read(newer, "the keyring")
        assert caught.value.code == "newer_record"


def test_a_secret_of_another_type_is_damage() -> None:
    fields = json.loads(dumps(FULL))
    fields["tokens"]["access_token"] = {"x": 1}
    with pytest.raises(StorageError):
        loads(json.dumps(fields), "the keyring")


def test_a_credential_shows_no_secret() -> None:
    for shown in (repr(FULL), str(FULL), repr(FULL.client), repr(FULL.tokens), repr([FULL])):
        assert PLANTED not in shown


def test_renewing_keeps_everything_but_the_tokens_and_counts() -> None:
    tokens = TokenSet(Secret("new"), 2.0)
    assert FULL.renewed(tokens) == replace(FULL, tokens=tokens, generation=8)


def test_a_token_lives_until_it_expires_or_for_ever() -> None:
    assert FULL.alive(99.9)
    assert not FULL.alive(100.0)
    assert BARE.alive(1e12)


def test_one_server_has_one_key_however_it_is_spelled() -> None:
    assert key_for("https://MCP.example.com:443/mcp/") == BARE.key
    with pytest.raises(UsageError):
        key_for("nonsense")


def test_server_account_grant_and_client_tell_keys_apart() -> None:
    keys = [
        Key("https://a"),
        Key("https://b"),
        Key("https://a", "work"),
        Key("https://a", grant="client_credentials"),
        Key("https://a", client="work"),
    ]
    assert len({key.id for key in keys}) == len(keys)
    assert {len(key.id) for key in keys} == {32}
    # what a file is called must not change from one version to the next
    assert keys[0].id == "397ace49339c1b8d4e7604abb2f05955"


def test_a_registration_is_kept_by_issuer_and_redirect_uri() -> None:
    keys = [ClientKey("https://a", "x"), ClientKey("https://b", "x"), ClientKey("https://a", "y")]
    assert len({key.id for key in keys}) == 3


def test_options_that_are_nested_very_deep_are_damage() -> None:
    """What could be read and not written again would end a login at its next renewal."""
    deep = json.dumps({"a": "b"}).replace('"b"', "[" * 400 + "]" * 400)
    record = dumps(replace(FULL, options={"x": "y"})).replace('"y"', deep)
    with pytest.raises(StorageError, check=coded("damaged_record")):
        loads(record, "a place")
