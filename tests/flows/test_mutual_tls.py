"""Clients that authenticate with a TLS certificate (RFC 8705), over real handshakes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from mcp_client_auth import (
    AuthError,
    BrowserPrompt,
    DeviceCode,
    DevicePrompt,
    HttpTransport,
    InsecureUrl,
    Login,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    Unavailable,
    UsageError,
    login,
)
from mcp_client_auth.protocol.flow import HttpRequest
from tests.support.mutual_tls import Authority, TlsWorld, serving

CALLBACK = ("http://127.0.0.1/callback",)
METHODS = ["tls_client_auth", "self_signed_tls_client_auth"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def world(authority: Authority) -> Iterator[TlsWorld]:
    with serving(authority) as world:
        yield world


class Browser:
    """A person who says yes at once; `urls` lists what was opened."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.states: list[str] = []

    def __call__(self, url: str) -> bool:
        self.urls.append(url)
        asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
        answer = {"code": "the-code", "state": asked["state"]}
        back = asked["redirect_uri"] + "?" + urlencode(answer)
        get = lambda: httpx.get(back, trust_env=False)  # noqa: E731
        threading.Thread(target=get, daemon=True).start()
        return True


def logged_in(
    world: TlsWorld, transport: HttpTransport, method: str = METHODS[0], **options: Any
) -> tuple[Login, Browser]:
    browser = Browser()
    made = login(
        world.url,
        client=PreRegistered("app", method=method, redirect_uris=CALLBACK),
        storage=MemoryStorage(),
        prompt=BrowserPrompt(open_url=browser),
        transport=transport,
        options=Options(**options),
    )
    return made, browser


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["files", "context", "with a password"])
def test_the_certificate_proves_the_client_at_each_endpoint(
    authority: Authority, world: TlsWorld, method: str, form: str
) -> None:
    cert, key = authority.issue("app", b"words" if form == "with a password" else b"")
    if form == "context":
        context = ssl.create_default_context(cafile=authority.file)
        context.load_cert_chain(cert, key)
        transport = HttpTransport(world.url, verify=context)
    elif form == "files":
        transport = HttpTransport(world.url, verify=authority.file, cert=(cert, key))
    else:
        transport = HttpTransport(world.url, verify=authority.file, cert=(cert, key, "words"))
    made, _ = logged_in(world, transport, method)
    held = made.credential
    assert held.token_endpoint == world.certified + "/token"
    assert held.revocation_endpoint == world.certified + "/revoke"
    made.auth.session.fresh(1e6)
    made.logout()
    transport.close()
    assert [seen.path for seen in world.seen] == ["/token", "/token", "/revoke", "/revoke"]
    for seen in world.seen:
        assert seen.certified == "app"
        assert seen.port == world.certified_port
        assert seen.form["client_id"] == "app"
        assert not {"client_secret", "client_assertion"} & set(seen.form)


def test_a_pushed_request_goes_to_its_alias(authority: Authority, world: TlsWorld) -> None:
    transport = HttpTransport(world.url, verify=authority.file, cert=authority.issue("app"))
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    with pytest.raises(AuthError):
        login(
            world.url,
            client=PreRegistered("app", method=METHODS[0], redirect_uris=CALLBACK),
            storage=MemoryStorage(),
            prompt=BrowserPrompt(open_url=open_url),
            transport=transport,
            options=Options(push_authorization_request=True, login_timeout=1.5),
        )
    transport.close()
    assert [(seen.path, seen.certified) for seen in world.seen] == [("/par", "app")]
    assert urlsplit(opened[0]).port == world.open_port, "the browser has no certificate"


def test_a_device_login_goes_to_its_alias(authority: Authority, world: TlsWorld) -> None:
    transport = HttpTransport(world.url, verify=authority.file, cert=authority.issue("app"))
    shown: list[str] = []
    login(
        world.url,
        client=PreRegistered("app", method=METHODS[0]),
        grant=DeviceCode(),
        storage=MemoryStorage(),
        prompt=DevicePrompt(lambda asked: shown.append(asked.link)),
        transport=transport,
    )
    transport.close()
    seen = [(each.path, each.certified, each.port) for each in world.seen]
    assert seen == [(place, "app", world.certified_port) for place in ("/device", "/token")]
    assert shown == [world.issuer + "/page"], "the person has no certificate"


