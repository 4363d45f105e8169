"""One process of the soak: it makes requests to every server until it is told to end, or killed.

Imported by a fork server, so that fifty of them cost one import.
"""

from __future__ import annotations

import os
import threading
import time
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

import httpx

from mcp_client_auth import AuthError, MCPAuth
from mcp_client_auth.session import renewal
from mcp_client_auth.storage import choose_storage
from mcp_client_auth.transport import exchange

NAMED: Final = "soak/"  # what the servers know a process by, before its number
HEADERS: Final = {"Accept": "application/json, text/event-stream"}
THREADS: Final = 2
PAUSE: Final = 0.6  # seconds between two requests of a thread, in the mean
_LOOK: Final = 3.0


def member(told: Connection, urls: list[str], seed: int, pause: float = PAUSE) -> None:
    """Says what came of each request as `(server, began, ended, outcome)`, and now and then how
    large it is as `(memory, handles, threads)`."""
    exchange._HEADERS["User-Agent"] = f"{NAMED}{os.getpid()}"
    turn, over = threading.Lock(), threading.Event()
    auths = [MCPAuth(url, storage=choose_storage("file"), prompt=None) for url in urls]

    def say(value: tuple[Any, ...]) -> None:
        with turn:
            told.send(value)

    def work(number: int) -> None:
        random, count = Random(seed * THREADS + number), 0
        clients = [httpx.Client(auth=auth, timeout=60, trust_env=False) for auth in auths]
        while not over.wait(random.uniform(pause / 6, pause * 11 / 6)):
            count += 1
            where = random.randrange(len(urls))
            message = {"jsonrpc": "2.0", "id": f"{os.getpid()}-{number}-{count}"}
            began = time.monotonic()
            outcome = came_of(clients[where], urls[where], {**message, "method": "tools/list"})
            say((where, began, time.monotonic(), outcome))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    while not told.poll(_LOOK):
        say(size())
    over.set()
    for thread in threads:
        thread.join()
    renewal.save_what_is_left()
    say(("ended",))


def came_of(client: httpx.Client, url: str, message: dict[str, Any]) -> str:
    try:
        return str(client.post(url, headers=HEADERS, json=message).status_code)
    except AuthError as error:
        return f"{type(error).__name__} {error.code}: {error.summary}"
    except httpx.TransportError:
        return "broken"


def size() -> tuple[int, int, int]:
    """Megabytes, handles, threads."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE") >> 20
    return memory, len(os.listdir("/proc/self/fd")), threading.active_count()
