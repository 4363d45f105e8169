"""Logins over real sockets: one for each way a client authenticates and each thing repaired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BadResponse,
    BrowserPrompt,
    ClientCredentials,
    ClientMetadataDocument,
    DeviceCode,
    DevicePrompt,
    Endpoints,
    Event,
    FileStorage,
    HttpTransport,
    LoginFailed,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    RegistrationRefused,
    Secret,
    TokenRefused,
    UsageError,
    login,
)
from mcp_client_auth.credential import Key, Note
from mcp_client_auth.grants.base import Ports
from mcp_client_auth.grants.clients import (
    client_key,
    needs_consent,
    remember_consent,
    remember_proof,
    wants_proof,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.urls import Issuer
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings
from mcp_client_auth.testing.settings import AuthMethod
from tests.support.key_samples import jwk, pem, planted, public_pem

ISSUER = Issuer("https://auth.example.com")
CALLBACK = ("http://127.0.0.1/callback",)
SECRET = "s3cret of the app, planted"
DOCUMENT = ClientMetadataDocument("https://app.example.com/client.json", CALLBACK)


UNTRUSTED = ("client_id_metadata_documents", "refuse_document_clients")
OPEN: list[Run] = []


class Run:
    """One program: its browser, its events, and every OAuth request that it sends."""

    def __init__(self, server: DemoServer, *, decision: Any = "allow", **arguments: Any) -> None:
        self.server, self.browser = server, ScriptedBrowser(decision)
        self.events: list[Event] = []
        self.urls: list[str] = []
        self.sent: list[HttpRequest] = []
        self.transport = HttpTransport(server.url, arguments.get("options"))
        usual: dict[str, Any] = {
            "storage": FileStorage(),
            "prompt": BrowserPrompt(open_url=self.open),
            "on_event": self.events.append,
            "transport": self,
        }
        self.auth = MCPAuth(server.url, **{**usual, **arguments})
        self.client = httpx.Client(auth=self.auth, trust_env=False, timeout=30)
        OPEN.append(self)

    has_certificate = False

    def open(self, url: str) -> bool:
        self.urls.append(url)
        return self.browser(url)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.sent.append(request)
        return self.transport(request)

    def post(self) -> int:
        ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"Accept": "application/json, text/event-stream"}
        return self.client.post(self.server.url, json=ping, headers=headers).status_code

    def refresh(self) -> None:
        """Ask for a refresh, because a token that was just issued is not renewed on a 401."""
        self.auth.session.fresh(1e6)

    def told(self) -> str:
        """Everything that a log or a person sees."""
        return " ".join(map(str, self.events)) + repr(self.auth) + repr(self.auth.session.config)

    def titles(self) -> list[str]:
        """The title of each visit's last page."""
        assert self.browser.join(60)
        return [page.text.split("<h1>")[1].split("<")[0] for page in self.browser.pages
                if "callback" in page.url]  # fmt: skip


@pytest.fixture(autouse=True)
def files_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "file")
    yield
    while OPEN:
        run = OPEN.pop()
        run.client.close()
        run.transport.close()


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "key.pem"
    path.write_text(pem("P-256"))
    return str(path)


def known(method: AuthMethod, kind: str = "") -> RegisteredClient:
    secret = SECRET if method.startswith("client_secret") else None
    public = public_pem(kind) if kind else ""
    return RegisteredClient("app", secret, method, CALLBACK, public_key=public)


def served(client: RegisteredClient | None = None, **settings: Any) -> DemoServer:
    clients = (client,) if client else ()
    return DemoServer(Settings(clients=clients, registration=client is None, **settings))


