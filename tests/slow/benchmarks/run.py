"""What it costs, on one page: `python -m tests.slow.benchmarks.run` (`--quick` for a look,
`--only memory` for some of its rows).

Each figure stands against a baseline that was measured in the same run, turn by turn with
it; both are medians. Exit code 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import gc
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

import mcp_client_auth
from mcp_client_auth import Credential, FileStorage, MCPAuth, MemoryStorage, Secret
from mcp_client_auth.credential import dumps, key_for
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.session.single_flight import wait
from mcp_client_auth.session.turns import MOST, MOST_AT_ONE
from mcp_client_auth.testing.secret_service import SecretService
from tests.slow.benchmarks.counts import HEADERS, LIST, NEEDED, crowds, requests_of_logins, scene
from tests.slow.benchmarks.installed import OURS, weight
from tests.slow.benchmarks.round_trips import measured
from tests.unit.session.test_decision_outage import after_outage

LATENCY = 0.05
INSTALLED = shutil.which("mcp-login", path=str(Path(sys.executable).parent))
COMMAND = [INSTALLED] if INSTALLED else [sys.executable, "-m", "mcp_client_auth"]
STEPS = 7


class Size(NamedTuple):
    """How often each thing is measured."""

    starts: int = 21
    requests: int = 3000
    volley: int = 2000
    volleys: int = 15
    logins: int = 5
    sessions: int = 1000
    servers: int = 100_000
    looks: int = 200
    crowd: tuple[int, int, int] = (1000, 10, 20)
    users: int = 1000
    far: int = 5
    rtt: float = 0.2

    storm: int = 10_000
    commands: int = 7


QUICK = Size(3, 60, 200, 1, 1, 300, 3000, 20, (50, 3, 2), 40, 1, storm=1000, commands=2)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `better` is the word before the target."""

    what: str
    measured: str
    baseline: str
    ratio: float
    target: float
    better: str = "at most"

    @property
    def met(self) -> bool:
        if self.better == "exactly":
            return self.ratio == self.target
        return self.ratio <= self.target if self.better == "at most" else self.ratio >= self.target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few rounds, small crowds")
    names = [benchmark.__name__ for benchmark in BENCHMARKS]
    parser.add_argument("--only", action="append", choices=names, help="this one; repeat for more")
    given = parser.parse_args()
    size, chosen = QUICK if given.quick else Size(), given.only or names
    rows: list[Row] = []
    # a first import that has to compile measures the compiler
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(mcp_client_auth.__file__).parent, quiet=2)
    with tempfile.TemporaryDirectory() as home:
        os.environ["MCP_CLIENT_AUTH_HOME"] = home
        for benchmark in (each for each in BENCHMARKS if each.__name__ in chosen):
            rows += benchmark(size, Path(home) / benchmark.__name__)
    print(page(rows))
    return 0 if all(row.met for row in rows) else 1


def page(rows: Sequence[Row]) -> str:
    lines = [f"{'':58}{'measured':>12}{'baseline':>12}{'ratio':>9}   target"]
    for row in rows:
        mark = "" if row.met else "  MISSED"
        lines.append(
            f"{row.what:58}{row.measured:>12}{row.baseline:>12}{row.ratio:>9.3g}"
            f"   {row.better} {row.target:g}{mark}"
        )
    return "\n".join(lines)


def turn_by_turn(
    times: int, one: Callable[[], float], other: Callable[[], float]
) -> tuple[float, float]:
    """The medians of what both return, called in alternation and in either order."""
    ones: list[float] = []
    others: list[float] = []
    for turn in range(times):
        for call, kept in ((one, ones), (other, others))[:: 1 if turn % 2 else -1]:
            kept.append(call())
    return statistics.median(ones), statistics.median(others)


# Starting


