"""What a thread prints and logs is kept from the terminal; other threads do not notice."""

from __future__ import annotations

import io
import logging
import sys
import threading

import pytest

from mcp_client_auth.storage.plugin_output import CAPTURES, captured, summary


def test_other_threads_go_on_printing_and_logging(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    inside, over = threading.Event(), threading.Event()

    def plugin() -> None:
        with captured(said):
            print("from the plug-in")
            logging.getLogger("theirs").warning("a %s", "warning")
            logging.getLogger("theirs").warning("a %d", "warning that does not fit")
            inside.set()
            over.wait(10)

    thread = threading.Thread(target=plugin)
    thread.start()
    inside.wait(10)
    print("from the program")
    logging.getLogger("ours").warning("ours")
    over.set()
    thread.join(60)
    print("afterwards")
    assert capsys.readouterr().out == "from the program\nafterwards\n"
    assert [record.name for record in caplog.records] == ["ours"]
    assert said == ["from the plug-in", "\n", "a warning\n", "a %d\n"]
    assert summary(said) == "from the plug-in … a %d"


def test_what_the_threads_of_a_forked_child_print_and_log_is_not_kept_from_anyone(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Their numbers are those of threads of its parent, which was asking a plug-in."""
    said: list[str] = []
    before = sys.stdout
    with captured(said):
        print("from the plug-in")
        CAPTURES.reset()
        assert sys.stdout is before
        print("from the child")
        logging.getLogger("theirs").warning("in the child")
    assert said == ["from the plug-in", "\n"]
    assert capsys.readouterr().out == "from the child\n"
    assert [record.message for record in caplog.records] == ["in the child"]


def test_calls_that_overlap_leave_the_stream_as_it_was() -> None:
    before = sys.stdout
    for _ in range(3):
        one, other = captured([]), captured([])
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        other.__exit__(None, None, None)
    assert sys.stdout is before


def test_a_stream_that_another_has_put_in_place_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = open(__file__)  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with theirs, captured([]):
        between = sys.stdout
        sys.stdout = theirs
    assert sys.stdout is theirs
    assert between.write("") == 0, "and what it took for the stream is one still"


def test_what_another_thread_flushes_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(arrived))
    with captured([]):
        asking = threading.Thread(target=lambda: print("name: ", end="", flush=True))
        asking.start()
        asking.join(60)
        assert arrived.getvalue() == b"name: "