WAYS: dict[str, tuple[RegisteredClient, dict[str, Any]]] = {
    "none": (known("none"), {}),
    "post": (known("client_secret_post"), {"secret": SECRET, "method": "client_secret_post"}),
    "basic": (known("client_secret_basic"), {"secret": SECRET, "method": "client_secret_basic"}),
    "secret jwt": (known("client_secret_jwt"), {"secret": SECRET, "method": "client_secret_jwt"}),
    "EC PEM": (known("private_key_jwt", "P-256"), {"key": pem("P-256")}),
    "EC JWK": (known("private_key_jwt", "P-384"), {"key": jwk("P-384", kid="k1")}),
    "RSA": (known("private_key_jwt", "RSA"), {"key": pem("RSA")}),
    "PS256": (known("private_key_jwt", "RSA"), {"key": pem("RSA"), "algorithm": "PS256"}),
    "Ed25519": (known("private_key_jwt", "Ed25519"), {"key": pem("Ed25519")}),
}


@pytest.mark.parametrize("pushed", [False, True], ids=["in the browser", "pushed"])
@pytest.mark.parametrize(("client", "means"), WAYS.values(), ids=WAYS)
def test_a_client_proves_itself_at_every_endpoint(
    client: RegisteredClient, means: dict[str, Any], pushed: bool
) -> None:
    with served(client, require_pushed_requests=pushed) as server:
        run = Run(server, client=PreRegistered("app", redirect_uris=CALLBACK, **means))
        assert run.post() == 200
        assert server.count("/oauth2/par") == pushed
        run.refresh()
        assert run.post() == 200
        assert server.token_requests("refresh_token") == 1
        assert run.auth.session.log_out().revoked is True
        assert run.browser.visits == 1
        for secret in (SECRET, *planted("P-256"), *planted("RSA")):
            assert secret not in run.told()
        if pushed:
            asked = parse_qs(urlsplit(run.urls[0]).query)
            assert set(asked) == {"client_id", "request_uri"}


@pytest.mark.parametrize("way", ["none", "post", "basic", "secret jwt", "EC PEM"])
def test_a_client_proves_itself_to_the_device_endpoint_too(way: str) -> None:
    client, means = WAYS[way]
    with served(client, device_authorization=True, device_interval=0) as server:

        def allow(asked: object) -> None:
            server.decide_device()

        identity, prompt = PreRegistered("app", **means), DevicePrompt(allow)
        run = Run(server, client=identity, grant=DeviceCode(), prompt=prompt)
        object.__setattr__(run.auth.session.ports, "sleep", lambda seconds: None)
        assert run.post() == 200
        statuses = {r.path: r.status for r in server.requests if r.side == "as"}
        assert statuses["/oauth2/device_authorization"] == statuses["/oauth2/token"] == 200
        assert run.auth.session.log_out().revoked is True


@pytest.mark.parametrize("way", ["post", "basic", "secret jwt", "EC PEM"])
def test_a_program_that_speaks_for_itself_proves_itself_so_too(way: str) -> None:
    client, means = WAYS[way]
    with served(client, client_credentials=True) as server:
        identity = PreRegistered("app", **means)
        run = Run(server, client=identity, grant=ClientCredentials(), prompt=None)
        assert run.post() == 200
        assert server.token_requests("client_credentials") == 1
        assert server.count("/oauth2/register") == 0


def test_each_assertion_is_another(key_file: str) -> None:
    with served(known("private_key_jwt", "P-256")) as server:
        run = Run(server, client=PreRegistered("app", key_file=key_file, redirect_uris=CALLBACK))
        run.post()
        run.refresh()
        forms = [parse_qs(r.body.decode()) for r in run.sent if b"client_assertion=" in r.body]
        assertions = [form["client_assertion"][0] for form in forms]
        assert len(assertions) == len(set(assertions)) == 2
        assert all(form["client_id"] == ["app"] for form in forms)


