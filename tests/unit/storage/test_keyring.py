"""The OS keyring: a real Secret Service in each of its states, and backends that misbehave."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from keyring.backends import fail, null
from keyring.errors import KeyringLocked, PasswordSetError

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage import keyring_thread
from mcp_client_auth.storage.backend import Item
from mcp_client_auth.storage.keyring import KeyringStorage, time_limit
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.testing.secret_service import INSTALL, SecretService
from tests.support.storage_samples import (
    CLIENT_KEY,
    PLANTED,
    bare,
    chain_of,
    full,
    full_client,
    with_token,
)

if TYPE_CHECKING:
    from tests.unit.storage.conftest import Elsewhere


FailKeyring: Any = fail.Keyring
NullKeyring: Any = null.Keyring
REMEDIES = ('storage="file"', "MCP_CLIENT_AUTH_STORAGE=file", "MCP_CLIENT_AUTH_STORAGE=memory")


class Backend:
    """Keeps what it is given. Not registered with `keyring`, which would find it elsewhere too."""

    priority: float = 5

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, user: str) -> str | None:
        return self.items.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        self.items[service, user] = password

    def delete_password(self, service: str, user: str) -> None:
        del self.items[service, user]


class Weak(Backend):
    priority = 0.5


class Forgetful(Backend):
    """A volatile collection, or a service that only pretends."""

    def set_password(self, service: str, user: str, password: str) -> None:
        self.items.clear()


class Failing(Backend):
    """Raises `error` on each write."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def set_password(self, service: str, user: str, password: str) -> None:
        raise self.error


class WinError(Exception):
    """As `pywintypes.error`: no `KeyringError`, no `OSError`."""


class Held(Backend):
    """Each write waits for `released`, as a prompt that nobody sees does."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.calls = 0

    def set_password(self, service: str, user: str, password: str) -> None:
        self.calls += 1
        self.released.wait(120)
        super().set_password(service, user, password)


PlaintextKeyring = type("PlaintextKeyring", (Weak,), {"__module__": "keyrings.alt.file"})
LoudPlaintext = type("PlaintextKeyring", (Backend,), {"__module__": "somebody.elses"})


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], KeyringStorage]:
    """A storage where `keyring` finds this backend."""

    def offer(backend: Any) -> KeyringStorage:
        monkeypatch.setattr("keyring.get_keyring", lambda: backend)
        return KeyringStorage(timeout=60)

    return offer


@pytest.fixture
def held() -> Iterator[Held]:
    backend = Held()
    yield backend
    backend.released.set()


@pytest.mark.parametrize(
    "backend",
    [FailKeyring(), NullKeyring(), PlaintextKeyring(), LoudPlaintext(), Weak()],
    ids=["fail", "null", "plaintext", "plaintext of another name", "low priority"],
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a chainer"])
def test_a_backend_that_keeps_no_secrets_does_not_count(
    backend: Any, inside: bool, offer: Any, key: Key, home: Path
) -> None:
    storage = offer(chain_of(backend) if inside else backend)
    for use in (storage.check, lambda: storage.save(full(key)), lambda: storage.load(key)):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "no_keyring"
        assert all(remedy in caught.value.hint for remedy in REMEDIES)
    assert not getattr(backend, "items", None)
    assert not home.exists() or not list(home.iterdir())


def test_in_a_chainer_the_one_that_keeps_secrets_is_used(offer: Any, key: Key) -> None:
    plain, good = PlaintextKeyring(), Backend()
    storage = offer(chain_of(plain, NullKeyring(), good))
    storage.save(full(key))
    assert storage.load(key) == full(key)
    assert good.items
    assert not plain.items


def test_a_backend_that_a_person_has_named_may_have_a_low_priority(
    offer: Any, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "somebody.elses.Keyring")
    storage = offer(Weak())
    storage.save(full(key))
    assert storage.load(key) == full(key)


@pytest.mark.parametrize("backend", [FailKeyring(), NullKeyring(), PlaintextKeyring()])
def test_a_name_makes_no_backend_keep_secrets(
    backend: Any, offer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "it.does.not.matter")
    with pytest.raises(StorageError):
        offer(backend).check()


def test_a_write_that_is_not_kept_is_found_out(offer: Any) -> None:
    with pytest.raises(StorageError, match="does not keep"):
        offer(Forgetful()).check()


@pytest.mark.parametrize(
    "spoil",
    [lambda text: text[:512], lambda text: text.replace('"', ""), lambda text: text.split("\\")[0]],
    ids=["cut short", "without quotes", "up to a backslash"],
)
def test_a_keyring_that_does_not_keep_what_a_record_looks_like_is_found_out(
    spoil: Callable[[str], str], offer: Any
) -> None:
    """As a bridge to another program may, before a person has signed in for nothing."""

    class Bridge(Backend):
        def set_password(self, service: str, user: str, password: str) -> None:
            super().set_password(service, user, spoil(password))

    backend = Bridge()
    with pytest.raises(StorageError, match="does not keep"):
        offer(backend).check()
    assert backend.items == {}


def test_a_check_leaves_nothing_behind_and_is_made_once(offer: Any) -> None:
    backend = Backend()
    storage = offer(backend)
    storage.check()
    assert backend.items == {}
    backend.set_password = None  # type: ignore[method-assign, assignment]
    storage.check()


def test_a_check_that_cannot_read_takes_its_canary_away(offer: Any) -> None:
    class Unreadable(Backend):
        reads = 0

        def get_password(self, service: str, user: str) -> str | None:
            self.reads += 1
            if self.reads == 1:
                raise RuntimeError("not now")
            return super().get_password(service, user)

    backend = Unreadable()
    with pytest.raises(StorageError, match="not now"):
        offer(backend).check()
    assert backend.items == {}


class Mute(Exception):
    """Fails to say anything, as a plug-in's own error may."""

    def __str__(self) -> str:
        raise AttributeError("reason")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyringLocked("Failed to unlock the collection!"), "it is locked"),
        (PasswordSetError("(-25308, 'Unknown Error')"), "-25308"),
        (WinError(1783, "CredWrite", "The stub received bad data"), "1783"),
        (OSError(1783, "The stub received bad data"), "1783"),
        (RuntimeError("no D-Bus"), "RuntimeError"),
        (TimeoutError("the bus does not answer"), "TimeoutError"),
        (AssertionError(), "AssertionError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_backend_raises_is_one_typed_error(
    error: Exception, said: str, offer: Any, key: Key
) -> None:
    storage = offer(Failing(error))
    with pytest.raises(StorageError, match=said) as caught:
        storage.save(full(key))
    assert caught.value.code == "keyring"
    assert caught.value.__cause__ is None
    assert "OS keyring" in str(caught.value)


