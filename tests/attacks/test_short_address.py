"""Another user of this machine, a web page and a scanner at the short address.

The browser's address is in its command line, which every user of the machine can read.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from mcp_client_auth.environment import Machine
from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.page import Page
from mcp_client_auth.prompt.short_address import OFF, REOPENED, TURNED_OFF

PAGE = "https://auth.example.com/authorize?client_id=c&state=s3.cret&code_challenge=h4.sh"


class World:
    def __init__(self, listener: Listener) -> None:
        self.said: list[str] = []
        self.offered: list[str] = []
        self.listener = listener
        self.short = listener.shorten(PAGE, self.said.append)

    def offer(self, query: str) -> bool:
        self.offered.append(query)
        self.listener.finish(Page("signed-in", "https://mcp.example.com/mcp", "work"))
        return True


@pytest.fixture
def world() -> Iterator[World]:
    with Listener() as listener:
        made = World(listener)
        listener.start(made.offer)
        yield made


def get(url: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(url, headers=named, trust_env=False)


def leads_on(response: httpx.Response) -> bool:
    return (response.status_code, response.headers.get("location")) == (303, PAGE)


def test_what_the_browser_is_given_holds_neither_state_nor_challenge(world: World) -> None:
    assert "s3.cret" not in world.short
    assert "h4.sh" not in world.short


def test_the_first_visit_is_led_on_and_nothing_keeps_or_repeats_the_address(world: World) -> None:
    first = get(world.short)
    assert leads_on(first)
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["referrer-policy"] == "no-referrer"
    assert first.content == b""


def test_who_comes_second_learns_it_and_so_does_the_person(world: World) -> None:
    get(world.short)
    second = get(world.short)
    assert second.status_code == 410
    assert "Already opened" in second.text
    assert "location" not in second.headers
    assert "s3.cret" not in second.text
    assert world.said == [REOPENED]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Purpose": "prefetch;prerender"}, 503),
        ({"Purpose": "prefetch"}, 503),
    ],
)
def test_what_is_no_visit_does_not_use_it_up(
    world: World, headers: dict[str, str], status: int
) -> None:
    assert get(world.short, **headers).status_code == status
    assert leads_on(get(world.short))


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_another_method_does_not_use_it_up(world: World, method: str) -> None:
    assert httpx.request(method, world.short, trust_env=False).status_code == 405
    assert leads_on(get(world.short))


def test_twenty_guesses_turn_it_off_and_the_callback_stays(world: World) -> None:
    base = world.listener.redirect_uri.rpartition("/")[0]
    assert [get(f"{base}/{number}").status_code for number in range(20)] == [404] * 20
    refused = get(world.short)
    assert refused.status_code == 404
    assert OFF[0] in refused.text
    assert "s3.cret" not in refused.text
    assert world.said == [TURNED_OFF]
    assert "Signed in" in get(world.listener.redirect_uri + "?code=c&state=s").text
    assert world.offered == ["code=c&state=s"]


@pytest.mark.parametrize("way", ["to the callback", "pasted"])
def test_after_the_answer_it_leads_nowhere(world: World, way: str) -> None:
    if way == "pasted":
        world.offer("code=c&state=s")
    else:
        get(world.listener.redirect_uri + "?code=c&state=s")
    late = get(world.short)
    assert late.status_code == 410
    assert "location" not in late.headers


def test_without_one_nothing_but_the_callback_is_there() -> None:
    with Listener() as listener:
        listener.start(lambda query: False)
        base = listener.redirect_uri.rpartition("/")[0]
        assert get(f"{base}/AAAAAAAAAAAAAAAA").status_code == 404


@pytest.mark.parametrize(
    ("environ", "platform", "here"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"SSH_CONNECTION": "1 2 3 4", "DISPLAY": ":0"}, "linux", False),
        ({"CODESPACES": "true", "DISPLAY": ":0"}, "linux", False),
        ({"container": "podman", "DISPLAY": ":0"}, "linux", False),
        ({"WSL_DISTRO_NAME": "Debian", "DISPLAY": ":0"}, "linux", False),
        ({"JUPYTERHUB_API_URL": "http://hub/api", "DISPLAY": ":0"}, "linux", False),
        ({"VSCODE_IPC_HOOK_CLI": "/run/x.sock", "DISPLAY": ":0"}, "linux", False),
        ({"BROWSER": "/x/helpers/browser.sh", "DISPLAY": ":0"}, "linux", False),
        ({}, "linux", False),
    ],
)
def test_it_is_given_only_where_the_browser_surely_runs_on_this_machine(
    environ: dict[str, str], platform: str, here: bool
) -> None:
    machine = Machine(environ, platform, exists=lambda path: False, read=lambda path: "")
    assert machine.browser_is_here is here