def test_a_program_of_its_own_signs_by_a_callable() -> None:
    from joserfc import jwt
    from joserfc.jwk import ECKey

    key, asked = ECKey.import_key(pem("P-256")), list[str]()

    def sign(audience: str) -> str:
        import secrets
        import time

        asked.append(audience)
        now, jti = int(time.time()), secrets.token_hex(8)
        claims = {"iss": "app", "sub": "app", "aud": audience, "jti": jti, "iat": now}
        return jwt.encode({"alg": "ES256"}, {**claims, "exp": now + 30}, key)

    with served(known("private_key_jwt", "P-256")) as server:
        run = Run(server, client=PreRegistered("app", key=sign, redirect_uris=CALLBACK))
        assert run.post() == 200
        assert asked == [server.issuer]


def test_the_credential_keeps_the_path_and_never_the_key(key_file: str) -> None:
    with served(known("private_key_jwt", "P-256")) as server:
        identity = PreRegistered("app", key_file=key_file, redirect_uris=CALLBACK)
        run = Run(server, client=identity)
        run.post()
        held = run.auth.session.current()
        assert held is not None
        assert (held.client.key_file, held.client.algorithm) == (key_file, "ES256")
        stored = FileStorage().load(held.key)
        assert stored is not None
        assert stored.client == held.client
        text = "".join(p.read_text() for p in Path(stored_in()).rglob("*") if p.is_file())
        assert held.tokens.access_token.reveal() in text, "this is where it is kept"
        assert not [line for line in planted("P-256") if line in text]


def stored_in() -> str:
    import os

    return os.environ["MCP_CLIENT_AUTH_HOME"]


def test_a_program_that_lost_the_key_is_told_so_and_keeps_its_token() -> None:
    with served(known("private_key_jwt", "P-256"), access_token_seconds=3600) as server:
        signing = PreRegistered("app", key=pem("P-256"), redirect_uris=CALLBACK)
        run = Run(server, client=signing)
        run.post()
        keyless = replace(signing, key=None, key_file="/nowhere/key.pem")
        later = Run(server, client=keyless, prompt=None)
        assert later.post() == 200, "the token itself needs no key"
        with pytest.raises(UsageError, match=r"/nowhere/key\.pem"):
            later.refresh()
        Run(server, client=signing, prompt=None).refresh()  # nothing was lost


BAD: dict[str, dict[str, Any]] = {
    "no file": {"key_file": "/nowhere/key.pem"},
    "no key": {"key": "words"},
    "an encrypted key": {"key": pem("P-256", password=b"x")},
    "a key that does not fit": {"key": pem("P-256"), "algorithm": "RS256"},
    "a public key": {"key": public_pem("P-256")},
    "no certificate": {"method": "tls_client_auth"},
}


@pytest.mark.parametrize("means", BAD.values(), ids=BAD)
def test_a_bad_key_is_said_before_the_browser_opens(means: dict[str, Any]) -> None:
    with served(known("private_key_jwt", "P-256")) as server:
        run = Run(server, client=PreRegistered("app", redirect_uris=CALLBACK, **means))
        with pytest.raises(UsageError) as caught:
            run.post()
        assert run.browser.visits == 0
        assert server.count("/oauth2/token") == server.count("/oauth2/par") == 0
        assert not [line for line in planted("P-256") if line in f"{caught.value} {run.told()}"]


@pytest.mark.parametrize("method", ["client_secret_jwt", "client_secret_basic"])
def test_a_method_that_registration_names_is_used(method: AuthMethod) -> None:
    with served(registration_method=method) as server:
        run = Run(server)
        assert run.post() == 200
        held = run.auth.session.current()
        assert held is not None
        assert held.client.method == method
        run.refresh()
        assert run.post() == 200
        assert run.browser.visits == 1


# What is repaired, once


@pytest.mark.usefixtures("ports_of_ours")
def test_a_registration_that_was_forgotten_is_made_anew_and_the_person_asked_again() -> None:
    with served(registration_method="client_secret_post") as server:
        Run(server).post()
        run = Run(server)

        def forget(url: str) -> bool:
            # between the page and the exchange, so that the page itself is still shown
            held = server.hold_next("/oauth2/token", processed=False)
            run.urls.append(url)
            run.browser(url)
            if len(run.urls) == 1:
                import threading

                def work() -> None:
                    held.wait()
                    server.forget_clients()
                    held.release()

                threading.Thread(target=work, daemon=True).start()
            else:
                held.release()
            return True

        run.auth.session.prompt = BrowserPrompt(open_url=forget)
        run.auth.session.log_in(force=True)
        assert run.browser.visits == 2
        assert server.count("/oauth2/register") == 2
        assert run.titles() == ["Once more, please", "Signed in"]