def test_without_aliases_the_ordinary_endpoints_are_used(
    authority: Authority, world: TlsWorld
) -> None:
    world.changes["mtls_endpoint_aliases"] = None
    transport = HttpTransport(world.url, verify=authority.file, cert=authority.issue("app"))
    made, _ = logged_in(world, transport)
    assert made.credential.token_endpoint == world.issuer + "/token"
    transport.close()


def test_another_method_does_not_use_the_aliases(authority: Authority, world: TlsWorld) -> None:
    transport = HttpTransport(world.url, verify=authority.file, cert=authority.issue("app"))
    made, _ = logged_in(world, transport, "none")
    assert made.credential.token_endpoint == world.issuer + "/token"
    transport.close()


@pytest.mark.parametrize(
    "alias", ["http://auth.example.com/token", "https://169.254.169.254/token", "nonsense"]
)
def test_an_alias_is_checked_as_every_endpoint(
    authority: Authority, world: TlsWorld, alias: str
) -> None:
    world.changes["mtls_endpoint_aliases"] = {"token_endpoint": alias}
    transport = HttpTransport(world.url, verify=authority.file, cert=authority.issue("app"))
    with pytest.raises(InsecureUrl):
        logged_in(world, transport)
    transport.close()
    assert world.seen == []


def test_a_certificate_of_another_authority_is_no_proof(
    authority: Authority, world: TlsWorld, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other CA")
    transport = HttpTransport(world.url, verify=authority.file, cert=other.issue("app"))
    with pytest.raises(Unavailable):
        logged_in(world, transport)
    transport.close()
    assert world.seen == []


def test_no_certificate_is_said_before_the_browser_opens(
    authority: Authority, world: TlsWorld
) -> None:
    transport = HttpTransport(world.url, verify=authority.file)
    with pytest.raises(UsageError, match="client certificate"):
        logged_in(world, transport)
    transport.close()


def test_a_program_without_the_certificate_is_told_so_and_ends_no_login(
    authority: Authority, world: TlsWorld
) -> None:
    world.changes["mtls_endpoint_aliases"] = None  # so that its server could answer without it
    cert = HttpTransport(world.url, verify=authority.file, cert=authority.issue("app"))
    made, _ = logged_in(world, cert)
    session = made.auth.session
    none = HttpTransport(world.url, verify=authority.file)
    storage = session.ports.storage
    other = MCPAuth(
        world.url, client=session.config.identity, storage=storage, prompt=None, transport=none
    )
    with pytest.raises(UsageError, match="client certificate"):
        other.session.refresh()
    none.close()
    assert len(world.seen) == 1, "it is not sent without its proof"
    assert session.refresh().renewable
    cert.close()


# What a caller may pass


def bad_certs(authority: Authority, folder: Path) -> dict[str, Any]:
    cert = authority.issue("app")[0]
    other = authority.issue("other")
    sealed = authority.issue("sealed", b"words")
    words = folder / "words.pem"
    words.write_text("words")
    return {
        "no file": str(folder / "gone.pem"),
        "a certificate without its key": cert,
        "the key of another": (cert, other[1]),
        "a key with a password": sealed,
        "a wrong password": (*sealed, "wrong-planted"),
        "words": str(words),
        "a folder": str(folder),
    }


@pytest.mark.parametrize(
    "name",
    [
        "no file",
        "a certificate without its key",
        "the key of another",
        "a key with a password",
        "a wrong password",
        "words",
        "a folder",
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(
    authority: Authority, world: TlsWorld, tmp_path: Path, name: str
) -> None:
    cert = bad_certs(authority, tmp_path)[name]
    transport = HttpTransport(world.url, verify=authority.file, cert=cert)
    with pytest.raises(UsageError, match="client certificate") as caught:
        logged_in(world, transport)
    assert "cert=" in caught.value.hint
    assert "wrong-planted" not in str(caught.value)


def test_a_context_and_a_certificate_exclude_each_other(authority: Authority) -> None:
    context = ssl.create_default_context()
    transport = HttpTransport("https://127.0.0.1:9", verify=context, cert=authority.issue("app"))
    with pytest.raises(UsageError, match="exclude"):
        transport(HttpRequest("GET", "https://127.0.0.1:9/"))


@pytest.mark.parametrize("what", ["file", "environment", "False"])
def test_what_is_trusted_is_what_httpx_trusted(
    authority: Authority, world: TlsWorld, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify: Any = {"file": authority.file, "False": False}.get(what, True)
    if what == "environment":
        monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    transport = HttpTransport(world.url, verify=verify, cert=authority.issue("app"))
    assert transport(HttpRequest("POST", world.url)).status == 401
    transport.close()
