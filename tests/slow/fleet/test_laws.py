"""What every storage that hosts share must keep, at the real server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_client_auth.credential import ClientKey, Credential, Key, Note
from mcp_client_auth.errors import AuthorizationDenied, StorageError, Unavailable
from mcp_client_auth.paths import record_id
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.session.cooldown import SECONDS, Cooling
from mcp_client_auth.session.knowledge import COOLING, Mark, Now, Outage
from mcp_client_auth.session.logout import forget
from mcp_client_auth.session.notes import (
    read_mark,
    read_outage,
    read_refusal,
    write_mark,
    write_outage,
    write_refusal,
)
from mcp_client_auth.storage.index import Summary
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import GRAVE
from tests.slow.fleet.conftest import Fleet
from tests.support.engines import until
from tests.support.storage_samples import (
    CLIENT_KEY,
    PLANTED,
    SHAPES,
    bare,
    full,
    full_client,
    with_token,
)

OTHERS: list[dict[str, str]] = [
    {"account": "work"},
    {"account": ""},
    {"account": "Ada@example.com"},
    {"server": "https://mcp.example.com/another"},
    {"grant": "client_credentials"},
    {"client": "an-app-of-its-own"},
]


def token_of(stored: Credential | None) -> str:
    return stored.tokens.access_token.reveal() if stored else ""


# What is kept


def test_what_one_host_saves_another_loads_lists_and_deletes(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(), fleet.host()
    here.check()
    assert there.load(key) is None
    assert list(there.list()) == []
    here.save(full(key))
    assert there.load(key) == full(key)
    assert there.summary(key) == Summary.of(full(key), here.name)
    assert list(there.list()) == [Summary.of(full(key), here.name)]
    there.delete(key)
    assert here.load(key) is None
    assert here.summary(key) is None
    assert list(here.list()) == []
    here.delete(key)  # what was wanted


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_field_comes_back(fleet: Fleet, key: Key, shape: Callable[[Key], Credential]) -> None:
    fleet.host().save(shape(key))
    loaded = fleet.host().load(key)
    assert loaded is not None
    for field in fields(Credential):
        assert getattr(loaded, field.name) == getattr(shape(key), field.name), field.name


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_no_key_answers_for_another(fleet: Fleet, key: Key, other: dict[str, str]) -> None:
    storage, second = fleet.host(), replace(key, **other)
    storage.save(full(key))
    assert storage.load(second) is None
    storage.save(with_token(full(second), "of the second"))
    assert storage.load(key) == full(key)
    storage.delete(key)
    assert token_of(storage.load(second)) == "of the second"


def test_registrations_notes_and_what_is_held(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(), fleet.host()
    elsewhere = ClientKey(CLIENT_KEY.issuer, "https://app.example.com/callback")
    here.save(full_client(), CLIENT_KEY)
    assert there.load(CLIENT_KEY) == full_client()
    assert there.load(elsewhere) is None
    assert list(there.list()) == []
    there.delete(CLIENT_KEY)
    assert here.load(CLIENT_KEY) is None

    here.save("a note", Note(key, "refused"))
    assert there.load(Note(key, "refused")) == "a note"
    there.delete(Note(key, "refused"))
    assert here.load(Note(key, "refused")) is None
    here.save_for("soon gone", Note(key, "outage"), 0.2)
    until(lambda: there.load(Note(key, "outage")) is None)

    here.hold("a state", "what is held", 60)
    here.hold("another", "soon gone", 0.1)
    assert there.pop("a state") == "what is held"
    assert here.pop("a state") is None
    until(lambda: there.pop("another") is None)


def test_a_login_that_waits_beside_another_is_not_listed(fleet: Fleet, key: Key) -> None:
    storage = fleet.host()
    storage.save(full(key))
    storage.save(full(key.beside))
    assert [entry.key for entry in storage.list()] == [key]


def test_a_login_takes_its_notes_with_it(fleet: Fleet, key: Key) -> None:
    storage = fleet.host()
    storage.save(full(key))
    storage.save("why", Note(key, "refused"))
    storage.delete(key)
    assert storage.load(Note(key, "refused")) is None


@pytest.mark.parametrize("batch", [2, 200])
def test_one_account_and_one_client_are_found_by_themselves(
    fleet: Fleet, key: Key, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.storage.shared._BATCH", batch)
    here, there = fleet.host(), fleet.host()
    mine = [replace(key, server=f"https://mcp{n}.example.com/mcp") for n in range(3)]
    for each in mine:
        here.save(full(each))
    bob = replace(key, account="bob")
    here.save(bare(bob))
    assert [entry.key for entry in there.list(account=key.account)] == mine
    assert [entry.key for entry in there.list(account="bob", server=bob.server)] == [bob]
    assert list(there.list(account="nobody")) == []
    assert [entry.key for entry in there.list(client_id="client-2")] == [bob]
    assert len(there.list(1, issuer=full(key).issuer, client_id="client-1")) == 1
    assert len(there.list()) == 4
    assert len(there.list(2)) == 2
    other = replace(full(mine[0]), client=bare(bob).client)
    here.save(other)  # by another client from now on
    assert len(there.list(client_id="client-2")) == 2
    former = here.keys.names("client", "client-1")[0]
    assert not [row for row in fleet.raw().splitlines() if former in row and mine[0].id in row]
    there.delete(mine[1])
    assert [entry.key for entry in here.list(account=key.account)] == [mine[0], mine[2]]


@pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
def test_the_logins_of_one_account_are_one_question(fleet: Fleet, key: Key) -> None:
    """Also while a key is being replaced, and with one login that no key opens."""
    mine = [replace(key, server=f"https://mcp{n}.example.com/mcp") for n in range(4)]
    writers = [fleet.host(), fleet.host(), fleet.host(key=(new := new_key())), fleet.host()]
    for each, host in zip(mine, writers, strict=True):
        host.save(full(each))
    here = fleet.host(key=[new, fleet.key])
    here.engine.put(mine[3].id, "damaged", here.engine.get(mine[3].id).version)
    asked: list[str] = []

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any) -> Any:
            asked.append(name)
            return work(*arguments)

        return count

    for name in ("tagged", "ids", "get", "get_many"):
        setattr(here.engine, name, counted(name, getattr(here.engine, name)))
    assert [entry.key for entry in here.list(account=key.account)] == mine[:3]
    assert list(here.list(account="nobody")) == []
    assert asked == ["tagged"] * 2


# Secrets


def test_nothing_that_tells_of_a_login_lies_there_in_clear(fleet: Fleet, key: Key) -> None:
    storage = fleet.host()
    storage.save(full(key))
    storage.save(full_client(), CLIENT_KEY)
    storage.save("a note of ada", Note(key, "refused"))
    storage.hold("planted-state", "planted-held", 60)
    with storage.lock(key):
        lying = fleet.raw()
    assert len(lying) > 2000
    told = [*PLANTED.values(), "ada@example", "mcp.example.com", "auth.example.com", "client-1"]
    assert [word for word in (*told, "planted-state", "planted-held") if word in lying] == []


def test_a_wrong_key_reads_nothing_and_overwrites_nothing(fleet: Fleet, key: Key) -> None:
    fleet.host().save(full(key))
    fleet.host().save(full_client(), CLIENT_KEY)
    stranger = fleet.host(key=new_key())
    for attempt in (
        lambda: stranger.load(key),
        lambda: stranger.load(CLIENT_KEY),
        lambda: stranger.save(bare(key)),
        lambda: stranger.save(full_client(), CLIENT_KEY),
    ):
        with pytest.raises(StorageError) as caught:
            attempt()
        assert caught.value.code == "wrong_key"
    assert list(stranger.list()) == []
    assert fleet.host().load(key) == full(key)
    assert fleet.host().load(CLIENT_KEY) == full_client()


def test_a_record_that_was_copied_to_another_does_not_open(fleet: Fleet, key: Key) -> None:
    storage, other = fleet.host(), replace(key, account="eve")
    storage.save(full(key))
    storage.save(full(other))
    engine = storage.engine
    engine.put(other.id, engine.get(key.id).text, engine.get(other.id).version)
    with pytest.raises(StorageError) as caught:
        fleet.host().load(other)
    assert caught.value.code == "damaged_record"
    fleet.host().save(bare(other))  # a new login takes its place
    assert fleet.host().load(other) == bare(other)
    assert engine.note(other.id, "damaged") == engine.get(key.id).text, "it can be looked at"


@pytest.mark.parametrize("how", ["damaged", "of another key"])
def test_what_cannot_be_read_can_be_logged_out(fleet: Fleet, key: Key, how: str) -> None:
    storage = fleet.host()
    writer = storage if how == "damaged" else fleet.host(key=new_key())
    writer.save(full(key))
    if how == "damaged":
        storage.engine.put(key.id, "damaged", storage.engine.get(key.id).version)
    existed, stored, trouble = forget(storage, key)
    assert (existed, stored) == (True, None)
    assert "nothing could be revoked" in trouble[0]
    assert storage.load(key) is None


def test_what_is_held_opens_under_its_own_name_only(fleet: Fleet) -> None:
    storage = fleet.host()
    text = storage.records.seal_held("of ada", "a verifier")
    storage.engine.hold(record_id("pending", "of eve"), text, 60)
    with pytest.raises(StorageError) as caught:
        storage.pop("of eve")
    assert caught.value.code == "damaged_record"


@pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
def test_a_record_of_a_newer_format_is_left_alone(fleet: Fleet, key: Key) -> None:
    storage = fleet.host()
    storage.save(full(key))
    row = storage.engine.get(key.id)
    newer = storage.records.plain(key.id, row.text).replace('"version":1', '"version":2', 1)
    text = storage.records.seal_plain(key.id, newer)
    storage.engine.put(key.id, text, row.version)
    other = fleet.host()
    attempts: list[Callable[[], object]] = [
        lambda: other.load(key),
        lambda: other.save(bare(key)),
    ]
    for attempt in attempts:
        with pytest.raises(StorageError) as caught:
            attempt()
        assert caught.value.code == "newer_record"
    assert list(other.list()) == []
    assert storage.engine.get(key.id).text == text


def test_the_newest_key_seals_and_all_open(fleet: Fleet, key: Key) -> None:
    old, new = fleet.key, new_key()
    other = replace(key, server="https://mcp.example.com/other")
    fleet.host().save(full(key))
    both = fleet.host(key=[new, old])
    both.save(full(other))
    both.save(full_client(), CLIENT_KEY)
    assert both.load(key) == full(key)
    assert [entry.key for entry in both.list(account=key.account)] == [key, other]
    assert sorted(map(str, both.reseal())) == ["False", "False", "True"]
    only = fleet.host(key=new)
    assert only.load(key) == full(key)
    assert only.load(CLIENT_KEY) == full_client()
    assert [entry.key for entry in only.list(account=key.account)] == [key, other]
    assert [entry.key for entry in only.list(client_id="client-1")] == [key, other]


@pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
def test_a_reseal_that_was_interrupted_goes_on_and_passes_what_it_cannot_open(
    fleet: Fleet, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.storage.shared.LOCK_WAIT", 0.2)
    mine = [replace(key, server=f"https://mcp{n}.example.com/mcp") for n in range(6)]
    for each in mine:
        fleet.host().save(full(each))
    fleet.host().save("a note", Note(key, "refused"))
    engine, new = fleet.host().engine, new_key()
    stranger = replace(key, account="stranger")
    fleet.host(key=new_key()).save(full(stranger))
    engine.put(mine[5].id, "damaged", engine.get(mine[5].id).version)
    both = fleet.host(key=[new, fleet.key])
    steps: Any = both.reseal()
    while next(steps) is not True:
        pass
    steps.close()
    with fleet.host().lock(mine[4]):  # perhaps it is the one that is done
        again = [str(each) for each in both.reseal()]
    assert again.count("None") in (2, 3)
    last = [str(each) for each in both.reseal()]
    assert again.count("True") + last.count("True") == 4
    assert last.count("None") == 2
    only = fleet.host(key=new)
    assert [only.load(each) for each in mine[:5]] == [full(each) for each in mine[:5]]
    assert only.load(Note(key, "refused")) is None, "of the old key, which ends by itself"
    told = [each for each in only.warnings() if "records" in each]
    assert told == ["1 of 7 records were sealed with a key that is not here"]


# Leases


def test_a_lease_has_one_holder_and_is_free_after_it(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(), fleet.host()
    with here.lock(key):
        with pytest.raises(Unavailable) as caught, there.lock(key, timeout=0):
            pass
        assert caught.value.code == "locked"
        with there.lock(key, "login"), there.lock(replace(key, account="bob")):
            pass
    with there.lock(key, timeout=0):
        pass


def test_a_lease_lives_as_long_as_its_holder(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(lease=1.0), fleet.host(lease=1.0)
    with here.lock(key), pytest.raises(Unavailable), there.lock(key, timeout=2.5):
        pass
    with there.lock(key):
        pass


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_an_error_of_no_kind_that_is_known_does_not_end_the_leases(
    fleet: Fleet, key: Key, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = fleet.host(lease=1.0), fleet.host(lease=1.0)
    extend, calls = here.engine.extend, []

    def odd_at_first(*words: Any) -> bool:
        calls.append(words)
        if len(calls) == 1:
            raise KeyError("planted-odd-Wq6")
        return extend(*words)

    monkeypatch.setattr(here.engine, "extend", odd_at_first)
    with here.lock(key), pytest.raises(Unavailable), there.lock(key, timeout=2.5):
        pass
    assert "could not be extended: KeyError" in caplog.text
    assert "planted" not in caplog.text


def test_a_lease_of_a_host_that_is_gone_ends(fleet: Fleet, key: Key) -> None:
    gone = fleet.host().engine
    assert gone.take(key.id, "refresh", "a host that is gone", 0.5, 0.0).ours
    with fleet.host().lock(key, timeout=60):
        assert not gone.extend(key.id, "refresh", "a host that is gone", 5.0)
        gone.release(key.id, "refresh", "a host that is gone")  # not its own any more
        with pytest.raises(Unavailable), fleet.host().lock(key, timeout=0):
            pass


def test_what_is_read_changed_and_written_under_the_lease_is_not_lost(
    fleet: Fleet, key: Key
) -> None:
    fleet.host().save(with_token(bare(key), ""))

    def append(letter: str) -> None:
        storage = fleet.host()
        for _ in range(3):
            with storage.lock(key, timeout=60):
                stored = storage.load(key)
                assert stored is not None
                storage.save(with_token(stored, token_of(stored) + letter))

    threads = [threading.Thread(target=append, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stored = fleet.host().load(key)
    assert sorted(token_of(stored)) == sorted("abcdefgh" * 3)


def test_who_waits_stops_when_there_is_news(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(lease=1.0), fleet.host(lease=1.0)
    here.save(full(key))
    turns: list[bool] = []
    loaded = threading.Event()

    def wait() -> None:
        there.load(key)
        loaded.set()
        with there.turn(key) as ours:
            turns.append(ours)

    with here.lock(key):
        stored = here.load(key)
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert loaded.wait(60)
        assert stored is not None
        here.save(stored)  # as the proof before a refresh does: that is no news
        here.save(stored.renewed(TokenSet(Secret("newer"), 2.0)))
        waiting.join(60)
        assert turns == [False]
    with there.turn(key) as ours:  # nothing newer than what this thread has read
        assert ours


# Versions


def test_a_late_answer_does_not_replace_a_newer_login(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(), fleet.host()
    here.save(full(key))
    with ExitStack() as late:
        late.enter_context(here.lock(key))
        stored = here.load(key)
        assert stored is not None
        there.save(with_token(stored, "newer"))  # as one does who took the lease over
        with pytest.raises(StorageError) as caught:
            here.save(stored)  # the proof before a refresh token is sent
        assert caught.value.code == "superseded"
    with here.lock(key):
        stored = here.load(key)
        assert token_of(stored) == "newer"
        assert stored is not None
        there.delete(key)
        with pytest.raises(StorageError) as caught:
            here.save(with_token(stored, "late"))
        assert caught.value.code == "superseded"
    assert there.load(key) is None


def test_no_refresh_token_is_sent_after_the_lease_was_lost(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(), fleet.host()
    here.save(full(key))
    with here.lock(key):
        stored = here.load(key)
        assert stored is not None
        [lease] = here.leases._held.values()
        there.engine.release(key.id, "refresh", lease.owner)  # as if this host had stood still
        with there.lock(key):
            with pytest.raises(StorageError) as caught:
                here.save(stored)
            assert caught.value.code == "superseded"


def test_a_write_whose_answer_got_lost_counts(fleet: Fleet, key: Key) -> None:
    here = fleet.host()
    here.save(full(key))
    with here.lock(key):
        stored = here.load(key)
        assert stored is not None
        fresh = with_token(stored, "fresh")
        fleet.host().save(fresh)  # the first try
        here.save(fresh)
    assert token_of(here.load(key)) == "fresh"


def test_versions_grow_over_a_logout_and_a_loss_of_data(fleet: Fleet, key: Key) -> None:
    storage = fleet.host()
    versions = []
    storage.save(full(key))
    versions.append(storage.engine.get(key.id).version)
    storage.delete(key)
    versions.append(storage.engine.get(key.id).version)
    storage.save(bare(key))
    versions.append(storage.engine.get(key.id).version)
    storage.engine.put(key.id, storage.engine.get(key.id).text, versions[-1])  # sealed again
    versions.append(storage.engine.get(key.id).version)
    storage.engine.drop(key.id, (), 0.001)
    until(lambda: storage.engine.get(key.id).version == 0)
    fleet.host().save(full(key))
    versions.append(storage.engine.get(key.id).version)
    assert versions == sorted(set(versions))


def test_who_remembers_more_puts_it_back(fleet: Fleet, key: Key) -> None:
    here = fleet.host()
    here.save(full(key))
    here.engine.drop(key.id, (), 0.001)  # empty, as after a crash without a disk
    until(lambda: here.engine.get(key.id).version == 0)
    assert fleet.host().load(key) is None
    assert here.load(key) == full(key)
    there = fleet.host()
    assert there.load(key) == full(key)
    assert [entry.key for entry in there.list(account=key.account)] == [key]


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_what_was_deleted_here_is_not_put_back_after_a_loss_of_data(fleet: Fleet, key: Key) -> None:
    here = fleet.host()
    here.save(full(key))
    here.delete(key)
    here.engine.drop(key.id, (), 0.001)
    until(lambda: here.engine.get(key.id).version == 0)
    assert here.load(key) is None


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
@pytest.mark.parametrize(("days", "back"), [(5.9, True), (6.1, False)])
def test_who_remembers_for_longer_than_a_logout_is_known_puts_nothing_back(
    fleet: Fleet, key: Key, days: float, back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a host that has been running for a month: what is gone may have been deleted there."""
    now = [30 * 86_400.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("mcp_client_auth.storage.shared.time", clock)
    here = fleet.host()
    here.save(full(key))
    here.engine.drop(key.id, (), 0.001)
    until(lambda: here.engine.get(key.id).version == 0)
    now[0] += days * 86_400
    assert (here.load(key) == full(key)) is back


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_what_is_kept_for_a_time_is_kept_for_no_longer(fleet: Fleet, key: Key) -> None:
    import redis

    here = fleet.host(lease=300)
    here.save(full(key))
    here.delete(key)
    here.hold("a state", "what is held", 400)
    here.save_for("soon gone", Note(key, "outage"), 500)
    with here.lock(key), redis.Redis.from_url(fleet.url) as client:
        names = client.scan_iter(match=f"{fleet.namespace}:*")
        left = sorted(ms / 1000 for name in names if (ms := client.pttl(name)) > 0)
    for seconds, limit in zip(left, (300, 400, 500, GRAVE), strict=True):
        assert limit - 100 < seconds <= limit


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_of_many_logins_those_that_were_used_last_are_remembered(
    fleet: Fleet, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.storage.shared.MOST", 2)
    here = fleet.host()
    first, second, third = (replace(key, account=name) for name in ("ada", "bob", "eve"))
    here.save(full(first))
    here.save(full(second))
    here.load(first)
    here.save(full(third))
    for each in (first, second, third):
        here.engine.drop(each.id, (), 0.001)
        until(lambda lost=each: here.engine.get(lost.id).version == 0)  # type: ignore[misc]
    assert [here.load(each) for each in (first, second, third)] == [full(first), None, full(third)]


def test_what_was_deleted_elsewhere_is_not_put_back(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(), fleet.host()
    here.save(full(key))
    there.delete(key)
    assert here.load(key) is None
    assert there.load(key) is None
    there.save(bare(key))
    assert here.load(key) == bare(key)


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_a_storage_that_is_closed_has_no_connection(fleet: Fleet, key: Key) -> None:
    import redis

    with redis.Redis.from_url(fleet.url) as other:
        before, here = len(other.client_list()), fleet.host()
        here.save(full(key))
        assert len(other.client_list()) > before
        here.engine.close()
        until(lambda: len(other.client_list()) == before)


# Clocks, forks


@pytest.mark.parametrize("ahead", [120.0, -120.0])
def test_hosts_with_wrong_clocks_agree_when_a_token_ends(
    fleet: Fleet, key: Key, ahead: float
) -> None:
    right, wrong = fleet.host(), fleet.host(ahead=ahead)
    now = time.time()
    tokens = TokenSet(Secret("t"), now + ahead, now + ahead + 60)  # by the wrong clock
    wrong.save(replace(bare(key), tokens=tokens))
    read = right.load(key)
    assert read is not None
    assert read.tokens.expires_at == pytest.approx(now + 60, abs=5)
    back = wrong.load(key)
    assert back is not None
    assert back.tokens.expires_at == pytest.approx(now + ahead + 60, abs=5)
    [entry] = wrong.list(account=key.account)
    assert entry.expires_at == pytest.approx(now + ahead + 60, abs=5)
    wrong.save(bare(replace(key, account="bob")))
    [endless] = wrong.list(account="bob")
    assert endless.expires_at is None


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_only_a_clock_that_is_wrong_is_made_good_for_and_told_of(fleet: Fleet) -> None:
    def of_clocks(ahead: float) -> list[str]:
        return [each for each in fleet.host(ahead=ahead).warnings() if "clock" in each]

    assert (len(of_clocks(0.0)), len(of_clocks(120.0))) == (0, 1)
    host = fleet.host()
    host.records.clock = lambda: 1000.4
    host.records.heard(1000.0)  # which the way of the answer may explain
    assert host.time_there(5.0) == 5.0
    host.records.heard(1120.4)
    assert host.time_there(5.0) == 125.0


def later(now: Callable[[], float]) -> float:
    return now() + SECONDS + 3


@pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
@pytest.mark.parametrize("ahead", [120.0, -120.0])
def test_what_is_noted_by_a_wrong_clock_ends_for_all_at_once(
    fleet: Fleet, key: Key, ahead: float
) -> None:
    right, wrong = fleet.host(), fleet.host(ahead=ahead)
    hosts = [(right, time.time), (wrong, wrong.records.clock)]
    denied = AuthorizationDenied("the person said no")
    for (writer, at), (reader, now) in (hosts, hosts[::-1]):
        Cooling(writer, key, at).remember("login", denied)
        with pytest.raises(AuthorizationDenied):
            Cooling(reader, key, now).check("login")
        Cooling(reader, key, partial(later, now)).check("login")

        write_mark(writer, key, Mark("a token", at()))
        mark = read_mark(reader, key)
        assert mark is not None
        assert mark.cooling(now())
        assert not mark.cooling(now() + COOLING)

        writer.save(full(key))
        write_refusal(writer, full(key), denied, at())
        refusal = read_refusal(reader, full(key))
        assert refusal is not None
        assert 0 <= now() - refusal[1] < 5

        outage = Outage(Unavailable("down"), 8.0, 0.0)
        write_outage(writer, key, outage, 8.0, Now(at(), 0.0))
        heard = read_outage(reader, key, now())
        assert heard is not None
        assert 3 < heard[2] <= 8
        over = read_outage(reader, key, now() + 9)
        assert over is not None
        assert over[2] < 0, "whoever tries next knows the pause"
        assert read_outage(reader, key, now() + 25) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_uses_connections_and_leases_of_its_own(fleet: Fleet, key: Key) -> None:
    storage = fleet.host()
    storage.save(full(key))
    with storage.lock(key):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                loaded = storage.load(key) == full(key)
                with storage.lock(key, "another"):
                    code = 0 if loaded and len(storage.leases._held) == 1 else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(Unavailable), fleet.host().lock(key, timeout=0):
            pass  # the child has not given up what its parent holds
        storage.save(bare(key))
    assert fleet.host().load(key) == bare(key)


@pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_gives_up_no_lease_of_its_parent_and_keeps_its_own(
    fleet: Fleet, key: Key
) -> None:
    storage, other = fleet.host(lease=1.0), fleet.host(lease=1.0)
    ready, over = os.pipe(), os.pipe()
    with ExitStack() as block:
        block.enter_context(storage.lock(key))
        child = os.fork()
        if child == 0:  # it leaves the block, and holds another for longer than that lasts
            code = 1
            os.close(over[1])  # so that it hears of the end of its parent
            try:
                block.close()
                with storage.lock(key, "another"):
                    os.write(ready[1], b"x")
                    os.read(over[0], 1)
                code = 0
            finally:
                os._exit(code)
        os.close(ready[1])
        block.callback(os.close, over[1])
        assert os.read(ready[0], 1)
        for purpose in ("refresh", "another"):
            with pytest.raises(Unavailable), other.lock(key, purpose, timeout=1.5):
                pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with other.lock(key), other.lock(key, "another"):
        pass


def test_a_lease_whose_release_was_not_heard_is_still_ours(fleet: Fleet, key: Key) -> None:
    here, there = fleet.host(lease=60.0), fleet.host(lease=60.0)
    release = here.engine.release

    def unheard(*_: Any) -> None:
        raise Unavailable("cut off", code="store")

    here.engine.release = unheard  # type: ignore[assignment, method-assign]
    with here.lock(key):
        pass
    here.engine.release = release  # type: ignore[method-assign]
    with pytest.raises(Unavailable), there.lock(key, timeout=0):
        pass
    with here.lock(key, timeout=0), pytest.raises(Unavailable), there.lock(key, timeout=0):
        pass
    with there.lock(key, timeout=0):
        pass


def test_after_a_cut_a_host_takes_at_once_what_it_held_and_nothing_else(
    fleet: Fleet, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host may have the rest, and the engine may have forgotten who."""
    here, other = fleet.host(lease=60.0), replace(key, account="bob")
    with here.lock(key):
        pass
    with here.lock(other), monkeypatch.context() as cut:

        def unheard(*_: Any) -> None:
            raise OSError

        cut.setattr(here.engine, "get", unheard)
        cut.setattr(here.engine, "fault", lambda error: (True, "cut off"))
        with pytest.raises(Unavailable, match="cut off"):
            here.load(other)
    monkeypatch.setattr("mcp_client_auth.storage.shared.LOCK_WAIT", 0.2)
    with here.turn(other) as ours:
        assert ours
    with pytest.raises(Unavailable) as caught, here.turn(key):
        pass
    assert caught.value.code == "locked"


def test_a_lease_that_is_released_while_it_is_extended_is_free(fleet: Fleet, key: Key) -> None:
    here, extended = fleet.host(lease=1.0), threading.Event()
    extend, released = here.engine.extend, threading.Event()

    def late(*arguments: Any) -> bool:
        extended.set()
        assert released.wait(60)
        return extend(*arguments)

    here.engine.extend = late  # type: ignore[assignment, method-assign]
    with here.lock(key):
        assert extended.wait(60)
    released.set()
    until(lambda: here.leases._keeper is None)
    with fleet.host().lock(key, timeout=0):
        pass
