"""The figures of a fleet: `python -m tests.slow.fleet.figures [SECONDS] [LOGINS]`.

Real engines and processes on this machine: a crowd of 40 workers with tokens of 5 s, then what
very many logins cost.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from mcp_client_auth.credential import key_for
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import scene_of
from tests.support.engines import PostgresServer, RedisServer
from tests.support.fleet_hosts import crowd, storage_at
from tests.support.storage_samples import full


def of_a_crowd(url: str, storage: Shared, seconds: int) -> str:
    with scene_of(storage, Settings(access_token_seconds=5)) as scene:
        before = scene.stored.generation
        said = crowd(url, "figures", scene.server.url, 4, 10, seconds)
        answers: Counter[str] = sum(map(Counter, said), Counter())
        failed = sum(count for word, count in answers.items() if word != "200")
        renewals = scene.stored.generation - before
        return (
            f"{scene.refreshes} token requests for {renewals} renewals, {failed} of"
            f" {answers.total()} requests failed, {scene.server.families_revoked} logins lost"
        )


def of_many(storage: Shared, logins: int) -> str:
    keys = [key_for(f"https://mcp{n % 5}.example.com/mcp", f"user {n // 5}") for n in range(logins)]
    for key in keys:
        storage.save(full(key))
    some = keys[:: max(logins // 200, 1)]

    def renew(number: int) -> None:
        with storage.lock(some[number]):
            stored = storage.load(some[number])
            assert stored is not None
            storage.save(replace(stored, generation=stored.generation + 1))

    look = median(lambda number: storage.load(some[number]), len(some))
    user = median(lambda number: storage.list(account=some[number].account), len(some))
    return (
        f"{logins} logins: look-up {look:.2f} ms, list of a user {user:.2f} ms,"
        f" lease, read, save, release {median(renew, len(some)):.2f} ms"
    )


def median(work: Callable[[int], object], times: int) -> float:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def main(seconds: int = 60, logins: int = 10_000) -> None:
    os.environ["MCP_CLIENT_AUTH_KEY"] = new_key().reveal()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(RedisServer(directory))
        for name, url in (
            ("Redis", redis.url),
            ("PostgreSQL", stack.enter_context(PostgresServer()).url),
        ):
            storage = storage_at(url, "figures")
            if name == "PostgreSQL":
                storage.create()  # type: ignore[attr-defined]
            print(f"{name}: {of_a_crowd(url, storage, seconds)}")
            for size in (1000, logins):
                print(f"{name}: {of_many(storage, size)}", flush=True)
            storage.engine.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
