"""The fifteen steps without a session around them: what each needs, keeps and leaves alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    ClientMetadataDocument,
    Event,
    InsecureUrl,
    IssuerMismatch,
    LoginFailed,
    MemoryStorage,
    Options,
    PkceUnsupported,
    PreRegistered,
    RegistrationRefused,
    StorageError,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.credential import ClientKey, Credential
from mcp_client_auth.events import STEPS
from mcp_client_auth.grants.base import LoginConfig, Ports
from mcp_client_auth.grants.clients import forget_client
from mcp_client_auth.grants.probe import probe
from mcp_client_auth.grants.revocation import sign_out
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.probe import read_answer
from mcp_client_auth.protocol.redirects import callback_for
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.session.steps import log_in
from mcp_client_auth.threads import Cancel
from tests.support.session_world import (
    ISSUER,
    KEY,
    OTHER,
    SERVER,
    Person,
    Visited,
    World,
    credential,
    document,
    oauth_error,
)

APP = PreRegistered("app", "s3cret", "client_secret_post")


class Login:
    """A login of one's own: the world, a store, a person, and what was told."""

    def __init__(self) -> None:
        self.world, self.storage = World(), MemoryStorage()
        self.person, self.events = Person(self.world), list[Event]()
        self.config = LoginConfig(SERVER, KEY)
        numbers: Iterator[int] = iter(range(1000))
        self.ports = Ports(
            self.storage,
            self.world,
            self.events.append,
            clock=self.world.clock.time,
            random=lambda: f"random-{next(numbers)}".ljust(43, "x"),
        )

    def __call__(self, **more: Any) -> Credential:
        return log_in(self.config, self.ports, self.person, None, **more)

    @property
    def places(self) -> list[str]:
        return [request.url.rpartition("/")[2] for request in self.world.sent]

    @property
    def registration(self) -> Client | None:
        uri = self.person.visits[0].redirect_uri.replace(":4711", "")
        return self.storage.load(ClientKey(ISSUER, uri))


@pytest.fixture
def login() -> Login:
    return Login()


def test_a_login_tells_its_steps_in_their_order(login: Login) -> None:
    probe(login.config, login.ports, None)
    held = login()
    probe(login.config, login.ports, held)
    assert [event.name for event in login.events if event.number] == list(STEPS)
    assert login.events[-1].detail == "", "there is nothing to say of an answer to a token"
    assert login.person.visits[0].ending == "signed-in"


@pytest.mark.parametrize("moment", ["as the page is prepared", "before it is"])
def test_a_login_that_is_closed_before_its_visit_brings_no_one_to_a_page(
    login: Login, moment: str
) -> None:
    cancel = Cancel()
    login.ports = replace(login.ports, cancel=cancel)
    visit, entered = login.person.visit, login.person.visits

    def closing(*arguments: Any) -> Visited:
        if moment == "before it is":
            cancel.cancel()
        made = visit(*arguments)
        if moment == "as the page is prepared":
            cancel.cancel()
        return made

    login.person.visit = closing  # type: ignore[assignment, method-assign]
    with pytest.raises(LoginFailed) as caught:
        login()
    assert caught.value.code == "aborted"
    assert [each._cancelled for each in entered] == [True], "its listener is told"
    assert entered[0].ending == "failed"
    assert "register" not in login.places
    assert login.storage.list() == []


def test_the_record_holds_all_that_is_needed_to_use_it(login: Login) -> None:
    login.config = replace(login.config, options=Options(assume_pkce_s256=True))
    held = login()
    assert held == login.storage.load(KEY)
    assert held.issuer == held.client.issuer == ISSUER
    assert held.token_endpoint == ISSUER + "/token"
    assert held.revocation_endpoint == ISSUER + "/revoke"
    assert held.resource == SERVER
    assert held.requested == ("read",)
    assert held.options == {"assume_pkce_s256": True}
    assert held.generation == 0


def test_a_later_login_is_a_later_generation(login: Login) -> None:
    login()
    assert login().generation == 1


