"""`Logins`: the users of a web application, each with logins of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest

from mcp_client_auth import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    ClientMetadataDocument,
    FileStorage,
    HttpTransport,
    InsecureUrl,
    IssuerMismatch,
    Login,
    LoginFailed,
    LoginRequired,
    Logins,
    MCPAuth,
    MemoryStorage,
    Options,
    PendingLogin,
    PreRegistered,
    Storage,
    StorageError,
    Unavailable,
    Untrusted,
    UsageError,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.testing import DemoServer
from mcp_client_auth.web.logins import MOST_BEGUN
from tests.support.app_browser import CALLBACK, AppBrowser
from tests.support.codes import coded
from tests.support.session_world import DOWN, OTHER, SERVER, World

NOT_THIS = coded("not_this_login")
SPENT = coded("spent")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return MemoryStorage() if request.param == "memory" else FileStorage(tmp_path)


Worker = Callable[..., Logins]


@pytest.fixture
def worker(world: World, storage: Storage) -> Worker:
    """One process of the application: nothing but the storage is shared."""

    def made(**more: Any) -> Logins:
        usual = {"redirect_uri": CALLBACK, "transport": lambda url: world}
        return Logins(storage, **{**usual, **more})

    return made


@pytest.fixture
def logins(worker: Worker) -> Logins:
    return worker()


@pytest.fixture
def answer(world: World) -> Callable[..., str]:
    """The response that a person's browser brings back."""

    def given(pending: PendingLogin, *, allow: bool = True) -> str:
        return world.authorization.consent(pending.url, allow=allow)

    return given


Answer = Callable[..., str]


def log_in(logins: Logins, answer: Answer, account: str | int = "ada", **more: Any) -> Login:
    return logins.finish(answer(logins.begin(SERVER, account=account, **more)), account=account)


def post(auth: MCPAuth, world: World) -> int:
    with httpx.Client(auth=auth, transport=httpx.MockTransport(world.resource)) as client:
        return client.post(SERVER).status_code


def test_what_one_worker_begins_another_finishes_and_a_third_uses(
    worker: Worker, answer: Answer, world: World
) -> None:
    pending = worker().begin(SERVER, account="ada")
    me = worker().finish(answer(pending), account="ada")
    assert me.credential.key.account == "ada"
    assert post(worker().auth(SERVER, account="ada"), world) == 200
    with pytest.raises(LoginRequired) as caught:
        post(worker().auth(SERVER, account="bob"), world)
    assert (caught.value.command, "begin_login" in caught.value.hint) == ("", True)
    assert world.authorization.registrations[0]["application_type"] == "web"


def test_another_person_cannot_finish_a_sign_in(logins: Logins, answer: Answer) -> None:
    query = answer(logins.begin(SERVER, account="ada"))
    logins.begin(SERVER, account="eve")
    with pytest.raises(Untrusted, check=NOT_THIS):
        logins.finish(query, account="eve")
    assert logins.of("eve") == []
    assert logins.finish(query, account="ada")


def test_a_sign_in_is_finished_once(worker: Worker, answer: Answer) -> None:
    query = answer(worker().begin(SERVER, account="ada"))
    worker().finish(query, account="ada")
    for _ in range(2):
        with pytest.raises(LoginFailed, check=SPENT):
            worker().finish(query, account="ada")


def test_of_many_at_once_one_finishes(worker: Worker, answer: Answer, world: World) -> None:
    query, outcomes = answer(worker().begin(SERVER, account="ada")), list[str]()

    def finish() -> None:
        try:
            worker().finish(query, account="ada")
            outcomes.append("done")
        except LoginFailed as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=finish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", *["spent"] * 7]
    assert len(world.forms) == 1


def test_a_sign_in_that_comes_back_late_is_told(worker: Worker, answer: Answer) -> None:
    logins = worker(options=Options(login_timeout=0))
    with pytest.raises(LoginFailed, check=coded("expired")):
        log_in(logins, answer)


def test_a_denied_sign_in_is_over(logins: Logins, answer: Answer) -> None:
    pending = logins.begin(SERVER, account="ada")
    with pytest.raises(AuthorizationDenied):
        logins.finish(answer(pending, allow=False), account="ada")
    with pytest.raises(LoginFailed, check=SPENT):
        logins.finish(answer(pending), account="ada")


def test_a_hostile_response_does_not_use_a_sign_in_up(logins: Logins, answer: Answer) -> None:
    pending = logins.begin(SERVER, account="ada")
    with pytest.raises(IssuerMismatch):
        logins.finish(f"state={pending.state}&iss={OTHER}&error=x", account="ada")
    with pytest.raises(Untrusted, check=NOT_THIS):
        logins.finish(f"state={pending.state}&code=1&code=2", account="ada")
    assert logins.finish(answer(pending), account="ada")


