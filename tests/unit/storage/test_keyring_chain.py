"""Several backends beside each other: which one is used, and what becomes of what they hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from keyring.errors import KeyringLocked

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.events import Event
from mcp_client_auth.storage import local_index
from mcp_client_auth.storage.keyring import KeyringStorage
from mcp_client_auth.storage.keyring_thread import SHARED
from tests.support.storage_samples import CLIENT_KEY, bare, chain_of, full, full_client, with_token


class Vault:
    """Keeps what it is given."""

    def __init__(self, priority: float = 5) -> None:
        self.priority = priority
        self.items: dict[str, str] = {}
        self.calls = 0

    def get_password(self, service: str, user: str) -> str | None:
        self.calls += 1
        return self.items.get(service)

    def set_password(self, service: str, user: str, password: str) -> None:
        self.calls += 1
        self.items[service] = password

    def delete_password(self, service: str, user: str) -> None:
        self.calls += 1
        del self.items[service]


class Registry(Vault):
    """The plug-in of a package registry: it answers for its own services only."""

    def set_password(self, service: str, user: str, password: str) -> None:
        raise NotImplementedError

    delete_password = set_password  # type: ignore[assignment]


class Constant(Registry):
    def get_password(self, service: str, user: str) -> str | None:
        return "a token of the registry"


class Loud(Registry):
    def get_password(self, service: str, user: str) -> str | None:
        raise RuntimeError("not configured")


class Forgetful(Vault):
    def set_password(self, service: str, user: str, password: str) -> None:
        """It says nothing and keeps nothing."""


class Locked(Vault):
    locked = True

    def get_password(self, service: str, user: str) -> str | None:
        if self.locked:
            raise KeyringLocked("locked")
        return super().get_password(service, user)

    def set_password(self, service: str, user: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("locked")
        super().set_password(service, user, password)


class Hanging(Vault):
    def __init__(self, priority: float = 5) -> None:
        super().__init__(priority)
        self.released = threading.Event()

    def get_password(self, service: str, user: str) -> str | None:
        self.released.wait(30)
        return None

    def set_password(self, service: str, user: str, password: str) -> None:
        self.released.wait(30)


class Chain:
    """What keyring offers to the process."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, *backends: Vault) -> KeyringStorage:
        self._patch.setattr("keyring.get_keyring", lambda: chain_of(*backends))
        return self.another_process()

    def another_process(self) -> KeyringStorage:
        SHARED.reset()
        return KeyringStorage(timeout=0.5)


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    return Chain(monkeypatch)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    backend = Hanging(9)
    yield backend
    backend.released.set()


@pytest.mark.parametrize("first", [Registry, Constant, Loud, Forgetful, Locked])
def test_the_first_that_passes_the_trial_is_used(
    first: type[Vault], chain: Chain, key: Key
) -> None:
    useless, works = first(9), Vault(5)
    storage = chain(useless, works, Vault(4))
    storage.check()
    storage.save(full(key))
    storage.save(full_client(), CLIENT_KEY)
    assert len(works.items) == 2
    assert storage.where == "the OS keyring (test_keyring_chain)"
    for process in (storage, chain.another_process()):
        assert process.load(key) == full(key)
        assert process.load(CLIENT_KEY) == full_client()
    chain.another_process().save(with_token(full(key), "renewed"))
    assert chain.another_process().load(key) == with_token(full(key), "renewed")
    chain.another_process().delete(key)
    chain.another_process().delete(CLIENT_KEY)
    assert works.items == {}
    assert useless.items == {}


def test_one_that_hangs_costs_its_time_and_not_the_login(
    hanging: Hanging, chain: Chain, key: Key
) -> None:
    works = Vault(5)
    storage = chain(hanging, works)
    storage.save(full(key))
    assert storage.load(key) == full(key)
    assert len(works.items) == 1


def test_where_the_first_one_works_no_other_is_written(chain: Chain, key: Key) -> None:
    first, second = Vault(9), Vault(5)
    storage = chain(first, second)
    storage.check()
    storage.save(full(key))
    storage.load(key)
    assert len(first.items) == 1
    assert second.items == {}


def test_reading_a_login_makes_no_trial(chain: Chain, key: Key) -> None:
    first, second = Registry(9), Vault(5)
    chain(first, second).save(full(key))
    second.calls = 0
    assert chain.another_process().load(key) == full(key)
    assert second.calls == 1


def test_a_login_stays_where_it_lies_when_another_one_works_too(chain: Chain, key: Key) -> None:
    first, second = Locked(9), Vault(5)
    chain(first, second).save(full(key))
    assert len(second.items) == 1
    first.locked = False
    process = chain.another_process()
    process.check()
    assert process.load(key) == full(key)
    process.save(with_token(full(key), "renewed"))
    assert first.items == {}
    assert process.load(key) == with_token(full(key), "renewed")
    process.delete(key)
    assert second.items == {}


def test_a_login_in_one_that_is_locked_for_a_while_is_found_again(chain: Chain, key: Key) -> None:
    first, second = Locked(9), Vault(5)
    first.locked = False
    chain(first, second).save(full(key))
    first.locked = True
    assert chain.another_process().load(key) is None
    first.locked = False
    assert chain.another_process().load(key) == full(key)
    assert local_index().get(key) is not None


def test_where_none_works_each_says_why(chain: Chain, key: Key) -> None:
    storage = chain(Registry(9), Locked(5))
    uses: list[Callable[[], object]] = [
        storage.check,
        lambda: storage.save(bare(key)),
        lambda: storage.load(key),
    ]
    for use in uses:
        with pytest.raises(StorageError) as caught:
            use()
    assert caught.value.code == "keyring"
    assert "NotImplementedError" in str(caught.value)
    assert "it is locked" in str(caught.value)
    assert list(storage.list()) == []


def test_what_is_passed_over_is_an_event(chain: Chain) -> None:
    events: list[Event] = []
    storage = chain(Registry(9), Vault(5))
    SHARED.listener = events.append
    try:
        storage.check()
    finally:
        SHARED.listener = None
    assert [event.name for event in events] == ["storage"]
    assert "NotImplementedError" in events[0].detail
    assert "chain" in events[0].rule
