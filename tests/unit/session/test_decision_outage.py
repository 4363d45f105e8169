"""What an outage of a token endpoint leaves behind: a crowd that it brought together disperses.

Simulated with the real tables and values on a clock of its own; only the requests are made up.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from mcp_client_auth import Credential, Secret, Unavailable
from mcp_client_auth.credential import key_for
from mcp_client_auth.grants.selection import BY_BROWSER
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.session import knowledge as k
from mcp_client_auth.session.decision import after, next_step

ISSUER: Final = "https://auth.example.com"
KEY: Final = key_for("https://mcp.example.com/mcp")
CLIENT: Final = Client("client", ISSUER, "dynamic", "none")
REFRESH: Final = Secret("a refresh token of the crowd")
DOWN: Final = Unavailable("the server does not answer", url=ISSUER + "/token")
LIFE: Final = 3600.0
MARGIN: Final = 180.0  # on average
BEGIN, END, LAST = 25, 35, 103  # minutes: the outage, and what is looked at


class Crowd:
    """Logins that are used now and then, each in a session of its own. The same every time."""

    def __init__(self, size: int, used_every: float, seed: int = 1) -> None:
        self.dice = random.Random(seed)
        self.used_every = used_every
        self.known: dict[int, k.Knowledge] = {}
        self.uses: list[tuple[float, int]] = []
        self.renewed: Counter[int] = Counter()
        for login in range(size):
            now = k.Now(0.0, 0.0, self.dice.random())
            due = self.dice.random() * (LIFE - MARGIN)
            expires = due + k.margin(LIFE, now.draw)
            token = self.token(login, expires - LIFE)
            known = after(k.Knowledge(BY_BROWSER), k.Send(token, due, "stored"))
            self.known[login] = known
            self.uses.append((self.next_use(due), login))
        heapq.heapify(self.uses)

    def token(self, number: int, issued: float) -> Credential:
        tokens = TokenSet(Secret(f"{number} {issued}"), issued, issued + LIFE, REFRESH)
        return Credential(KEY, ISSUER, ISSUER + "/token", CLIENT, tokens)

    def next_use(self, moment: float) -> float:
        return moment + (self.dice.expovariate(1 / self.used_every) if self.used_every else 0)

    def run(self) -> None:
        while self.uses[0][0] < LAST * 60:
            moment, login = self.uses[0]
            again = self.use(login, k.Now(moment, moment, self.dice.random()))
            heapq.heapreplace(self.uses, (self.next_use(max(again, moment)), login))

    def use(self, login: int, now: k.Now) -> float:
        """What one request does; from when on the next one does anything."""
        known, minute = self.known[login], int(now.wall // 60)
        token = known.current
        assert token
        need = k.For.AHEAD if token.alive(now.wall) else k.For.REQUEST
        step = next_step(known, k.Stored(token), need, now)
        if isinstance(step, k.Wait):
            return step.until
        if isinstance(step, k.Send):
            self.known[login] = after(known, step)
            return step.due
        assert isinstance(step, k.Refresh)
        if BEGIN <= minute < END:
            self.known[login] = after(known, k.Faulted(DOWN, now))
            outage = self.known[login].outage
            assert outage
            return outage.until
        self.renewed[minute] += 1
        fresh = self.token(login, now.wall)
        self.known[login] = after(known, k.Refreshed(token, fresh, now))
        return self.known[login].due

    def later(self, wait: int) -> float:
        """The fullest minute from so many after the end on, as a multiple of the mean."""
        mean = len(self.known) * 60 / (LIFE - MARGIN + self.used_every)
        return max(self.renewed[minute] for minute in range(END + wait, LAST)) / mean


def after_outage(size: int, used_every: float) -> Crowd:
    crowd = Crowd(size, used_every)
    crowd.run()
    return crowd


def test_an_outage_of_ten_minutes_leaves_no_later_minute_above_twice_the_mean() -> None:
    """10,000 logins, each of which is used every five minutes or so; they are back in that time."""
    crowd = after_outage(10_000, used_every=300)
    assert sum(crowd.renewed.values()) > 14_000
    assert crowd.later(5) < 2


def test_logins_that_are_always_in_use_disperse_too() -> None:
    """They come back together within a minute, so 14 minutes' worth fall into 7 an hour later."""
    crowd = after_outage(1500, used_every=0)
    assert crowd.later(1) < 3


def test_a_narrow_margin_would_keep_the_crowd_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the simulation can tell."""
    narrow: Callable[[float, float], float] = lambda lifetime, draw: 30 + 30 * draw  # noqa: E731
    monkeypatch.setattr(k, "margin", narrow)
    assert after_outage(1500, used_every=0).later(1) > 6
