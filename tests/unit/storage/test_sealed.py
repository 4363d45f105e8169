"""Sealed records: in the file storage with a key, and where the keyring takes small items only."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from keyring.errors import KeyringLocked, PasswordSetError

from mcp_client_auth.credential import ClientKey, Credential, Key
from mcp_client_auth.errors import StorageError, Unavailable, UsageError
from mcp_client_auth.session.logout import forget
from mcp_client_auth.storage import Store, choose_storage
from mcp_client_auth.storage.backend import Item
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.keyring import KeyringStorage
from mcp_client_auth.storage.memory import MemoryBackend
from mcp_client_auth.storage.sealed import Sealed, SealedBackend, new_key
from tests.support.codes import coded
from tests.support.storage_samples import (
    CLIENT_KEY,
    PLANTED,
    SHAPES,
    bare,
    full,
    full_client,
    with_token,
)


def a_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> FileStorage:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", a_key())
    return FileStorage()


class WinError(Exception):
    """As `pywintypes.error`: no `KeyringError`, no `OSError`."""


class WinVault:
    """As keyring's backend for Windows: 2,560 bytes of UTF-16, and an error of its own kind."""

    priority = 5

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, user: str) -> str | None:
        return self.items.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > 2560:
            raise WinError(1783, "CredWrite", "The stub received bad data")
        self.items[service, user] = password

    def delete_password(self, service: str, user: str) -> None:
        del self.items[service, user]


class Cutting(WinVault):
    """Keeps the first thousand and two hundred characters and says nothing."""

    def set_password(self, service: str, user: str, password: str) -> None:
        self.items[service, user] = password[:1200]


class Keychain(WinVault):
    """As keyring's backend for macOS: any size; a number where there is nobody to ask."""

    locked = False

    def set_password(self, service: str, user: str, password: str) -> None:
        if self.locked:
            raise PasswordSetError("Can't store password on keychain: (-25308, 'Unknown Error')")
        self.items[service, user] = password

    def get_password(self, service: str, user: str) -> str | None:
        if self.locked:
            raise KeyringLocked("Can't get password from keychain: (-128, 'Unknown Error')")
        return super().get_password(service, user)


Keychain.__module__ = "keyring.backends.macOS"
WinVault.__module__ = "keyring.backends.Windows"


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], KeyringStorage]:
    def offer(backend: Any) -> KeyringStorage:
        monkeypatch.setattr("keyring.get_keyring", lambda: backend)
        monkeypatch.setenv("KEYRING_PROPERTY_PERSIST", "local machine")  # this one, not its like
        return KeyringStorage(timeout=60)

    return offer


# The file storage with a key


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_comes_back_from_its_seal(
    shape: Callable[[Key], Credential], sealed: FileStorage, key: Key
) -> None:
    sealed.check()
    sealed.save(shape(key))
    assert sealed.load(key) == shape(key)


def test_no_secret_lies_in_a_sealed_file(sealed: FileStorage, key: Key, home: Path) -> None:
    with sealed.lock(key):
        sealed.save(full(key))
    sealed.save(full_client(), CLIENT_KEY)
    for path in home.iterdir():
        for secret in PLANTED.values():
            assert secret.encode() not in path.read_bytes()
            assert base64.b64encode(secret.encode())[:-4] not in path.read_bytes()
    assert "sealed" in sealed.where


@pytest.mark.parametrize("kind", ["another account", "another server", "a client", "a version"])
def test_a_sealed_record_cannot_be_passed_off_as_anothers(
    kind: str, sealed: FileStorage, key: Key, home: Path
) -> None:
    sealed.save(full(key))
    record = home / f"{key.id}.secret"
    others: dict[str, Key | ClientKey] = {
        "another account": replace(key, account="work"),
        "another server": replace(key, server="https://evil.example.com/mcp"),
        "a client": CLIENT_KEY,
        "a version": key,
    }
    other = Item.of(others[kind])
    text = record.read_text()
    if kind == "a version":
        text = json.dumps({**json.loads(text), "version": 0})
    (home / f"{other.id}.secret").write_text(text)
    with pytest.raises(StorageError) as caught:
        sealed.vault.read(other)
    assert caught.value.code == "damaged_record"