def starting(size: Size, home: Path) -> list[Row]:
    """CPU time of interpreters that do one thing and end."""
    cases = [("import mcp_client_auth / python -c pass", "import mcp_client_auth", "pass", 1.2)]
    for libraries in ("httpx", "httpx2", "httpx, httpx2", "httpx, httpx2, rich"):
        client = f"import {libraries}; {{}}{libraries.partition(',')[0]}.Client({{}})"
        ours = "from mcp_client_auth import MCPAuth; ", "auth=MCPAuth('https://mcp.example.com/')"
        what = f"a client with MCPAuth / without, of {libraries}"
        cases.append((what, client.format(*ours), client.format("", ""), 1.05))
    rows = []
    for what, ours_, base, target in cases:
        mine, theirs = turn_by_turn(size.starts, partial(cpu, ours_), partial(cpu, base))
        rows.append(Row(what, ms(mine), ms(theirs), mine / theirs, target))
    return rows


def the_command(size: Size, home: Path) -> list[Row]:
    """CPU time of `mcp-login`, against a Python process that reads one JSON file."""
    url = "https://mcp.example.com/mcp"
    FileStorage(home).save(held(url))
    os.environ["MCP_CLIENT_AUTH_HOME"] = str(home)
    file = next(home.glob("*.secret"))
    base = partial(reading, file)
    rows = []
    for words in (["token", url], ["--help"], ["login", "--help"]):
        mine, theirs = turn_by_turn(size.starts, partial(spent, COMMAND + words), base)
        named = " ".join(words).replace(f" {url}", "")
        what = f"mcp-login {named} / reading one JSON file"
        rows.append(Row(what, ms(mine), ms(theirs), mine / theirs, 3))
    return rows


SAVE = """
import sys
from mcp_client_auth.storage import library_storage
from tests.slow.benchmarks.run import held
made = held(sys.argv[1])
library_storage(sys.argv[2], made.key).save(made)
"""


def from_the_keyring(size: Size, home: Path) -> list[Row]:
    """The same where the OS keyring holds the login, if this machine can run one for a test."""
    if not SecretService.installed():
        return []
    url = "https://mcp.example.com/mcp"
    file = home.with_suffix(".json")
    file.write_text(dumps(held(url)))
    base = partial(reading, file)
    rows = []
    with SecretService() as service:
        found = {**os.environ, **service.environment, "MCP_CLIENT_AUTH_HOME": str(home)}
        subprocess.run([sys.executable, "-c", SAVE, url, "keyring"], check=True, env=found)
        for words in (["token", url], ["headers", url], ["exec", url, "--", "true"]):
            mine, theirs = turn_by_turn(
                size.starts, partial(spent, [*COMMAND, *words], found), base
            )
            what = f"mcp-login {words[0]} from the keyring / reading one JSON file"
            rows.append(Row(what, ms(mine), ms(theirs), mine / theirs, 6))
    return rows


FIRST = """
import sys, time, httpx
from mcp_client_auth import MCPAuth
url = "https://mcp.example.com/mcp"
how = {"headers": {"Authorization": "Bearer x"}}
if sys.argv[1] == "ours":
    how = {"auth": MCPAuth(url, prompt=None)}
transport = httpx.MockTransport(lambda request: httpx.Response(200))
with httpx.Client(transport=transport, **how) as client:
    began = time.process_time()
    client.post(url, content=b"{}")
    print(time.process_time() - began)
"""


def the_first_request(size: Size, home: Path) -> list[Row]:
    """CPU time that a process spends in its first request, which opens the session and reads the
    token, beyond that of one with a ready header; against a process that reads one JSON file."""
    url = "https://mcp.example.com/mcp"
    FileStorage(home).save(held(url))
    os.environ["MCP_CLIENT_AUTH_HOME"] = str(home)

    def first(whose: str) -> float:
        command = [sys.executable, "-c", FIRST, whose]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout)

    def added() -> float:
        return first("ours") - first("ready")

    mine, base = turn_by_turn(size.starts, added, partial(reading, next(home.glob("*.secret"))))
    what = "what a first request costs more / reading one JSON file"
    return [Row(what, ms(mine), ms(base), mine / base, 1)]


def cpu(code: str) -> float:
    return spent([sys.executable, "-c", code])


def reading(file: Path) -> float:
    """CPU time of a process that reads one JSON file."""
    return cpu(f"import json; json.load(open({str(file)!r}))")


