"""What a fleet costs: the fast path, very many logins, very many users of one process; and users of
a web application, and programs that need none of this."""

from __future__ import annotations

import json
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import requires
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from mcp_client_auth import MCPAuth, MemoryStorage
from mcp_client_auth.credential import Credential, Key, dumps, key_for
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage import Storage
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import DemoServer
from tests.slow.benchmarks.run import answering, held
from tests.slow.test_web_processes import process
from tests.support.app_browser import AppBrowser
from tests.support.engines import Child, PostgresServer, RedisServer
from tests.support.fleet_network import Relay
from tests.support.fleet_storage import storage_at

URL: Final = "https://mcp.example.com/mcp"
SERVERS: Final = 5  # of each user


class FastPath(NamedTuple):
    """Seconds of a request with a fresh token beyond what memory takes, and bytes to or from the
    engine meanwhile."""

    more: float
    io: int


def fast_path(engine: Child, requests: int, turns: int = 9) -> FastPath:
    with ExitStack() as stack:
        relay, port = stack.enter_context(Relay()), urlsplit(engine.url).port or 0
        listening = socket.create_server(("127.0.0.1", 0))
        relay.listen(listening, port)
        url = engine.url.replace(f":{port}", f":{listening.getsockname()[1]}")
        shared, memory = made(url, "fast_path"), MemoryStorage()
        flows = [flow(shared), flow(memory)]
        before = relay.passed
        assert before > 0, "what is counted is what passes there"
        best = [float("inf")] * 2
        for turn in range(turns):
            for number in (0, 1) if turn % 2 else (1, 0):
                began = time.thread_time()
                for _ in range(requests):
                    flows[number]()
                best[number] = min(best[number], time.thread_time() - began)
        passed = relay.passed - before
        shared.engine.close()
    return FastPath((best[0] - best[1]) / requests, passed)


def flow(storage: Storage) -> Callable[[], None]:
    """All that a request costs but the sending of it."""
    storage.save(held(URL))
    auth = MCPAuth(URL, storage=storage, prompt=None)
    request, response = httpx.Request("POST", URL), httpx.Response(200)
    response.request = request

    def once() -> None:
        steps = auth.sync_auth_flow(request)
        next(steps)
        try:
            steps.send(response)
        except StopIteration:
            return
        raise AssertionError("one request and no more")

    once()
    return once


class Many(NamedTuple):
    """`look` is the median of a look-up over that of 1,000 logins; the others in seconds, bytes."""

    logins: int
    record: int
    bytes_each: float
    look: float
    look_up: float
    list_of_user: float


