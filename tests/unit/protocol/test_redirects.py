from __future__ import annotations

import pytest

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.redirects import AppRedirect, Callback, callback_for, with_port_of
from mcp_client_auth.protocol.registration import ClientMetadataDocument, Identity, PreRegistered
from tests.support.protocol_samples import client

ISSUER = "https://auth.example.com"


def carried(*uris: str) -> list[Identity]:
    return [
        PreRegistered("c1", redirect_uris=uris),
        ClientMetadataDocument("https://app.example/client.json", uris),
    ]


def test_a_registered_client_has_a_path_of_its_own_for_each_issuer() -> None:
    one = callback_for(None, True, ISSUER, Options())
    other = callback_for(None, True, "https://other.example", Options())
    assert (one.host, one.port, one.pinned) == ("127.0.0.1", 0, False)
    assert one.path != other.path
    assert one == callback_for(None, True, ISSUER, Options())


def test_a_client_without_redirect_uris_gets_the_usual_callback() -> None:
    for identity in carried():
        assert callback_for(identity, False, ISSUER, Options()) == Callback(
            "127.0.0.1", 0, "/callback"
        )


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://127.0.0.1/cb", Callback("127.0.0.1", 0, "/cb")),
        ("http://127.0.0.1:8765/cb", Callback("127.0.0.1", 8765, "/cb")),
        ("http://localhost:3000", Callback("localhost", 3000, "")),
        ("http://localhost:3000/", Callback("localhost", 3000, "/")),
        ("http://[::1]:3000/cb", Callback("::1", 3000, "/cb")),
    ],
)
def test_a_client_that_carries_its_redirect_uris_uses_one_of_them(
    uri: str, expected: Callback
) -> None:
    for identity in carried("https://app.example/cb", "app:/cb", "http:nonsense", uri):
        assert callback_for(identity, False, ISSUER, Options()) == expected


def test_a_client_whose_callback_cannot_arrive_is_an_error() -> None:
    for identity in carried("https://app.example/cb", "http://app.example/cb", "http:junk"):
        with pytest.raises(UsageError, match=r"http on loopback"):
            callback_for(identity, False, ISSUER, Options())


def test_the_callers_redirect_uri_comes_before_all() -> None:
    options = Options(redirect_uri="http://localhost:9000/mine")
    for identity in [None, *carried("http://127.0.0.1/cb")]:
        callback = callback_for(identity, identity is None, ISSUER, options)
        assert callback == Callback("localhost", 9000, "/mine", pinned=True)


def test_only_a_port_that_is_named_is_pinned() -> None:
    callback = callback_for(None, True, ISSUER, Options(redirect_uri="http://localhost/mine"))
    assert callback == Callback("localhost", 0, "/mine", pinned=False)


@pytest.mark.parametrize(
    "uri",
    [
        "nonsense",
        "https://127.0.0.1/cb",
        "http://app.example/cb",
        "http://127.0.0.1/cb?x=1",
        "http://127.0.0.1/cb#x",
        "http://user:planted@127.0.0.1/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1.evil.example/cb",
    ],
)
def test_a_redirect_uri_where_no_callback_can_stand_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        callback_for(None, True, ISSUER, Options(redirect_uri=uri))
    assert "planted" not in str(caught.value)


def test_a_kept_registration_gives_its_port() -> None:
    free = Callback("127.0.0.1", 0, "/cb")
    assert with_port_of(free, client()) == Callback("127.0.0.1", 8765, "/cb")
    assert with_port_of(free, None) == free
    pinned = Callback("127.0.0.1", 9000, "/cb", pinned=True)
    assert with_port_of(pinned, client()) == pinned


def test_a_template_is_the_redirect_uri_without_its_port() -> None:
    assert Callback("::1", 9000, "/cb").template == "http://[::1]/cb"
    assert Callback("localhost", 9000, "/cb").template == "http://localhost/cb"


def test_no_issuer_can_be_made_up_that_has_the_page_of_another() -> None:
    """All users of an application see its client id, so nothing else keeps their codes apart; a
    mark of 48 bits is found again in hours."""
    redirect = AppRedirect("https://app.example/callback/{issuer}")
    mark = redirect.mark(ISSUER)
    assert len(bytes.fromhex(mark)) * 8 >= 128
    assert redirect.uri(ISSUER) == f"https://app.example/callback/{mark}"
