"""The desk while a person is waited for: when it offers a device code, and what it says of one."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from mcp_client_auth.environment import Machine
from mcp_client_auth.events import Event
from mcp_client_auth.prompt import screen as module
from mcp_client_auth.prompt.base import Invitation, code_display
from mcp_client_auth.prompt.console import Waiting, talking_prompt, tell_of_waiting
from mcp_client_auth.prompt.screen import Screen

PAGE = "https://auth.example.com/authorize?state=s"
ASKED = Invitation(
    "https://mcp.example.com/mcp",
    "default",
    "https://auth.example.com/device",
    "WDJB-MJHT",
    "https://auth.example.com/device?user_code=WDJB-MJHT",
)


def desk(*, device: bool = False) -> Waiting:
    return Waiting(opens=False, pastes=True, device=device, on=Screen())


@pytest.mark.parametrize(
    ("arrives", "opens", "device", "offered"),
    [
        (True, True, False, False),
        (True, False, False, False),
        (False, True, False, False),
        (False, False, False, True),
        (True, False, True, True),
        (True, True, True, True),
    ],
)
def test_a_code_is_offered_when_it_is_wanted_or_no_callback_can_arrive(
    monkeypatch: pytest.MonkeyPatch, arrives: bool, opens: bool, device: bool, offered: bool
) -> None:
    monkeypatch.setattr(Machine, "callback_arrives", arrives)
    prompt = talking_prompt(opens=opens, reads=False, device=device)
    assert (code_display(prompt) is not None) == offered


@pytest.mark.parametrize(("place", "said"), [("container", "log in before"), ("ssh", "ssh -L")])
def test_a_paste_is_promised_only_where_the_terminal_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    """A tool that needs more scope asks on another thread: what is pasted would go to the shell."""
    monkeypatch.setattr(Machine, "place", place)
    invite = partial(desk().invite, PAGE, "http://127.0.0.1:1/callback")
    invite()
    assert "paste it here" in capsys.readouterr().err
    thread = threading.Thread(target=invite)
    thread.start()
    thread.join()
    told = capsys.readouterr().err
    assert "paste" not in told
    assert said in told


def test_below_the_address_stand_code_and_link_and_fit_forty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    monkeypatch.setattr(Screen, "width", property(lambda self: 40))
    waiting = desk()
    waiting.invite(PAGE, "http://127.0.0.1:4711/callback")
    capsys.readouterr()
    waiting.show_code(ASKED)
    assert capsys.readouterr().err == (
        "\nOr on any device, code WDJB-MJHT:\n\n  https://auth.example.com/device\n\n"
    )


def test_alone_the_code_is_explained_and_the_link_that_has_it_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk().show_code(ASKED)
    told = capsys.readouterr().err
    assert f"\n  {ASKED.link}\n" in told
    assert f"\n  {ASKED.direct}\n" in told
    assert "enter the code WDJB-MJHT:" in told


@pytest.mark.parametrize(
    ("device", "shown", "said"),
    [
        (True, False, "There is no code for another device: refused.\n"),
        (False, False, ""),
        (False, True, "The code can no longer be used: refused. Still waiting for the browser.\n"),
    ],
)
def test_the_end_of_a_code_is_said_to_who_saw_or_wanted_one(
    capsys: pytest.CaptureFixture[str], device: bool, shown: bool, said: str
) -> None:
    waiting = desk(device=device)
    waiting.invite(PAGE, "http://127.0.0.1:4711/callback")
    if shown:
        waiting.show_code(ASKED)
    capsys.readouterr()
    waiting.no_code("refused")
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("quiet", [False, True])
def test_a_wait_for_another_programs_login_is_told_also_in_quiet(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module.screen, "quiet", quiet)
    tell_of_waiting(Event("waiting", detail="another program is logging in: waiting for it"))
    said = "Another program is logging in: waiting for it (Ctrl-C to cancel).\n"
    assert capsys.readouterr().err == said
