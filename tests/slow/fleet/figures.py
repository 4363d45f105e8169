"""The figures of a fleet, on one page: `python -m tests.slow.fleet.figures` (`--short` for a look).

Engines, hosts and processes of this machine: as root the hosts are network namespaces. Half an hour
in full. Words select rows: `redis`, `killed`. Exit code 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import LEASE
from tests.slow.fleet import sizes
from tests.slow.fleet.scenes import (
    FORGIVEN,
    Bed,
    Outcome,
    cut_off,
    engine_killed,
    killed,
    server_down,
    slow_token_endpoint,
    steady,
    wrong_clocks,
)


class Size(NamedTuple):
    """`workers` on each host; `lease` of the fault's scenes; `cut` and `down` in seconds."""

    hosts: int = 4
    workers: int = 10
    steady: float = 240
    logins: int = 10
    lease: float = LEASE
    slow_lease: float = 5
    cut_lease: float = LEASE
    cut: float = 12
    clocks: float = 30
    down: float = 30
    requests: int = 20_000
    many: int = 100_000
    users: int = 1000
    web: int = 20


SHORT: Final = Size(
    hosts=3, workers=2, steady=6, logins=2, lease=2, slow_lease=2, cut_lease=8, cut=3, clocks=9,
    down=6, requests=500, many=400, users=100, web=3,
)  # fmt: skip


class Row(NamedTuple):
    """`timed`: what a busy machine makes worse."""

    what: str
    target: str
    measured: str
    met: bool
    timed: bool = False


Scene = Callable[[Bed, str, Size], Iterator[Row]]


def none_lost(what: str, outcome: Outcome, requests: int | None = None) -> Row:
    """`requests`: how many there must be, and no more."""
    met = outcome.lost == 0 and requests in (None, outcome.requests)
    return Row(what, "0 lost", str(outcome), met)


