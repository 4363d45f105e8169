"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from itertools import cycle, islice
from typing import Final

# Below those that systems give to connections, which would take one before its server does;
# each worker of pytest-xdist has ports of its own.
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_ALL: Final = random.sample(range(20_000 + _WORKER, 32_000, 8), 1500)
_NEXT: Final = cycle(_ALL)


def free_port() -> int:
    """A port on loopback where nobody listens, and none twice within 1,500."""
    for port in islice(_NEXT, len(_ALL)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is left")
