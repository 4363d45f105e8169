"""The client's ends of the bridge: whole messages, and no word after the end."""

from __future__ import annotations

import os
import queue
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from mcp_client_auth.cli import stdio as module
from mcp_client_auth.cli.stdio import Stdio
from mcp_client_auth.mcp.lines import lines_of

PATIENCE = 60.0


class Pipes:
    def __init__(self) -> None:
        inlet, self.to = os.pipe()
        self.back, outlet = os.pipe()
        self.stdio = Stdio(inlet, outlet)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    for handle in (made.to, made.back):
        with suppress(OSError):  # the test has
            os.close(handle)


def lines(pipes: Pipes) -> list[bytes | None]:
    taken: list[bytes | None] = []
    pipes.stdio.serve(lines_of, taken.append)
    return taken


def test_lines_end_with_the_client(pipes: Pipes) -> None:
    os.write(pipes.to, b"one\ntwo\nthree")
    os.close(pipes.to)
    assert lines(pipes) == [b"one", b"two", b"three"]


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe tells it on POSIX")
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_the_end_is_seen_while_a_line_is_not_taken(
    pipes: Pipes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node.js starts programs with sockets for pipes, and ends its own direction alone."""
    if kind == "socket" and not hasattr(select, "POLLRDHUP"):
        pytest.skip("only Linux tells of one direction")
    if kind == "socket":
        ours, theirs = socket.socketpair()
        pipes.stdio, pipes.to = Stdio(ours.detach(), pipes.stdio._outlet), theirs.detach()
    monkeypatch.setattr(module, "_LOOK", 0.01)
    begun, never = threading.Event(), threading.Event()

    def take(line: bytes | None) -> None:
        begun.set()
        never.wait(PATIENCE)

    serving = threading.Thread(target=pipes.stdio.serve, args=(lines_of, take))
    os.write(pipes.to, b"one\ntwo\n")
    serving.start()
    assert begun.wait(PATIENCE)
    serving.join(0.1)
    assert serving.is_alive()  # the client may only be patient
    if kind == "socket":
        with socket.socket(fileno=os.dup(pipes.to)) as theirs:
            theirs.shutdown(socket.SHUT_WR)
    else:
        os.close(pipes.to)
    serving.join(PATIENCE / 2)
    assert not serving.is_alive()
    never.set()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no poll")
def test_an_end_that_cannot_be_polled_has_not_hung_up(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a terminal on macOS."""
    polled = threading.Semaphore(0)

    class Poll:
        def register(self, inlet: int, events: int) -> None: ...

        def poll(self, timeout: int) -> list[tuple[int, int]]:
            polled.release()
            return [(0, select.POLLNVAL)]

    monkeypatch.setattr(module, "_LOOK", 0.01)
    monkeypatch.setattr(select, "poll", Poll)
    taken: list[bytes | None] = []
    serving = threading.Thread(target=pipes.stdio.serve, args=(lines_of, taken.append))
    serving.start()
    for _ in range(2):
        assert polled.acquire(timeout=PATIENCE)
    os.write(pipes.to, b"one")
    os.close(pipes.to)
    serving.join(PATIENCE)
    assert taken == [b"one"]


def test_what_goes_wrong_with_a_line_is_the_callers_to_see(pipes: Pipes) -> None:
    os.write(pipes.to, b"one\n")
    with pytest.raises(ZeroDivisionError):
        pipes.stdio.serve(lines_of, lambda line: print(1 / 0))


def test_messages_are_whole_whoever_writes_and_however_slowly_they_are_read(pipes: Pipes) -> None:
    written = [bytes([65 + number]) * 300_000 + b"\n" for number in range(5)]
    writers = [threading.Thread(target=pipes.stdio.write, args=(each,)) for each in written]
    for writer in writers:
        writer.start()
    got = b""
    while len(got) < sum(map(len, written)):
        got += os.read(pipes.back, 1 << 16)
    for writer in writers:
        writer.join(PATIENCE)
    assert sorted(got.splitlines(keepends=True)) == written


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_an_end_that_does_not_block_is_waited_for(pipes: Pipes) -> None:
    for handle in (pipes.stdio._inlet, pipes.stdio._outlet):
        os.set_blocking(handle, False)
    taken: queue.Queue[bytes | None] = queue.Queue()
    serving = threading.Thread(target=pipes.stdio.serve, args=(lines_of, taken.put))
    serving.start()
    threading.Timer(0.05, os.write, (pipes.to, b"late\n")).start()
    assert taken.get(timeout=PATIENCE) == b"late"
    writer = threading.Thread(target=pipes.stdio.write, args=(b"x" * 300_000,))
    writer.start()
    got = 0
    while got < 300_000:
        got += len(os.read(pipes.back, 1 << 16))
    writer.join(PATIENCE)
    os.close(pipes.to)
    serving.join(PATIENCE)
    assert not serving.is_alive()


def test_a_client_that_reads_no_more_ends_it(pipes: Pipes) -> None:
    os.close(pipes.back)
    pipes.stdio.write(b"for no one\n")
    assert lines(pipes) == []
    pipes.stdio.write(b"for no one\n")  # is no error


def test_after_the_end_nothing_is_written(pipes: Pipes) -> None:
    pipes.stdio.write(b"one\n")
    pipes.stdio.close()
    pipes.stdio.write(b"two\n")
    assert os.read(pipes.back, 100) == b"one\n"