@pytest.mark.parametrize(
    "error", [KeyringLocked(), WinError(5), OSError(5, "EIO"), KeyError("a"), Mute(), Mute(Mute())]
)
def test_whatever_a_read_raises_is_one_typed_error_too(
    error: Exception, offer: Any, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: str) -> None:
        raise error

    backend = Backend()
    monkeypatch.setattr(backend, "get_password", fail)
    storage = offer(backend)
    for use in (storage.load, storage.delete):
        with pytest.raises(StorageError) as caught:
            use(key)
        assert caught.value.code == "keyring"
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", [RuntimeError, WinError, ValueError])
def test_an_error_that_quotes_the_record_is_not_quoted(
    kind: type[Exception], offer: Any, key: Key
) -> None:
    secret = PLANTED["access token"]

    class Quoting(Backend):
        def set_password(self, service: str, user: str, password: str) -> None:
            raise kind(f"bridge.exe set {password[password.index(secret) :]}")

    with pytest.raises(StorageError) as caught:
        offer(Quoting()).save(with_token(bare(key), secret))
    assert secret not in str(caught.value)
    assert kind.__name__ in str(caught.value)


def test_the_entry_of_a_login_names_the_backend_that_has_it(offer: Any, key: Key) -> None:
    storage = offer(Backend())
    storage.save(bare(key))
    assert [entry.backend for entry in storage.list()] == [Backend.__module__]


def test_a_save_that_failed_is_not_in_the_index(offer: Any, key: Key) -> None:
    storage = offer(Failing(RuntimeError()))
    with pytest.raises(StorageError):
        storage.save(full(key))
    assert list(storage.list()) == []


def test_a_call_that_hangs_ends_in_time_and_the_backend_is_left_alone(
    held: Held, offer: Any, key: Key
) -> None:
    offer(held)
    storage = KeyringStorage(timeout=0.2)
    began = time.monotonic()
    with pytest.raises(StorageError, match="a prompt to unlock it may be waiting"):
        storage.save(full(key))
    for use in (storage.load, storage.delete):
        with pytest.raises(StorageError, match="left alone"):
            use(key)
    assert time.monotonic() - began < 60
    assert held.calls == 1
    assert list(storage.list()) == []


def test_a_keyring_that_answers_at_last_is_used_again(held: Held, offer: Any, key: Key) -> None:
    """A person has unlocked it, after a program that runs for days had given up a call."""
    offer(held)
    storage = KeyringStorage(timeout=0.2)
    with pytest.raises(StorageError, match="a prompt to unlock it may be waiting"):
        storage.save(bare(key))
    with pytest.raises(StorageError, match="left alone"):
        storage.load(key)
    held.released.set()
    deadline = time.monotonic() + 60
    while SHARED.chosen and SHARED.chosen.stuck and time.monotonic() < deadline:
        time.sleep(0.01)
    storage = KeyringStorage(timeout=60)
    storage.save(full(key))
    assert storage.load(key) == full(key)


