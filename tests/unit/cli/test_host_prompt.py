"""What a person and a host are told: the address, a code, and that the wait is over."""

from __future__ import annotations

import pytest

from mcp_client_auth import Event
from mcp_client_auth.cli.host_prompt import AnotherLogin, HostDisplay, host_prompt
from mcp_client_auth.extending import Invitation


class Host:
    def __init__(self) -> None:
        self.told: list[str] = []

    def waits(self, why: str) -> None:
        self.told.append(why)

    def waits_no_more(self) -> None:
        self.told.append("")


def test_the_address_is_for_the_person_alone(capsys: pytest.CaptureFixture[str]) -> None:
    host, url = Host(), "https://login.example/authorize?state=abc"
    display = HostDisplay(lambda: host, opens=True)
    display.invite(url, "http://127.0.0.1/callback")
    display.over()
    assert host.told == ["Waiting for you to sign in: see your browser", ""]
    said = capsys.readouterr()
    assert url in said.err
    assert said.out == ""


def test_a_code_is_shown_where_the_person_may_look(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host()
    invitation = Invitation("server", "default", "https://login.example/device", "WDJB-MJHT")
    HostDisplay(lambda: host, opens=True).show_code(invitation)
    assert "https://login.example/device with the code WDJB-MJHT" in host.told[0]
    assert "https://login.example/device with the code WDJB-MJHT" in capsys.readouterr().err


def test_without_a_host_the_person_is_told_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = HostDisplay(lambda: None, opens=False)
    display.invite("https://login.example/", "")
    display.no_code("it is over")
    display.over()
    assert "https://login.example/" in capsys.readouterr().err


def test_a_host_is_told_of_another_programs_login_until_that_is_over() -> None:
    host, heard = Host(), list[str]()
    listener = AnotherLogin(lambda: host, lambda event: heard.append(event.name))
    for name in ("message", "waiting", "message", "decision", "token"):
        listener(Event(name, detail="another program is logging in"))
    assert host.told == ["Another program is logging in", ""]
    assert heard == ["message", "waiting", "message", "decision", "token"]
    AnotherLogin(lambda: None, None)(Event("waiting"))


def test_where_no_one_can_be_asked_there_is_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "true")
    asked = host_prompt(lambda: None)
    assert asked is not None
    assert getattr(asked, "device", None) is None
    assert host_prompt(lambda: None, browser=False) is None
    coded = host_prompt(lambda: None, browser=False, device=True)
    assert getattr(coded, "device", None) is not None
