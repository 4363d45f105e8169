"""Reading a terminal beside other work; what needs job control is tried in slow/terminals."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

from mcp_client_auth.prompt.terminal import reader
from mcp_client_auth.prompt.terminal.reader import is_readable, reading

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

from mcp_client_auth.prompt.terminal.posix import Modes, PosixKeys


class Desk:
    """A typist that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.more = threading.Event()
        self.is_over = False

    def typed(self, count: int) -> None: ...

    def entered(self, text: str) -> None:
        self.texts.append(text)
        self.more.set()

    def ended(self) -> None:
        self.is_over = True
        self.more.set()


class Keyboard:
    def __init__(self, master: int, slave: int) -> None:
        self.master, self.slave = master, slave

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.slave)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    """stdin is a terminal that nobody controls."""
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield Keyboard(master, slave)
    os.close(master)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_text_is_read_and_the_modes_come_back(keyboard: Keyboard, desk: Desk) -> None:
    before = keyboard.modes()
    with reading(desk):
        assert keyboard.modes() != before
        keyboard.type("hello\r")
        assert desk.more.wait(60)
    assert desk.texts == ["hello\n"]
    assert keyboard.modes() == before


def test_characters_cut_in_two_are_whole_again(keyboard: Keyboard, desk: Desk) -> None:
    with reading(desk):
        os.write(keyboard.master, b"\xe2\x82")
        time.sleep(0.05)
        os.write(keyboard.master, b"\xac\xff\r")
        assert desk.more.wait(60)
    assert desk.texts == ["€\ufffd\n"]


def test_what_was_typed_before_the_question_is_no_answer(keyboard: Keyboard, desk: Desk) -> None:
    keyboard.type("early\r")
    time.sleep(0.05)
    with reading(desk):
        keyboard.type("late\r")
        assert desk.more.wait(60)
    assert desk.texts == ["late\n"]


def test_the_rest_of_a_paste_does_not_reach_who_reads_next(keyboard: Keyboard) -> None:
    modes = Modes(keyboard.slave)
    assert modes.take()
    keyboard.type("code=planted\r")
    time.sleep(0.05)
    modes.close()
    keyboard.type("mine\r")
    assert os.read(keyboard.slave, 100) == b"mine\n"


def test_lines_that_follow_at_once_are_one_text(
    keyboard: Keyboard, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, more = PosixKeys.read, ["two\r", "three\r"]

    def read_on(keys: PosixKeys, seconds: float) -> str:
        if seconds == reader._QUIET and more:
            keyboard.type(more.pop(0))
        return read(keys, seconds)

    monkeypatch.setattr(PosixKeys, "read", read_on)
    with reading(desk):
        keyboard.type("one\r")
        assert desk.more.wait(60)
    assert desk.texts == ["one\ntwo\nthree\n"]


def test_it_is_called_off_at_once(keyboard: Keyboard, desk: Desk) -> None:
    with reading(desk):
        time.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 60
    assert "terminal" not in {thread.name for thread in threading.enumerate()}


def test_an_exception_gives_the_terminal_back(keyboard: Keyboard, desk: Desk) -> None:
    before = keyboard.modes()
    with pytest.raises(KeyboardInterrupt), reading(desk):
        raise KeyboardInterrupt
    assert keyboard.modes() == before


def test_nothing_is_left_open(keyboard: Keyboard, desk: Desk) -> None:
    def count() -> int:
        return len(os.listdir("/dev/fd"))

    before = count()
    for _ in range(20):
        with reading(desk):
            pass
    assert count() == before


def test_ctrl_d_gives_the_terminal_back_before_the_end(keyboard: Keyboard, desk: Desk) -> None:
    before = keyboard.modes()
    with reading(desk):
        keyboard.type("\x04")
        assert desk.more.wait(60)
        assert desk.is_over
        end = time.monotonic() + 60
        while keyboard.modes() != before and time.monotonic() < end:
            time.sleep(0.01)
        assert keyboard.modes() == before


def test_a_terminal_that_somebody_else_has_taken_is_left_alone(
    keyboard: Keyboard, desk: Desk
) -> None:
    """A full-screen program, or a shell that edits its line."""
    taken = termios.tcgetattr(keyboard.slave)
    taken[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(keyboard.slave, termios.TCSANOW, taken)
    before = keyboard.modes()
    with reading(desk):
        keyboard.type("theirs\r")
        time.sleep(0.4)
        assert keyboard.modes() == before
    assert desk.texts == []
    assert os.read(keyboard.slave, 100) == b"theirs\n"


def test_modes_that_somebody_has_changed_meanwhile_are_his(keyboard: Keyboard) -> None:
    modes = Modes(keyboard.slave)
    assert modes.take()
    changed = termios.tcgetattr(keyboard.slave)
    changed[3] ^= termios.TOSTOP
    termios.tcsetattr(keyboard.slave, termios.TCSANOW, changed)
    modes.close()
    assert keyboard.modes() == changed


def test_beside_the_main_thread_nothing_is_read(keyboard: Keyboard, desk: Desk) -> None:
    before = keyboard.modes()
    seen: list[bool] = []

    def ask() -> None:
        with reading(desk):
            seen.append(is_readable() or keyboard.modes() != before)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen == [False]
    assert is_readable()


@pytest.mark.parametrize("stdin", [None, io.StringIO("x"), open(os.devnull)])  # noqa: SIM115
def test_what_is_no_terminal_is_not_read(
    stdin: io.TextIOBase | None, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not is_readable()
    with reading(desk):
        pass
    assert desk.texts == []


def test_a_handler_of_the_program_stays(keyboard: Keyboard, desk: Desk) -> None:
    def mine(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with reading(desk):
            assert signal.getsignal(signal.SIGTERM) is mine
            assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_forked_child_leaves_its_parents_terminal_alone(keyboard: Keyboard) -> None:
    modes = Modes(keyboard.slave)
    assert modes.take()
    ours = keyboard.modes()
    child = os.fork()
    if not child:
        modes.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert keyboard.modes() == ours
    modes.close()


# Windows, as far as it can be tried elsewhere: its own code, with a console made of a string


class Console(ModuleType):
    def __init__(self, keys: str) -> None:
        super().__init__("msvcrt")
        self.keys = list(keys)

    def kbhit(self) -> bool:
        return bool(self.keys)

    def getwch(self) -> str:
        return self.keys.pop(0)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Console]:
    console = Console("typed before")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    name = "mcp_client_auth.prompt.terminal.windows"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module, console


def test_a_console_is_read_in_small_looks(windows: tuple[ModuleType, Console]) -> None:
    module, console = windows
    keys = module.WindowsKeys()
    assert keys.read(0.0) == ""
    console.keys = list("a\x00Hb\xe0Kc\ud83d\ude00\r")
    assert keys.read(5) == "abc😀\r"
    began = time.monotonic()
    keys.wake()
    assert keys.read(5) == ""
    assert time.monotonic() - began < 60
    console.keys = list("a rest")
    keys.close()
    assert console.keys == []


def test_ctrl_c_in_a_console_interrupts(windows: tuple[ModuleType, Console]) -> None:
    module, console = windows
    keys = module.WindowsKeys()
    console.keys = ["\x03"]
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted.set())
    try:
        assert keys.read(0) == ""
        assert interrupted.wait(60)
    finally:
        signal.signal(signal.SIGINT, before)
