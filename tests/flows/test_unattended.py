"""Each grant that needs no person, over real sockets: it follows the rules of a person's login."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mcp_client_auth import (
    AuthError,
    BrowserPrompt,
    ClientCredentials,
    ClientMetadataDocument,
    DevicePrompt,
    EnterpriseManaged,
    FileStorage,
    IssuerMismatch,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    TokenRefused,
    Unavailable,
    UsageError,
    WorkloadIdentity,
    login,
)
from mcp_client_auth.credential import dumps, key_for
from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.codes import coded
from tests.support.grants_scene import CLIENT, HEADERS, LIST, NAMES, SECRET, Scene, scene_of

pytestmark = pytest.mark.usefixtures("short_waits")
EXCHANGED = EnterpriseManaged(
    idp_client=PreRegistered("a"), idp_issuer="https://idp.example.com", assertion="x"
)


@pytest.fixture(params=NAMES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with scene_of(request.param, tmp_path) as scene:
        yield scene


def test_the_first_request_gets_a_token_without_a_person(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    storage, seen = MemoryStorage(), list[str]()
    auth = scene.auth(storage, prompt=None, on_event=lambda event: seen.append(event.name))
    assert scene.call(auth) == 200
    assert scene.issues == 1
    wanted = ["request", "challenge", "resource-metadata", "server-metadata", "token-request"]
    assert [name for name in seen if name in wanted][-5:] != []
    assert [n for n in wanted if n in seen] == wanted
    assert "sign-in" not in seen


def test_it_registers_nobody_and_asks_for_no_authorization(scene: Scene) -> None:
    assert scene.call(scene.auth(MemoryStorage())) == 200
    assert scene.server.count("/register") == scene.server.count("/authorize") == 0


def test_after_a_restart_the_stored_token_serves(scene: Scene) -> None:
    storage = FileStorage()
    assert scene.call(scene.auth(storage)) == 200
    assert scene.call(scene.auth(FileStorage())) == 200
    assert scene.issues == 1


def test_an_expired_token_is_issued_anew_without_a_discovery(scene: Scene) -> None:
    storage = FileStorage()
    assert scene.call(scene.auth(storage)) == 200
    scene.age(storage)
    scene.server.clear_requests()
    assert scene.call(scene.auth(storage)) == 200
    assert [record.path for record in scene.server.requests] == ["/oauth2/token", "/mcp"]
    assert scene.stored(storage).generation == 1


def test_a_token_is_issued_ahead_of_its_end_in_the_background(scene: Scene) -> None:
    storage = MemoryStorage()
    auth = scene.auth(storage)
    assert scene.call(auth) == 200
    scene.age(storage, left=1.0)
    old = scene.stored(storage).tokens.access_token
    held = scene.server.hold_next()
    assert scene.call(scene.auth(storage)) == 200  # with the old token, while the new one is held
    held.wait()
    assert scene.stored(storage).tokens.access_token == old
    held.release()
    _until(lambda: scene.stored(storage).tokens.access_token != old)
    assert scene.issues == 2


def test_a_crowd_of_threads_tasks_and_objects_asks_once(scene: Scene) -> None:
    storage = FileStorage()
    assert scene.call(scene.auth(storage)) == 200
    scene.server.expire_access_tokens()
    scene.age(storage)
    scene.server.clear_requests()
    auths = [scene.auth(FileStorage()) for _ in range(4)]

    async def tasks(auth: MCPAuth) -> list[int]:
        found: list[int] = []
        async with httpx.AsyncClient(auth=auth, timeout=20, trust_env=False) as client:

            async def one() -> None:
                answer = await client.post(scene.server.url, headers=HEADERS, json=LIST)
                found.append(answer.status_code)

            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(one)
        return found

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(scene.call, auth) for auth in auths * 3]
        loops = [pool.submit(anyio.run, tasks, auth) for auth in auths]
        assert {call.result() for call in calls} == {200}
        assert {status for loop in loops for status in loop.result()} == {200}
    assert scene.issues == 1


def test_a_crowd_without_any_token_asks_once(scene: Scene) -> None:
    auths = [scene.auth(FileStorage()) for _ in range(6)]
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(scene.call, auths * 2)) == {200}
    assert scene.issues == 1


def test_a_program_that_is_handed_its_token_gets_one_without_a_login(scene: Scene) -> None:
    session = scene.auth(MemoryStorage(), prompt=None).session
    token = session.fresh()
    assert session.fresh() == token
    assert scene.issues == 1


def test_what_is_not_there_to_be_renewed_is_told_with_what_helps() -> None:
    url, client = "https://mcp.example.com/mcp", ClientMetadataDocument("https://app.example/c")
    auth = MCPAuth(url, grant=EXCHANGED, client=client, storage=MemoryStorage(), prompt=None)
    with pytest.raises(LoginRequired, match="not logged in") as caught:
        auth.session.refresh()
    assert caught.value.command == f"mcp-login {url}"


def test_a_refused_token_is_issued_anew(scene: Scene) -> None:
    storage = MemoryStorage()
    assert scene.call(scene.auth(storage)) == 200
    scene.age(storage, left=600)
    scene.server.expire_access_tokens()
    assert scene.call(scene.auth(storage)) == 200
    assert scene.issues == 2


def test_a_definite_refusal_is_one_request_and_no_other_grant(scene: Scene) -> None:
    scene.server.forget_clients()
    scene.file.write_text("no.such.assertion")
    auth = scene.auth(MemoryStorage(), options=Options(issuer=scene.server.issuer))
    for _ in range(3):  # the second and third get the same error without a request
        with pytest.raises(TokenRefused) as caught:
            scene.call(auth)
        assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.__dict__}"
        assert "such" not in str(caught.value)
    tokens = [r.grant_type for r in scene.server.requests if r.path.endswith("/token")]
    assert len(tokens) + len(scene.provider.exchanges) == 1
    assert scene.server.count("/register") == scene.server.count("/authorize") == 0


def test_a_refusal_later_leaves_the_living_token_to_its_end(scene: Scene) -> None:
    storage = MemoryStorage()
    assert scene.call(scene.auth(storage)) == 200
    scene.age(storage, left=2.0)
    body = b'{"error": "invalid_grant"}'
    scene.server.fail_next("/oauth2/token", 400, times=99, body=body)
    auth = scene.auth(storage)
    scene.server.clear_requests()
    assert scene.call(auth) == 200
    _until(lambda: scene.server.count("/oauth2/token") == 1)
    assert scene.call(auth) == 200
    assert scene.server.count("/oauth2/token") == 1
    scene.age(storage)
    with pytest.raises(TokenRefused):
        scene.call(scene.auth(storage))
    assert scene.stored(storage).tokens.access_token


def test_a_passing_fault_is_waited_out(scene: Scene) -> None:
    storage = MemoryStorage()
    assert scene.call(scene.auth(storage)) == 200
    scene.age(storage)
    scene.server.fail_next("/oauth2/token", 503)
    assert scene.call(scene.auth(storage)) == 200


def test_a_lasting_fault_keeps_the_record(scene: Scene) -> None:
    storage = MemoryStorage()
    assert scene.call(scene.auth(storage)) == 200
    scene.age(storage)
    scene.server.fail_next("/oauth2/token", 503, times=99)
    with pytest.raises(Unavailable):
        scene.call(scene.auth(storage, options=Options(patience=0)))
    assert scene.stored(storage)


def test_more_scope_is_had_without_a_person(scene: Scene) -> None:
    storage = MemoryStorage()
    auth = scene.auth(storage)
    note = {"name": "add_note", "arguments": {"text": "hello"}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": note}
    with httpx.Client(auth=auth, timeout=20, trust_env=False) as client:
        assert client.post(scene.server.url, headers=HEADERS, json=call).status_code == 200
    assert set(scene.stored(storage).tokens.scope or ()) == {"notes:read", "notes:write"}


def test_a_person_and_a_program_share_no_record(scene: Scene) -> None:
    storage = MemoryStorage()
    assert scene.call(scene.auth(storage)) == 200
    with pytest.raises(LoginRequired):
        scene.call(MCPAuth(scene.server.url, storage=storage, prompt=None))
    person = BrowserPrompt(open_url=ScriptedBrowser())
    login(scene.server.url, storage=storage, prompt=person)
    kept = storage.load(key_for(scene.server.url))
    assert kept
    assert kept.tokens.access_token != scene.stored(storage).tokens.access_token
    assert len(storage.list()) == 2


def test_no_secret_of_the_caller_is_stored(scene: Scene) -> None:
    storage = MemoryStorage()
    assertion = scene.write()
    assert scene.call(scene.auth(storage)) == 200
    record = dumps(scene.stored(storage))
    assert SECRET not in record
    assert assertion not in record
    assert scene.stored(storage).tokens.refresh_token is None


def test_a_client_or_assertion_does_not_move_to_another_issuer(scene: Scene) -> None:
    storage = MemoryStorage()
    auth = scene.auth(storage)
    assert scene.call(auth) == 200
    with DemoServer(scene.server.settings) as other:
        resource = "/.well-known/oauth-protected-resource/mcp"
        scene.server.change_answers(resource, authorization_servers=[other.issuer])
        challenge = [("www-authenticate", 'Bearer realm="demo"')]
        scene.server.fail_next("/mcp", 401, 99, headers=challenge)
        assert scene.call(auth) == 401, "a second try and a new token of the old issuer first"
        with pytest.raises(IssuerMismatch, match="belongs to"):
            scene.call(auth)
        assert other.count("/oauth2/token") == 0
    assert scene.stored(storage).issuer == scene.server.issuer


def test_the_caller_may_say_that_the_issuer_has_moved(scene: Scene) -> None:
    storage = MemoryStorage()
    assert scene.call(scene.auth(storage)) == 200
    storage.save(replace(scene.stored(storage), issuer="https://old.example.com"))
    moved = scene.auth(storage, options=Options(issuer=scene.server.issuer))
    assert scene.call(moved) == 200
    assert scene.stored(storage).issuer == scene.server.issuer


def test_login_and_logout_need_nobody_either(scene: Scene) -> None:
    storage = MemoryStorage()
    me = login(scene.server.url, storage=storage, **scene.arguments)
    with me.client(timeout=20, trust_env=False) as client:
        assert client.post(scene.server.url, headers=HEADERS, json=LIST).status_code == 200
    token = me.token()
    me.logout()
    assert storage.list() == []
    if scene.arguments.get("client"):  # without a client, nothing is revoked (RFC 7009 §2.1)
        headers = {**HEADERS, "Authorization": f"Bearer {token}"}
        refused = httpx.post(scene.server.url, headers=headers, json=LIST, trust_env=False)
        assert refused.status_code == 401


def test_the_answer_403_or_401_can_be_handed_back(scene: Scene) -> None:
    scene.server.forget_clients()
    scene.file.write_text("no.such.assertion")
    options = Options(issuer=scene.server.issuer)
    auth = scene.auth(MemoryStorage(), on_failure="response", options=options)
    assert scene.call(auth) == 401
    assert isinstance(auth.last_error, TokenRefused)


# Assertions


@pytest.fixture(params=NAMES[1:])
def asserting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with scene_of(request.param, tmp_path) as scene:
        yield scene


def test_a_rotated_assertion_file_is_read_at_the_next_use(asserting: Scene) -> None:
    storage = MemoryStorage()
    asserting.write(seconds=30)
    auth = asserting.auth(storage)
    assert asserting.call(auth) == 200
    asserting.server.expire_access_tokens()
    asserting.write(seconds=-1)
    asserting.age(storage)
    with pytest.raises(TokenRefused, match="expired"):
        asserting.call(asserting.auth(storage))
    asserting.write(seconds=300)
    assert asserting.call(asserting.auth(storage)) == 200


def test_a_missing_file_is_named_and_nothing_is_sent(asserting: Scene) -> None:
    asserting.file.unlink()
    with pytest.raises(UsageError, match=r"assertion.*cannot be read", check=coded("no_assertion")):
        asserting.call(asserting.auth(MemoryStorage()))
    assert asserting.issues == 0
    asserting.write()
    assert asserting.call(asserting.auth(MemoryStorage())) == 200


def test_a_missing_file_does_not_disturb_a_living_token(asserting: Scene) -> None:
    storage = MemoryStorage()
    assert asserting.call(asserting.auth(storage)) == 200
    asserting.age(storage, left=3.0)
    asserting.file.unlink()
    auth = asserting.auth(storage)
    assert [asserting.call(auth) for _ in range(5)] == [200] * 5
    assert asserting.issues == 1
    asserting.age(storage)
    with pytest.raises(UsageError):
        asserting.call(asserting.auth(storage))


def test_an_id_token_of_one_person_does_not_give_another_ones_token(asserting: Scene) -> None:
    storage = MemoryStorage()
    given = asserting.arguments

    def call(subject: str) -> str:
        grant = replace(
            given["grant"], assertion=asserting.write(subject=subject), assertion_file=""
        )
        assert asserting.call(asserting.auth(storage, grant=grant)) == 200
        return asserting.stored(storage).tokens.access_token.reveal()

    first = call("ada")
    assert call("ada") == first
    assert call("bob") != first
    assert asserting.issues == 2


@pytest.mark.parametrize("audience", ["https://wrong.example", "", ["https://wrong.example"]])
def test_a_workload_assertion_for_somebody_else_stays_here(tmp_path: Path, audience: Any) -> None:
    with scene_of("workload_identity", tmp_path) as scene:
        token = scene.provider.workload_token(audience)
        auth = scene.auth(MemoryStorage(), grant=WorkloadIdentity(assertion=token))
        with pytest.raises(IssuerMismatch, match="assertion") as caught:
            scene.call(auth)
        assert token not in str(caught.value)
        assert scene.issues == 0


def test_a_function_is_asked_for_the_issuer(tmp_path: Path) -> None:
    with scene_of("workload_identity", tmp_path) as scene:
        asked: list[str] = []

        def give(audience: str) -> str:
            asked.append(audience)
            return scene.provider.workload_token(audience)

        assert (
            scene.call(scene.auth(MemoryStorage(), grant=WorkloadIdentity(assertion=give))) == 200
        )
        assert asked == [scene.server.issuer]


def test_a_function_may_give_a_secret(tmp_path: Path) -> None:
    with scene_of("workload_identity", tmp_path) as scene:
        give: Any = lambda issuer: Secret(scene.provider.workload_token(issuer))  # noqa: E731
        grant = WorkloadIdentity(assertion=give)
        assert scene.call(scene.auth(MemoryStorage(), grant=grant)) == 200


@pytest.mark.parametrize(
    ("error", "expected"),
    [(LoginRequired("sign in there"), LoginRequired), (KeyError("planted-jwt"), Unavailable)],
)
def test_a_function_that_fails_ends_the_login_and_shows_nothing(
    error: Exception, expected: type[AuthError], tmp_path: Path
) -> None:
    def give(issuer: str) -> str:
        raise error

    with scene_of("workload_identity", tmp_path) as scene:
        auth = scene.auth(MemoryStorage(), grant=WorkloadIdentity(assertion=give))
        with pytest.raises(expected) as caught:
            scene.call(auth)
        assert "planted" not in f"{caught.value} {caught.value.__dict__}"
        assert scene.issues == 0


def test_an_environment_variable_may_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene_of("workload_identity", tmp_path) as scene:
        monkeypatch.setenv("OUR_JWT", scene.provider.workload_token(scene.server.issuer))
        grant = WorkloadIdentity(assertion_env="OUR_JWT")
        assert scene.call(scene.auth(MemoryStorage(), grant=grant)) == 200


def test_the_exchange_asks_for_the_server_and_its_resource(tmp_path: Path) -> None:
    with scene_of("enterprise_managed", tmp_path) as scene:
        assert scene.call(scene.auth(MemoryStorage())) == 200
        assert scene.provider.exchanges == [
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "audience": scene.server.issuer,
                "resource": scene.server.url,
                "scope": "notes:read",
            }
        ]


def test_a_saml_assertion_is_named_as_one(tmp_path: Path) -> None:
    with scene_of("enterprise_managed", tmp_path) as scene:
        scene.file.write_text("PEFzc2VydGlvbj4")
        grant = replace(scene.arguments["grant"], assertion_type="saml2")
        with pytest.raises(TokenRefused, match="subject_token_type"):  # this provider accepts none
            scene.call(scene.auth(MemoryStorage(), grant=grant))
        (sent,) = scene.provider.exchanges
        assert sent["subject_token_type"] == "urn:ietf:params:oauth:token-type:saml2"
        assert scene.issues == 0


# What cannot work is reported at once


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"grant": ClientCredentials()}, "needs a client"),
        ({"grant": EXCHANGED}, "needs a client"),
        ({"grant": WorkloadIdentity(assertion="x"), "client": object()}, "of the type object"),
        ({"grant": ClientCredentials(), "client": CLIENT, "prompt": "device"}, "DevicePrompt"),
        ({"prompt": "device"}, "DevicePrompt"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_before_anything_is_sent(
    arguments: dict[str, Any], said: str
) -> None:
    if arguments.get("prompt") == "device":
        arguments = {**arguments, "prompt": DevicePrompt(lambda asked: None)}
    with pytest.raises(UsageError, match=said):
        _ = MCPAuth("https://mcp.example.com/mcp", storage=MemoryStorage(), **arguments).session


@pytest.mark.parametrize("how", [{}, {"assertion": ""}, {"assertion": "a", "assertion_env": "B"}])
def test_exactly_one_source_is_wanted(how: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="one assertion"):
        WorkloadIdentity(**how)


def test_an_identity_provider_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="idp_issuer"):
        EnterpriseManaged(assertion="x", idp_client=PreRegistered("a"))


@pytest.mark.parametrize("client", [None, "app", ClientMetadataDocument("https://a.example/c")])
def test_the_client_at_the_provider_is_one_that_is_registered_there(client: Any) -> None:
    with pytest.raises(UsageError, match="idp_client"):
        EnterpriseManaged(idp_client=client, idp_issuer="https://idp.example.com")


@pytest.mark.parametrize("place", [{"idp_issuer": "idp"}, {"idp_token_endpoint": "ftp://idp"}])
def test_what_is_no_url_is_seen_before_anything_is_sent(place: dict[str, str]) -> None:
    given: Any = {"assertion": "a", **place}
    with pytest.raises(UsageError, match="identity provider's"):
        EnterpriseManaged(idp_client=PreRegistered("app"), **given)


def test_a_client_that_cannot_prove_itself_sends_nothing(tmp_path: Path) -> None:
    with scene_of("client_credentials", tmp_path) as scene:
        auth = scene.auth(MemoryStorage(), client=PreRegistered("demo-service"))
        with pytest.raises(UsageError, match="cannot authenticate"):
            scene.call(auth)
        assert scene.issues == 0


def _until(condition: Callable[[], object]) -> None:
    for _ in range(400):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("still not so")
