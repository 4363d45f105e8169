"""Every verb, with any of our own files spoilt: an answer and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from mcp_client_auth import BrowserPrompt, FileStorage, login
from mcp_client_auth.grants.clients import client_key
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.damages import PLACED
from tests.support.inside import Inside, credential

URL = "http://127.0.0.1:9/mcp"  # which refuses every connection
VERBS: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("status",),
    ("status", URL),
    ("status", URL, "--check"),
    ("token", URL),
    ("refresh", URL),
    (URL,),
    ("login", URL, "--force"),
    ("token", "work"),
    ("logout", URL, "--local"),
    ("logout", "--all", "--local"),
)
NOTES = (".cooling.note", ".left.note", ".refused.note", ".ended.note")


def spoil_beside(ending: str, place: Callable[[Path], None], inside: Inside) -> None:
    path = inside.record(URL, ending)
    if path.is_dir():
        path.rmdir()
    inside.keep(credential(URL, refresh_token=None, issuer="http://127.0.0.1:9"))
    place(path)


@pytest.fixture(params=PLACED)
def place(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return PLACED[request.param]


@pytest.mark.parametrize("ending", [".json", ".secret"])
def test_every_verb_has_words_for_a_login_that_is_spoilt(
    ending: str, place: Callable[[Path], None], inside: Inside
) -> None:
    for words in VERBS:
        spoil_beside(ending, place, inside)
        ran = inside(*words, "--json")
        assert ran.code in range(10), (words, ran.err)
        assert ran.answer["version"] == 1, words


@pytest.mark.parametrize("ending", [".json", ".secret", *NOTES])
@pytest.mark.parametrize("name", ["deep", "binary", "a number", "a directory"])
def test_the_same_in_words_for_a_person(ending: str, name: str, inside: Inside) -> None:
    for words in VERBS:
        spoil_beside(ending, PLACED[name], inside)
        ran = inside(*words)
        assert ran.code in range(10), (words, ran.err)


def test_every_verb_has_words_for_settings_that_are_spoilt(
    place: Callable[[Path], None], inside: Inside
) -> None:
    for words in VERBS:
        inside.keep(credential(URL, refresh_token=None, issuer="http://127.0.0.1:9"))
        settings = inside.home / "logins" / "settings.conf"
        if settings.is_dir():
            settings.rmdir()
        place(settings)
        ran = inside(*words, MCP_CLIENT_AUTH_STORAGE="")
        assert ran.code in range(10), (words, ran.err)


@pytest.fixture(scope="module")
def stored_once(module_server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home, browser = tmp_path_factory.mktemp("once"), ScriptedBrowser()
    prompt = BrowserPrompt(open_url=browser)
    login(module_server.url, storage=FileStorage(home), prompt=prompt).close()
    assert browser.join(60)
    return home


@pytest.fixture
def url(inside: Inside, shared: DemoServer, stored_once: Path) -> str:
    """A server that this person is logged in to."""
    copytree(stored_once, inside.home / "logins", dirs_exist_ok=True)
    return shared.url


def test_a_name_can_be_given_where_the_settings_are_spoilt(
    place: Callable[[Path], None], inside: Inside, url: str
) -> None:
    place(inside.home / "logins" / "settings.conf")
    ran = inside(url, "--name", "work")
    assert ran.code == 0, ran.err
    assert inside("token", "work").code == 0


@pytest.mark.parametrize("beside", [False, True], ids=["", "beside"])
@pytest.mark.parametrize("ending", [".json", ".secret"])
def test_a_login_takes_the_place_of_one_that_is_spoilt(
    ending: str, beside: bool, place: Callable[[Path], None], inside: Inside, url: str
) -> None:
    held = inside.held(url)
    key = held.key.beside if beside else held.key
    inside.keep(replace(held, key=key))
    place(inside.home / "logins" / f"{key.id}{ending}")
    for words in ((), ("--force",)):
        inside.log_in(url, *words)
        assert inside("token", url).code == 0


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
def test_a_login_does_not_stumble_over_a_spoilt_registration(
    force: tuple[str, ...], place: Callable[[Path], None], inside: Inside, url: str
) -> None:
    client = inside.held(url).client
    record = (
        inside.home / "logins" / f"{client_key(client.issuer, client.redirect_uris[0]).id}.secret"
    )
    assert record.exists()
    place(record)
    if not force:
        inside.record(url).unlink()
    inside.log_in(url, *force)
    assert inside.held(url).client.client_id != client.client_id
    assert record.with_name(record.name + ".damaged").exists()
