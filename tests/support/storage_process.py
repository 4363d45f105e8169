"""What the tests let another process do: `storage_process.py ACTION STORAGE SERVER [ARGUMENT]`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import AuthError
from mcp_client_auth.storage import Storage, storage_named
from tests.support.storage_samples import CLIENT_KEY, full, full_client, with_token

NEWER = "newer"
LONG = 600.0
Action = Callable[[Storage, Key, str], object]


def load(storage: Storage, key: Key, _: str) -> object:
    found = storage.load(key)
    return found and found.tokens.access_token.reveal()


def save(storage: Storage, key: Key, token: str) -> None:
    storage.save(with_token(full(key), token))


def delete(storage: Storage, key: Key, _: str) -> None:
    storage.delete(key)


def servers(storage: Storage, key: Key, _: str) -> list[str]:
    return [summary.key.server for summary in storage.list()]


def client(storage: Storage, key: Key, _: str) -> bool:
    return storage.load(CLIENT_KEY) == full_client()


def check(storage: Storage, key: Key, _: str) -> str:
    storage.check()
    return storage.where


def check_often(storage: Storage, key: Key, times: str) -> None:
    for _ in range(int(times)):
        storage.check()


def append(storage: Storage, key: Key, letters: str) -> None:
    """Add each letter to the token, as a refresh would: read, change, write, under the lock.

    Its turn may come late on a busy machine, so the wait for the lock is practically unlimited.
    """
    for letter in letters:
        with storage.lock(key, timeout=LONG):
            stored = storage.load(key)
            assert stored is not None
            storage.save(with_token(stored, stored.tokens.access_token.reveal() + letter))


def hold(storage: Storage, key: Key, _: str) -> None:
    """Hold the lock until the standard input ends."""
    with storage.lock(key):
        print("held", flush=True)
        sys.stdin.read()


def die_in(storage: Storage, key: Key, call: str) -> None:
    """End at once, as with kill -9, just before `os.CALL` would begin."""

    def end(*_: Any, **__: Any) -> NoReturn:
        os._exit(9)

    setattr(os, call, end)
    save(storage, key, "never")


def die_at(storage: Storage, key: Key, point: str) -> str:
    """Write, and end as with kill -9 before the nth step that others could see half-done."""
    left = int(point)

    def counted(module: Any, name: str) -> None:
        step = getattr(module, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(9)
            return step(*arguments, **named)

        setattr(module, name, counting)

    import keyring

    stored = storage.load(key)
    assert stored is not None
    for name in ("open", "fsync", "replace"):
        counted(os, name)
    backend: Any = type(keyring.get_keyring())
    counted(backend, "set_password")
    with storage.lock(key):
        storage.save(with_token(stored, NEWER * 500))
    return "survived"


def hang(storage: Storage, key: Key, _: str) -> None:
    """A write to a keyring that never returns."""
    import keyring

    class Hanging:
        priority = 5

        def set_password(self, *_: str) -> None:
            time.sleep(3600)

    backend: Any = Hanging()
    keyring.get_keyring = lambda: backend
    storage.check()


ACTIONS: dict[str, Action] = {
    action.__name__: action
    for action in (load, save, delete, servers, client, check, check_often, append, hold)
} | {"die-in": die_in, "die-at": die_at, "hang": hang}


def main(action: str, storage: str, server: str, argument: str = "") -> None:
    """Print the result as JSON, or the error's type, code and message."""
    try:
        done = ACTIONS[action](storage_named(storage), Key(server), argument)
    except AuthError as error:
        print(json.dumps({"error": type(error).__name__, "code": error.code, "text": str(error)}))
    else:
        print(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
