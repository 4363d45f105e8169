"""What one process of a crowd does: `crowd_process.py ACTION URL STORAGE [ARGUMENT]`.

It prints lines of JSON and is told to go on by lines on stdin.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NoReturn

from tests.slow.crowd import at_the_end  # isort: skip  (before the package)

import httpx

import mcp_client_auth.session.renewal
from mcp_client_auth import AuthError, MCPAuth, MemoryStorage
from mcp_client_auth.credential import key_for
from mcp_client_auth.session import single_flight
from mcp_client_auth.storage import Storage, choose_storage

HEADERS: Final = {"Accept": "application/json, text/event-stream"}
LIST: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PATIENCE: Final = 40.0
DAY: Final = 86_400.0


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def told() -> None:
    sys.stdin.readline()


def post(auth: MCPAuth, url: str) -> Any:
    with httpx.Client(auth=auth, timeout=PATIENCE, verify=False) as client:
        return client.post(url, headers=HEADERS, json=LIST)


def result(auth: MCPAuth, url: str) -> object:
    try:
        return post(auth, url).status_code
    except AuthError as error:
        return [type(error).__name__, error.code]


def request(url: str, storage: str, argument: str) -> None:
    """One request, when told."""
    auth = MCPAuth(url, storage=storage, prompt=None)
    say("ready")
    told()
    say(result(auth, url))


def ask(url: str, storage: str, argument: str) -> None:
    """One request that may ask a person, when told; then as many more as the argument says."""
    auth = MCPAuth(url, storage=storage)
    say("ready")
    told()
    say([result(auth, url) for _ in range(1 + int(argument or 0))])


def keep_on(url: str, storage: str, argument: str) -> None:
    """Requests without a pause until so many new tokens have been used."""
    auth = MCPAuth(url, storage=storage, prompt=None)
    with httpx.Client(auth=auth, timeout=PATIENCE, verify=False) as client:
        client.post(url, headers=HEADERS, json=LIST)
        say("ready")
        told()
        seen: set[str] = set()
        statuses: set[int] = set()
        deadline = time.monotonic() + PATIENCE
        while len(seen) <= int(argument) and time.monotonic() < deadline:
            answer = client.post(url, headers=HEADERS, json=LIST)
            statuses.add(answer.status_code)
            seen.add(answer.request.headers["Authorization"])
            time.sleep(0.02)
    say([sorted(statuses), len(seen)])


def leave(url: str, storage: str, how: str) -> None:
    """End in one of several ways, while a renewal is on the wire in the background."""
    auth = MCPAuth(url, storage=storage, prompt=None)
    say(post(auth, url).status_code)
    told()
    atexit.register(say, "exiting")  # runs before the package's own: the last comes first
    if how == "sys.exit":
        sys.exit(3)
    if how == "exception":
        raise RuntimeError("unhandled")


def leave_early(url: str, storage: str, argument: str) -> None:
    """End while a refresh is not yet sent, for somebody else has the lock."""
    auth = MCPAuth(url, storage=storage, prompt=None)
    threading.Thread(target=result, args=(auth, url), daemon=True).start()
    threads: list[threading.Thread] = []
    while not threads:
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("mcp")]
        time.sleep(0.01)
    say("waiting")
    told()

    def last() -> None:
        say("exiting")
        told()
        for thread in threads:
            thread.join(60)
        say([len(threads), sum(thread.is_alive() for thread in threads)])

    at_the_end.actions.append(last)


def leave_as_child(url: str, storage: str, method: str) -> None:
    """Have a process of `multiprocessing` do what `leave` does, and say how it has ended."""
    import multiprocessing

    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=_leave, args=(url, storage))
    process.start()
    process.join(PATIENCE)
    say(process.exitcode)


def _leave(url: str, storage: str) -> None:
    mcp_client_auth.session.renewal.draw = lambda: 1.0
    say(post(MCPAuth(url, storage=storage, prompt=None), url).status_code)
    while not any(single_flight._wire._threads):
        time.sleep(0.01)
    say("leaving")


def leave_late(url: str, storage: str, argument: str) -> None:
    """Make the first request when everything else has ended."""
    auth = MCPAuth(url, storage=storage, prompt=None)
    at_the_end.actions.append(lambda: say(result(auth, url)))


def interrupted(url: str, storage: str, how: str) -> None:
    """Wait for a refresh in the main thread or loop until Ctrl-C; the exit code tells nothing."""
    auth = MCPAuth(url, storage=storage, prompt=None)

    async def main() -> None:
        async with httpx.AsyncClient(auth=auth, timeout=PATIENCE) as client:
            await client.post(url, headers=HEADERS, json=LIST)

    atexit.register(say, "exiting")
    try:
        if how == "sync":
            post(auth, url)
        elif how == "asyncio":
            asyncio.run(main())
        else:
            import trio

            trio.run(main)
    except KeyboardInterrupt:
        sys.exit(130)


def die(url: str, storage: str, point: str) -> None:
    """Be killed at a point of the keeping of a refreshed token: `FUNCTION NUMBER before|after`."""
    name, number, when = point.split()
    real = getattr(os, name)
    left = [int(number)]

    def deadly(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*arguments, **more)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(os, name, deadly)
    say(result(MCPAuth(url, storage=storage, prompt=None), url))


def fill(url: str, storage: str, argument: str) -> None:
    """Requests, while no file can be written from when we are told until we are told again."""
    import resource

    whole = resource.getrlimit(resource.RLIMIT_FSIZE)
    auth = MCPAuth(url, storage=storage, prompt=None)
    if argument == "asked":  # the answer is on its way when the disk is full
        asking = threading.Thread(target=lambda: say(result(auth, url)))
        asking.start()
    say("ready")
    told()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, whole[1]))
    say("full")
    if argument != "asked":
        say(result(auth, url))
    told()
    resource.setrlimit(resource.RLIMIT_FSIZE, whole)
    say("free")
    told()
    say(result(auth, url))


def fork(url: str, storage: str, how: str) -> None:
    """Fork when told; the child, for whom the token has expired, makes a request too."""
    auth = MCPAuth(
        url, storage=in_memory(url, storage) if how == "memory" else storage, prompt=None
    )
    say(post(auth, url).status_code)  # and starts the renewal of a token that is due
    told()
    if how == "multiprocessing":
        import multiprocessing

        process = multiprocessing.get_context("fork").Process(target=child, args=(auth, url))
        process.start()
        say("forked")
        process.join(PATIENCE)
        say(process.exitcode)
    else:
        number = os.fork()
        if number == 0:
            child(auth, url)
        say("forked")
        say(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
    told()
    say(result(auth, url))


def in_memory(url: str, storage: str) -> Storage:
    kept, memory = choose_storage(storage).load(key_for(url)), MemoryStorage()
    assert kept is not None
    memory.save(kept)
    return memory


def child(auth: MCPAuth, url: str) -> NoReturn:
    code = 1
    try:
        session = auth.session
        session._renewal.ports = replace(session.ports, clock=lambda: time.time() + DAY)
        code = 0 if post(auth, url).status_code == 200 else 2
    finally:
        os._exit(code)


ACTIONS: Final[dict[str, Callable[[str, str, str], None]]] = {
    action.__name__: action
    for action in (
        request,
        ask,
        keep_on,
        leave,
        leave_early,
        leave_as_child,
        leave_late,
        interrupted,
        die,
        fill,
        fork,
    )
}


mcp_client_auth.session.renewal.draw = lambda: 1.0  # the whole margin, not one that is drawn


def main(action: str, url: str, storage: str, argument: str = "") -> None:
    ACTIONS[action](url, storage, argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