def test_state_and_verifier_are_fresh_each_time(login: Login) -> None:
    login()
    login()
    verifiers = [form["code_verifier"] for form in login.world.forms]
    assert len(set(verifiers)) == 2


def test_nothing_is_sent_when_the_storage_does_not_keep(login: Login) -> None:
    def check() -> None:
        raise StorageError("read-only")

    login.storage.check = check  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        login()
    assert login.world.sent == []
    assert login.person.visits == []


@pytest.mark.parametrize("decision", ["deny", "timeout"])
def test_a_login_that_fails_changes_nothing_that_is_stored(login: Login, decision: Any) -> None:
    before = login()
    login.person.decision = decision
    with pytest.raises((AuthorizationDenied, LoginFailed)):
        login()
    assert login.storage.load(KEY) == before


@pytest.mark.parametrize(("decision", "ending"), [("deny", "denied"), ("timeout", "failed")])
def test_the_page_tells_how_it_ended(login: Login, decision: Any, ending: str) -> None:
    login.person.decision = decision
    with pytest.raises((AuthorizationDenied, LoginFailed)):
        login()
    assert login.person.visits[0].ending == ending


def test_the_page_says_failed_when_the_exchange_fails(login: Login) -> None:
    login.world.faults = [oauth_error("invalid_grant")]
    with pytest.raises(TokenRefused):
        login()
    assert login.person.visits[0].ending == "failed"
    assert login.storage.load(KEY) is None


def test_the_callers_scope_overrides_the_servers(login: Login) -> None:
    login.config = replace(login.config, scope=("write",))
    login()
    login(scope=("admin",))
    assert login.person.scopes == [("write",), ("admin",)]


# A server that cannot serve the login


@pytest.mark.parametrize(
    ("lacking", "error"),
    [
        ("code_challenge_methods_supported", PkceUnsupported),
        ("registration_endpoint", RegistrationRefused),
    ],
)
def test_a_server_that_cannot_serve_is_refused_before_anybody_is_asked(
    login: Login, lacking: str, error: type[Exception]
) -> None:
    server = login.world.authorization
    less = {name: value for name, value in server.metadata().items() if name != lacking}
    server.metadata = lambda: less  # type: ignore[method-assign]
    with pytest.raises(error):
        login()
    assert login.person.visits == []
    assert server.registrations == []


def test_of_several_authorization_servers_the_one_with_a_login_is_asked_again(
    login: Login,
) -> None:
    login()
    login.world.before = [OTHER]
    assert login().issuer == ISSUER
    login.storage.delete(KEY)
    assert login().issuer == ISSUER  # its client is still held
    login.storage.delete(KEY)
    template = callback_for(None, True, ISSUER, Options()).template
    login.storage.delete(ClientKey(ISSUER, template))
    assert login().issuer == OTHER


def test_a_client_that_is_held_for_localhost_counts_too(login: Login) -> None:
    client = login().client
    address, name = (
        ClientKey(ISSUER, callback_for(None, True, ISSUER, Options(), host).template)
        for host in ("127.0.0.1", "localhost")
    )
    login.storage.save(client, name)
    login.storage.delete(address)
    login.storage.delete(KEY)
    login.world.before = [OTHER]
    assert login().issuer == ISSUER
    assert login.person.visits[-1].redirect_uri.startswith("http://localhost:4711/")


def test_a_registration_that_cannot_be_read_is_none_that_is_held(login: Login) -> None:
    login()
    login.storage.delete(KEY)
    login.world.before = [OTHER]
    load = login.storage.load

    def unreadable(key: Any) -> Any:
        if isinstance(key, ClientKey) and key.issuer == OTHER:
            raise StorageError("sealed with another key", code="wrong_key")
        return load(key)

    login.storage.load = unreadable  # type: ignore[method-assign]
    assert login().issuer == ISSUER


def test_a_page_is_judged_by_the_transport_which_knows_where_the_server_is(login: Login) -> None:
    """Name servers that are asked once more may answer otherwise."""
    judged, shown = list[str](), list[str]()
    login.world.check = judged.append  # type: ignore[attr-defined]
    login.person.meanwhile = lambda request: shown.append(request.url)
    login()
    assert len(shown) == 1
    assert judged == shown