def test_a_storage_that_fails_before_the_code_is_sent_does_not_use_a_sign_in_up(
    logins: Logins, answer: Answer, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = answer(logins.begin(SERVER, account="ada"))
    with monkeypatch.context() as down:

        def fails(*_: object) -> None:
            raise Unavailable("the engine cannot be reached", code="store")

        down.setattr(storage, "lock", fails)  # for the step that notes that it is over
        with pytest.raises(Unavailable):
            logins.finish(callback, account="ada")
    assert logins.finish(callback, account="ada").server == SERVER


@pytest.mark.parametrize(
    "query", ["", "state=", "state=x", "state=a&state=b", "\ud800", "state=\ud800"]
)
def test_a_response_that_is_none_of_theirs_is_refused(query: str, logins: Logins) -> None:
    with pytest.raises(Untrusted, check=NOT_THIS):
        logins.finish(query, account="ada")


def test_the_last_five_sign_ins_of_a_person_count(logins: Logins, answer: Answer) -> None:
    begun = [logins.begin(SERVER, account="ada") for _ in range(MOST_BEGUN + 2)]
    others = logins.begin(SERVER, account="bob")
    for old in begun[:2]:
        with pytest.raises(LoginFailed, match="gave way to later ones"):
            logins.finish(answer(old), account="ada")
    for young in begun[2:]:
        assert logins.finish(answer(young), account="ada")
    assert logins.finish(answer(others), account="bob")


def test_what_is_begun_and_left_does_not_pile_up(
    logins: Logins, world: World, storage: Storage
) -> None:
    for _ in range(40):
        logins.begin(SERVER, account="ada")
    assert isinstance(storage, MemoryStorage | FileStorage)
    assert len([name for name in storage.beside.names() if name.endswith(".pending")]) == MOST_BEGUN


def test_very_many_people_leave_few_locks_behind(tmp_path: Path) -> None:
    logins = Logins(FileStorage(tmp_path), redirect_uri=CALLBACK)
    for number in range(300):
        with logins._begun(f"person {number}"):
            pass
    assert 0 < len(list(tmp_path.glob("*.lock"))) <= 256


def test_of_what_has_ended_the_last_are_told(
    logins: Logins, answer: Answer, storage: Storage
) -> None:
    first = logins.begin(SERVER, account="ada")
    ended = []
    for _ in range(25):
        ended.append(answer(logins.begin(SERVER, account="ada")))
        logins.finish(ended[-1], account="ada")
    with pytest.raises(Untrusted, check=NOT_THIS):  # it is not remembered for ever
        logins.finish(ended[0], account="ada")
    with pytest.raises(LoginFailed, check=SPENT):
        logins.finish(ended[-1], account="ada")
    assert logins.finish(answer(first), account="ada")  # the oldest, and still open


def test_a_cookie_binds_a_sign_in_to_its_browser(logins: Logins, answer: Answer) -> None:
    pending = logins.begin(SERVER, account="team")
    query = answer(pending)
    for wrong in (None, "", "another"):
        with pytest.raises(Untrusted, check=NOT_THIS):
            logins.finish(query, account="team", binding=wrong)
    assert logins.finish(query, account="team", binding=pending.binding)


@pytest.mark.parametrize("account", [None, "", " ", True, b"ada", "a\nb"])
def test_who_is_no_one_gets_no_login(account: Any, logins: Logins) -> None:
    with pytest.raises(UsageError):
        logins.begin(SERVER, account=account)


def test_a_number_is_an_account(logins: Logins, answer: Answer) -> None:
    log_in(logins, answer, 7)
    assert [each.key.account for each in logins.of(7)] == ["7"]
    assert logins.of("7") == logins.of(7)


def test_of_tells_what_one_person_has(logins: Logins, answer: Answer) -> None:
    log_in(logins, answer, "ada")
    log_in(logins, answer, "bob")
    [mine] = logins.of("ada")
    assert (mine.key.server, mine.key.account, mine.scope) == (SERVER, "ada", ("read",))
    assert logins.of("eve") == []


def test_forget_ends_all_of_a_person_and_nothing_of_others(
    logins: Logins, answer: Answer, world: World
) -> None:
    log_in(logins, answer, "ada")
    log_in(logins, answer, "bob")
    begun = logins.begin(SERVER, account="ada")
    auth = logins.auth(SERVER, account="ada")
    ended = logins.forget("ada")
    assert list(ended) == [SERVER]
    assert ended[SERVER].revoked
    assert logins.of("ada") == []
    with pytest.raises(Untrusted, check=NOT_THIS):
        logins.finish(answer(begun), account="ada")
    assert logins.auth(SERVER, account="ada") is not auth
    with pytest.raises(LoginRequired):
        post(logins.auth(SERVER, account="ada"), world)
    assert post(logins.auth(SERVER, account="bob"), world) == 200
    assert logins.forget("ada") == {}


def test_forget_ends_the_logins_of_a_client_that_the_application_had_before(
    worker: Worker, answer: Answer, world: World, storage: Storage
) -> None:
    world.authorization.known.add("before")
    log_in(worker(client=PreRegistered("before")), answer)
    log_in(worker(), answer)
    assert len(worker().of("ada")) == 2
    ended = worker().forget("ada")
    assert ended[SERVER].revoked
    assert worker().of("ada") == []
    assert all(family.revoked for family in world.authorization.refresh.values())


def test_a_registration_stays_for_the_others_who_are_signing_in(
    logins: Logins, answer: Answer, world: World
) -> None:
    log_in(logins, answer, "ada")
    begun = logins.begin(SERVER, account="bob")
    logins.forget("ada")
    assert logins.finish(answer(begun), account="bob")
    logins.forget("bob")
    log_in(logins, answer, "eve")
    assert len(world.authorization.registrations) == 1


def test_forget_takes_one_server_too(logins: Logins, answer: Answer) -> None:
    log_in(logins, answer)
    assert logins.forget("ada", "https://elsewhere.example/mcp") == {}
    assert logins.of("ada")
    assert list(logins.forget("ada", SERVER + "/")) == [SERVER]


def test_forget_tells_what_the_server_did_not_confirm(
    logins: Logins, answer: Answer, world: World
) -> None:
    log_in(logins, answer)
    server = world.servers[world.issuer]

    def down(request: Any) -> Any:
        if request.url.endswith("/revoke"):
            raise DOWN
        return World.__call__(world, request)

    other = Logins(logins._storage, redirect_uri=CALLBACK, transport=lambda url: down)
    ended = other.forget("ada")[SERVER]
    assert ended.trouble
    assert other.of("ada") == []
    assert server.access


def test_a_step_up_asks_for_more(logins: Logins, answer: Answer, world: World) -> None:
    log_in(logins, answer)
    auth = logins.auth(SERVER, account="ada")
    client = httpx.Client(auth=auth, transport=httpx.MockTransport(world.resource))
    with client, pytest.raises(LoginRequired) as caught:
        client.post(SERVER, headers={"X-Needs": "write"})
    more = logins.begin(SERVER, account="ada", scope=caught.value.scope)
    assert logins.finish(answer(more), account="ada").scope == ("read", "write")
    client = httpx.Client(
        auth=logins.auth(SERVER, account="ada"), transport=httpx.MockTransport(world.resource)
    )
    with client:
        assert client.post(SERVER, headers={"X-Needs": "write"}).status_code == 200


def test_the_login_of_a_person_is_one_object(logins: Logins, answer: Answer) -> None:
    first = logins.auth(SERVER, account="ada")
    assert logins.auth(SERVER + "/", account="ada") is first
    assert logins.auth(SERVER, account="bob") is not first
    assert logins.auth(SERVER, account="ada", on_failure="rpc") is not first
    me = log_in(logins, answer)
    assert logins.auth(SERVER, account="ada") is me.auth


def test_what_another_worker_ends_or_makes_anew_is_not_gone_on_with(
    worker: Worker, answer: Answer, world: World, storage: Storage
) -> None:
    """Even if the authorization server revokes nothing, so that the token in memory still works:
    it may belong to an account that the user has left."""
    one, other = worker(), worker()
    log_in(one, answer)
    first = one.auth(SERVER, account="ada")
    assert post(first, world) == 200
    assert one.auth(SERVER, account="ada") is first
    log_in(other, answer)
    again = one.auth(SERVER, account="ada")
    assert post(again, world) == 200
    newest = other.auth(SERVER, account="ada").session.fresh()
    assert again.session.fresh().tokens == newest.tokens
    [entry] = other.of("ada")
    storage.delete(entry.key)
    with pytest.raises(LoginRequired):
        post(one.auth(SERVER, account="ada"), world)


@pytest.mark.parametrize("lifetime", [3600, None])
def test_a_login_after_a_logout_elsewhere_counts_however_often_the_last_was_renewed(
    lifetime: int | None, worker: Worker, answer: Answer, world: World
) -> None:
    """The new login is of the first generation; its token may end at the same time, or never."""
    world.authorization.lifetime = lifetime
    one, other = worker(), worker()
    for renewed in (0, 2):
        log_in(one, answer)
        for _ in range(renewed):
            one.auth(SERVER, account="ada").session.refresh()
        first = one.auth(SERVER, account="ada")
        assert post(first, world) == 200
        other.forget("ada")
        log_in(other, answer)
        again = one.auth(SERVER, account="ada")
        assert again is not first
        assert post(again, world) == 200
        newest = other.auth(SERVER, account="ada").session.fresh()
        assert again.session.fresh().tokens == newest.tokens


def test_an_answer_that_could_not_be_saved_is_newer_than_the_storage(
    worker: Worker, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = worker()
    log_in(logins, answer)
    auth = logins.auth(SERVER, account="ada")
    save = logins._storage.save
    written: list[Any] = []

    def full(value: Any, *more: Any) -> None:
        written.append(value)
        if len(written) > 1:  # the proof before it was kept
            raise StorageError("the disk is full", code="io")
        save(value, *more)

    monkeypatch.setattr(logins._storage, "save", full)
    monkeypatch.setattr("mcp_client_auth.session.renewal.in_background", lambda work: None)
    fresh = auth.session.refresh()
    assert logins.auth(SERVER, account="ada") is auth
    assert auth.session.current() is fresh
    monkeypatch.undo()
    auth.session._renewal.save_at_exit()


@pytest.mark.parametrize(
    "fault", [StorageError("the disk is gone", code="io"), Unavailable("cut off", code="store")]
)
def test_a_storage_that_is_out_of_order_does_not_stop_a_login_in_use(
    worker: Worker,
    answer: Answer,
    world: World,
    fault: AuthError,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logins = worker()
    log_in(logins, answer)

    def down(key: Any) -> Any:
        raise fault.fresh()

    monkeypatch.setattr(logins._storage, "load", down)
    assert post(logins.auth(SERVER, account="ada"), world) == 200


@pytest.mark.parametrize("url", ["http://mcp.example.com/mcp", "https://127.0.0.1/mcp"])
def test_a_server_inside_is_refused_at_each_door(url: str, worker: Worker) -> None:
    logins = worker(transport=None)
    with pytest.raises(InsecureUrl):
        logins.begin(url, account="ada")
    with pytest.raises(InsecureUrl):
        logins.auth(url, account="ada")
    assert worker(allow_private_servers=["127.0.0.1", "mcp.example.com"])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_twins_run_in_a_line_of_bounded_length(
    backend: str, logins: Logins, answer: Answer, world: World
) -> None:
    most = [0]

    async def one(number: int, results: list[Login]) -> None:
        pending = await logins.abegin(SERVER, account=number)
        most[0] = max(most[0], threading.active_count())
        results.append(await logins.afinish(answer(pending), account=number))

    async def all_of_them() -> list[Login]:
        results: list[Login] = []
        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(one, number, results)
        assert await logins.aforget(7)
        return results

    before = threading.active_count()
    assert len(anyio.run(all_of_them, backend=backend)) == 60
    assert most[0] <= before + 32

    assert len(world.authorization.registrations) == 1


def test_sign_ins_at_servers_that_hang_keep_no_one_from_the_login_that_they_have(
    logins: Logins, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any user may name any number of such servers."""
    log_in(logins, answer)
    over, hanging = threading.Event(), threading.Semaphore(0)

    def hang(*_: Any, **__: Any) -> None:
        hanging.release()
        over.wait(60)

    monkeypatch.setattr(logins, "begin", hang)

    async def begin(number: int) -> None:
        await logins.abegin(f"https://mcp{number}.example.net/mcp", account="eve")

    async def everyone() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(begin, number)
            for _ in range(31):
                await anyio.to_thread.run_sync(hanging.acquire)
            try:
                with anyio.fail_after(30):
                    await logins.aauth(SERVER, account="ada")
                    assert len(await logins.aof("ada")) == 1
                    assert await logins.aforget("bob") == {}
            finally:
                over.set()

    anyio.run(everyone)


def test_servers_that_hang_take_five_turns_of_one_person_and_none_of_another(
    worker: Worker, world: World
) -> None:
    over, hanging = threading.Event(), threading.Semaphore(0)

    def hang(request: HttpRequest) -> HttpResponse:
        hanging.release()
        over.wait(60)
        raise DOWN

    logins = worker(transport=lambda url: world if url == SERVER else hang)

    def begin(number: int) -> str:
        try:
            logins.begin(f"https://mcp{number}.example.net/mcp", account="eve")
        except Unavailable as error:
            return error.code
        return "begun"

    with ThreadPoolExecutor(MOST_BEGUN) as threads:
        try:
            first = [threads.submit(begin, number) for number in range(MOST_BEGUN)]
            for _ in first:
                assert hanging.acquire(timeout=60)
            assert begin(MOST_BEGUN) == "busy"
            assert logins.begin(SERVER, account="ada")
        finally:
            over.set()
        assert [each.result(60) for each in first] == ["unavailable"] * MOST_BEGUN
    assert logins.begin(SERVER, account="eve")


def test_what_asks_the_storage_has_a_twin(
    logins: Logins, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(logins, answer)
    asked: set[int] = set()
    for name in ("load", "list"):
        work = getattr(logins._storage, name)

        def note(*words: Any, work: Any = work, **named: Any) -> Any:
            asked.add(threading.get_ident())
            return work(*words, **named)

        monkeypatch.setattr(logins._storage, name, note)

    async def ask() -> None:
        assert await logins.aauth(SERVER, account="ada") is logins._open.get(
            (SERVER, "ada", "raise")
        )
        assert list(await logins.aof("ada")) == list(await logins.aof("ada"))

    anyio.run(ask)
    assert asked
    assert threading.get_ident() not in asked


def test_an_error_of_a_twin_is_the_error_of_the_call(logins: Logins) -> None:
    async def finish() -> None:
        await logins.afinish("state=x", account="ada")

    with pytest.raises(Untrusted, check=NOT_THIS):
        anyio.run(finish)


def test_a_client_of_the_application_s_own_is_used(worker: Worker, answer: Answer) -> None:
    """If the server does not read the document, a registration replaces it, in both halves."""
    logins = worker(client=ClientMetadataDocument("https://app.example/c.json", (CALLBACK,)))
    assert log_in(logins, answer).credential.client.kind == "dynamic"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("storage", 5),
        ("storage", MemoryStorage),
        ("options", {}),
        ("client", "an id"),
        ("scope", 5),
        ("on_event", "print"),
        ("transport", HttpTransport(SERVER)),
        ("transport", 5),
    ],
)
def test_what_cannot_work_is_refused_when_the_application_starts(argument: str, value: Any) -> None:
    given = {"storage": MemoryStorage(), "redirect_uri": CALLBACK, argument: value}
    with pytest.raises(UsageError, match=f"{argument} is"):
        Logins(**given)


@pytest.mark.parametrize("server", [5, b"https://mcp.example.com"])
def test_what_is_no_server_ends_no_login(server: Any, logins: Logins, answer: Answer) -> None:
    log_in(logins, answer)
    with pytest.raises(UsageError, match="url is"):
        logins.forget("ada", server)
    assert logins.of("ada")


def test_a_storage_is_needed() -> None:
    none: Any = None
    with pytest.raises(UsageError, match="need a storage"):
        Logins(none, redirect_uri=CALLBACK)


def test_a_fault_of_the_server_is_told_at_the_beginning(logins: Logins, world: World) -> None:
    world.authorization.metadata = dict  # type: ignore[method-assign]
    with pytest.raises(BadResponse, match="issuer"):
        logins.begin(SERVER, account="ada")


def test_a_code_whose_exchange_failed_is_not_sent_again(
    logins: Logins, answer: Answer, world: World
) -> None:
    query = answer(logins.begin(SERVER, account="ada"))
    world.faults = [DOWN]
    with pytest.raises(Unavailable):
        logins.finish(query, account="ada")
    with pytest.raises(LoginFailed, check=SPENT):
        logins.finish(query, account="ada")


def test_users_of_a_real_server_are_kept_apart(server: DemoServer, tmp_path: Path) -> None:
    def worker() -> Logins:
        storage = FileStorage(tmp_path)
        return Logins(storage, redirect_uri=CALLBACK, allow_private_servers=["127.0.0.1"])

    for account in ("ada", "bob"):
        pending = worker().begin(server.url, account=account)
        callback = AppBrowser().sign_in(pending.url)
        assert parse_qs(urlsplit(callback).query)["state"] == [pending.state]
        with worker().finish(callback, account=account) as me:
            assert me.tools()
    assert server.count("/register") == 1
    assert worker().forget("ada")[server.url].revoked
    with httpx.Client(auth=worker().auth(server.url, account="bob"), trust_env=False) as client:
        assert client.get(server.url).status_code != 401
