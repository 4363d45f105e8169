from __future__ import annotations

from typing import Any

import pytest

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.endpoints import Endpoints
from mcp_client_auth.protocol.options import Options
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


@pytest.mark.parametrize("spelled", ["nonsense", "ftp://x", "https://", "https://[::1", "//x/y"])
def test_an_address_that_is_none_is_refused_where_it_is_passed(spelled: str) -> None:
    with pytest.raises(UsageError, match=r"the issuer that was passed, .* is not a usable URL"):
        Options(issuer=spelled)
    for name in ("authorization", "token", "device_authorization"):
        good = {"authorization": "https://as.example/a", "token": "https://as.example/t"}
        with pytest.raises(UsageError, match=f"the {name.replace('_', ' ')} endpoint that was"):
            Options(issuer="https://as.example", endpoints=Endpoints(**{**good, name: spelled}))


@pytest.mark.parametrize("resource", ["nonsense", "//host", "urn:", "a b:c", "urn:x#y", "urn:ä"])
def test_a_resource_is_an_absolute_uri(resource: str) -> None:
    with pytest.raises(UsageError, match="absolute URI") as caught:
        Options(resource=resource)
    assert f"“{resource}”" in caught.value.summary


@pytest.mark.parametrize(
    "resource", ["", None, "urn:tenant", "api://0f8b", "https://m.example/?a=b"]
)
def test_a_resource_may_be_of_any_scheme_and_empty(resource: str | None) -> None:
    assert Options(resource=resource).resource == resource


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issuer", 5),
        ("metadata_url", b"https://auth.example.com"),
        ("redirect_uri", 5),
        ("resource", 5),
        ("audience", 5),
        ("client_name", []),
        ("login_timeout", "a"),
        ("http_timeout", None),
        ("endpoints", Endpoints(token=5)),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_another_kind_is_refused_where_it_is_passed(name: str, value: Any) -> None:
    more: dict[str, Any] = {"issuer": "https://auth.example.com"} if name == "endpoints" else {}
    with pytest.raises(UsageError, match="token_endpoint" if more else name.replace("_", ".")):
        Options(**{**more, name: value})


def test_an_initial_access_token_is_a_secret_and_is_not_kept() -> None:
    options = Options(initial_access_token="planted")
    assert options.initial_access_token == Secret("planted")
    assert "planted" not in repr(options)
    assert options.kept() == {}
    assert Options(initial_access_token="").initial_access_token is None


def test_what_has_a_name_of_its_own_wins() -> None:
    options = Options(audience="a", prompt="login", authorize_params={"prompt": "none", "x": "y"})
    assert options.authorization_parameters() == {"audience": "a", "prompt": "login", "x": "y"}
    assert Options().authorization_parameters() == {}


@pytest.mark.parametrize("name", ["assume_pkce_s256", "allow_insecure_http", "refresh_scope"])
def test_what_a_refresh_has_to_know_is_kept_and_is_off_by_default(name: str) -> None:
    chosen: Any = {name: True}
    assert Options(**chosen).kept() == chosen
    assert not getattr(Options(), name)


@pytest.mark.parametrize(
    "more",
    [{}, {"issuer": "https://a.example", "endpoints": Endpoints(token="https://a.example/t")}],
)
def test_a_metadata_url_needs_the_issuer_that_it_stands_for_and_nothing_else(more: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Options(metadata_url="https://docs.example.com/m.json", **more)
    assert "issuer" in caught.value.hint


@pytest.mark.parametrize(
    "uri",
    [
        "https://x/y",
        "https://127.0.0.1/callback",
        "http://example.com/callback",
        "http://127.0.0.1/callback?a=b",
        "http://127.0.0.1/callback#a",
        "http://user@127.0.0.1/callback",
        "http://[::1",
        "callback",
        "urn:ietf:wg:oauth:2.0:oob",
    ],
)
def test_a_redirect_uri_at_which_no_callback_can_arrive_is_refused_where_it_is_passed(
    uri: str,
) -> None:
    with pytest.raises(UsageError, match="redirect URI"):
        Options(redirect_uri=uri)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_one_on_loopback_is_taken_with_a_port_and_without(host: str) -> None:
    for port in ("", ":8765"):
        assert Options(redirect_uri=f"http://{host}{port}/callback").redirect_uri