def a_crowd(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = steady(bed, kind, size.workers, size.steady)
    what = f"{size.hosts * size.workers} workers, {size.hosts} hosts, {size.steady:.0f} s"
    met = found.requests == found.renewals > 0 and not (found.lost or found.failed)
    yield Row(what, "requests = renewals, 0 lost, 0 failed", str(found), met)


def the_fast_path(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = sizes.fast_path(bed.engine(kind), size.requests)
    yield Row("fast path: bytes to or from the engine", "0", str(found.io), found.io == 0)
    more = 1e6 * found.more
    yield Row("fast path: time added", "≤ 1 µs", f"{more:+.2f} µs", more <= 1, timed=True)


def a_slow_token_endpoint(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = slow_token_endpoint(bed, kind, size.logins, size.slow_lease)
    yield none_lost("token call of three leases", found, size.logins)


def killed_before(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = killed(bed, kind, size.logins, size.lease, "before")
    yield none_lost("holder killed before the request", found, size.logins)


def killed_saved(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = killed(bed, kind, size.logins, size.lease, "saved")
    yield none_lost("holder killed after the save", found, size.logins)


def killed_sending(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = killed(bed, kind, size.logins, size.lease, "sending", FORGIVEN)
    yield none_lost("killed on the wire, forgiving server", found, 2 * size.logins)


def killed_sending_strict(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = killed(bed, kind, size.logins, size.lease, "sending")
    met = found.lost == size.logins  # the control: no client can do better
    yield Row("killed on the wire, strict server", "no client can keep it", str(found), met)


def an_engine_killed(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = engine_killed(bed, kind, size.logins, size.lease)
    what = "back empty" if "empty" in kind else "killed"
    yield none_lost(f"engine {what}, refreshes on the wire", found, size.logins)


def a_host_cut_off(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = cut_off(bed, kind, size.logins, size.cut_lease, size.cut)
    what = f"holders cut off for {size.cut:.0f} s, lease {size.cut_lease:.0f} s"
    yield none_lost(what, found, size.logins)


def clocks_wrong(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = wrong_clocks(bed, kind, size.workers, size.clocks)
    met = not (found.refused or found.lost) and found.requests == found.renewals
    yield Row("clocks ±120 s", "0 answers of 401", f"{found.refused} of 401; {found}", met)


def a_server_down(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = server_down(bed, kind, size.workers, size.down)
    what = f"token endpoint down for {size.down:.0f} s, {size.hosts * size.workers} workers"
    met = found.lost == 0 and 1 <= found.requests <= 10
    yield Row(what, "≤ 10 token requests", f"{found.requests}; {found.lost} lost", met)


def many_logins(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = sizes.many(kind, size.many, min(1000, size.many // 2))
    what = f"{found.logins} logins of {found.record} bytes"
    each = found.bytes_each / 1000
    yield Row(f"{what}: size", "≤ 3.5 KB a login", f"{each:.2f} KB", each <= 3.5)
    look, ms = found.look, 1000 * found.look_up
    measured = f"{look:.2f} × ({ms:.2f} ms)"
    yield Row(f"{what}: look-up", "≤ 1.2 × of 1,000", measured, look <= 1.2, timed=True)
    ms = 1000 * found.list_of_user
    yield Row(f"{what}: list of one user", "≤ 1 ms", f"{ms:.2f} ms", ms <= 1, timed=True)


def many_users(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    for places in (1, 6):
        found = sizes.users(bed.engine(kind), size.users, places)
        what = f"{found.users} users of one process at expiry, {places} token endpoints"
        met = found.threads <= THREADS and not found.failures
        measured = f"{found.threads}, {found.failures} failures ({found.seconds:.1f} s)"
        yield Row(what, f"≤ {THREADS} threads more, 0 failures", measured, met)


def web_users(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = sizes.web(bed.engine(kind), size.web)
    met = found == (size.web, size.web, 0, 0, 1)
    measured = (
        f"{found.done} of {found.users}, {found.stolen} by another, {found.replayed} replays,"
        f" {found.registrations} registration"
    )
    target = f"{size.web}, another user and a replay refused"
    yield Row("web: begun in one process, finished in another", target, measured, met)


def a_laptop(bed: Bed, kind: str, size: Size) -> Iterator[Row]:
    found = sizes.noticed()
    measured = ", ".join(found) or "nothing"
    yield Row("loaded or required without the extras", "nothing", measured, not found)


THREADS: Final = 32
BOTH: Final = ("redis", "postgres")


class Figure(NamedTuple):
    """A scene, the engines that it is played with, and those in the short form."""

    scene: Scene
    full: Sequence[str] = BOTH
    short: Sequence[str] = BOTH


FIGURES: Final = (
    Figure(a_crowd, (*BOTH, "pgbouncer"), ("redis", "pgbouncer")),
    Figure(the_fast_path),
    Figure(a_slow_token_endpoint, short=("postgres",)),
    Figure(killed_before, short=("redis",)),
    Figure(killed_saved, short=("postgres",)),
    Figure(killed_sending, short=("redis",)),
    Figure(killed_sending_strict, ("redis",), ("redis",)),
    Figure(an_engine_killed, (*BOTH, "empty redis"), (*BOTH, "empty redis")),
    Figure(clocks_wrong, short=("postgres",)),
    Figure(a_server_down, short=("redis",)),
    Figure(a_host_cut_off, short=("redis",)),
    Figure(many_logins, short=("redis",)),
    Figure(many_users, short=("postgres",)),
    Figure(web_users),
    Figure(a_laptop, ("file",), ("file",)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="few of everything")
    parser.add_argument("words", nargs="*", help="only scenes or engines with one of these words")
    options = parser.parse_args()
    size = SHORT if options.short else Size()
    os.environ["MCP_CLIENT_AUTH_KEY"] = new_key().reveal()
    missed = False
    with Bed(size.hosts) as bed:
        print(f"hosts: {bed.network.words}")
        for figure in FIGURES:
            for kind in figure.short if options.short else figure.full:
                name = f"{figure.scene.__name__} {kind}"
                if options.words and not any(word in name for word in options.words):
                    continue
                began = time.monotonic()
                for row in figure.scene(bed, kind, size):
                    missed |= not row.met
                    mark = "" if row.met else "  MISSED"
                    took = f"({time.monotonic() - began:.0f} s)"
                    words = f"{row.what}, {kind} | {row.target} | {row.measured}"
                    print(f"| {words} |{mark} {took}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
