from __future__ import annotations

from typing import Any

import pytest

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.options import Endpoints, Options
from mcp_client_auth.secret import Secret


def test_nothing_is_weakened_by_default() -> None:
    assert Options().kept() == {}


def test_a_credential_remembers_what_was_weakened() -> None:
    assert Options(assume_pkce_s256=True, client_name="x").kept() == {"assume_pkce_s256": True}


@pytest.mark.parametrize(
    "name", ["state", "client_id", "redirect_uri", "resource", "scope", "code_challenge", "request"]
)
def test_what_belongs_to_the_flow_cannot_be_set(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Options(authorize_params={name: "x", "audience": "y"})


@pytest.mark.parametrize("issuer", ["", "https://auth.example.com"])
@pytest.mark.parametrize("token", ["", "https://auth.example.com/token"])
def test_endpoints_need_an_issuer_that_they_belong_to(issuer: str, token: str) -> None:
    endpoints = Endpoints(authorization="https://auth.example.com/authorize", token=token)
    if issuer and token:
        assert Options(issuer=issuer, endpoints=endpoints).endpoints is endpoints
        return
    with pytest.raises(UsageError, match="issuer"):
        Options(issuer=issuer, endpoints=endpoints)


def test_an_initial_access_token_is_a_secret_and_is_not_kept() -> None:
    options = Options(initial_access_token="planted")
    assert options.initial_access_token == Secret("planted")
    assert "planted" not in repr(options)
    assert options.kept() == {}
    assert Options(initial_access_token="").initial_access_token is None


def test_what_has_a_name_of_its_own_wins() -> None:
    options = Options(audience="a", prompt="login", authorize_params={"prompt": "none", "x": "y"})
    assert options.asked() == {"audience": "a", "prompt": "login", "x": "y"}
    assert Options().asked() == {}


@pytest.mark.parametrize("name", ["assume_pkce_s256", "allow_insecure_http", "refresh_scope"])
def test_what_a_refresh_has_to_know_is_kept_and_is_off_by_default(name: str) -> None:
    chosen: Any = {name: True}
    assert Options(**chosen).kept() == chosen
    assert not getattr(Options(), name)
