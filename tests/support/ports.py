"""Ports for servers that have to know their port before they start."""

from __future__ import annotations

import atexit
import os
import random
import socket
import time
from contextlib import suppress
from functools import cache
from itertools import cycle, islice
from typing import Final

_SHARES: Final = 16
_SIZE: Final = (32_000 - 20_000) // _SHARES


@cache
def _share() -> tuple[socket.socket, cycle[int]]:
    """Ports that no other process of the tests uses, as long as this one lives.

    They are below the ports that systems give to connections, which could take one before its
    server does. Another test run on this machine could take one too, and answer in its place,
    so a share belongs to the process that listens at the share's own port. (Another user's lock
    file could not be opened.)
    """
    first = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for share in islice(cycle(range(_SHARES)), first % _SHARES, first % _SHARES + _SHARES):
        with suppress(OSError):
            ours = socket.create_server(("127.0.0.1", 20_000 - _SHARES + share))
            atexit.register(ours.close)
            return ours, cycle(random.sample(range(20_000 + share, 32_000, _SHARES), _SIZE))
    raise RuntimeError(f"{_SHARES} processes use all ports that there are for tests")


def free_port() -> int:
    """A port on loopback where nothing listens; no port comes twice within 750."""
    for port in islice(_share()[1], _SIZE):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is left")


def await_port(port: int) -> None:
    """Wait for a port that a fixture names; the system may have given it to another program."""
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