def test_a_client_that_the_caller_supplied_does_not_follow_a_move(login: Login) -> None:
    login.config = replace(login.config, identity=APP)
    login.world.authorization.known.add("app")
    before = login()
    login.world.issuer = OTHER
    with pytest.raises(IssuerMismatch, match="belongs to"):
        login()
    assert login.storage.load(KEY) == before
    assert login.world.authorization.forms == []


def test_a_client_of_the_same_name_is_used_at_the_issuer_that_the_caller_names(
    login: Login,
) -> None:
    login.config = replace(login.config, identity=APP)
    for server in login.world.servers.values():
        server.known.add("app")
    login()
    login.world.issuer = OTHER
    login.config = replace(login.config, options=Options(issuer=OTHER))
    moved = login()
    assert (moved.issuer, moved.client.client_id) == (OTHER, "app")


def test_an_initial_access_token_does_not_follow_a_move(login: Login) -> None:
    login.config = replace(login.config, options=Options(initial_access_token="planted"))
    before = login()
    login.world.issuer = OTHER
    with pytest.raises(IssuerMismatch, match="initial access token"):
        login()
    assert login.storage.load(KEY) == before
    assert login.world.servers[OTHER].registrations == []
    pinned = Options(initial_access_token="planted", issuer=OTHER)
    login.config = replace(login.config, options=pinned)
    assert login().issuer == OTHER


def test_the_time_of_two_visits_is_that_of_one_or_a_minute_more(login: Login) -> None:
    login.ports = replace(login.ports, monotonic=login.world.clock.monotonic)
    login()
    visit, given = login.person.visit, list[float]()

    def slow(callback: Any, server: str, account: str) -> Visited:
        made = visit(callback, server, account)
        ask = made.ask

        def asked(request: Any, timeout: float, *beside: Any) -> Any:
            given.append(timeout)
            login.world.clock.go(590)
            return ask(request, timeout)

        made.ask = asked  # type: ignore[method-assign]
        return made

    login.person.visit = slow  # type: ignore[method-assign]
    login.world.faults = [oauth_error("invalid_client", 401)]
    login()
    assert given == [600, 60]


def test_a_registered_client_is_made_anew_after_a_move(login: Login) -> None:
    first = login()
    login.world.issuer = OTHER
    second = login()
    assert second.issuer == second.client.issuer == OTHER
    assert second.client.client_id != first.client.client_id
    one, other = (visit.redirect_uri for visit in login.person.visits)
    assert one != other, "the callback path is of its own for each issuer"


def test_a_metadata_document_follows_a_move_as_it_is(login: Login) -> None:
    document_url, supported = "https://app.example.com/c", "client_id_metadata_document_supported"
    login.config = replace(login.config, identity=ClientMetadataDocument(document_url))
    for server in login.world.servers.values():
        metadata = {**server.metadata(), supported: True}
        server.metadata = lambda known=metadata: known  # type: ignore[method-assign, misc]
        server.known.add(document_url)
    login()
    login.world.issuer = OTHER
    moved = login()
    assert (moved.issuer, moved.client.issuer, moved.client.client_id) == (
        OTHER,
        OTHER,
        document_url,
    )
    assert [server.registrations for server in login.world.servers.values()] == [[], []]


def test_an_authorization_server_without_https_is_refused(login: Login) -> None:
    login.world.issuer = "http://auth.example.com"
    with pytest.raises(InsecureUrl):
        login()
    assert login.places == ["mcp"]


# Registrations


def test_a_registration_is_used_again(login: Login) -> None:
    login()
    login()
    assert len(login.world.authorization.registrations) == 1
    assert login.places.count("token") == 2


def test_a_registration_is_used_by_another_account(login: Login) -> None:
    login()
    login.config = replace(login.config, key=replace(KEY, account="work"))
    login()
    assert len(login.world.authorization.registrations) == 1


