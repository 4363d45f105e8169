"""`Logins`: a web application logs its users in to MCP servers, each to an account of their own.

Any of its processes can finish what another one has begun: all state in between is in the storage.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qs

from ..adapters.httpx import MCPAuth
from ..api import Login
from ..credential import Key, Note
from ..errors import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    StorageError,
    Unavailable,
    UsageError,
)
from ..grants.pending import PendingLogin, not_this_login
from ..paths import record_id
from ..protocol.document import json_value
from ..protocol.redirects import AppRedirect
from ..protocol.urls import canonical
from ..session.open import Arguments, require_usable
from ..session.single_flight import await_, wait
from ..session.split_login import accept, require_in_time, taken_apart
from ..session.turns import Turn, Turns
from ..storage import library_storage
from ..threads import fresh_in_children
from ..transport import HttpTransport
from .split_login import (
    PrivateServers,
    begun,
    guarded,
    is_private,
    name_of,
    opened,
    refusals_told,
    require_browser,
    require_public,
    spent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..adapters.authorizer import OnFailure
    from ..events import Listener
    from ..protocol.authorization import AuthorizationCode
    from ..protocol.flow import Transport
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..session.logout import LoggedOut
    from ..storage import Storage, Summary

T = TypeVar("T")
_Place: TypeAlias = tuple[str, str, str]  # server, account, on_failure
MOST_BEGUN: Final = 5
_MOST_NOTED: Final = 20  # with those that have ended, so that a second try is told why
_MOST_OPEN: Final = 1000
_LONGEST: Final = (
    65_536  # of a sign-in, which a server that a user names can make as long as it likes
)
_BEGUN: Final = "pending"
_DIGITS: Final = 2  # of a person's id: 256 locks
_A_DAY: Final = 86_400.0  # how long a user can still be told how a sign-in has ended
# lines of their own, because what runs there waits for renewals
_AT_SERVERS: Final = Turns()
_AT_STORAGE: Final = Turns()  # one user can name more servers that hang than there are turns


class Logins:
    """The logins of an application's users.

    storage       where they are kept: a `Storage` that all processes of the application share
    redirect_uri  the page of yours that gets the responses, https; `{issuer}` in its path makes
                  it a page for each authorization server
    client, scope, options, on_event
                  as for `MCPAuth`
    allow_private_servers
                  hosts, or a function that is given a server's URL: which servers may be at
                  private addresses, or not be https. Otherwise a user may name public ones only
    transport     a function that is given a server's URL, and returns what sends the OAuth requests

    `account` is one signed-in person: take it from your own session, never from a request's
    parameters. It is what keeps one user from finishing, using or ending the login of another.
    If it is not one person (a team, a visitor without a session), set `binding` of the begun
    login as a `__Host-` cookie, and pass what that cookie holds to `finish`.

    Safe from any thread, task and event loop. Each call asks the storage, over the network if
    hosts share it, so each has a twin for an event loop. The twins begin at most 31 sign-ins at
    once, 8 of them at one server, and run 8 calls for one person; the others wait in line. A call
    that asks only the storage waits for no server. While five sign-ins of a person wait for their
    servers, a sixth is `Unavailable` (code "busy").

    Example:
        ```python
        from mcp_client_auth import FileStorage, Logins

        logins = Logins(FileStorage("logins"), redirect_uri="https://app.example.com/callback")


        def start(user: str) -> str:
            return logins.begin("https://mcp.example.com/mcp", account=user).url
        ```
    """

    def __init__(
        self,
        storage: Storage | str,
        *,
        redirect_uri: str,
        client: Identity = None,
        scope: str | Sequence[str] | None = None,
        options: Options | None = None,
        allow_private_servers: PrivateServers = (),
        on_event: Listener | None = None,
        transport: Callable[[str], Transport] | None = None,
    ) -> None:
        if storage is None:
            raise UsageError(
                "the logins of users need a storage", hint='Pass one: FileStorage(), "file", …'
            )
        self._redirect, self._private = AppRedirect(redirect_uri), allow_private_servers
        self._usual = Arguments(
            client=client, scope=scope, storage=storage, options=options, on_event=on_event
        )
        require_usable("Logins", redirect_uri, self._usual)
        if transport and (not callable(transport) or isinstance(transport, HttpTransport)):
            raise UsageError(
                f"transport is of the type {type(transport).__name__}",
                hint="Expected a function that is given a server's URL: lambda url:"
                " HttpTransport(url, …)",
            )
        self._transport, self._storage = transport, library_storage(storage)
        self._open, self._beginning = _Open(), _Beginning()

    def begin(
        self,
        server_url: str,
        *,
        account: str | int,
        scope: str | Sequence[str] | None = None,
    ) -> PendingLogin:
        """Begin a sign-in: send the browser to the `url` of what is returned.

        `scope`: instead of the usual one; for a step-up, that of an `InsufficientScope` or
        `LoginRequired`. Of the sign-ins that a user has not finished, only the last five are kept.
        Raises any `AuthError`.
        """
        arguments = self._arguments(server_url, account)
        if scope is not None:
            arguments["scope"] = scope
        with self._beginning.one_of(arguments["account"]):
            return begun(server_url, self._redirect, self._private, arguments, self._hold)

    def finish(
        self,
        callback_url: str,
        *,
        account: str | int,
        binding: str | EllipsisType | None = ...,
        on_failure: OnFailure = "raise",
    ) -> Login:
        """Finish a sign-in with the response that has arrived, in any process, once.

        `callback_url` is the URL of the request, or its query if there is no `{issuer}` in the
        redirect URI. `binding`: what the cookie holds, if you have set one; with None, as when
        the cookie is missing, nothing is finished. Raises `Untrusted` (code "not_this_login") for
        a sign-in that this account or browser has not begun, `LoginFailed` (code "expired" or
        "spent"), and any `AuthError`.
        """
        person = _person(account)
        with refusals_told(self._storage, self._usual.get("on_event"), person):
            auth, pending, code = self._accepted(callback_url, person, binding, on_failure)
            login = Login(auth, auth.session.finish_login(pending, code))
        server_url = pending.config.server_url
        self._open.put((canonical(server_url), person, on_failure), auth)
        return login

    def _accepted(
        self,
        callback_url: str,
        person: str,
        binding: str | EllipsisType | None,
        on_failure: OnFailure,
    ) -> tuple[MCPAuth, PendingLogin, AuthorizationCode]:
        """The accepted response and its sign-in, which no other response can finish any more."""
        name = name_of(person, _state(callback_url))
        until = self._require_begun(person, name)
        text = self._storage.pop(name)
        if text is None:
            raise spent()
        pending = replace(PendingLogin.loads(text), expires_at=until)
        arguments = self._arguments(pending.config.server_url, person)
        try:
            if binding is not ...:
                require_browser(pending, binding)
            auth, pending = opened(pending, arguments, on_failure)
            code = accept(pending, callback_url, time.time())
            self._end(person, name)
        except AuthorizationDenied:
            self._end(person, name)
            raise
        except AuthError:
            self._storage.hold(
                name, text, until - time.time()
            )  # the person's own answer may still arrive
            raise
        return auth, pending, code

    def auth(
        self, server_url: str, *, account: str | int, on_failure: OnFailure = "raise"
    ) -> MCPAuth:
        """The login of a user to a server, for `httpx.Client(auth=…)` and any MCP client.

        It asks no one: if there is no login, its requests raise `LoginRequired`. It is the same
        object each time, as long as it is one of the last thousand and no other process has
        changed its login. Each call asks the storage for that: call it again for each client.
        """
        person = _person(account)
        require_usable("auth", server_url, {})
        key = canonical(server_url), person, on_failure
        if (known := self._open.get(key)) and not self._is_outdated(known):
            return known
        public_only = self._require_allowed(server_url)
        arguments = self._arguments(server_url, person)
        made = guarded(server_url, arguments, on_failure, public_only=public_only)
        return self._open.put(key, made)

    def _is_outdated(self, auth: MCPAuth) -> bool:
        """Whether another process has ended or replaced this login: the token in memory here may
        be for an account that the user has left."""
        held = auth.session.current()
        if held is None:
            return False  # the storage is read for the next request
        try:
            stored = self._storage.load(held.key)
        except (StorageError, Unavailable):
            return False  # if the storage is unavailable, a request keeps using its token
        return stored is None or not auth.session.rests_on(stored)

    def of(self, account: str | int) -> Sequence[Summary]:
        """The logins of a user, a summary of each: server, scope, expiry; nothing secret."""
        return self._storage.list(account=_person(account))

    def forget(self, account: str | int, server_url: str = "") -> dict[str, LoggedOut]:
        """End the logins of a user, or the one to a server: revoked there and deleted here.

        Returns what became of each, by server. Without `server_url`, sign-ins that the user has
        begun are over too.
        """
        ended = self._forget(_person(account), server_url)
        return {server: wait(future) for server, future in ended.items()}

    async def abegin(
        self,
        server_url: str,
        *,
        account: str | int,
        scope: str | Sequence[str] | None = None,
    ) -> PendingLogin:
        """`begin` for a running event loop, which it does not block."""

        def work() -> PendingLogin:
            return self.begin(server_url, account=account, scope=scope)

        return await await_(_in_line(f"{server_url}", work))

    async def afinish(
        self,
        callback_url: str,
        *,
        account: str | int,
        binding: str | EllipsisType | None = ...,
        on_failure: OnFailure = "raise",
    ) -> Login:
        """`finish` for a running event loop. Cancellation does not undo what was sent."""

        def work() -> Login:
            return self.finish(
                callback_url, account=account, binding=binding, on_failure=on_failure
            )

        return await await_(_in_line(f"{_person(account)}'s", work))

    async def aauth(
        self, server_url: str, *, account: str | int, on_failure: OnFailure = "raise"
    ) -> MCPAuth:
        """`auth` for a running event loop."""

        def work() -> MCPAuth:
            return self.auth(server_url, account=account, on_failure=on_failure)

        return await await_(_in_line(f"{_person(account)}'s", work, _AT_STORAGE))

    async def aof(self, account: str | int) -> Sequence[Summary]:
        """`of` for a running event loop."""
        person = _person(account)
        return await await_(_in_line(f"{person}'s", lambda: self.of(person), _AT_STORAGE))

    async def aforget(self, account: str | int, server_url: str = "") -> dict[str, LoggedOut]:
        """`forget` for a running event loop."""
        person = _person(account)
        work = _in_line(f"{person}'s", lambda: self._forget(person, server_url), _AT_STORAGE)
        return {server: await await_(future) for server, future in (await await_(work)).items()}

    def _arguments(self, server_url: str, account: str | int) -> Arguments:
        given: Arguments = {**self._usual, "account": _person(account)}
        if self._transport:
            given["transport"] = self._transport(server_url)
        return given

    def _require_allowed(self, server_url: str) -> bool:
        """Whether the server must be public; raises `InsecureUrl` if it must but cannot be."""
        public_only = not is_private(server_url, self._private)
        if public_only:
            require_public(server_url)
        return public_only

    def _forget(self, person: str, server_url: str) -> dict[str, Future[LoggedOut]]:
        """Begin each logout, by server; a thread that holds a turn must not wait for them."""
        if server_url:
            require_usable("forget", server_url, {})
        only = canonical(server_url) if server_url else ""
        with self._begun(person) as noted:
            for name in [] if only else list(noted):
                self._storage.pop(name)
                del noted[name]
        keys: dict[str, list[Key]] = {}
        for entry in self.of(person):
            if only in ("", entry.key.server):
                keys.setdefault(entry.key.server, []).append(entry.key)
        ended = {
            server: _in_line(server, self._log_out(server, theirs, person))
            for server, theirs in keys.items()
        }
        self._open.drop(person, ended)
        return ended

    def _log_out(self, server: str, keys: list[Key], person: str) -> Callable[[], LoggedOut]:
        """The work that ends them all: an earlier client of the application has its own login."""
        public_only = not is_private(server, self._private)
        arguments = self._arguments(server, person)
        session = guarded(server, arguments, public_only=public_only).session

        def work() -> LoggedOut:
            sessions = [session if key == session.key else session.of(key) for key in keys]
            done = [each.log_out() for each in sessions]
            return next((each for each in done if each.trouble), done[0])

        return work

    # What a user has begun: a note of names, which reveal nothing, and of when each one expires

    def _hold(self, pending: PendingLogin, seconds: float) -> None:
        name, text = name_of(pending.account, pending.state), pending.dumps()
        if len(text) > _LONGEST:
            raise BadResponse(
                f"what has to be kept of this sign-in is {len(text):,} characters long, and"
                f" {_LONGEST:,} at most are kept for a user",
                url=pending.request.server.issuer,
                server=pending.config.key.server,
                hint="Usual servers need a tenth of that: the addresses in the metadata of this one"
                " are too long, or its list of scopes is",
            )
        with self._begun(pending.account) as noted:
            now = time.time()
            open_ = [each for each, (until, over) in noted.items() if until > now and not over]
            for oldest in open_[: max(len(open_) - MOST_BEGUN + 1, 0)]:
                self._storage.pop(oldest)
                noted[oldest] = noted[oldest][0], "gave way to later ones"
            self._storage.hold(name, text, seconds)
            noted[name] = pending.expires_at, ""

    def _end(self, person: str, name: str) -> None:
        with self._begun(person) as noted:
            if name in noted:
                noted[name] = noted[name][0], "has been finished already"

    def _require_begun(self, person: str, name: str) -> float:
        until, over = self._noted(person).get(name, (None, ""))
        if until is None:
            raise not_this_login("this account has not begun it")
        if over:
            raise spent(why=over)
        require_in_time(until, time.time())
        return until

    @contextmanager
    def _begun(self, person: str) -> Iterator[dict[str, tuple[float, str]]]:
        """The note, to be changed by one process at a time. Some people share a lock, because a
        directory keeps the file of each lock."""
        note = Note(Key("", person), _BEGUN)
        with self._storage.lock(Key("", record_id(person)[:_DIGITS]), _BEGUN):
            noted = self._noted(person)
            before = dict(noted)
            yield noted
            ended = [each for each, (until, over) in noted.items() if over or until < time.time()]
            for oldest in ended[: max(len(noted) - _MOST_NOTED, 0)]:
                del noted[oldest]
            if noted and noted != before:
                there = self._storage.time_there
                kept = {name: (there(until), over) for name, (until, over) in noted.items()}
                self._storage.save_for(json.dumps(kept), note, _A_DAY)
            elif not noted and before:
                self._storage.delete(note)

    def _noted(self, person: str) -> dict[str, tuple[float, str]]:
        """The note; one that cannot be read counts as empty."""
        with suppress(ValueError, TypeError, AttributeError):
            read = json_value(self._storage.load(Note(Key("", person), _BEGUN)) or "{}")
            here = self._storage.time_here
            return {name: (here(float(until)), str(over)) for name, (until, over) in read.items()}
        return {}


class _Beginning:
    """How many sign-ins each person is just beginning: the servers that they name may all hang."""

    def __init__(self) -> None:
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._turn = threading.Lock()
        self._of: Counter[str] = Counter()

    @contextmanager
    def one_of(self, person: str) -> Iterator[None]:
        with self._turn:
            if self._of[person] >= MOST_BEGUN:
                raise Unavailable(
                    f"{MOST_BEGUN} sign-ins of this account are just being begun",
                    code="busy",
                    hint="Try again when their servers have answered",
                )
            self._of[person] += 1
        try:
            yield
        finally:
            with self._turn:
                self._of[person] -= 1
                if not self._of[person]:
                    del self._of[person]


class _Open:
    """The logins in use, the last thousand of them: each has its token in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Place, MCPAuth] = OrderedDict()
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._turn = threading.Lock()

    def get(self, place: _Place) -> MCPAuth | None:
        with self._turn:
            if known := self._kept.get(place):
                self._kept.move_to_end(place)
            return known

    def put(self, place: _Place, auth: MCPAuth) -> MCPAuth:
        with self._turn:
            self._kept[place] = auth
            if len(self._kept) > _MOST_OPEN:
                self._kept.popitem(last=False)
        return auth

    def drop(self, person: str, servers: Collection[str]) -> None:
        with self._turn:
            for place in [each for each in self._kept if each[1] == person and each[0] in servers]:
                del self._kept[place]


def _person(account: str | int) -> str:
    """The account's name. A number is one too; None, as for a visitor not signed in, is not."""
    if isinstance(account, str | int) and not isinstance(account, bool) and str(account).strip():
        return str(account)
    kind = "empty" if isinstance(account, str) else f"of the type {type(account).__name__}"
    raise UsageError(
        f"account is {kind}",
        hint="Expected the id of the person who is signed in: a text, a number",
    )


def _state(callback_url: str) -> str:
    values = parse_qs(taken_apart(callback_url)[1], max_num_fields=None).get("state", [])
    return values[0] if len(values) == 1 else ""


def _in_line(place: str, work: Callable[[], T], line: Turns = _AT_SERVERS) -> Future[T]:
    """Run `work` on a thread, now or in its turn; at most 31 of a line run, 8 at one place."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def run() -> Exception | None:
        try:
            result = work()
        except Exception as error:
            future.set_exception(error)
            return error
        except BaseException as error:
            future.set_exception(error)
            raise
        future.set_result(result)
        return None

    line.take(place, Turn(run, future.set_exception))
    return future