def many(kind: str, logins: int, few: int = 1000) -> Many:
    with ExitStack() as stack:
        stores, sizes, keys = [], [], []
        for count in (few, logins):
            engine = stack.enter_context(alone(kind, stack))
            storage = made(engine.url, "many")
            storage.save(usual(key_for(URL)))  # what is needed once, such as its scripts
            before = occupied(storage)
            names = [
                key_for(f"https://mcp{n % SERVERS}.example.com/mcp", f"user {n // SERVERS}")
                for n in range(count)
            ]
            with ThreadPoolExecutor(4) as pool:
                for _ in pool.map(storage.save, map(usual, names)):
                    pass
            sizes.append((occupied(storage) - before) / count)
            stores.append(storage)
            keys.append(names[:: max(count // 200, 1)])
        looks: Sequence[list[float]] = ([], [])
        for _ in range(9):  # turn by turn
            for store, some, found in zip(stores, keys, looks, strict=True):
                found.append(median(store.load, some))
        of_user = min(
            median(lambda key: stores[1].list(account=key.account), keys[1]) for _ in range(5)
        )
        plain = len(dumps(usual(keys[1][0])))
        for storage in stores:
            storage.engine.close()
    small, large = map(min, looks)
    return Many(logins, plain, sizes[1], large / small, large, of_user)


def usual(key: Key) -> Credential:
    """With a JWT of 880 characters, and a client that was registered for it."""
    login = held(key.server)
    tokens = replace(
        login.tokens,
        access_token=Secret(secrets.token_urlsafe(660)),
        refresh_token=Secret(secrets.token_urlsafe(48)),
    )
    return replace(
        login,
        key=key,
        tokens=tokens,
        requested=login.tokens.scope,
        revocation_endpoint=f"{login.issuer}/revoke",
    )


def alone(kind: str, stack: ExitStack) -> PostgresServer | RedisServer:
    if kind == "postgres":
        return PostgresServer()
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    return RedisServer(Path(directory), "--appendonly", "no")


def occupied(storage: Shared) -> int:
    """What the engine says that it needs, in bytes."""
    engine: Any = storage.engine
    if engine.name == "redis":
        told = engine._client.info("memory")  # connections are there in any case
        return int(told["used_memory"]) - int(told["mem_clients_normal"])
    import psycopg

    with psycopg.connect(engine._url.whole()) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind = 'r'",
            (engine._schema,),
        ).fetchone()
    assert row
    return int(row[0])


def median(work: Callable[[Any], object], given: Sequence[Any]) -> float:
    taken = []
    for each in given:
        began = time.perf_counter()
        work(each)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


class Users(NamedTuple):
    """How the users of one process fared whose tokens had all ended."""

    users: int
    threads: int
    failures: int
    seconds: float


def users(engine: Child, count: int, places: int) -> Users:
    """Their token endpoints, `places` of them, answer after 50 ms."""
    storage = made(engine.url, f"users_{secrets.token_hex(4)}")
    with ExitStack() as stack:
        urls = [stack.enter_context(answering(0.05)) for _ in range(places)]
        now, sessions = time.time(), []
        for number in range(count):
            url = urls[number % places]
            endpoint, login = url.replace("/mcp", "/token"), held(url, number)
            tokens = replace(login.tokens, issued_at=now - 3601, expires_at=now - 1)
            key, issuer = key_for(url, f"user-{number}"), endpoint.removesuffix("/token")
            storage.save(
                replace(login, key=key, issuer=issuer, token_endpoint=endpoint, tokens=tokens)
            )
            auth = MCPAuth(url, account=key.account, storage=storage, prompt=None)
            sessions.append(auth.session)
        threads, began, most = threading.active_count(), time.perf_counter(), 0
        futures = [session.ready() for session in sessions]
        while not all(future.done() for future in futures):
            most = max(most, threading.active_count() - threads)
            time.sleep(0.01)
        took = time.perf_counter() - began
    storage.engine.close()
    return Users(count, most, sum(future.exception() is not None for future in futures), took)


class Web(NamedTuple):
    """How many of the users signed in, and of those who tried another's response or one twice."""

    users: int
    done: int
    stolen: int
    replayed: int
    registrations: int


def web(engine: Child, count: int) -> Web:
    """They begin in one process and finish in another."""
    namespace = "mcp-client-auth" if engine.url.startswith("redis") else "mcp_client_auth"
    made(engine.url, namespace).engine.close()
    names = [f"user {secrets.token_hex(4)}" for _ in range(count)]
    with DemoServer() as server:
        pages = process("begin", engine.url, server.url, names)
        callbacks = [AppBrowser().sign_in(page) for page in pages]
        wrong = [*names[1:], "nobody"]
        stolen = process("finish", engine.url, server.url, list(zip(wrong, callbacks, strict=True)))
        own = list(zip(names, callbacks, strict=True))
        done = process("finish", engine.url, server.url, own)
        twice = process("finish", engine.url, server.url, own)
        return Web(
            count,
            done.count("done"),
            count - stolen.count("not_this_login"),
            count - twice.count("spent"),
            server.count("/register"),
        )


_PROGRAM: Final = """
import json, sys, tempfile
import mcp_client_auth
from mcp_client_auth import FileStorage, MCPAuth
from mcp_client_auth.session.single_flight import wait
storage = FileStorage(tempfile.mkdtemp(dir=sys.argv[1]))
try:
    wait(MCPAuth("https://mcp.example.com/mcp", storage=storage, prompt=None).session.ready())
except mcp_client_auth.AuthError:
    pass
print(json.dumps(sorted(sys.modules)))
"""
_ENGINES: Final = ("redis", "psycopg", "psycopg_pool")
_ROOMS: Final = ("web", "split_login", "storage.shared", "storage.redis", "storage.postgres")


def noticed() -> Sequence[str]:
    """What a program with a file storage loads, or a plain install brings, of all this."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, home], capture_output=True, text=True, check=True
        )
    modules = json.loads(done.stdout)
    ours = [f"mcp_client_auth.{room}" for room in _ROOMS]
    loaded = [name for name in modules if name.partition(".")[0] in _ENGINES or name in ours]
    plain = [line for line in requires("mcp-client-auth") or () if "extra ==" not in line]
    return [*loaded, *(line for line in plain if line.startswith(_ENGINES))]


def made(url: str, namespace: str) -> Shared:
    storage = storage_at(url, namespace)
    if not url.startswith("redis"):
        storage.create()  # type: ignore[attr-defined]
    return storage