@pytest.mark.parametrize("part", ["nonce", "data"])
def test_a_sealed_record_that_was_changed_is_damaged(
    part: str, sealed: FileStorage, key: Key, home: Path
) -> None:
    sealed.save(full(key))
    record = home / f"{key.id}.secret"
    raw = json.loads(record.read_text())
    spoilt = bytearray(base64.b64decode(raw[part]))
    spoilt[0] ^= 1
    record.write_text(json.dumps({**raw, part: base64.b64encode(spoilt).decode()}))
    with pytest.raises(StorageError) as caught:
        sealed.load(key)
    assert caught.value.code == "damaged_record"


def test_each_seal_has_a_nonce_of_its_own(sealed: FileStorage, key: Key, home: Path) -> None:
    nonces = set()
    for _ in range(20):
        sealed.save(full(key))
        nonces.add(json.loads((home / f"{key.id}.secret").read_text())["nonce"])
    assert len(nonces) == 20


def test_without_its_key_a_sealed_record_is_left_alone_and_the_key_is_asked_for(
    sealed: FileStorage, key: Key, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed.save(full(key))
    before = (home / f"{key.id}.secret").read_bytes()
    for value, code in (("", "no_key"), (a_key(), "wrong_key")):
        monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", value)
        with pytest.raises(StorageError) as caught:
            sealed.load(key)
        assert caught.value.code == code
        assert "MCP_CLIENT_AUTH_KEY" in caught.value.hint
        assert str(home) in caught.value.summary
    assert (home / f"{key.id}.secret").read_bytes() == before


def test_a_clear_record_is_sealed_by_the_next_write(
    key: Key, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStorage()
    files.save(full(key))
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", a_key())
    assert files.load(key) == full(key)
    files.save(full(key))
    assert PLANTED["access token"] not in (home / f"{key.id}.secret").read_text()
    assert files.load(key) == full(key)


def test_all_of_several_keys_open_and_a_new_one_needs_no_restart(
    key: Key, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, file = a_key(), a_key(), tmp_path / "key"
    file.write_text(old)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY_FILE", str(file))
    files = FileStorage()
    files.save(full(key))
    files.save(full_client(), CLIENT_KEY)
    files.hold("a name", "held", 60)
    file.write_text(f"{new}\n{old}\n")
    assert (files.load(key), files.load(CLIENT_KEY)) == (full(key), full_client())
    assert files.pop("a name") == "held"
    files.vault.look(Item.of(key))
    files.save(full(key))
    file.write_text(new)
    assert files.load(key) == full(key)
    assert files.load(CLIENT_KEY) is None  # of the old key, and the next one takes its place
    with pytest.raises(StorageError, check=coded("wrong_key")):
        files.vault.look(Item.of(CLIENT_KEY))


def test_the_key_may_lie_in_a_file(
    key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(a_key() + "\n")
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY_FILE", str(file))
    FileStorage().save(full(key))
    assert FileStorage().load(key) == full(key)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", file.read_text().strip())
    with pytest.raises(UsageError, match="exclude each other"):
        FileStorage().load(key)
    monkeypatch.delenv("MCP_CLIENT_AUTH_KEY_FILE")
    assert FileStorage().load(key) == full(key)


@pytest.mark.parametrize(
    "bad",
    ["password", "é" * 40, a_key()[:-8], a_key() + "AAAA", "====", "!"],
    ids=["a password", "not ASCII", "too short", "too long", "padding", "no letter of base64"],
)
def test_a_key_that_is_none_is_said_without_showing_it(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", f"{a_key()} {bad}")
    with pytest.raises(UsageError, match="32 bytes in base64") as caught:
        FileStorage().check()
    assert "openssl rand -base64 32" in caught.value.hint
    assert bad == "!" or bad not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"", "is empty"), (b"\xff\xfe", "cannot be read")],
    ids=["missing", "empty", "no text"],
)
def test_a_key_file_that_cannot_be_used_is_named(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "the key"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY_FILE", str(file))
    with pytest.raises(UsageError, match=f"the key”, which {said}"):
        FileStorage().check()


# The keyring, where it takes small items only


@pytest.mark.parametrize("backend", [WinVault, Cutting], ids=["as Windows", "a silent cutter"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_comes_back_from_a_keyring_for_small_items(
    shape: Callable[[Key], Credential], backend: Any, offer: Any, key: Key, home: Path
) -> None:
    vault = backend()
    storage = offer(vault)
    storage.save(shape(key))
    assert storage.load(key) == shape(key)
    assert all(len(text) <= 1000 for text in vault.items.values())
    for path in home.iterdir():
        assert not any(secret.encode() in path.read_bytes() for secret in PLANTED.values())
    storage.delete(key)
    assert vault.items == {}
    assert [path.suffix for path in home.iterdir()] == [".deleted"]


@pytest.mark.parametrize("name", ["SecretService", "libsecret", "kwallet", "macOS"])
def test_a_keyring_that_takes_any_size_gets_one_item(
    name: str, offer: Any, key: Key, home: Path
) -> None:
    roomy = type("Keyring", (Keychain,), {"__module__": f"keyring.backends.{name}"})()
    offer(roomy).save(with_token(full(key), "x" * 20_000))
    assert [path.suffix for path in home.iterdir()] == [".json"]


def test_a_keychain_takes_any_size_as_one_item(offer: Any, key: Key, home: Path) -> None:
    chain = Keychain()
    storage = offer(chain)
    large = with_token(full(key), "x" * 20_000)
    storage.save(large)
    assert storage.load(key) == large
    assert [path.suffix for path in home.iterdir()] == [".json"]
    chain.locked = True
    with pytest.raises(StorageError, match="no window can be shown") as caught:
        storage.save(large)
    assert "-25308" in str(caught.value)
    with pytest.raises(StorageError, match=r"it is locked|refused"):
        storage.load(key)


def test_the_sealing_key_stays_and_only_the_file_changes(offer: Any, key: Key) -> None:
    vault = WinVault()
    storage = offer(vault)
    storage.save(full(key))
    before = dict(vault.items)
    storage.save(with_token(full(key), "later"))
    assert vault.items == before
    assert storage.load(key) == with_token(full(key), "later")


def test_a_record_may_grow_and_shrink(offer: Any, key: Key, home: Path) -> None:
    vault = WinVault()
    storage = offer(vault)
    for credential in (bare(key), full(key), bare(key), with_token(full(key), "t" * 8000)):
        storage.save(credential)
        assert storage.load(key) == credential
        there = (home / f"{key.id}.sealed").exists()
        assert there == (credential.tokens != bare(key).tokens)


@pytest.mark.parametrize("other", ["smaller", "out", "and in again"])
def test_what_another_process_does_between_two_looks_is_no_damage(
    other: str, offer: Any, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, later = offer(WinVault()), None if other == "out" else bare(key)
    if other == "and in again":
        later = with_token(full(key), "later")
    storage.save(full(key))
    read, todo = Sealed.read, [storage.delete] if later is None else [storage.delete, storage.save]

    def meanwhile(self: Sealed, item: Item) -> str | None:
        actions, todo[:] = todo[:], []
        for action in actions:
            action(key if action == storage.delete else later)
        return read(self, item)

    monkeypatch.setattr(Sealed, "read", meanwhile)
    assert storage.load(key) == later
    assert not storage._damaged


def test_a_sealed_file_that_is_gone_is_a_damaged_record_that_names_it(
    offer: Any, key: Key, home: Path
) -> None:
    storage = offer(WinVault())
    storage.save(full(key))
    (home / f"{key.id}.sealed").unlink()
    with pytest.raises(StorageError, match=rf"{key.id}\.sealed") as caught:
        storage.load(key)
    assert caught.value.code == "damaged_record"
    storage.save(full(key))
    assert storage.load(key) == full(key)


def test_a_keyring_item_whose_key_is_none_is_a_damaged_record(offer: Any, key: Key) -> None:
    vault = WinVault()
    storage = offer(vault)
    storage.save(full(key))
    vault.items = dict.fromkeys(vault.items, '{"version": 1, "seal": "nonsense"}')
    with pytest.raises(StorageError, check=coded("damaged_record")):
        storage.load(key)


def test_a_damaged_sealed_file_is_set_aside(offer: Any, key: Key, home: Path) -> None:
    storage = offer(WinVault())
    storage.save(full(key))
    file = home / f"{key.id}.sealed"
    file.write_text(file.read_text()[:300])
    with pytest.raises(StorageError, check=coded("damaged_record")):
        storage.load(key)
    storage.save(full(key))
    assert storage.load(key) == full(key)
    assert (home / f"{key.id}.sealed.damaged").exists()


def test_a_damaged_sealed_file_is_kept_also_if_the_next_record_is_small(
    offer: Any, key: Key, home: Path
) -> None:
    storage = offer(WinVault())
    storage.save(full(key))
    file = home / f"{key.id}.sealed"
    file.write_text(file.read_text()[:300])
    with pytest.raises(StorageError, check=coded("damaged_record")):
        storage.load(key)
    storage.save(bare(key))
    assert storage.load(key) == bare(key)
    assert (file.exists(), (home / f"{key.id}.sealed.damaged").exists()) == (False, True)


def test_a_new_sealing_key_is_32_random_bytes() -> None:
    keys = {new_key().reveal() for _ in range(10)}
    assert len(keys) == 10
    assert all(len(base64.b64decode(k)) == 32 for k in keys)


def test_a_keyring_that_fails_half_way_leaves_the_sealed_record_whole(
    offer: Callable[[Any], KeyringStorage], key: Key
) -> None:
    class Moody(WinVault):
        locked = False

        def get_password(self, service: str, user: str) -> str | None:
            if self.locked:
                raise KeyringLocked
            return super().get_password(service, user)

        def set_password(self, service: str, user: str, password: str) -> None:
            if self.locked:
                raise KeyringLocked
            super().set_password(service, user, password)

    backend = Moody()
    storage = offer(backend)
    storage.save(full(key))
    backend.locked = True
    with pytest.raises(StorageError):
        storage.save(with_token(full(key), "n" * 3000))
    backend.locked = False
    assert storage.load(key) == full(key)


def test_a_login_whose_key_is_lost_can_be_ended_where_another_storage_is_named(
    sealed: FileStorage, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed.save(full(key))
    monkeypatch.delenv("MCP_CLIENT_AUTH_KEY")
    found, stored, trouble = forget(choose_storage("keyring", key), key)
    assert (found, stored, len(trouble)) == (True, None, 1)
    assert sealed.load(key) is None


def test_a_sealed_file_that_belongs_to_another_key_is_damaged(
    offer: Any, key: Key, home: Path
) -> None:
    vault = WinVault()
    storage = offer(vault)
    storage.save(full(key))
    other = json.dumps({"version": 1, "seal": a_key()})
    vault.items = dict.fromkeys(vault.items, other)
    with pytest.raises(StorageError) as caught:
        storage.load(key)
    assert caught.value.code == "damaged_record"


def test_of_each_record_it_is_said_whether_it_is_sealed() -> None:
    inner, key = MemoryBackend(), new_key()
    held = SealedBackend(inner, lambda: key)
    inner.write(Item("a", ".json"), "{}")
    held.write(Item("b", ".json"), "{}")
    places = [held.place_of(Item(name, ".json")) for name in "abc"]
    assert places == [inner.where(), f"{inner.where()}, sealed", inner.where()]


def test_a_sealed_backend_lists_what_it_holds() -> None:
    held = SealedBackend(MemoryBackend(), new_key)
    held.write(Item("a", ".json"), "text")
    assert list(held.names()) == [Item("a", ".json").name]


def test_a_lock_of_a_sealed_backend_is_that_of_the_backend() -> None:
    inner = MemoryBackend()
    with SealedBackend(inner, new_key).lock("a", "refresh", 1):
        with pytest.raises(Unavailable, check=coded("locked")), inner.lock("a", "refresh", 0):
            pass
        with inner.lock("refresh", "a", 0):
            pass


def test_what_is_sealed_may_lie_where_others_can_read() -> None:
    class Open(MemoryBackend):
        def inspect(self, canary: Item) -> None:
            raise StorageError("others can read it", code="not_private")

    key = new_key()
    Store("own", SealedBackend(Open(), lambda: key)).check()
    with pytest.raises(StorageError, check=coded("not_private")):
        Store("own", SealedBackend(Open(), lambda: None)).check()