def test_a_document_that_is_refused_is_replaced_by_a_registration() -> None:
    settings: dict[str, Any] = dict.fromkeys(UNTRUSTED, True)
    with served(None, **settings) as server:
        run = Run(server, client=DOCUMENT)
        assert run.post() == 200
        assert run.browser.visits == 2
        held = run.auth.session.current()
        assert held is not None
        assert held.client.kind == "dynamic"
        assert run.titles() == ["Once more, please", "Signed in"]
        assert "the metadata document is refused: register, once" in run.told()


def test_a_document_that_is_refused_when_pushed_costs_the_person_nothing() -> None:
    settings: dict[str, Any] = dict.fromkeys(UNTRUSTED, True)
    with served(None, **settings, require_pushed_requests=True) as server:
        run = Run(server, client=DOCUMENT)
        assert run.post() == 200
        assert run.browser.visits == 1
        assert server.count("/oauth2/par") == 2


def test_a_document_that_is_refused_where_nothing_else_is_offered_is_the_end() -> None:
    settings = Settings(
        client_id_metadata_documents=True, refuse_document_clients=True, registration=False
    )
    with DemoServer(settings) as server:
        run = Run(server, client=DOCUMENT)
        with pytest.raises(AuthorizationDenied) as caught:
            run.post()
        assert caught.value.code == "unauthorized_client"
        assert run.browser.visits == 1
        assert run.titles() == ["Access not granted"]


@pytest.mark.parametrize(
    ("place", "pushed", "visits"),
    [
        ("authorization", False, 2),
        ("authorization", True, 1),
        ("registration", False, 1),
    ],
)
def test_offline_access_that_is_refused_is_left_out(place: Any, pushed: bool, visits: int) -> None:
    with served(refuse_offline_access=place, require_pushed_requests=pushed) as server:
        run = Run(server)
        assert run.post() == 200
        assert run.browser.visits == visits
        held = run.auth.session.current()
        assert held is not None
        assert held.requested == ("notes:read",)
        assert run.titles()[-1] == "Signed in"


def test_offline_access_that_the_caller_wants_is_not_left_out() -> None:
    with served(refuse_offline_access="authorization") as server:
        run = Run(server, scope="notes:read offline_access")
        with pytest.raises(AuthorizationDenied) as caught:
            run.post()
        assert caught.value.code == "invalid_scope"
        assert run.browser.visits == 1


def test_a_document_and_offline_access_are_mended_with_two_visits_at_most() -> None:
    with served(
        client_id_metadata_documents=True,
        refuse_document_clients=True,
        refuse_offline_access="authorization",
    ) as server:
        run = Run(server, client=DOCUMENT)
        with pytest.raises(AuthorizationDenied):
            run.post()
        assert run.browser.visits == 2
        assert run.titles() == ["Once more, please", "Access not granted"]


def test_a_person_who_says_no_is_not_asked_again() -> None:
    with served(client_id_metadata_documents=True) as server:
        run = Run(server, client=DOCUMENT, decision="deny")
        with pytest.raises(AuthorizationDenied):
            run.post()
        assert run.browser.visits == 1


# Registration


def test_an_initial_access_token_goes_to_the_registration_and_nowhere_else() -> None:
    token = "initial-planted-7f3a"
    with served(initial_access_token=token) as server:
        run = Run(server, options=Options(initial_access_token=token))
        assert run.post() == 200
        carrying = [r.url for r in run.sent if token in f"{dict(r.headers)} {r.body!r} {r.url}"]
        assert [urlsplit(url).path for url in carrying] == ["/oauth2/register"]
        assert token not in run.told()