def spent(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    null = subprocess.DEVNULL
    subprocess.run(command, check=True, stdout=null, stderr=null, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# A request


@contextmanager
def answering(delay: float) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("answering.py")), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        finally:
            process.terminate()


def held(url: str, number: int = 0) -> Credential:
    """A credential of the usual size, good for an hour."""
    issuer = "https://auth.example.com"
    client = Client(f"client-{number}", issuer, "dynamic", "none", None, ("http://127.0.0.1:1/",))
    tokens = TokenSet(
        Secret(f"{number:064x}"),
        time.time(),
        time.time() + 3600,
        Secret(f"{number + 1:064x}"),
        ("read", "offline_access"),
    )
    return Credential(key_for(url), issuer, issuer + "/token", client, tokens, url)


def fresh(url: str) -> tuple[MCPAuth, dict[str, str]]:
    """An `MCPAuth` that holds a fresh token, and the header that it would send."""
    storage = MemoryStorage()
    storage.save(held(url))
    auth = MCPAuth(url, storage=storage, prompt=None)
    credential = wait(auth.session.ready())
    assert credential
    return auth, {"Authorization": "Bearer " + credential.tokens.access_token.reveal()}


def a_request(size: Size, home: Path) -> list[Row]:
    with answering(0) as url:
        auth, header = fresh(url)
        with (
            httpx.Client(auth=auth, trust_env=False) as ours,
            httpx.Client(headers=header, trust_env=False) as ready,
        ):
            timed(ours, url)
            timed(ready, url)
            mine, theirs = turn_by_turn(
                size.requests, lambda: timed(ours, url), lambda: timed(ready, url)
            )
    what = "a request over loopback with a fresh token / ready header"
    return [Row(what, us(mine), us(theirs), mine / theirs, 1.02)]


def without_network(size: Size, home: Path) -> list[Row]:
    """The same where nothing is sent, so that microseconds can be seen."""
    url = "https://mcp.example.com/mcp"
    auth, header = fresh(url)
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    ours = httpx.Client(auth=auth, transport=transport)
    ready = httpx.Client(headers=header, transport=transport)
    with ours, ready:
        mine, base = turn_by_turn(
            size.requests, lambda: timed(ours, url), lambda: timed(ready, url)
        )
    what = "… without a network, where microseconds count"
    return [Row(what, f"+{us(mine - base)}", us(base), mine / base, 1.04)]


def timed(client: httpx.Client, url: str) -> float:
    began = time.perf_counter()
    client.post(url, content=b"{}")
    return time.perf_counter() - began


def a_volley(size: Size, home: Path) -> list[Row]:
    """100 workers against a server that answers after 20 ms."""
    with answering(0.02) as url:
        auth, header = fresh(url)
        peaks: dict[bool, list[int]] = {True: [], False: []}

        def ours() -> float:
            rate, peak = asyncio.run(volley(url, size.volley, auth=auth))
            peaks[True].append(peak)
            return rate

        def ready() -> float:
            rate, peak = asyncio.run(volley(url, size.volley, headers=header))
            peaks[False].append(peak)
            return rate

        mine, theirs = turn_by_turn(size.volleys, ours, ready)
    flying, base = statistics.median(peaks[True]), statistics.median(peaks[False])
    return [
        Row(
            "100 workers, 20 ms: requests a second / ready header",
            f"{mine:.0f}/s",
            f"{theirs:.0f}/s",
            mine / theirs,
            0.95,
            "at least",
        ),
        Row("… in flight at once", f"{flying:.0f}", f"{base:.0f}", flying / base, 1, "at least"),
    ]


def workers(size: Size, home: Path) -> list[Row]:
    """20 workers against a server that answers after 200 ms, which is 100 requests a second."""
    with answering(0.2) as url:
        auth, header = fresh(url)

        def ours() -> float:
            return asyncio.run(volley(url, size.volley // 4, auth=auth, most=20))[0]

        def ready() -> float:
            return asyncio.run(volley(url, size.volley // 4, headers=header, most=20))[0]

        mine, base = turn_by_turn(max(1, size.volleys // 4), ours, ready)
    what = "20 workers, 200 ms: requests a second / ready header"
    return [Row(what, f"{mine:.1f}/s", f"{base:.1f}/s", mine / base, 0.98, "at least")]


async def volley(
    url: str,
    requests: int,
    auth: MCPAuth | None = None,
    headers: dict[str, str] | None = None,
    most: int = 100,
) -> tuple[float, int]:
    """Requests a second of so many workers, and the most that the server saw at once."""
    left = iter(range(requests))
    async with httpx.AsyncClient(auth=auth, headers=headers, trust_env=False) as client:

        async def worker() -> None:
            for _ in left:
                await client.post(url, content=b"{}")

        await asyncio.gather(*(client.post(url, content=b"{}") for _ in range(most)))
        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(most)))
        took = time.perf_counter() - began
        peak = (await client.get(url.replace("/mcp", "/peak"))).text
    return requests / took, int(peak)


# A login


def counted(size: Size, home: Path) -> list[Row]:
    found = requests_of_logins(home)
    return [
        Row(f"requests: {what}", str(found[what]), "", found[what], needed, "exactly")
        for what, needed in NEEDED.items()
    ]


def a_login(size: Size, home: Path) -> list[Row]:
    """Wall time at 50 ms an answer, less the 50 ms of the person's own consent."""
    times = []
    for number in range(size.logins + 1):
        with scene(home / str(number), latency=LATENCY) as here, here.client() as client:
            began = time.perf_counter()
            client.post(here.server.url, json=LIST, headers=HEADERS).raise_for_status()
            times.append(time.perf_counter() - began - LATENCY)
    wall, base = statistics.median(times[1:] or times), STEPS * LATENCY
    what = f"a first login at {LATENCY * 1000:.0f} ms an answer / {STEPS} answers"
    return [Row(what, ms(wall), ms(base), wall / base, 1.15)]


def far_away(size: Size, home: Path) -> list[Row]:
    """Round trips of a first login over https, beside those of the official SDK's client."""
    rows = []
    for place, elsewhere, likely, general in (
        ("one origin", False, 9.5, 11.5),
        ("authorization server elsewhere", True, 11.5, 13.5),
    ):
        found = measured(home / place, size.rtt, size.far, elsewhere=elsewhere)
        sdk = found.get("official")
        for how, target in (("likely", likely), ("in general", general)):
            what = f"round trips, {place}, {how}" + (" / SDK" if sdk else "")
            mine, theirs = found[how], f"{sdk:.2f}" if sdk else ""
            rows.append(Row(what, f"{mine:.2f}", theirs, mine, target))
    return rows


def crowded(size: Size, home: Path) -> list[Row]:
    rows = []
    for kind, crowd in crowds(home, *size.crowd).items():
        what = f"refreshes at one expiry of {crowd.size} {kind}"
        rows.append(Row(what, str(crowd.refreshes), "", crowd.refreshes, 1, "exactly"))
        bad = crowd.failures + crowd.logins
        rows.append(Row("… failures and logins", str(bad), "", bad, 0, "exactly"))
    return rows


def users(size: Size, home: Path) -> list[Row]:
    """Logins of one process whose tokens have ended, against a token endpoint of 50 ms alone."""
    with answering(0.05) as url:
        endpoint, storage = url.replace("/mcp", "/token"), MemoryStorage()
        now, auths = time.time(), []
        for number in range(size.users):
            login = held(url, number)
            tokens = replace(login.tokens, issued_at=now - 3601, expires_at=now - 1)
            key, issuer = key_for(url, f"user-{number}"), endpoint.removesuffix("/token")
            storage.save(
                replace(login, key=key, issuer=issuer, token_endpoint=endpoint, tokens=tokens)
            )
            auths.append(MCPAuth(url, account=key.account, storage=storage, prompt=None))
        sessions = [auth.session for auth in auths]
        place = urlsplit(endpoint)

        def alone(_: object) -> int:
            connection = HTTPConnection(place.netloc)
            connection.request("POST", place.path, b"grant_type=refresh_token&refresh_token=x")
            return connection.getresponse().status

        with ThreadPoolExecutor(MOST_AT_ONE) as pool:
            began = time.perf_counter()
            assert set(pool.map(alone, sessions)) == {200}
            base = time.perf_counter() - began
        threads, began = threading.active_count(), time.perf_counter()
        futures, most = [session.ready() for session in sessions], 0
        while not all(future.done() for future in futures):
            most = max(most, threading.active_count() - threads)
            time.sleep(0.02)
        mine = time.perf_counter() - began
    failures = sum(future.exception() is not None for future in futures)
    return [
        Row(f"{size.users} users renewed / the endpoint", ms(mine), ms(base), mine / base, 1.3),
        Row("… threads more", str(most), "", most, MOST),
        Row("… failures", str(failures), "", failures, 0, "exactly"),
    ]


def after_outage_of(size: Size, home: Path) -> list[Row]:
    """Renewals in the fullest minute after an outage of ten minutes, against a mean minute;
    simulated with the real tables."""
    ratio = after_outage(size.storm, used_every=300).later(5)
    what = f"outage of 10 minutes, {size.storm} logins: fullest / mean minute"
    return [Row(what, "", "", ratio, 2)]


# Many sessions, many servers


def memory(size: Size, home: Path) -> list[Row]:
    """Sessions that hold a token, each for a server of its own, on one store of files."""
    urls = [f"https://mcp-{number}.example.com/mcp" for number in range(size.sessions)]
    storage = filled(home, urls)
    warm = live(urls[0], storage)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    sessions = [live(url, storage) for url in urls]
    gc.collect()  # also what Python keeps to use again: up to 2,000 tuples of each length
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert all(auth.session.current() for auth in [warm, *sessions])
    each = used / len(sessions)
    return [Row("memory of a live session, in KB", f"{each / 1024:.2f} KB", "", each / 1024, 2.5)]


def live(url: str, storage: FileStorage) -> MCPAuth:
    auth = MCPAuth(url, storage=storage, prompt=None)
    assert wait(auth.session.ready())
    return auth


def stored(size: Size, home: Path) -> list[Row]:
    """Processor time of what is done to one login in files among many."""
    few = filled(home / "few", [f"https://mcp-{n}.example.com/mcp" for n in range(10)])
    many = filled(home / "many", [f"https://mcp-{n}.example.com/mcp" for n in range(size.servers)])
    ours, other = held("https://mcp-7.example.com/mcp"), held("https://mcp.example.org/mcp")
    generation = 1

    def renew(storage: FileStorage) -> None:
        nonlocal generation
        generation += 1
        storage.save(replace(ours, generation=generation))

    def log_in_and_out(storage: FileStorage) -> None:
        storage.save(other)
        storage.delete(other.key)

    def prove(storage: FileStorage) -> None:
        storage.save(replace(ours, generation=generation))

    def status_of_url(storage: FileStorage) -> None:
        assert storage.list(server=ours.key.server, account=ours.key.account)

    def last_login_of_client(storage: FileStorage) -> None:
        assert storage.list(1, issuer=ours.issuer, client_id=ours.client.client_id)

    actions: dict[str, Callable[[FileStorage], object]] = {
        "the index of one account": status_of_url,
        "the last login of a client": last_login_of_client,
        "look-up": lambda storage: live(ours.key.server, storage),
        "save": renew,
        "check before a login": FileStorage.check,
        "save and logout": log_in_and_out,
    }
    rows = []
    for storage in (few, many, many):  # sees that they are many, and sorts them into groups
        storage.list()
    for what, action in actions.items():
        mine, base = turn_by_turn(
            size.looks, partial(used_by, action, many), partial(used_by, action, few)
        )
        what = f"{what} among {size.servers} / among 10"
        rows.append(Row(what, us(mine), us(base), mine / base, 1.2))
    mine, base = turn_by_turn(
        size.looks, partial(used_by, prove, many), partial(used_by, renew, many)
    )
    rows.append(Row("proof before a refresh / a save", us(mine), us(base), mine / base, 0.6))
    return [*rows, *among_many(size, few, many), *listed(size, home, few, many)]


def among_many(size: Size, few: FileStorage, many: FileStorage) -> list[Row]:
    """CPU time of whole commands about one login of many."""
    url = "https://mcp.example.org/mcp"
    rows = []
    for verb in (["status"], ["logout", "--local"]):

        def whole(storage: FileStorage, verb: list[str] = verb) -> float:
            storage.save(held(url))
            return spent([*COMMAND, *verb, url], at(storage))

        mine, base = turn_by_turn(size.commands, partial(whole, many), partial(whole, few))
        what = f"mcp-login {verb[0]} URL among {size.servers} / among 10"
        rows.append(Row(what, ms(mine), ms(base), mine / base, 1.2))
    return rows


def listed(size: Size, home: Path, few: FileStorage, many: FileStorage) -> list[Row]:
    """CPU time of `mcp-login list` and of the library's, beside reading and parsing as many files
    by hand; the command's for fewer logins is said as that of 100,000."""
    urls = [f"https://mcp-{n}.example.com/mcp" for n in range(size.servers)]
    times, as_many = max(1, size.commands // 2), 100_000 / size.servers
    rows = []
    for where, storage in (("files", many), ("keyring", filled(home / "ring", urls, "keyring"))):
        storage.list()
        storage.list()  # now they are sorted into groups

        def added(storage: FileStorage = storage) -> float:
            whole, start = (spent([*COMMAND, "list"], at(each)) for each in (storage, few))
            return start + (whole - start) * as_many

        def by_hand(storage: FileStorage = storage) -> float:
            return used_by(read_by_hand, storage) * as_many

        mine, base = turn_by_turn(times, added, by_hand)
        what = f"mcp-login list of 100,000 in {where} / reading and parsing as many files"
        rows.append(Row(what, ms(mine), ms(base), mine / base, 1.3))
    mine, base = turn_by_turn(
        times, partial(used_by, FileStorage.list, many), partial(used_by, read_by_hand, many)
    )
    what = f"list of {size.servers} / reading and parsing as many files"
    return [*rows, Row(what, ms(mine), ms(base), mine / base, 1)]


def at(storage: FileStorage) -> dict[str, str]:
    return {**os.environ, "MCP_CLIENT_AUTH_HOME": str(storage.directory.path)}


def used_by(action: Callable[[FileStorage], object], storage: FileStorage) -> float:
    began = time.process_time()
    action(storage)
    return time.process_time() - began


def read_by_hand(storage: FileStorage) -> None:
    for path in os.scandir(storage.directory.path):
        if path.name.endswith(".json"):
            with open(path, encoding="utf-8") as file:
                json.load(file)


def filled(home: Path, urls: Sequence[str], kept_in: str = "file") -> FileStorage:
    """A store with a credential for each: the first one saved, the others written like it."""
    storage = FileStorage(home)
    first = replace(held(urls[0]), generation=1)
    storage.save(first)
    entry = json.loads((home / f"{first.key.id}.json").read_text())
    for number, url in enumerate(urls):
        login = replace(held(url, number), generation=1)
        of = {"key": {**entry["key"], "server": url}, "client_id": login.client.client_id}
        until = {"expires_at": login.tokens.expires_at, "storage": kept_in}
        (home / f"{login.key.id}.json").write_text(json.dumps({**entry, **of, **until}))
        if kept_in == "file":
            (home / f"{login.key.id}.secret").write_text(dumps(login))
    return storage


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def us(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs"


# An installation


def an_installation(size: Size, home: Path) -> list[Row]:
    """Beside what httpx alone brings along."""
    ours, base = weight(OURS), weight("httpx")
    mb = f"{ours.megabytes:.1f} MB"
    return [
        Row("packages that come along", f"{ours.packages}", f"{base.packages}", ours.packages, 30),
        Row("… and all of it, in MB", mb, f"{base.megabytes:.1f} MB", ours.megabytes, 30),
    ]


BENCHMARKS = (
    an_installation,
    starting,
    the_command,
    from_the_keyring,
    the_first_request,
    a_request,
    without_network,
    a_volley,
    workers,
    counted,
    a_login,
    far_away,
    crowded,
    users,
    after_outage_of,
    memory,
    stored,
)

if __name__ == "__main__":
    sys.exit(main())
