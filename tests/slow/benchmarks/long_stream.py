"""A stream of an hour through the bridge: `python -m tests.slow.benchmarks.long_stream`.

10,000 messages of the server itself come evenly over it, and the stream is cut a hundred times;
meanwhile calls are made. Every message must be there once and in order, and the bridge must not
grow: in memory, threads or descriptors. It sleeps most of the time. Exit code 1 if it has not held.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.slow.interop.test_bridge import INITIALIZE, Host
from tests.slow.interop.test_bridge import bridge as started
from tests.support.mcp_stage import Request, Stage, event, sessions
from tests.support.terminal import Terminal

MOST_MORE_MB = 2.0
CALLS = 200
SETTLED = 0.2  # of the messages: by then everything has been in use


@dataclass(frozen=True, slots=True)
class Size:
    """What the bridge takes of its machine. `memory` in MB."""

    memory: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, number: int) -> Size:
        process = Path(f"/proc/{number}")
        said = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        memory = int(said["VmRSS"].split()[0]) / 1024
        return cls(memory, int(said["Threads"]), len([*(process / "fd").iterdir()]))


class Talkative:
    """A server whose own stream has one message after the other, and ends now and then."""

    def __init__(self, messages: int, seconds: float) -> None:
        self._messages, self._pause = messages, seconds / messages
        self._part = max(1, messages // 100)
        self._began = 0.0

    def __call__(self, request: Request) -> None:
        if request.command != "GET":
            request.result(ok=1)
            return
        self._began = self._began or time.monotonic()
        first = int(request.headers.get("Last-Event-ID") or 0) + 1
        request.stream(b"retry: 1\n\n")
        for number in range(first, min(first + self._part, self._messages + 1)):
            left = self._began + number * self._pause - time.monotonic()
            time.sleep(max(0, left))
            told = {"method": "notifications/message", "params": {"level": "info", "data": number}}
            request.wfile.write(event({"jsonrpc": "2.0", **told}, str(number)))
            request.wfile.flush()


class Listener:
    """Counts what the bridge says, and measures it at a quarter of the way and at the end."""

    def __init__(self, host: Host, messages: int) -> None:
        self.told, self.answered, self.lost = 0, 0, 0
        self._host, self._messages = host, messages
        self.sizes: list[Size] = []

    def listen(self) -> None:
        while self.told < self._messages:
            message = self._host.hear()
            if message.get("method") != "notifications/message":
                self.answered += 1
                continue
            self.lost += message["params"]["data"] != self.told + 1
            self.told += 1
            if self.told in (int(self._messages * SETTLED), self._messages):
                self.sizes.append(Size.of(self._host.process.pid))


def measured(messages: int, seconds: float) -> Listener:
    server = Talkative(messages, seconds)
    with (
        tempfile.TemporaryDirectory() as home,
        Stage(sessions(server)) as stage,
        started(Terminal(Path(home)), stage.url, patience=seconds + 300) as host,
    ):
        host.say(INITIALIZE)
        assert "result" in host.hear()
        host.say({"method": "notifications/initialized"})
        listener = Listener(host, messages)
        hearing = threading.Thread(target=listener.listen, daemon=True)
        hearing.start()
        for number in range(1, CALLS + 1):
            host.say({"id": number, "method": "tools/list"})
            hearing.join(seconds / CALLS)
        hearing.join(seconds + 60)
        return listener


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    found = measured(options.messages, options.seconds)
    sizes = found.sizes if len(found.sizes) > 1 else [Size(0, 0, 0)] * 2
    before, after = sizes
    print(
        f"{found.told} of {options.messages} messages, {found.lost} out of order;"
        f" {found.answered} of {CALLS} calls answered\n"
        f"memory {before.memory:.1f} MB, then {after.memory:.1f} MB; threads {before.threads},"
        f" then {after.threads}; descriptors {before.descriptors}, then {after.descriptors}"
    )
    complete = found.told == options.messages and found.answered == CALLS and not found.lost
    more = after.memory - before.memory > MOST_MORE_MB
    more = more or after.threads > before.threads + 2 or after.descriptors > before.descriptors + 2
    return 0 if complete and not more else 1


if __name__ == "__main__":
    sys.exit(main())