def test_the_next_callback_stands_on_the_port_that_was_registered(login: Login) -> None:
    login()
    ports = []
    visit = login.person.visit

    def noting(callback: Any, server: str, account: str) -> Visited:
        ports.append(callback.port)
        return visit(callback, server, account)

    login.person.visit = noting  # type: ignore[method-assign]
    login()
    assert ports == [4711]


def test_a_callback_on_another_port_has_a_registration_of_its_own(login: Login) -> None:
    login()
    visit = login.person.visit

    def elsewhere(callback: Any, server: str, account: str) -> Visited:
        return visit(replace(callback, port=4712), server, account)

    login.person.visit = elsewhere  # type: ignore[method-assign]
    login()
    uris = [asked["redirect_uris"] for asked in login.world.authorization.registrations]
    assert [uri[0].split("/")[2] for uri in uris] == ["127.0.0.1:4711", "127.0.0.1:4712"]


def test_more_scope_than_was_registered_needs_another_registration(login: Login) -> None:
    login()
    login(scope=("read", "write"))
    login(scope=("write",))
    asked = [registration["scope"] for registration in login.world.authorization.registrations]
    assert asked == ["read", "read write"]


def test_an_expired_client_secret_needs_another_registration(login: Login) -> None:
    server = login.world.authorization
    register = server.register

    def with_secret(body: bytes) -> dict[str, Any]:
        until = int(login.world.clock.wall + 100)
        secret = {"client_secret": "s", "client_secret_expires_at": until}
        return {**register(body), **secret, "token_endpoint_auth_method": "client_secret_post"}

    server.register = with_secret  # type: ignore[method-assign]
    login()
    login()
    assert len(server.registrations) == 1
    login.world.clock.go(101)
    login()
    assert len(server.registrations) == 2


def test_a_registration_that_cannot_be_kept_serves_this_login(login: Login) -> None:
    save = login.storage._save

    def full(value: Any, key: Any) -> None:
        if isinstance(key, ClientKey):
            raise StorageError("full")
        save(value, key)

    login.storage._save = full  # type: ignore[method-assign]
    assert login().client.client_id


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
def test_a_registration_that_the_server_has_forgotten_is_made_anew_once(
    login: Login, code: str
) -> None:
    first = login()
    login.world.faults = [oauth_error(code, 401)]
    second = login()
    assert second.client.client_id != first.client.client_id
    assert login.registration == second.client
    assert [visit.ending for visit in login.person.visits] == ["signed-in", "again", "signed-in"]
    login.world.faults = [oauth_error(code, 401), oauth_error(code, 401)]
    with pytest.raises(TokenRefused):
        login()
    assert len(login.person.visits) == 5
    assert login.registration is None
    assert login.storage.load(KEY) == second


def test_a_new_registration_that_is_refused_is_no_reason_to_ask_again(login: Login) -> None:
    login.world.faults = [oauth_error("invalid_client", 401)]
    with pytest.raises(TokenRefused):
        login()
    assert [visit.ending for visit in login.person.visits] == ["failed"]


def test_any_other_refusal_keeps_the_registration(login: Login) -> None:
    login()
    login.world.faults = [oauth_error("invalid_grant")]
    with pytest.raises(TokenRefused):
        login()
    assert login.registration


def test_a_reused_registration_is_dropped_when_nobody_comes_back(login: Login) -> None:
    """The server's page may have said that it does not know the client: nobody can tell."""
    login.person.decision = "timeout"
    with pytest.raises(LoginFailed):
        login()
    assert login.registration, "a new one is above suspicion"
    with pytest.raises(LoginFailed):
        login()
    assert login.registration is None


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), LoginFailed("over", code="aborted")])
def test_a_reused_registration_is_dropped_when_nobody_waits_for_the_answer(
    login: Login, ending: BaseException
) -> None:
    """Who sees an error page ends the wait: the next login must not show the same page."""
    login()

    def leave(request: object) -> None:
        raise ending

    login.person.meanwhile = leave
    with pytest.raises(type(ending)):
        login()
    assert login.registration is None


def test_a_reused_registration_is_kept_when_the_person_says_no(login: Login) -> None:
    login()
    login.person.decision = "deny"
    with pytest.raises(AuthorizationDenied):
        login()
    assert login.registration


