"""What may happen to a fleet, each as one function that counts what came of it.

Real engines, hosts and processes; the authorization server ends a login whose refresh token comes
twice, unless it is told to forgive that. `figures` prints what these give, the tests judge it.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import httpx

from mcp_client_auth import AuthError, BrowserPrompt, MCPAuth, login
from mcp_client_auth.credential import Credential, Key, key_for
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage.leases import EXTENDED
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import DemoServer, Held, ScriptedBrowser, Settings
from mcp_client_auth.testing.ledger import Family, Ledger
from tests.support.engines import Bouncer, Child, PostgresServer, RedisServer, until
from tests.support.fleet_hosts import GOOD, PATIENCE, Host
from tests.support.fleet_network import Network, network
from tests.support.fleet_storage import HEADERS, LEASE, LIST, storage_at
from tests.support.ports import free_port

HOUR: Final = 3600
FORGIVEN: Final = 30.0
REFRESH: Final = "refresh_token"
CLOCKS: Final = (120.0, -120.0, 0.0, 30.0)  # of the hosts, ahead of the engine's


class Outcome(NamedTuple):
    """`requests`: token requests; `lost`: logins that no program can use any more; `failed` of
    `asked` requests of programs got an error."""

    logins: int
    requests: int
    renewals: int
    lost: int
    failed: int
    asked: int
    forgiven: int = 0
    refused: int = 0  # requests that the MCP server answered with 401
    errors: Sequence[str] = ()

    def __str__(self) -> str:
        forgiven = f", {self.forgiven} repeats forgiven" if self.forgiven else ""
        if self.lost:
            return f"{self.lost} of {self.logins} lost"
        return (
            f"0 of {self.logins} lost; {self.requests} token requests for"
            f" {self.renewals} renewals{forgiven}; {self.failed} of {self.asked} requests failed"
        )


class _Forgiving(Ledger):
    """A refresh token is good again for so many seconds after its first use."""

    forgiven = 0
    seconds = 0.0

    def find_refresh(self, token: str, client_id: str) -> Family | None:
        with self._lock:
            found = self._refresh.get(token)
            if found and found.rotated and self._clock() < self._until.get(token, 0.0):
                self.forgiven += 1
                found.rotated = False
        return super().find_refresh(token, client_id)

    def renew(self, token: str, *rest: Any, **more: Any) -> Any:
        self._until.setdefault(token, self._clock() + self.seconds)
        return super().renew(token, *rest, **more)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._until: dict[str, float] = {}


@dataclass
class Scene:
    """Some logins in an engine, and the hosts that use them."""

    engine: Child
    storage: Shared
    namespace: str
    server: DemoServer
    network: Network
    ledger: _Forgiving
    home: Path
    keys: Sequence[Key]
    lease: float
    hosts: list[Host] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)
    _before: int = 0

    @property
    def accounts(self) -> Sequence[str]:
        return [key.account for key in self.keys]

    def stored(self, key: Key) -> Credential:
        found = self.storage.load(key)
        assert found is not None
        return found

    @property
    def renewals(self) -> int:
        return sum(self.stored(key).generation for key in self.keys) - self._before

    @property
    def requests(self) -> int:
        return self.server.token_requests(REFRESH)

    def end_tokens(self) -> None:
        """What is stored has ended a minute ago, which the server does not know."""
        now = time.time()
        for key in self.keys:
            stored = self.stored(key)
            old = replace(stored.tokens, issued_at=now - HOUR, expires_at=now - 60)
            self.storage.save(replace(stored, tokens=old))

    def host(self, number: int, *, accounts: Sequence[str] = (), **told: Any) -> Host:
        way = self.network.ways[number]
        host = Host(
            way.command,
            self.home / f"host{number}",
            accounts or self.accounts,
            engine=way.engine(self.engine.url),
            namespace=self.namespace,
            server=self.server.url,
            lease=self.lease,
            **told,
        )
        self.hosts.append(self._open.enter_context(host))
        return host

    def all_hosts(self, **told: Any) -> Sequence[Host]:
        made = [self.host(number, **told) for number in range(len(self.network.ways))]
        for host in made:
            host.go()
        return made

    def hold(self) -> Sequence[Held]:
        """The next token request of each login."""
        return [self.server.hold_next() for _ in self.keys]

    def served(self) -> None:
        """Until each program has had a good answer from now on, or has lost its login."""
        before = [len(host.said) for host in self.hosts]
        hosts = list(zip(self.hosts, before, strict=True))
        until(lambda: all(host.served(lines) for host, lines in hosts), PATIENCE)

    def outcome(self) -> Outcome:
        """After the end of all programs; a login counts as lost if a new one cannot renew it."""
        answers: Counter[str] = sum((host.end() for host in self.hosts), Counter())
        requests, renewals = self.requests, self.renewals
        refused = sum(each.side == "mcp" and each.status == 401 for each in self.server.requests)
        self.end_tokens()
        lost = sum(self._answer(key) != GOOD for key in self.keys)
        assert lost >= self.server.families_revoked
        failed = [word for word in answers if word != GOOD]
        return Outcome(
            len(self.keys),
            requests,
            renewals,
            lost,
            sum(answers[word] for word in failed),
            answers.total(),
            self.ledger.forgiven,
            refused,
            failed,
        )

    def _answer(self, key: Key) -> str:
        auth = MCPAuth(key.server, account=key.account, storage=self.storage, prompt=None)
        with httpx.Client(auth=auth, timeout=120, trust_env=False) as client:
            try:
                return str(client.post(key.server, headers=HEADERS, json=LIST).status_code)
            except AuthError as error:
                return error.code

    def close(self) -> None:
        self._open.close()
        self.storage.engine.close()


class Bed:
    """The network of so many hosts, and engines that stand in it."""

    def __init__(self, hosts: int) -> None:
        self._hosts, self._numbers = hosts, itertools.count()
        self._open = ExitStack()
        self._engines: dict[str, Child] = {}

    def __enter__(self) -> Self:
        self.network = self._open.enter_context(network(self._hosts))
        self._home = Path(tempfile.mkdtemp(prefix="mcp-client-auth-fleet-"))
        self._open.callback(shutil.rmtree, self._home, ignore_errors=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def engine(self, kind: str) -> Child:
        """`redis`, `postgres`, `pgbouncer` before that, or `empty redis`, which comes back from
        its death with nothing."""
        if kind not in self._engines:
            engine = self._made(kind)
            engine.addresses = self.network.addresses
            self._engines[kind] = self._open.enter_context(engine)
        return self._engines[kind]

    def _made(self, kind: str) -> Child:
        if kind == "postgres":
            return PostgresServer()
        if kind == "pgbouncer":
            server = self.engine("postgres")
            assert isinstance(server, PostgresServer)
            return Bouncer(server)
        directory = self._home / kind
        directory.mkdir()
        return RedisServer(directory, *(["--appendonly", "no"] if "empty" in kind else []))

    @contextmanager
    def scene(
        self, kind: str, logins: int, *, lease: float = LEASE, seconds: int = HOUR,
        forgiving: float = 0.0,
    ) -> Iterator[Scene]:  # fmt: skip
        engine, number = self.engine(kind), next(self._numbers)
        namespace = f"fleet_{number}"
        storage = storage_at(engine.url, namespace, lease)
        if "redis" not in kind:
            storage.create()  # type: ignore[attr-defined]
        server = DemoServer(Settings(access_token_seconds=seconds))
        server._ports = (free_port(), free_port())  # which no scene before has had on the hosts
        ledger = server._ledger = _Forgiving((), seconds)
        ledger.seconds = forgiving
        with server:
            for port in server._ports:
                for way in self.network.ways:
                    way.serve(port)
            keys = logged_in(server, storage, [f"robot {n}" for n in range(logins)])
            home = self._home / str(number)
            scene = Scene(
                engine, storage, namespace, server, self.network, ledger, home, keys, lease
            )
            scene._before = sum(scene.stored(key).generation for key in keys)
            server.clear_requests()
            try:
                yield scene
            finally:
                scene.close()


def logged_in(server: DemoServer, storage: Shared, accounts: Sequence[str]) -> Sequence[Key]:
    """One by a browser, and the others as if they were: the same with a consent of their own."""
    browser, (first, *others) = ScriptedBrowser(), accounts
    login(server.url, account=first, storage=storage, prompt=BrowserPrompt(open_url=browser))
    assert browser.join(60)
    key, ledger = key_for(server.url, first), server._ledger
    made = storage.load(key)
    assert made is not None
    keys = [key]
    for account in others:
        with ledger._lock:
            family = Family(made.client.client_id, server.url, made.tokens.scope or ())
            tokens = ledger._issue(family, family.scope, refreshable=True)
        now = time.time()
        fresh = replace(
            made.tokens,
            access_token=Secret(tokens.access_token),
            refresh_token=Secret(tokens.refresh_token),
            issued_at=now,
            expires_at=now + server.settings.access_token_seconds,
        )
        keys.append(key_for(server.url, account))
        storage.save(replace(made, key=keys[-1], tokens=fresh))
    return keys


# Nothing fails


def steady(bed: Bed, kind: str, workers: int, seconds: float, life: int = 5) -> Outcome:
    """One login, so many workers on each host, tokens that soon end."""
    with bed.scene(kind, 1, seconds=life) as scene:
        scene.all_hosts(accounts=list(scene.accounts) * workers)
        time.sleep(seconds)
        scene.served()
        return scene.outcome()


def wrong_clocks(bed: Bed, kind: str, workers: int, seconds: float, life: int = 8) -> Outcome:
    """The same on hosts whose clocks are wrong."""
    with bed.scene(kind, 1, seconds=life) as scene:
        hosts = [
            scene.host(number, accounts=list(scene.accounts) * workers, ahead=ahead)
            for number, ahead in zip(range(len(bed.network.ways)), CLOCKS, strict=False)
        ]
        for host in hosts:
            host.go()
        time.sleep(seconds)
        scene.served()
        return scene.outcome()


# Something fails; each login has a worker on each host


def slow_token_endpoint(bed: Bed, kind: str, logins: int, lease: float) -> Outcome:
    """A token call of three leases."""
    with bed.scene(kind, logins, lease=lease) as scene:
        scene.end_tokens()
        held = scene.hold()
        scene.all_hosts()
        for each in held:
            each.wait(PATIENCE)
        time.sleep(3 * lease)
        for each in held:
            each.release()
        scene.served()
        return scene.outcome()


def killed(
    bed: Bed, kind: str, logins: int, lease: float, moment: str, forgiving: float = 0.0
) -> Outcome:
    """`kill -9` of all holders of a lease at a moment: `before`, `sending` or `saved`."""
    with bed.scene(kind, logins, lease=lease, forgiving=forgiving) as scene:
        scene.end_tokens()
        held = scene.hold() if moment == "sending" else []
        doomed, *others = (
            scene.host(number, stop="" if number else moment)
            for number in range(len(bed.network.ways))
        )
        doomed.go()
        until(lambda: len(doomed.at(moment)) == logins, PATIENCE)
        for each in held:
            each.wait(PATIENCE)
        for host in others:
            host.go()
        doomed.kill_all()
        scene.hosts.remove(doomed)
        for each in held:
            each.release()
        scene.served()
        return scene.outcome()


def engine_killed(bed: Bed, kind: str, logins: int, lease: float) -> Outcome:
    """With refreshes on the wire; it is back after 1.5 s."""
    with bed.scene(kind, logins, lease=lease) as scene:
        scene.end_tokens()
        held = scene.hold()
        scene.all_hosts()
        for each in held:
            each.wait(PATIENCE)
        scene.engine.kill()
        for each in held:
            each.release()
        time.sleep(1.5)
        scene.engine.start()
        scene.served()
        until(lambda: scene.renewals >= logins, PATIENCE)
        return scene.outcome()


def cut_off(bed: Bed, kind: str, logins: int, lease: float, seconds: float) -> Outcome:
    """The host that holds all leases does not reach the engine, but the authorization server.

    It is cut off when it was just about to extend them.
    """
    with bed.scene(kind, logins, lease=lease) as scene:
        until(lambda: scene.engine.age > lease + 1)  # one that has just started makes all wait
        scene.end_tokens()
        held = scene.hold()
        alone, *others = (scene.host(number) for number in range(len(bed.network.ways)))
        alone.go()
        for each in held:
            each.wait(PATIENCE)
        time.sleep(0.9 * lease / EXTENDED)
        bed.network.ways[0].cut()
        for host in others:
            host.go()
        time.sleep(seconds / 2)
        for each in held:
            each.release()
        time.sleep(seconds / 2)
        bed.network.ways[0].mend()
        scene.served()
        return scene.outcome()


def server_down(bed: Bed, kind: str, workers: int, seconds: float) -> Outcome:
    """One login whose token has ended, so many workers on each host, and no token endpoint."""
    with bed.scene(kind, 1) as scene:
        scene.end_tokens()
        scene.server.fail_next("/token", 503, times=10_000)
        scene.all_hosts(accounts=list(scene.accounts) * workers)
        time.sleep(seconds)
        during = scene.server.count("/token")
        scene.server._journal._failures.clear()
        scene.served()
        return scene.outcome()._replace(requests=during)
