"""Every verb, with any of our files damaged: an answer and an exit code, never a traceback."""

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
SOME = ("deep", "binary", "a number", "a directory")  # if each case runs a login or a verb
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
@pytest.mark.parametrize("name", SOME)
def test_the_same_in_words_for_a_person(ending: str, name: str, inside: Inside) -> None:
    for words in VERBS:
        spoil_beside(ending, PLACED[name], inside)
        ran = inside(*words)
        assert ran.code in range(10), (words, ran.err)


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("logout", "--all", "--yes")])
def test_what_no_list_has_is_named_where_all_are_meant(
    words: tuple[str, ...], place: Callable[[Path], None], inside: Inside
) -> None:
    other = "http://127.0.0.1:1/mcp"
    for url in (URL, other):
        inside.keep(credential(url, refresh_token=None, issuer="http://127.0.0.1:9"))
    assert "cannot be read" not in inside("status").err
    entry = inside.record(URL, ".json")
    place(entry)
    ran = inside(*words)
    assert ran.code == 0, ran.err
    assert ran.err.count("cannot be read: the login that it stands for is not listed") == 1
    assert f"delete {entry.with_suffix('.*')}" in ran.err
    assert "cannot be read" not in inside("status", other).err


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


@pytest.mark.parametrize("ending", [".json", ".secret"])
def test_a_login_takes_the_place_of_one_that_is_spoilt(
    ending: str, place: Callable[[Path], None], inside: Inside, url: str
) -> None:
    place(inside.record(url, ending))
    inside.log_in(url)
    assert inside("token", url).code == 0


@pytest.mark.parametrize("ending", [".json", ".secret"])
@pytest.mark.parametrize("name", SOME)
def test_so_does_one_that_is_forced(name: str, ending: str, inside: Inside, url: str) -> None:
    PLACED[name](inside.record(url, ending))
    inside.log_in(url, "--force")
    assert inside("token", url).code == 0


@pytest.mark.parametrize("ending", [".json", ".secret"])
@pytest.mark.parametrize("name", SOME)
def test_a_spoilt_one_beside_it_is_in_no_logins_way(
    name: str, ending: str, inside: Inside, url: str
) -> None:
    held = inside.held(url)
    inside.keep(replace(held, key=held.key.beside))
    PLACED[name](inside.home / "logins" / f"{held.key.beside.id}{ending}")
    for words in ((), ("--force",)):
        inside.log_in(url, *words)
        assert inside("token", url).code == 0


def test_a_login_does_not_stumble_over_a_spoilt_registration(
    place: Callable[[Path], None], inside: Inside, url: str
) -> None:
    registers_again(place, inside, url)


@pytest.mark.parametrize("name", SOME)
def test_nor_does_one_that_is_forced(name: str, inside: Inside, url: str) -> None:
    registers_again(PLACED[name], inside, url, "--force")


def registers_again(place: Callable[[Path], None], inside: Inside, url: str, *force: str) -> None:
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
