"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import Final

# Below those that systems give to connections, which would take one before its server does.
_NEXT: Final = iter(random.sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """A port on loopback, and none twice."""
    for port in _NEXT:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is left")
