"""One host of a fleet: `fleet_process.py ENGINE_URL NAMESPACE SERVER_URL WORKERS SECONDS`.

Its workers share nothing but the engine. Waits for a line on stdin, then prints one of JSON: the
requests that were answered well, and what went wrong with others.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter

import httpx

from mcp_client_auth import MCPAuth
from tests.support.fleet_hosts import storage_at

HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

ENGINE, NAMESPACE, SERVER, WORKERS, SECONDS = sys.argv[1:]
results: Counter[str] = Counter()
ends: list[float] = []


def work() -> None:
    auth = MCPAuth(SERVER, storage=storage_at(ENGINE, NAMESPACE), prompt=None)
    with httpx.Client(auth=auth, timeout=60, trust_env=False) as client:
        while time.monotonic() < ends[0]:
            try:
                results[str(client.post(SERVER, headers=HEADERS, json=LIST).status_code)] += 1
            except Exception as error:
                results[f"{type(error).__name__}: {error}"] += 1
            time.sleep(0.5)


print("ready", flush=True)
sys.stdin.readline()
ends.append(time.monotonic() + float(SECONDS))
threads = [threading.Thread(target=work) for _ in range(int(WORKERS))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(results), flush=True)
