"""Each row of the table of steps, each row of what is learned, and that every call ends."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from mcp_client_auth import Credential, StorageError, TokenRefused, Unavailable
from mcp_client_auth.credential import key_for
from mcp_client_auth.grants.client_credentials import ClientCredentials
from mcp_client_auth.grants.selection import BrowserSignIn
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.session import knowledge as d
from mcp_client_auth.session.decision import after, next_step, without_store
from mcp_client_auth.session.knowledge import (
    Ask,
    Fail,
    For,
    HandBack,
    Knowledge,
    Mark,
    Newer,
    Now,
    Refresh,
    Refused,
    Repeat,
    Save,
    Send,
    Stored,
    TriedAgain,
    Wait,
)

NOW = Now(10_000.0, 500.0, 1.0)
ISSUER = "https://auth.example.com"


def token(
    name: str,
    age: float = 100,
    life: float | None = 3600,
    *,
    refresh: bool = True,
    generation: int = 0,
) -> Credential:
    issued = NOW.wall - age
    tokens = TokenSet(
        Secret(name),
        issued,
        None if life is None else issued + life,
        Secret(f"refresh of {name}") if refresh else None,
    )
    client = Client("c", ISSUER, "dynamic", "none")
    key = key_for("https://mcp.example.com/mcp")
    return Credential(key, ISSUER, ISSUER + "/token", client, tokens, generation=generation)


OLD, YOUNG, DUE, DEAD = token("old"), token("young", 3), token("due", 3500), token("dead", 3700)
LAST, LAST_DUE, LAST_DEAD = (
    replace(one, tokens=replace(one.tokens, refresh_token=None)) for one in (OLD, DUE, DEAD)
)
OTHER = token("other", generation=7)
DOWN, FULL = Unavailable("down"), StorageError("full")
NO = TokenRefused("no", code="invalid_grant", url="", status=400)
WHAT = TokenRefused("?", code="what", url="", status=400)
BUSY = Unavailable("busy", retry_after=9)
LATER = Unavailable("busy", retry_after=900)
CLIENT = TokenRefused("who", code="invalid_client", url="", status=401)


K = partial(Knowledge, BrowserSignIn())


def outage(until: float = 530, error: Any = DOWN, pause: float = 30) -> Knowledge:
    return K(outage=d.Outage(error, pause, until))


def refusal(of: Credential, error: Any = NO, tries: int = 1, until: float = 501) -> Knowledge:
    return K(refusal=d.RefreshRefusal(of.tokens.refresh_token, error, tries, until))


def mark(of: Credential, age: float = 10, **flags: bool) -> Mark:
    return Mark(d.fingerprint(of), NOW.wall - age, of.generation, NO, **flags)


def marked(of: Credential, age: float = 10, **flags: bool) -> Knowledge:
    return K(mark=mark(of, age, **flags))


def unsaved(fresh: Credential, until: float) -> Knowledge:
    return K(current=fresh, unsaved=d.Unsaved(DEAD, fresh, 1, until, FULL))


ROWS: dict[str, tuple[Knowledge, Stored, Any, type, dict[str, Any]]] = {
    "nothing is stored": (K(), Stored(), For.REQUEST, Ask, {"drop": True}),
    "fresh": (K(), Stored(OLD), For.REQUEST, Send, {"credential": OLD, "renew": False}),
    "fresh, ahead of time": (K(), Stored(OLD), For.AHEAD, Send, {}),
    "due": (K(), Stored(DUE), For.REQUEST, Send, {"renew": True}),
    "due, ahead of time": (K(), Stored(DUE), For.AHEAD, Refresh, {"usable": True}),
    "due, in an outage": (
        outage(),
        Stored(DUE),
        For.AHEAD,
        Send,
        {"due": 10_030.0, "renew": False},
    ),
    "due, no refresh token": (K(), Stored(LAST_DUE), For.AHEAD, Send, {"due": 10_100.0}),
    "due, refresh refused": (refusal(DUE), Stored(DUE), For.AHEAD, Send, {"due": 10_001.0}),
    "expired": (K(), Stored(DEAD), For.REQUEST, Refresh, {"usable": False, "explicit": False}),
    "expired, no refresh token": (K(), Stored(LAST_DEAD), For.REQUEST, Ask, {"drop": True}),
    "expired, in an outage": (
        outage(),
        Stored(DEAD),
        For.REQUEST,
        Wait,
        {"error": DOWN, "until": 530},
    ),
    "expired, outage over": (outage(500), Stored(DEAD), For.REQUEST, Refresh, {}),
    "expired, refused": (refusal(DEAD), Stored(DEAD), For.REQUEST, Ask, {"drop": True}),
    "expired, another was refused": (refusal(OLD), Stored(DEAD), For.REQUEST, Refresh, {}),
    "expired, refusal over": (refusal(DEAD, until=499), Stored(DEAD), For.REQUEST, Refresh, {}),
    "client unknown once": (
        refusal(DEAD, CLIENT),
        Stored(DEAD),
        For.REQUEST,
        Wait,
        {"error": None},
    ),
    "client unknown twice": (refusal(DEAD, CLIENT, 2), Stored(DEAD), For.REQUEST, Ask, {}),
    "grant refused": (
        replace(refusal(LAST), grant=ClientCredentials()),
        Stored(LAST_DEAD),
        For.REQUEST,
        Fail,
        {"error": NO},
    ),
    "grant asks again": (
        Knowledge(ClientCredentials()),
        Stored(LAST_DEAD),
        For.REQUEST,
        Refresh,
        {},
    ),
    "401, young": (K(), Stored(YOUNG), Refused(YOUNG), Repeat, {"credential": YOUNG}),
    "401, young, in an outage": (outage(), Stored(YOUNG), Refused(YOUNG), Repeat, {}),
    "401, tried twice": (K(), Stored(YOUNG), Refused(YOUNG, repeated=True), Refresh, {}),
    "401, tried twice by another": (
        K(repeated=TriedAgain(YOUNG, accepted=False)),
        Stored(YOUNG),
        Refused(YOUNG),
        Refresh,
        {},
    ),
    "401, issued in the future": (
        K(),
        Stored(token("x", -5)),
        Refused(token("x", -5)),
        Refresh,
        {},
    ),
    "401, half its life": (
        K(),
        Stored(token("x", 3, 6)),
        Refused(token("x", 3, 6)),
        Refresh,
        {"usable": False},
    ),
    "401": (K(), Stored(OLD), Refused(OLD), Refresh, {"usable": False}),
    "401, and another is stored": (K(), Stored(OTHER), Refused(OLD), Send, {"credential": OTHER}),
    "401, another has expired": (K(), Stored(DEAD), Refused(OLD), Refresh, {"credential": DEAD}),
    "401, only a bound one": (
        K(),
        Stored(OLD),
        Refused(OLD, only_bound=True),
        Ask,
        {"drop": False},
    ),
    "401, nothing is left": (K(), Stored(LAST), Refused(LAST), Mark, {"reason": None}),
    "401, refresh refused": (refusal(OLD), Stored(OLD), Refused(OLD), Mark, {"reason": NO}),
    "401 elsewhere": (K(), Stored(LAST), Refused(LAST, home=False), Ask, {"drop": False}),
    "401, of a login": (K(unproven=LAST), Stored(LAST), Refused(LAST), Mark, {"unproven": True}),
    "401, new": (K(), Stored(OLD), Refused(OLD, replaced=True), Repeat, {"credential": OLD}),
    "401, new, tried twice": (
        K(),
        Stored(OLD),
        Refused(OLD, repeated=True, replaced=True),
        Mark,
        {"again": False},
    ),
    "401, new, ended on the way": (
        K(),
        Stored(DEAD),
        Refused(DEAD, repeated=True, replaced=True),
        Refresh,
        {"credential": DEAD},
    ),
    "401, new, that never lasts": (
        K(),
        Stored(token("x", 3, 2)),
        Refused(token("x", 3, 2), repeated=True, replaced=True),
        Mark,
        {"again": False},
    ),
    "401, new, elsewhere": (
        K(),
        Stored(OLD),
        Refused(OLD, repeated=True, replaced=True, home=False),
        HandBack,
        {},
    ),
    "401, new, after a mark": (
        K(mark=mark(DEAD)),
        Stored(OLD),
        Refused(OLD, repeated=True, replaced=True),
        Mark,
        {"again": True},
    ),
    "marked, new": (marked(OLD), Stored(OLD), Refused(OLD, replaced=True), HandBack, {}),
    "marked again, new": (
        marked(OLD, again=True),
        Stored(OLD),
        Refused(OLD, replaced=True),
        Ask,
        {},
    ),
    "marked": (marked(OLD), Stored(OLD), Refused(OLD), Ask, {"drop": False}),
    "marked, of a login": (
        marked(OLD, unproven=True),
        Stored(OLD),
        Refused(OLD),
        Fail,
        {"error": NO},
    ),
    "marked, cooled": (marked(OLD, 61), Stored(OLD), Refused(OLD), Refresh, {}),
    "marked, cooled, no refresh token": (marked(LAST, 61), Stored(LAST), Refused(LAST), Ask, {}),
    "marked, clock set back": (marked(OLD, -10), Stored(OLD), Refused(OLD), Refresh, {}),
    "marked, to send": (marked(OLD), Stored(OLD), For.REQUEST, Send, {}),
    "marked, to hand out": (marked(OLD, unproven=True), Stored(OLD), For.HANDING_OUT, Ask, {}),
    "marked, cooled, to hand out": (marked(OLD, 61), Stored(OLD), For.HANDING_OUT, Refresh, {}),
    "marked, newer": (
        marked(OLD),
        Stored(OLD),
        Newer(OLD, explicit=True),
        Refresh,
        {"explicit": True},
    ),
    "another is marked": (marked(DUE), Stored(OLD), For.HANDING_OUT, Send, {}),
    "ends too soon": (K(), Stored(OLD), Newer(OLD), Refresh, {"explicit": False}),
    "newer is stored": (K(), Stored(OTHER), Newer(OLD), Send, {"credential": OTHER}),
    "unsaved": (unsaved(OLD, 501), Stored(DEAD), For.REQUEST, Send, {"credential": OLD}),
    "unsaved, to save": (unsaved(OLD, 500), Stored(DEAD), For.REQUEST, Save, {"credential": OLD}),
    "unsaved, refused": (unsaved(OLD, 501), Stored(DEAD), Refused(OLD), Fail, {"error": FULL}),
    "unsaved, login since": (
        unsaved(OLD, 500),
        Stored(OTHER),
        For.REQUEST,
        Send,
        {"credential": OTHER},
    ),
    "a write came late": (
        K(current=OTHER),
        Stored(OLD, indexed=7),
        For.REQUEST,
        Save,
        {"credential": OTHER},
    ),
    "an older login": (
        K(current=OTHER),
        Stored(OLD, indexed=0),
        For.REQUEST,
        Send,
        {"credential": OLD},
    ),
    "held, postponed": (
        K(current=DUE, due=10_050.0),
        Stored(DUE),
        For.AHEAD,
        Send,
        {"due": 10_050.0},
    ),
}


@pytest.mark.parametrize(("known", "stored", "need", "kind", "more"), ROWS.values(), ids=ROWS)
def test_a_row_of_the_table(
    known: Knowledge, stored: Stored, need: Any, kind: type, more: dict[str, Any]
) -> None:
    step = next_step(known, stored, need, NOW)
    assert type(step) is kind
    assert {name: getattr(step, name) for name in more} == more
    assert step.why


HEIR = token("heir", 0)
MARKED, BORN = K(current=OLD, mark=mark(OLD)), K(current=OLD, unproven=OLD)
LEARNED: dict[str, tuple[Knowledge, Any, dict[str, Any]]] = {
    "sent": (K(), Send(OLD, 12.0, ""), {"current": OLD, "due": 12.0, "read": True}),
    "never beyond its end": (
        K(),
        Send(OLD, 9e9, ""),
        {"current": OLD, "due": 13_500.0, "read": True},
    ),
    "asked": (K(current=OLD), Ask(""), {}),
    "dropped": (K(current=OLD), Ask("", drop=True), {"current": None, "read": True}),
    "to be repeated": (K(), Repeat(OLD), {}),
    "repeated": (
        K(),
        TriedAgain(OLD, accepted=False),
        {"repeated": TriedAgain(OLD, accepted=False)},
    ),
    "marked": (K(), mark(OLD), {"mark": mark(OLD)}),
    "accepted": (replace(MARKED, unproven=OLD), d.Accepted(OLD), {"mark": None, "unproven": None}),
    "accepted, and none is held": (
        replace(MARKED, current=None, unproven=OLD),
        d.Accepted(OLD),
        {"mark": None, "unproven": None},
    ),
    "another accepted": (replace(MARKED, unproven=OLD), d.Accepted(DUE), {}),
    "logged in": (
        replace(outage(), mark=mark(OLD)),
        d.LoggedIn(HEIR, NOW),
        {
            "current": HEIR,
            "due": 13_240.0,
            "read": True,
            "unproven": HEIR,
            "mark": None,
            "outage": None,
        },
    ),
    "refreshed": (
        replace(refusal(OLD), outage=outage().outage),
        d.Refreshed(OLD, HEIR, NOW),
        {"current": HEIR, "due": 13_240.0, "read": True, "refusal": None, "outage": None},
    ),
    "heir of a login": (
        BORN,
        d.Refreshed(OLD, HEIR, NOW),
        {"current": HEIR, "due": 13_240.0, "read": True, "unproven": HEIR},
    ),
    "heir of a mark": (
        MARKED,
        d.Refreshed(OLD, HEIR, NOW),
        {
            "current": HEIR,
            "due": 13_240.0,
            "read": True,
            "mark": replace(mark(OLD), token=d.fingerprint(HEIR), generation=0),
        },
    ),
    "no heir of an old mark": (
        replace(MARKED, mark=mark(OLD, 61)),
        d.Refreshed(OLD, HEIR, NOW),
        {"current": HEIR, "due": 13_240.0, "read": True},
    ),
    "no heir where it was wanted": (
        MARKED,
        d.Refreshed(OLD, HEIR, NOW, True),
        {"current": HEIR, "due": 13_240.0, "read": True},
    ),
    "refused": (
        K(),
        d.RefreshRefused(OLD, NO, NOW),
        {"refusal": refusal(OLD, until=float("inf")).refusal},
    ),
    "refused otherwise": (
        K(),
        d.RefreshRefused(OLD, WHAT, NOW),
        {"refusal": refusal(OLD, WHAT, until=560).refusal},
    ),
    "client unknown": (
        K(),
        d.RefreshRefused(OLD, CLIENT, NOW),
        {"refusal": refusal(OLD, CLIENT).refusal},
    ),
    "client unknown again": (
        refusal(OLD),
        d.RefreshRefused(OLD, CLIENT, NOW),
        {"refusal": refusal(OLD, CLIENT, tries=2, until=560).refusal},
    ),
    "grant refused": (
        Knowledge(ClientCredentials()),
        d.RefreshRefused(OLD, NO, NOW),
        {"refusal": refusal(OLD, until=560).refusal},
    ),
    "waited": (K(current=OLD), Wait(501, DOWN, ""), {}),
    "fault": (K(), d.Faulted(DOWN, NOW), {"outage": d.Outage(DOWN, 0.5, 500.5)}),
    "fault again": (
        outage(pause=40),
        d.Faulted(DOWN, replace(NOW, draw=0.0)),
        {"outage": d.Outage(DOWN, 60, 530)},
    ),
    "retry-after": (
        K(),
        d.Faulted(BUSY, NOW),
        {"outage": d.Outage(BUSY, 0.5, 509.9)},
    ),
    "retry-after, and the dice": (
        K(),
        d.Faulted(LATER, replace(NOW, draw=0.5)),
        {"outage": d.Outage(LATER, 0.5, 1405)},
    ),
    "not saved": (
        K(),
        d.SaveFailed(DEAD, OLD, FULL, NOW),
        {
            "current": OLD,
            "due": 10_000.5,
            "read": True,
            "unsaved": d.Unsaved(DEAD, OLD, 0.5, 500.5, FULL),
        },
    ),
    "saved": (
        unsaved(OLD, 500),
        d.Saved(OLD, NOW),
        {"due": 13_140.0, "read": True, "unsaved": None},
    ),
    "read": (K(), d.Read(Stored(OLD), NOW), {}),
    "read a mark": (K(), d.Read(Stored(OLD, mark(OLD)), NOW), {"mark": mark(OLD)}),
    "read that a mark has ended": (
        K(mark=mark(OLD, noted=True)),
        d.Read(Stored(OLD), NOW),
        {"mark": None},
    ),
    "read, and ours could not be noted": (MARKED, d.Read(Stored(OLD), NOW), {}),
    "read what is still over an unsaved one": (unsaved(OLD, 500), d.Read(Stored(DEAD), NOW), {}),
    "read a login instead of an unsaved one": (
        unsaved(OLD, 500),
        d.Read(Stored(OTHER), NOW),
        {"unsaved": None},
    ),
    "read that it was saved all the same": (
        unsaved(OLD, 500),
        d.Read(Stored(OLD), NOW),
        {"unsaved": None, "read": True, "due": 13_140.0},
    ),
    "read nothing instead of an unsaved one": (
        unsaved(OLD, 500),
        d.Read(Stored(), NOW),
        {"unsaved": None},
    ),
    "another accepted, and a mark of it": (
        K(current=OLD, mark=mark(DUE)),
        d.Accepted(DUE),
        {"mark": None},
    ),
    "read what another was told": (
        K(),
        d.Read(Stored(OLD, refusal=(CLIENT, NOW.wall - 20)), NOW),
        {"refusal": refusal(OLD, CLIENT, tries=2, until=540).refusal},
    ),
    "read what another was told long ago": (
        K(),
        d.Read(Stored(OLD, refusal=(CLIENT, NOW.wall - 60)), NOW),
        {},
    ),
    "read what another was told, by a later clock": (
        K(),
        d.Read(Stored(OLD, refusal=(CLIENT, NOW.wall + 1)), NOW),
        {},
    ),
    "read what another was told, and we before": (
        refusal(OLD),
        d.Read(Stored(OLD, refusal=(CLIENT, NOW.wall)), NOW),
        {},
    ),
    "insisted": (refusal(OLD), d.Insisted(), {"refusal": None}),
    "insisted in vain": (refusal(OLD, until=float("inf")), d.Insisted(), {}),
    "logged out": (MARKED, d.Forgotten(), {"current": None, "mark": None, "read": True}),
}


@pytest.mark.parametrize(("known", "event", "changed"), LEARNED.values(), ids=LEARNED)
def test_what_an_event_teaches_and_nothing_else(
    known: Knowledge, event: Any, changed: dict[str, Any]
) -> None:
    learned, names = after(known, event), [field.name for field in fields(known)]
    expected = {name: changed.get(name, getattr(known, name)) for name in names}
    assert {name: getattr(learned, name) for name in names} == expected


@pytest.mark.parametrize("fault", [NO, CLIENT, DOWN, FULL, TokenRefused("?", url="", status=400)])
@pytest.mark.parametrize(("known", "stored", "need", "kind", "more"), ROWS.values(), ids=ROWS)
def test_a_call_ends_whatever_goes_wrong(
    known: Knowledge, stored: Stored, need: Any, kind: type, more: object, fault: Any
) -> None:
    now = NOW
    for _ in range(12):
        step = next_step(known, stored, need, now)
        match step:
            case Refresh(old) if isinstance(fault, Unavailable):
                known = after(known, d.Faulted(fault, now))
            case Refresh(old) if isinstance(fault, StorageError):
                return  # raised, or the token serves on
            case Refresh(old):
                known = after(known, d.RefreshRefused(old, fault, now))
            case Save(fresh, over):
                known = after(known, d.SaveFailed(over, fresh, FULL, now))
            case Mark():
                known = after(known, replace(step, reason=NO))
            case Wait(until, error):
                if error and until > NOW.steady + 10:
                    return
                now = Now(now.wall + until - now.steady, until)
            case _:
                return
    pytest.fail(f"still {step}")


@pytest.mark.parametrize(
    ("life", "draw", "seconds"),
    [(5, 0, 0.5), (5, 1, 0.5), (10, 0, 1), (10, 1, 1), (3600, 0, 1), (3600, 1, 360), (9e6, 1, 360)],
)
def test_the_margin_is_between_a_second_and_a_tenth(
    life: float, draw: float, seconds: float
) -> None:
    assert d.margin(life, draw) == pytest.approx(seconds)


def test_while_the_store_is_down_what_lives_is_sent_and_not_looked_at_again_at_once() -> None:
    step = without_store(K(current=OLD), For.REQUEST, DOWN, NOW)
    assert isinstance(step, Send)
    assert step.credential == OLD
    assert NOW.wall < step.due < NOW.wall + 120
    ending = token("ending", 3599)
    step = without_store(K(current=ending), For.REQUEST, DOWN, NOW)
    assert isinstance(step, Send)
    assert step.due == d.end(ending)
    assert isinstance(without_store(K(current=DEAD), For.REQUEST, DOWN, NOW), Wait)
    assert isinstance(without_store(K(), For.REQUEST, DOWN, NOW), Wait)
