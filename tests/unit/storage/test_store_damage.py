"""Whatever is in our own files: a damaged record or none, never another exception.

What is still read is used: a number that no calendar has does its harm only there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcp_client_auth.cli.answers import error_fields, login_fields
from mcp_client_auth.cli.describe import details, expiry
from mcp_client_auth.cli.verbs.list import listing
from mcp_client_auth.credential import (
    Credential,
    Key,
    Note,
    dumps,
    dumps_client,
    key_for,
    loads,
    loads_client,
)
from mcp_client_auth.errors import AuthError, InsufficientScope, StorageError, Unavailable
from mcp_client_auth.grants.clients import client_key
from mcp_client_auth.protocol.flow import run
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.redirects import Callback, with_port_of
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import refresh, revoke
from mcp_client_auth.session.cooldown import Cooling
from mcp_client_auth.session.knowledge import Mark, fingerprint
from mcp_client_auth.session.notes import read_mark, read_refusal, write_mark, write_refusal
from mcp_client_auth.storage import Storage, Summary, choose_storage, local_index, name_of
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.keyring import KeyringStorage
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.storage.settings import Settings
from mcp_client_auth.transport import HttpTransport
from tests.support.damages import BYTES, DEEP, PLACED
from tests.support.storage_samples import CLIENT_KEY, full, full_client

T = TypeVar("T")
KEY = key_for("http://127.0.0.1:9/mcp")
MARK = "a place that is damaged"
# as they stand in JSON
WRONG = [
    *("null", "true", "7", "-1", "0.5", '""', '"x"', "[]", "[[]]", "{}", '["x"]', '{"x": 1}'),
    *("1e400", "-1e400", "1e18", "1e300", "Infinity", "NaN", "9" * 5000, "253402300800"),
    *('"Infinity"', '"1e9"', '"\\ud800"', '"\\u0000"', '"é\\r\\nX: y"', '["\\ud800"]', DEEP),
    *(
        '"http://["',
        '"http://x:99999999/"',
        '"https://"',
        '"javascript:alert(1)"',
        '"' + "a" * 70_000 + '"',
    ),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a JSON value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in pairs:
            yield from places(inner, (*path, name))


def with_other(text: str, path: tuple[Any, ...], other: str) -> str:
    """The text with what stands at that path exchanged."""
    raw = json.loads(text)
    inner = raw
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = MARK
    return json.dumps(raw).replace(json.dumps(MARK), other)


def damaged(text: str) -> st.SearchStrategy[str]:
    """The text with one or two of its values exchanged, cut short, or replaced."""
    path = st.sampled_from(list(places(json.loads(text))))
    once = st.builds(with_other, st.just(text), path, st.sampled_from(WRONG))
    cut = st.integers(0, len(text)).map(lambda at: text[:at])
    return once | cut | st.text(max_size=20) | st.sampled_from(WRONG)


def usual() -> Credential:
    """Everything is in it, and its servers refuse every connection at once."""
    here = "http://127.0.0.1:9/"
    client = replace(full_client(), issuer=here, method="client_secret_post", key_file="")
    made = replace(full(KEY), issuer=here, client=client, resource=None, dpop_key=None)
    return replace(made, token_endpoint=here + "token", revocation_endpoint=here + "revoke")


def read(reader: Callable[[str, str], T], text: str) -> T | None:
    """None for what is told as damaged; whatever else it raises fails the test."""
    try:
        return reader(text, "the test")
    except StorageError:
        return None


def use(credential: Credential, storage: Storage) -> None:
    """All that is done with a record, but for what a server would answer."""
    storage.save(replace(credential, key=KEY))
    assert storage.load(KEY) == replace(credential, key=KEY)
    credential.alive(1_900_000_000.0)
    assert credential.tokens.access_token.reveal().isascii()
    show(Summary.of(credential, "file"))
    transport = HttpTransport("http://127.0.0.1:9/mcp", Options(http_timeout=2.0))
    held = replace(credential, tokens=replace(credential.tokens, bound=False))
    for flow in (
        refresh(held, 1_900_000_000.0) if held.renewable else None,
        revoke(held, held.tokens.access_token, "access_token"),
    ):
        if flow is not None:
            with pytest.raises(AuthError):
                run(flow, transport)
    use_client(credential.client)


def use_client(client: Client) -> None:
    client.expired(1_900_000_000.0)
    with_port_of(Callback("127.0.0.1", 0, "/callback"), client)
    if client.kind == "dynamic" and client.redirect_uris:
        client_key(client.issuer, client.redirect_uris[0])


def show(entry: Summary) -> None:
    """As `list` and `status` show it, with and without `--json`."""
    assert listing([entry], {"name": entry.key.server}).isprintable() is False  # it has lines
    assert all(text.isprintable() for text in details(entry, "").values())
    json.dumps(login_fields(entry, {}), allow_nan=False).encode()


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(text=damaged(dumps(usual())))
@example(dumps(usual()))
@example(with_other(dumps(usual()), ("tokens", "expires_at"), "1e400"))
@example(with_other(dumps(usual()), ("token_endpoint",), '"http://["'))
def test_a_record_is_damaged_or_can_be_used(text: str) -> None:
    credential = read(loads, text)
    if credential:
        use(credential, FileStorage())


@settings(deadline=None, max_examples=100)
@given(text=damaged(dumps_client(full_client())))
def test_a_registration_is_damaged_or_can_be_used(text: str) -> None:
    client = read(loads_client, text)
    if client:
        use_client(client)


def entry_text(home: Path) -> str:
    (home / f"{KEY.id}.json").unlink(missing_ok=True)
    FileStorage(home).save(usual())
    return (home / f"{KEY.id}.json").read_text()


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_entry_of_the_index_is_skipped_or_can_be_shown(data: st.DataObject, home: Path) -> None:
    text = data.draw(damaged(entry_text(home)))
    (home / f"{KEY.id}.json").write_text(text, errors="surrogatepass")
    index = local_index()
    assert index.all() == [entry for entry in [index.get(KEY)] if entry]
    for entry in index.all():
        show(entry)
    assert FileStorage().load(KEY) == usual(), "the record is there, whatever the entry says"
    [entry] = index.all()
    whole = Summary.of(usual(), "file")
    assert entry == whole or entry.generation > whole.generation, "and the entry has been repaired"
    FileStorage().save(usual())
    assert index.all() == [whole], "and a later one's, which is left to who holds it, is written"


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_settings_are_read_as_far_as_they_can_be(data: st.DataObject, home: Path) -> None:
    good = json.dumps({"version": 1, "storage": "file", "names": {"work": "https://a.example/"}})
    home.mkdir(exist_ok=True, mode=0o700)
    (home / "settings.conf").write_text(data.draw(damaged(good)), errors="surrogatepass")
    person = Settings()
    assert person.chosen() in ("", "keyring", "file")
    assert all(isinstance(url, str) for url in person.names().values())
    assert name_of(choose_storage(key=KEY)) in ("keyring", "file")
    person.name("new", "https://b.example/")
    assert person.names()["new"] == "https://b.example/"


REASON = InsufficientScope("no", code="c", url="https://a.example/", requested=("a",), status=403)
LATER = Unavailable("later", retry_after=7.0)


def notes_of(storage: Storage, now: float) -> dict[str, str]:
    """Each note as it is written."""
    storage.delete(Note(KEY, "cooling"))
    Cooling(storage, KEY, lambda: now).remember("login", REASON)
    write_mark(storage, KEY, Mark(fingerprint(usual()), now, usual().generation, LATER))
    write_refusal(storage, usual(), LATER, now)
    return {name: storage.load(Note(KEY, name)) or "" for name in ("cooling", "refused", "ended")}


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_note_says_can_be_shown(data: st.DataObject, home: Path) -> None:
    storage, now = FileStorage(), 1_900_000_000.0
    storage.save(usual())
    name = data.draw(st.sampled_from(["cooling", "refused", "ended"]))
    show_note(storage, now, home, name, data.draw(damaged(notes_of(storage, now)[name])))


@pytest.mark.parametrize(
    ("name", "path", "other"),
    [
        ("cooling", ("login", "until"), "9" * 4000),
        ("cooling", ("login", "kind"), '"quoted"'),
        ("cooling", ("login", "fields", "remedy"), "[[]]"),
        ("refused", ("since",), "1e300"),
        ("refused", ("since",), "1e18"),
        ("refused", ("reason", "fields", "summary"), '"\\ud800"'),
        ("refused", ("reason", "fields", "retry_after"), "1e400"),
        ("ended", ("reason", "fields", "retry_after"), '"x"'),
        ("ended", ("reason", "fields", "hint"), DEEP),
        ("ended", ("since",), "1e300"),
    ],
)
def test_a_note_that_no_clock_or_screen_can_take_is_none(
    name: str, path: tuple[str, ...], other: str, home: Path
) -> None:
    storage, now = FileStorage(), 1_900_000_000.0
    storage.save(usual())
    show_note(storage, now, home, name, with_other(notes_of(storage, now)[name], path, other))


def show_note(storage: Storage, now: float, home: Path, name: str, text: str) -> None:
    """All that is done with a note, whatever it is."""
    (home / f"{KEY.id}.{name}.note").write_text(text, errors="surrogatepass")
    cooling = Cooling(storage, KEY, lambda: now)
    mark = read_mark(storage, KEY)
    refusal = read_refusal(storage, usual())
    said = [mark.reason if mark else None, refusal[0] if refusal else None]
    try:
        cooling.check("login")
    except AuthError as remembered:
        said.append(remembered)
    for error in filter(None, said):
        json.dumps(error_fields(error, 1), allow_nan=False)
        f"{error} {error!r}".encode()
    if mark:
        mark.cooling(now)
        expiry(mark.since, renewable=False)
    if refusal:
        expiry(refusal[1], renewable=False)
    cooling.remember("login", REASON)
    with pytest.raises(InsufficientScope):
        cooling.check("login")


def test_damaged_settings_are_set_aside_before_others_take_their_place(home: Path) -> None:
    person = Settings()
    person.name("work", "https://a.example/")
    (home / "settings.conf").write_text('{"names": {"work": "https://a.exam')
    person.name("new", "https://b.example/")
    assert person.names() == {"new": "https://b.example/"}
    assert "a.exam" in (home / "settings.conf.damaged").read_text()


def test_an_entry_that_was_copied_from_another_one_counts_as_none(home: Path) -> None:
    text = entry_text(home)
    other = Key("https://other.example/")
    (home / f"{other.id}.json").write_text(text)
    assert local_index().get(other) is None
    assert [entry.key for entry in local_index().all()] == [KEY]


@pytest.mark.parametrize("other", [Key("https://other.example"), KEY.beside])
def test_a_record_that_was_copied_from_another_one_is_damaged(home: Path, other: Key) -> None:
    """What a login holds goes nowhere but home, also where its text is in clear."""
    storage = FileStorage()
    storage.save(full(KEY))
    (home / f"{other.id}.secret").write_bytes((home / f"{KEY.id}.secret").read_bytes())
    with pytest.raises(StorageError) as caught:
        storage.load(other)
    assert caught.value.code == "damaged_record"
    assert storage.load(KEY) == full(KEY)


@pytest.fixture(params=PLACED)
def put(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return PLACED[request.param]


def test_a_damaged_registration_counts_as_none_and_is_set_aside(
    put: Callable[[Path], None], home: Path
) -> None:
    storage = FileStorage()
    storage.save(full_client(), CLIENT_KEY)
    record = home / f"{CLIENT_KEY.id}.secret"
    put(record)
    assert storage.load(CLIENT_KEY) is None
    storage.save(full_client(), CLIENT_KEY)
    assert storage.load(CLIENT_KEY) == full_client()
    assert (home / f"{CLIENT_KEY.id}.secret.damaged").exists()


def test_a_registration_whose_key_is_lost_counts_as_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", "A" * 43 + "=")
    storage = FileStorage()
    storage.save(full_client(), CLIENT_KEY)
    for key in ("", "B" * 42 + "A="):
        monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", key)
        assert storage.load(CLIENT_KEY) is None
    other = replace(full_client(), client_id="new")
    storage.save(other, CLIENT_KEY)
    assert storage.load(CLIENT_KEY) == other
    assert "A256GCM" in (home / f"{CLIENT_KEY.id}.secret.damaged").read_text()


def test_a_damaged_record_says_so_and_another_login_sets_it_aside(
    put: Callable[[Path], None], home: Path
) -> None:
    storage = FileStorage()
    storage.save(usual())
    put(home / f"{KEY.id}.secret")
    with pytest.raises(StorageError) as caught:
        storage.load(KEY)
    assert caught.value.code in ("damaged_record", "no_key")
    if caught.value.code == "damaged_record":
        storage.save(usual())
        assert storage.load(KEY) == usual()
        assert (home / f"{KEY.id}.secret.damaged").exists()


@pytest.mark.parametrize("ending", [".json", ".cooling.note", ".left.note", ".deleted"])
def test_what_stands_beside_a_record_can_be_anything(
    ending: str, put: Callable[[Path], None], home: Path
) -> None:
    storage = FileStorage()
    storage.save(usual())
    put(home / f"{KEY.id}{ending}")
    assert storage.load(KEY) == usual()
    assert [entry.key for entry in storage.list()] in ([], [KEY])
    text = storage.load(Note(KEY, "cooling"))
    assert text is None or isinstance(text, str)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The items of a keyring that takes anything."""
    items: dict[str, Any] = {}

    class Vault:
        priority = 5
        get_password = staticmethod(lambda service, user: items.get(service))
        set_password = staticmethod(lambda service, user, text: items.update({service: text}))
        delete_password = staticmethod(lambda service, user: items.pop(service))

    monkeypatch.setattr("keyring.get_keyring", Vault)
    SHARED.reset()
    return items


ITEMS: dict[str, object] = {
    **{name: content.decode("latin-1") for name, content in BYTES.items()},
    "not a text": b"bytes",
    "a seal that is no text": '{"version": 1, "seal": 7}',
    "a seal that is no key": '{"version": 1, "seal": "no key"}',
    "a seal without its file": '{"version": 1, "seal": "' + "A" * 43 + '="}',
    "a deep seal": '{"version": 1, "seal": ' + DEEP + "}",
}


@pytest.mark.parametrize("found", ITEMS.values(), ids=ITEMS)
def test_an_item_of_a_keyring_can_be_anything(
    found: object, vault: dict[str, Any], home: Path
) -> None:
    storage = KeyringStorage()
    storage.save(usual())
    storage.save(full_client(), CLIENT_KEY)
    for key in (KEY, CLIENT_KEY):
        vault[f"mcp-client-auth:{key.id}"] = found
    with pytest.raises(StorageError) as caught:
        storage.load(KEY)
    assert caught.value.code == "damaged_record"
    assert storage.load(CLIENT_KEY) is None
    storage.save(usual())
    storage.save(full_client(), CLIENT_KEY)
    assert storage.load(KEY) == usual()
    assert storage.load(CLIENT_KEY) == full_client()
