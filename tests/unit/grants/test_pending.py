"""A login that is under way, as a text: whole, sealed, and of one account and one state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mcp_client_auth import (
    Endpoints,
    Options,
    PendingLogin,
    PreRegistered,
    Secret,
    StorageError,
    Untrusted,
    UsageError,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.grants.base import LoginConfig
from mcp_client_auth.grants.pending import digest
from mcp_client_auth.keys.dpop_key import DpopChoice
from mcp_client_auth.protocol.authorization import AuthorizationRequest
from mcp_client_auth.protocol.dpop import make_key
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.urls import Endpoint, Issuer, ServerUrl
from tests.support.codes import coded

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
ISSUER = Issuer("https://auth.example.com")
URL = ServerUrl("https://mcp.example.com/mcp/")
STATE = "state-of-this-login"


def pending(account: str = "ada", **more: Any) -> PendingLogin:
    server = ServerMetadata(
        ISSUER,
        Endpoint(ISSUER + "/token"),
        "metadata",
        Endpoint(ISSUER + "/authorize"),
        revocation_endpoint=Endpoint(ISSUER + "/revoke"),
        token_auth_methods=("none", "client_secret_post"),
        iss_promised=True,
    )
    client = Client("app", ISSUER, "pre-registered", "client_secret_post", Secret("s3cret of app"))
    request = AuthorizationRequest(
        url=ISSUER + "/authorize?state=" + STATE,
        server=server,
        client=client,
        redirect_uri="https://app.example/callback",
        scope=("read", "write"),
        resource=URL,
        state=Secret(STATE),
        verifier=Secret("verifier of this login"),
        parameters=(("prompt", "consent"),),
    )
    options = Options(
        dpop=True,
        headers={"X-Gateway": "key of the gateway"},
        authorize_params={"a": "b"},
        initial_access_token="initial access token",
    )
    identity = PreRegistered("app", "s3cret of app", "client_secret_post")
    made = PendingLogin(
        LoginConfig(URL, key_for(URL, account, "app"), identity, ("read",), options),
        request,
        DpopChoice(make_key("ES256"), True),
        "https://mcp.example.com/mcp/v2",
        1_800_000_000.5,
        "0123456789ab",
        False,
        True,
        digest("of the browser"),
        Secret("of the browser"),
    )
    return replace(made, **more)


def test_it_is_whole_again_but_for_the_binding() -> None:
    first = pending()
    again = PendingLogin.unseal(first.seal(KEY), KEY, account="ada", state=STATE)
    assert again.dpop_choice.kept == first.dpop_choice.kept
    assert again.dpop_choice.only
    request = replace(first.request, dpop_jkt="")
    usual = replace(first, secret_binding=None, request=request, dpop_choice=again.dpop_choice)
    assert again == usual
    assert again.binding == ""
    assert again.is_bound_to("of the browser")


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(issuer=ISSUER, endpoints=Endpoints(token=ISSUER + "/token")),
        Options(headers_for={"https://gateway.example": {"X-Key": "another key"}}),
        Options(resource=""),
        Options(allow_insecure_http=True, login_timeout=1.5),
    ],
)
def test_its_options_are_those_of_the_caller(options: Options) -> None:
    first = pending()
    first = replace(first, config=replace(first.config, options=options))
    assert PendingLogin.loads(first.dumps()).config.options == options


def test_a_public_client_without_anything_more_survives() -> None:
    first = pending()
    client = Client("dyn", ISSUER, "dynamic", "none", redirect_uris=("https://app.example/c",))
    request = replace(first.request, client=client, scope=None, resource=None, parameters=())
    config = LoginConfig(URL, key_for(URL))
    again = PendingLogin.loads(PendingLogin(config, request).dumps())
    assert again == PendingLogin(config, request)


def test_it_does_not_show_the_password_of_its_storage() -> None:
    assert "planted" not in repr(pending(storage="redis://:planted-password@127.0.0.1"))


@pytest.mark.parametrize("binding", ["of another browser", "", None, 5, "of the browser "])
def test_only_its_own_browser_has_its_binding(binding: object) -> None:
    assert not pending().is_bound_to(binding)
    assert not replace(pending(), bound_to="ä\ud800").is_bound_to(binding)


@pytest.mark.parametrize(
    "how", [{"account": "bob"}, {"state": "another"}, {"account": "ada" + STATE, "state": ""}]
)
def test_it_opens_for_no_other_account_or_state(how: dict[str, str]) -> None:
    with pytest.raises(Untrusted, check=coded("not_this_login")):
        PendingLogin.unseal(pending().seal(KEY), KEY, **{"account": "ada", "state": STATE, **how})


@pytest.mark.parametrize("text", ["", "x", "{}", "null", '{"version": 1}', "[" * 5000])
def test_a_text_that_is_no_login_is_refused(text: str) -> None:
    with pytest.raises(Untrusted, check=coded("not_this_login")):
        PendingLogin.unseal(text, KEY, account="ada", state=STATE)


def test_a_changed_text_does_not_open() -> None:
    sealed = json.loads(pending().seal(KEY))
    sealed["data"] = "A" * len(sealed["data"])
    with pytest.raises(Untrusted, check=coded("not_this_login")):
        PendingLogin.unseal(json.dumps(sealed), KEY, account="ada", state=STATE)


def test_the_newest_key_seals_and_all_open() -> None:
    old, new = pending().seal(KEY), pending().seal([OTHER, KEY])
    for text in (old, new):
        assert PendingLogin.unseal(text, [OTHER, Secret(KEY)], account="ada", state=STATE)
    with pytest.raises(StorageError, check=coded("wrong_key")):
        PendingLogin.unseal(new, KEY, account="ada", state=STATE)


def test_the_key_of_the_environment_is_taken_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match="no key to seal"):
        pending().seal()
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", KEY)
    kept = pending().seal()
    assert PendingLogin.unseal(kept, KEY, account="ada", state=STATE)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", f"{OTHER}\n{KEY}")
    assert PendingLogin.unseal(kept, account="ada", state=STATE)


@pytest.mark.parametrize("keys", [[], "", [""], [None], "short", 5, object()])
def test_what_is_no_key_is_a_usage_error(keys: Any) -> None:
    with pytest.raises(UsageError):
        pending().seal(keys)
    with pytest.raises(UsageError):
        PendingLogin.unseal(pending().seal(KEY), keys, account="ada", state=STATE)


def test_no_secret_is_to_be_read_in_the_sealed_text() -> None:
    text = pending().seal(KEY)
    planted = ("verifier of this", "s3cret", "initial access", "key of the gateway", "browser")
    assert not any(secret in text for secret in planted)
    assert "of the browser" not in pending().dumps()


def test_a_long_list_of_a_server_does_not_make_it_long() -> None:
    first = pending()
    many = tuple(f"method-{number}" for number in range(100_000))
    server = replace(first.request.server, token_auth_methods=(*many, "none"), raw={"much": many})
    long = replace(first, request=replace(first.request, server=server))
    assert len(long.dumps()) < 4000
    assert PendingLogin.loads(long.dumps()).request.server.token_auth_methods == ("none",)


@pytest.mark.parametrize("name", sorted(json.loads(pending().dumps())))
@pytest.mark.parametrize("value", [None, 7, [], {"x": 1}, "\ud800 x", "missing"])
def test_a_damaged_text_is_a_damaged_record(name: str, value: Any) -> None:
    raw = json.loads(pending().dumps())
    if value == "missing":
        del raw[name]
    else:
        raw[name] = value
    assert outcome(raw) in ("read", "damaged_record", "newer_record")


def outcome(raw: dict[str, Any]) -> str:
    try:
        PendingLogin.loads(json.dumps(raw))
    except StorageError as error:
        return error.code
    return "read"