def test_a_process_that_had_no_room_for_a_thread_uses_its_keyring_later(
    offer: Any, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = offer(Backend())

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as busy:
        busy.setattr(threading.Thread, "start", fail)
        with pytest.raises(StorageError, match="can't start new thread"):
            storage.load(key)
    storage = KeyringStorage(timeout=60)
    storage.save(bare(key))
    assert storage.load(key) == bare(key)


def test_a_call_given_up_while_it_waited_its_turn_never_happens(
    held: Held, offer: Any, key: Key
) -> None:
    offer(held)
    storage = KeyringStorage(timeout=0.5)
    failed: list[StorageError] = []

    def save(account: str) -> None:
        try:
            storage.save(full(Key(key.server, account)))
        except StorageError as error:
            failed.append(error)

    before = set(threading.enumerate())
    callers = [threading.Thread(target=save, args=(name,)) for name in ("a", "b", "c")]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(failed) == 3
    held.released.set()
    SHARED.reset()  # its thread waits for more calls, and ends once its queue is empty
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert held.calls == 1


def test_it_waits_longer_where_a_person_may_be_unlocking_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal:
        closed = False

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    assert time_limit(None) == 60
    monkeypatch.setattr("sys.stdin", None)
    assert time_limit(None) == 3
    assert time_limit(1.5) == 1.5


def test_a_closed_standard_input_is_nobody(
    offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(Backend())
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open() as closed:
        pass
    monkeypatch.setattr("sys.stdin", closed)
    KeyringStorage().check()


def test_a_backend_is_called_in_one_thread_at_a_time(offer: Any, key: Key) -> None:
    class Single(Backend):
        inside = 0
        most = 0

        def set_password(self, service: str, user: str, password: str) -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.01)
            super().set_password(service, user, password)
            self.inside -= 1

    backend = Single()
    storage = offer(backend)
    keys = [Key(key.server, f"account {n}") for n in range(8)]
    threads = [threading.Thread(target=storage.save, args=(full(k),)) for k in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert backend.most == 1
    assert all(storage.load(k) == full(k) for k in keys)


def test_each_record_is_an_item_of_its_own_service(offer: Any, key: Key) -> None:
    backend = Backend()
    storage = offer(backend)
    storage.save(full(key))
    storage.save(full_client(), CLIENT_KEY)
    assert set(backend.items) == {
        (f"mcp-client-auth:{item.id}", "mcp-client-auth") for item in (key, CLIENT_KEY)
    }


def test_no_secret_lies_in_a_file(secret_service: SecretService, key: Key, home: Path) -> None:
    storage = KeyringStorage()
    with storage.lock(key):
        storage.check()
        storage.save(full(key))
    storage.save(full_client(), CLIENT_KEY)
    storage.delete(CLIENT_KEY)
    assert storage.where == "the OS keyring (Secret Service)"
    places = [*home.rglob("*"), *secret_service.home.rglob("*")]
    files = [path for path in places if path.is_file()]
    assert {".json", ".lock", ".keyring"} <= {path.suffix for path in files}
    for secret in PLANTED.values():
        for form in (
            secret.encode(),
            secret.encode("utf-16-le"),
            base64.b64encode(secret.encode()),
        ):
            assert not [path.name for path in files if form in path.read_bytes()]


def test_a_check_of_the_real_one_takes_its_canary_away(
    secret_service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "known")
    storage = KeyringStorage()
    storage.check()
    assert storage.vault.read(Item("canary-known")) is None


def locked(service: SecretService) -> None:
    service.lock()


def prompting(service: SecretService) -> None:
    service.lock_with_a_prompt()


def frozen(service: SecretService) -> None:
    service.freeze()


def as_it_is(service: SecretService) -> None:
    """Without a password it was never unlocked."""


@pytest.mark.parametrize("action", ["load", "save"])
@pytest.mark.parametrize(
    ("password", "spoil", "said"),
    [
        ("password", locked, "it is locked"),
        ("password", prompting, "a prompt to unlock it may be waiting"),
        ("password", frozen, "did not answer within 3 s"),
        (None, as_it_is, "no collection"),
    ],
    ids=["locked", "a prompt", "hung", "no collection"],
)
def test_a_secret_service_that_cannot_be_used_says_why_in_time(
    password: str | None,
    spoil: Callable[[SecretService], None],
    said: str,
    action: str,
    key: Key,
    home: Path,
    make_elsewhere: Callable[[str], Elsewhere],
) -> None:
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with SecretService(password) as service:
        spoil(service)
        began = time.monotonic()
        with make_elsewhere("keyring").start(action, "token", **service.environment) as process:
            answer = make_elsewhere("keyring").answer(process)
        assert time.monotonic() - began < 60
    assert answer["error"] == "StorageError"
    assert said in answer["text"]
    assert not home.exists() or not list(home.iterdir())


@pytest.mark.parametrize(
    "environment",
    [
        {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"},
        {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
        {"PYTHON_KEYRING_BACKEND": "no.such.Backend"},
        {"PYTHON_KEYRING_BACKEND": "nonsense"},
    ],
    ids=lambda value: "=".join(*value.items()),
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the keyring needs no bus")
def test_a_machine_without_a_keyring_says_so(
    environment: dict[str, str], make_elsewhere: Callable[[str], Elsewhere]
) -> None:
    elsewhere = make_elsewhere("keyring")
    with elsewhere.start("check", **environment) as process:
        answer = elsewhere.answer(process)
    assert answer["error"] == "StorageError"
    assert answer["code"] in ("no_keyring", "keyring")
    assert 'storage="file"' in answer["text"]


def test_a_late_write_that_was_given_up_is_noticed_by_who_holds_the_later_one(
    offer: Any, key: Key
) -> None:
    """A backend that lands an abandoned write long after others have written."""

    class Late(Backend):
        def __init__(self) -> None:
            super().__init__()
            self.late: list[tuple[str, str, str]] = []
            self.slow = False
            self.release = threading.Event()

        def set_password(self, service: str, user: str, password: str) -> None:
            if self.slow:
                self.late.append((service, user, password))
                self.release.wait(120)
            super().set_password(service, user, password)

    backend = Late()
    offer(backend)
    storage = KeyringStorage(timeout=1.0)
    first = bare(key)
    storage.save(first)
    backend.slow = True
    with pytest.raises(StorageError, match="did not answer"):
        storage.save(with_token(first, "abandoned"))
    backend.slow = False
    elsewhere, later = Backend(), with_token(with_token(first, "x"), "good")
    elsewhere.items = backend.items  # another process, whose calls go through
    SHARED.reset()
    offer(elsewhere)
    other = KeyringStorage(timeout=60)
    other.save(later)
    backend.release.set()
    deadline = time.monotonic() + 60
    while "abandoned" not in str(elsewhere.items) and time.monotonic() < deadline:
        time.sleep(0.01)
    found, entry = other.load(key), other.summary(key)
    assert found == with_token(first, "abandoned")
    assert entry is not None
    assert entry.generation == later.generation > found.generation


BUS = """<busconfig><type>session</type><listen>unix:dir={place}</listen>
<policy context="default"><allow send_destination="*"/><allow own="*"/></policy></busconfig>"""


@pytest.mark.parametrize("dead", [False, True], ids=["nobody keeps secrets", "the bus has died"])
def test_a_bus_without_a_secret_service_says_so_in_time(
    dead: bool, tmp_path: Path, make_elsewhere: Callable[[str], Elsewhere]
) -> None:
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with TemporaryDirectory(prefix="bus-") as place:
        config = Path(place) / "bus.conf"
        config.write_text(BUS.format(place=place))
        command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bus:
            assert bus.stdout is not None
            address = bus.stdout.readline().strip()
            if dead:
                bus.kill()
                bus.wait()
            began = time.monotonic()
            environment = {"DBUS_SESSION_BUS_ADDRESS": address}
            with make_elsewhere("keyring").start("check", **environment) as process:
                answer = make_elsewhere("keyring").answer(process)
            bus.kill()
        assert time.monotonic() - began < 60
    assert answer["error"] == "StorageError"
    assert 'storage="file"' in answer["text"]


def test_a_process_whose_keyring_hangs_can_end(make_elsewhere: Callable[[str], Elsewhere]) -> None:
    elsewhere = make_elsewhere("keyring")
    with elsewhere.start("hang") as process:
        answer = elsewhere.answer(process)
    assert answer["error"] == "StorageError"
    assert "did not answer" in answer["text"]


@pytest.mark.parametrize(
    ("running", "limit", "expected"),
    [(1, 3.0, 3.0), (8, 3.0, 3.0), (40, 3.0, 15.0), (400, 3.0, 30.0), (400, 60.0, 60.0)],
)
def test_a_limit_is_longer_where_far_more_wants_to_run_than_can(
    running: int, limit: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyring that is not given a processor is not one that waits for its password."""
    waited: list[float] = []
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(keyring_thread, "_running", lambda: running)
    monkeypatch.setattr(keyring_thread, "wait", lambda answers, pause: waited.append(pause))
    ring = keyring_thread.Ring(Backend())
    hung = threading.Event()
    try:
        with pytest.raises(keyring_thread.Stuck):
            ring.call(lambda backend: hung.wait(120), limit)
    finally:
        hung.set()
        ring.end()
    assert sum(waited) == pytest.approx(expected, abs=0.3)


def test_what_the_system_tells_of_its_load_is_a_number() -> None:
    assert keyring_thread._running() >= 0
