"""One host of a fleet: a line of JSON on stdin says what to do, the next line starts it.

Its workers are processes that share only the engine and the home of their host. They report
what happens in lines of JSON, and end as programs do when stdin ends.
"""

from __future__ import annotations

import json
import logging
import os
import select
import time
from typing import Any


def told() -> str:
    """Read a line and not a byte more: the rest is for other readers."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line.decode()


def say(**what: Any) -> None:
    os.write(1, json.dumps({"pid": os.getpid(), **what}).encode() + b"\n")


TOLD = json.loads(told())
_time = time.time
time.time = lambda: _time() + TOLD["ahead"]  # before any module has a reference to the right clock

import httpx  # noqa: E402

from mcp_client_auth import MCPAuth  # noqa: E402
from mcp_client_auth.storage.shared import Shared  # noqa: E402
from tests.support.fleet_storage import HEADERS, LIST, storage_at  # noqa: E402

logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # engines are killed here
_PAUSE = 0.5
_HOUR = 3600.0


def work(account: str) -> None:
    storage = storage_at(TOLD["engine"], TOLD["namespace"], TOLD["lease"])
    stop_at(TOLD["stop"], storage)
    auth = MCPAuth(TOLD["server"], account=account, storage=storage, prompt=None)
    with httpx.Client(auth=auth, timeout=120, trust_env=False) as client:
        while True:
            try:
                answer = str(client.post(TOLD["server"], headers=HEADERS, json=LIST).status_code)
            except Exception as error:
                answer = f"{type(error).__name__} {getattr(error, 'code', '')}: {error}"
            say(answer=answer)
            if select.select([0], [], [], _PAUSE)[0]:
                return


def stop_at(moment: str, storage: Shared) -> None:
    """Report when a renewal reaches this moment, and hang there unless it is "sending"."""
    take, put = storage.engine.take, storage.engine.put

    def reached(now: str) -> None:
        if now == moment:
            say(at=now)
            time.sleep(0 if now == "sending" else _HOUR)

    def taking(id: str, purpose: str, *rest: Any) -> Any:  # noqa: A002
        taken = take(id, purpose, *rest)
        if taken.ours and purpose == "refresh":
            reached("before")
        return taken

    def putting(*record: Any, **how: Any) -> Any:
        written = put(*record, **how)
        reached("sending" if how.get("same") else "saved")
        return written

    vars(storage.engine).update(take=taking, put=putting)


say(at="ready")
told()
for account in TOLD["accounts"]:
    if os.fork() == 0:
        work(account)
        break
else:
    for _ in TOLD["accounts"]:
        os.wait()