@pytest.mark.parametrize("token", [None, "wrong-planted"])
def test_a_registration_without_the_right_token_says_what_to_do(token: str | None) -> None:
    with served(initial_access_token="the right one") as server:
        run = Run(server, options=Options(initial_access_token=token))
        with pytest.raises(RegistrationRefused) as caught:
            run.post()
        assert "initial access token" in caught.value.hint
        assert "wrong-planted" not in str(caught.value)
        assert run.browser.visits == 0


def test_a_policy_that_refuses_is_quoted_with_what_the_person_can_do() -> None:
    with served() as server:
        kind = [("Content-Type", "text/plain")]
        server.fail_next("/oauth2/register", 403, body=b"Forbidden", headers=kind)
        run = Run(server)
        with pytest.raises(RegistrationRefused, match="“Forbidden”") as caught:
            run.post()
        assert ("PreRegistered.client_id", None) in caught.value.remedy
        assert run.browser.visits == 0


# Requests


def test_a_push_that_fails_for_a_while_keeps_everything() -> None:
    with served(known("none"), require_pushed_requests=True) as server:
        server.fail_next("/oauth2/par", 503)
        run = Run(server, client=PreRegistered("app", redirect_uris=CALLBACK))
        with pytest.raises(Exception, match="503"):
            run.post()
        assert run.browser.visits == 0
        assert run.post() == 200


def test_a_push_is_not_redirected() -> None:
    with served(require_pushed_requests=True) as server:
        header = [("Location", server.issuer + "/elsewhere")]
        server.fail_next("/oauth2/par", 307, headers=header)
        with pytest.raises(Exception, match="RFC 9126"):
            Run(server).post()
        assert server.count("/elsewhere") == 0


def test_a_caller_may_have_the_request_pushed() -> None:
    with served() as server:
        assert Run(server, options=Options(push_authorization_request=True)).post() == 200
        assert server.count("/oauth2/par") == 1


def test_the_callers_parameters_are_asked_for_and_not_sent_with_the_code() -> None:
    options = Options(
        audience="https://api.example.com", prompt="login", login_hint="ada@example.com"
    )
    with served() as server:
        run = Run(server, options=options)
        assert run.post() == 200
        asked = parse_qs(urlsplit(run.urls[0]).query)
        assert asked["audience"] == ["https://api.example.com"]
        assert (asked["prompt"], asked["login_hint"]) == (["login"], ["ada@example.com"])
        assert not [r for r in run.sent if b"audience" in r.body or b"login_hint" in r.body]


@pytest.mark.parametrize("scope", ["", ()])
def test_an_empty_scope_asks_for_none_at_all(scope: Any) -> None:
    with served() as server:
        run = Run(server, scope=scope)
        assert run.post() == 200
        assert "scope" not in parse_qs(urlsplit(run.urls[0]).query, keep_blank_values=True)
        held = run.auth.session.current()
        assert held is not None
        assert held.tokens.scope == ("notes:read",), "what the server gives by default"


# A server that publishes nothing


def endpoints(server: DemoServer, **changed: str) -> Endpoints:
    origin = server.issuer
    usual = {
        "authorization": origin + "/oauth2/authorize",
        "token": origin + "/oauth2/token",
        "registration": origin + "/oauth2/register",
        "revocation": origin + "/oauth2/revoke",
    }
    return Endpoints(**{**usual, **changed})


@pytest.fixture
def silent() -> Iterator[DemoServer]:
    with served() as server:
        server.fail_next("/.well-known/oauth-authorization-server", 404, times=1000)
        server.fail_next("/.well-known/openid-configuration", 404, times=1000)
        yield server


def test_endpoints_of_the_callers_stand_in_for_metadata(silent: DemoServer) -> None:
    options = Options(issuer=silent.issuer, endpoints=endpoints(silent))
    run = Run(silent, options=options)
    assert run.post() == 200
    Run(silent, prompt=None).refresh()  # the record holds what a refresh needs
    assert run.auth.session.log_out().revoked is True
    assert silent.count("/.well-known/oauth-authorization-server") == 0