def test_only_the_registration_that_failed_is_dropped(login: Login) -> None:
    held = login()
    newer = replace(held.client, client_id="newer")
    uri = login.person.visits[0].redirect_uri
    login.storage.save(newer, ClientKey(ISSUER, uri.replace(":4711", "")))
    forget_client(login.ports, held.client, uri)
    assert login.registration == newer


@pytest.mark.parametrize(
    "identity",
    [
        PreRegistered("app", redirect_uris=("http://127.0.0.1/callback",)),
        ClientMetadataDocument("https://app.example.com/c", ("http://127.0.0.1/callback",)),
    ],
    ids=lambda identity: type(identity).__name__,
)
def test_a_client_of_the_callers_is_used_without_a_registration(
    login: Login, identity: Any
) -> None:
    server = login.world.authorization
    metadata = {**server.metadata(), "client_id_metadata_document_supported": True}
    server.metadata = lambda: metadata  # type: ignore[method-assign]
    server.known |= {"app", "https://app.example.com/c"}
    login.config = replace(login.config, identity=identity)
    held = login()
    assert held.client.client_id in ("app", "https://app.example.com/c")
    assert server.registrations == []
    assert login.person.visits[0].redirect_uri == "http://127.0.0.1:4711/callback"


# The first and the last request


def test_the_probe_hands_on_the_challenge_of_a_401(login: Login) -> None:
    challenge = probe(login.config, login.ports, None).challenge
    assert challenge
    assert challenge.resource_metadata
    sent = login.world.sent[0]
    assert sent.method == "POST"
    assert json.loads(sent.body)["method"] == "initialize"
    assert "Authorization" not in sent.headers


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405, 500])
def test_any_other_answer_is_no_challenge(login: Login, status: int) -> None:
    header = (("WWW-Authenticate", 'Bearer resource_metadata="https://x.example/"'),)

    def transport(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status, SERVER, header)

    assert probe(login.config, replace(login.ports, transport=transport), None).challenge is None


def test_a_fresh_token_that_is_refused_is_an_error_that_says_so(login: Login) -> None:
    held = credential(login.world)
    login.world.authorization.revoke_access()
    with pytest.raises(TokenRefused, match="has just issued") as caught:
        probe(login.config, login.ports, held)
    assert caught.value.status == 401
    assert caught.value.server == SERVER
    assert "operator" in caught.value.hint


def test_the_challenge_leads_the_discovery(login: Login) -> None:
    header = ("WWW-Authenticate", f'Bearer resource_metadata="{SERVER}/elsewhere"')
    answer = read_answer(SERVER, HttpResponse(401, SERVER, (header,)))

    def transport(request: HttpRequest) -> HttpResponse:
        if request.url == SERVER + "/elsewhere":
            return document({"resource": SERVER, "authorization_servers": [OTHER]}, request.url)
        return login.world(request)

    login.ports = replace(login.ports, transport=transport)
    assert log_in(login.config, login.ports, login.person, answer).issuer == OTHER


# The end of a login


def test_a_sign_out_ends_the_grant_and_then_the_token(login: Login) -> None:
    held = login()
    login.world.sent.clear()
    assert sign_out(login.ports, held, None, [])
    hints = [b"token_type_hint=refresh_token", b"token_type_hint=access_token"]
    assert [hint in r.body for hint, r in zip(hints, login.world.sent, strict=True)] == [True, True]
    assert {request.url for request in login.world.sent} == {ISSUER + "/revoke"}


def test_a_sign_out_without_an_endpoint_sends_nothing(login: Login) -> None:
    held = replace(login(), revocation_endpoint="")
    login.world.sent.clear()
    assert not sign_out(login.ports, held, None, [])
    assert login.world.sent == []


def test_a_sign_out_that_is_not_heard_says_so(login: Login) -> None:
    held = login()

    def transport(request: HttpRequest) -> HttpResponse:
        raise Unavailable("no answer")

    assert not sign_out(replace(login.ports, transport=transport), held, None, [])
    assert "no answer" in login.events[-1].detail