def test_without_them_nothing_is_guessed(silent: DemoServer) -> None:
    with pytest.raises(Exception, match="no metadata") as caught:
        Run(silent).post()
    assert "endpoints=" in caught.value.hint  # type: ignore[attr-defined]


def test_an_endpoint_of_the_callers_is_checked_as_every_other(silent: DemoServer) -> None:
    from mcp_client_auth import InsecureUrl

    told = endpoints(silent, token="http://auth.example.com/token")
    with pytest.raises(InsecureUrl, match="token endpoint"):
        Run(silent, options=Options(issuer=silent.issuer, endpoints=told)).post()


def test_a_refusal_after_a_mending_is_the_error_that_is_raised() -> None:
    with served(registration_method="client_secret_post") as server:
        server.fail_next(
            "/oauth2/token",
            401,
            body=b'{"error": "invalid_client"}',
            headers=[("Content-Type", "application/json")],
            times=5,
        )
        run = Run(server)
        with pytest.raises(TokenRefused):
            run.post()
        assert run.browser.visits == 1, "the registration is new: another would be refused too"


def test_login_times_out_with_a_word_about_the_reference() -> None:
    with served(require_pushed_requests=True) as server:
        prompt = BrowserPrompt(open_url=ScriptedBrowser("ignore"))
        with pytest.raises(LoginFailed) as caught:
            login(server.url, prompt=prompt, options=Options(login_timeout=1.0))
        assert "good for 90 s only" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (TokenRefused("no", code="invalid_client", status=401), True),
        (TokenRefused("no", code="invalid_request", status=400), True),
        (TokenRefused("no", code="invalid_grant", status=400), False),
        (TokenRefused("no", code="invalid_client", status=403), False),
        (BadResponse("no", status=401), True),
        (BadResponse("no", status=403), False),
    ],
    ids=lambda value: (
        f"{value.code} {value.status}" if isinstance(value, TokenRefused | BadResponse) else ""
    ),
)
def test_a_secret_is_tried_only_where_it_may_have_been_missed(
    error: TokenRefused | BadResponse, wanted: bool
) -> None:
    assert wants_proof(error) == wanted


def test_that_a_client_needs_consent_is_kept_until_it_does_not() -> None:
    told: list[Event] = []
    ports = Ports(MemoryStorage(), HttpTransport("https://mcp.example.com/mcp"), told.append)
    key, client = Key("https://mcp.example.com/mcp"), Client("c1", ISSUER, "pre-registered", "none")
    for needed in (False, True, True, False, True):
        remember_consent(ports, key, client, needed=needed)
        assert needs_consent(ports, key, client) == needed
    assert len(told) == 2, "each time that it begins"
    assert not needs_consent(ports, key, replace(client, client_id="c2"))
    remember_consent(ports, key, replace(client, kind="dynamic"), needed=False)
    assert needs_consent(ports, key, client), "it is about another"
    elsewhere = replace(ports, storage=MemoryStorage())
    elsewhere.storage.save("c1", Note(key, "consent"))
    assert needs_consent(elsewhere, key, client), "as every version has noted it"


def test_how_a_registration_proves_itself_is_kept_with_that_one_alone() -> None:
    ports = Ports(MemoryStorage(), HttpTransport("https://mcp.example.com/mcp"))
    uri = "http://127.0.0.1:8080/callback"
    kept = Client("c1", ISSUER, "dynamic", "none", Secret("planted"), (uri,))
    ports.storage.save(kept, key := client_key(ISSUER, uri))
    remember_proof(ports, proving := replace(kept, method="client_secret_post"), uri)
    assert ports.storage.load(key) == proving
    remember_proof(ports, replace(kept, client_id="c2"), uri)
    assert ports.storage.load(key) == proving
