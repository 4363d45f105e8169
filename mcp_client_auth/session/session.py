"""What a request and a verb ask of one login: a token now, a better one, a login, its end.

It uses a fresh token, otherwise a refresh, otherwise it asks the person, if one can answer; a grant
that needs no person takes their place. `decision` says which of these is next. What a request with
a fresh token does not need is imported where it is used.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import AuthError, BadResponse, Remedy, StorageError, Unavailable
from ..protocol.frozen import replace
from ..protocol.urls import canonical
from ..threads import Cancel
from . import knowledge as k
from .knowledge import Need, same_token, shows_acceptance
from .renewal import Renewal
from .single_flight import Flights, done, wait
from .turns import TURNS

if TYPE_CHECKING:
    from ..credential import Credential, Key
    from ..events import Listener
    from ..grants.base import LoginConfig, Ports
    from ..grants.pending import PendingLogin
    from ..prompt.base import Prompt
    from ..protocol.authorization import AuthorizationCode
    from ..protocol.challenge import Challenge
    from ..protocol.probe import ServerAnswer
    from ..protocol.redirects import AppRedirect
    from ..storage import Storage
    from ..transport.ahead import Ahead
    from .cooldown import Cooling
    from .login import LeasedLogin
    from .logout import LoggedOut


class Session:
    """One login to one server. Safe from any thread, task and event loop."""

    __slots__ = ("_ahead", "_asks", "_flights", "_memory", "_renewal", "prompt")

    def __init__(self, config: LoginConfig, ports: Ports, prompt: Prompt | None) -> None:
        self.prompt, self._flights = prompt, Flights(config.key.server)
        self._renewal = Renewal(config, ports, self._flights)
        self._ahead: Ahead | None = None
        self._asks: Ports | None = None
        self._memory: Storage | None = None
        if not config.interactive:
            # a program restarted with another secret must not wait because of the old one
            from ..storage.memory import MemoryStorage

            self._memory = MemoryStorage()

    @property
    def config(self) -> LoginConfig:
        """What the caller passed, completed from the stored login."""
        return self._renewal.config

    @property
    def ports(self) -> Ports:
        return self._asks or self._renewal.ports

    @property
    def key(self) -> Key:
        return self.config.key

    @property
    def _cooling(self) -> Cooling:
        from .cooldown import Cooling

        return Cooling(self._memory or self.ports.storage, self.key, self.ports.clock)

    # What a request asks

    def current(self) -> Credential | None:
        """The fast path: a token that may be sent as it is. No lock, no thread, no I/O."""
        known = self._renewal.known
        if known.current is None:
            return None
        now = self._renewal.ports.clock()
        if now < known.due:  # the first row of the table
            return known.current
        if not known.current.alive(now):
            return None
        self._renewal.ahead()
        return known.current

    def rests_on(self, stored: Credential) -> bool:
        """Whether the token in memory is that of this record, or an answer that is to replace it.

        The generation does not tell: a login after a logout begins with the first one again.
        """
        known = self._renewal.known
        latest = known.latest(k.Stored(stored))
        return latest is not None and same_token(latest, known.current)

    def owns(self, url: str) -> bool:
        """Whether our token goes with a request to `url`: it is below our server's directory, and
        no login to a more specific server is stored. This reads the index: remember the answer."""
        own = self.config.server_url
        if not own.covers(url):
            return False
        others = (replace(self.key, server=server) for server in own.below(url))
        return not any(self.ports.storage.summary(key) for key in others)

    def owning(self, url: str) -> Future[bool] | bool:
        """The same, but off the caller's thread if the answer comes over the network."""
        if self.ports.storage.shared and self.config.server_url.covers(url):
            return self._flights.start(f"owns {url}", partial(self.owns, url))
        return self.owns(url)

    def settled(self) -> bool:
        """Whether there is nothing to wait for: no credential, and none in the store."""
        return self._renewal.known.current is None and self._renewal.known.read

    def ready(self) -> Future[Credential | None]:
        """What to send when there is no fresh token: a stored or refreshed one, or None."""
        return self._flights.start("ready", partial(self._renewal.token, k.For.REQUEST))

    def connect_ahead(self) -> None:
        """Begin a connection for the login that a first request without a token may lead to."""
        offered = getattr(self.ports.transport, "ahead", None)
        if offered and self._ahead is None and (self.prompt or not self.config.interactive):
            if self._flights.take("ahead") is not None:
                return  # another first request is at it
            if self._ahead is None:
                self._ahead = offered()
                self._ahead.begin()
            self._flights.give("ahead", None)

    def not_needed(self) -> None:
        """Close that connection: a request without a token was not answered by a 401."""
        if self._ahead is not None:
            self._ahead.close()

    def after_401(
        self,
        sent: Credential | None,
        answer: ServerAnswer | None,
        *,
        repeated: bool = False,
        replaced: bool = False,
        home: bool = True,
    ) -> Future[Credential | None]:
        """A token to try once more with, after the server refused `sent` (or its absence).

        It may be `sent` itself, to be tried a second time after a moment; None if nothing can
        help this request. See `Refused` for the arguments; `Unauthorized` keeps them for a request.
        """
        token = self.current()
        if token is not None and not same_token(token, sent):
            return done(token)  # it was renewed while the request was under way
        challenge = answer.challenge if answer else None
        only_bound = challenge is not None and challenge.dpop_only
        need: Need = k.For.REQUEST
        name = self._run("answer")
        if sent is not None:
            need = k.Refused(sent, repeated, replaced, home, only_bound)
            name += f" {sent.generation} {repeated} {replaced} {home} {only_bound}"
        return self._flights.start(name, partial(self._answered, need, answer))

    def trial(self, sent: Credential) -> Future[bool] | None:
        """Whether another request's second try with this token succeeds, if one is under way."""
        return self._flights.under_way(_trial(sent))

    def try_again(self, sent: Credential) -> Future[bool] | None:
        """The same, or how it ended; if None, the caller makes that try and calls `tried_again`."""
        name = _trial(sent)
        if other := self._flights.take(name):
            return other
        accepted = self._renewal.known.second_try(sent)
        if accepted is None:
            return None
        self._flights.give(name, accepted)  # it ended before the caller could join it
        return done(accepted)

    def tried_again(self, sent: Credential, *, accepted: bool) -> None:
        self._renewal.learn(k.TriedAgain(sent, accepted))  # first, so that no latecomer misses both
        self._flights.give(_trial(sent), accepted)

    def after_403(
        self, sent: Credential, challenge: Challenge, *, again: bool = False
    ) -> Future[Credential | None]:
        """A token with more scope (MCP "Step-Up Authorization Flow"); `again`: it did not help."""
        name = self._run(f"step-up {' '.join(challenge.scope or ())}{' again' if again else ''}")

        def step_up() -> Credential:
            from .step_up import StepUp

            parts = (self._renewal, self._cooling, self.prompt, self.ports)
            return StepUp(*parts, sent, challenge, again).run(self._flights)

        return self._flights.start(name, step_up)

    def refusal(self, sent: Credential | None) -> AuthError | None:
        """Why the server's 401 to this token is handed back."""
        mark = self._renewal.known.marked(sent)
        return mark.reason.fresh() if mark and mark.reason else None

    def at_home(self, url: str, sent: Credential | None) -> bool:
        """Whether `url` is the server's own, or the one that its redirects end at."""
        here, final = canonical(url), sent.final_url if sent else ""
        return here == self.key.server or (final != "" and here == canonical(final))

    @property
    def proven(self) -> bool:
        """Whether an answer that is not a refusal says nothing new."""
        known = self._renewal.known
        return known.mark is None and known.unproven is None

    def accepted(self, sent: Credential, status: int, url: str) -> Future[None] | None:
        """Note an answer to this token that was not a 401; a Future if that ends a mark."""
        if self.proven:
            return None
        from ..protocol.oauth_error import is_passing

        known = self._renewal.known
        if is_passing(status):
            return None
        if known.mark is not None and shows_acceptance(status) and self.at_home(url, sent):
            return self._flights.start("accepted", partial(self._accepted, sent))
        if known.mark is None:
            self._renewal.learn(k.Accepted(sent))
        return None

    def _accepted(self, sent: Credential) -> None:
        marked = self._renewal.known.mark is not None
        self._renewal.learn(k.Accepted(sent))
        if marked and self._renewal.known.mark is None:
            from .notes import remove_mark

            remove_mark(self.ports.storage, self.key)

    def _accepts(self, token: Credential) -> bool:
        """Whether a login that was refused a while ago is accepted again; it is tried once."""
        from ..grants.probe import answer_to
        from ..protocol.oauth_error import is_passing

        answer = answer_to(self.config, self.ports, token)
        if is_passing(answer.status):
            raise Unavailable(
                f"the server answered HTTP {answer.status}, which says nothing of the login that"
                " it refused before",
                url=answer.url,
                hint=Remedy("Try again later, or log in again with {login.force=True}"),
            )
        if shows_acceptance(answer.status):
            self._accepted(token)
            return True
        if answer.status != 401:
            return False  # a new login tells what is there now
        with suppress(AuthError):  # what is next is for the caller to decide
            self._renewal.settle(k.Refused(token, repeated=True, replaced=True))
        return False

    # What the command and `login()` ask

    def usable(self) -> Credential | None:
        """The login that is there, refreshed when needed, if it serves what the caller requires.

        One that the server has refused is tried before it counts.
        """
        try:
            token = self._token("usable", k.For.HANDING_OUT)
        except StorageError as error:
            if error.code != "damaged_record":
                raise
            return None  # a login writes a new one
        if token and self._renewal.known.mark and not self._accepts(token):
            return None
        return token if token and token.covers(self.config.scope) else None

    def answer(
        self, credential: Credential, ports: Ports | None = None
    ) -> tuple[ServerAnswer, Credential]:
        """Steps 14 and 15: what the server answers to the MCP request, and to which token.

        A 401 is treated like that of any request. Raises `TokenRefused` if that did not help.
        """
        from ..grants.probe import answer_to, fresh_token_refused
        from .unauthorized import Unauthorized

        unauthorized = Unauthorized(self, home=True)
        while True:
            answer = answer_to(self.config, ports or self.ports, credential)
            unauthorized.heard(answer.status)
            if answer.status != 401:
                if self._renewal.known.mark is None or shows_acceptance(answer.status):
                    self._accepted(credential)
                return answer, self._renewal.reached(credential, answer.url)
            better = unauthorized.blocking(credential, answer)
            if better is None:
                bound = credential.tokens.bound
                raise self.refusal(credential) or fresh_token_refused(self.key.server, bound=bound)
            credential = better

    def of(self, key: Key) -> Session:
        """The session of another login that is kept here, at an identity provider or of another
        client; it asks no one."""
        from ..grants.identity_provider import SIGN_IN

        grant = SIGN_IN if key.grant == SIGN_IN.name else None
        config = replace(self._renewal.config, key=key, identity=None, scope=None, grant=grant)
        return Session(config, self.ports, None)

    def asking(self, prompt: Prompt | None, on_event: Listener | None) -> Session:
        """The same login, whose questions to a person go to this prompt and this listener."""
        other = copy(self)
        other.prompt = prompt
        other._asks = replace(self.ports, on_event=on_event)
        return other

    def log_in(self, *, force: bool = False, caller: Cancel | None = None) -> Credential:
        """Do all fifteen steps on the caller's thread, or return a usable login at once.

        It ends when `caller` is cancelled, unless it is another caller's login too.
        """
        if not force and (token := self.usable()):
            return token
        from ..grants.probe import naming_redirect, probe, require_covered
        from .lease import tell_of_waiting
        from .login_required import require_someone_to_ask

        require_someone_to_ask(self._renewal, self.prompt)
        with self.ports.flow() as ports:
            answer = probe(self.config, ports, None)
            require_covered(self.config.server_url, answer)
            self._cooling.clear()
            cancel = Cancel()
            with naming_redirect(answer):
                credential = self._flights.here(
                    self._run("login"),
                    self._login(answer, ports, cancel=cancel, force=force, explicit=True).run,
                    cancel,
                    caller=caller,
                    joined=lambda: tell_of_waiting(self.ports, self.key),
                )
                return self._proven(credential, ports)

    def begin_login(self, redirect: AppRedirect) -> PendingLogin:
        """Steps 1 to 9 for a page of the caller's own application; `finish_login` does the rest."""
        from .split_login import begin

        with self.ports.flow() as ports:
            return begin(self._renewal, ports, redirect)

    def finish_login(self, pending: PendingLogin, code: AuthorizationCode) -> Credential:
        """Steps 12 to 15 of a login that was begun here or in another process."""
        from .split_login import finish

        with self.ports.flow() as ports:
            return self._proven(finish(self._renewal, ports, pending, code), ports)

    def _proven(self, credential: Credential, ports: Ports) -> Credential:
        """A new login, once the server has answered a request with it."""
        if not same_token(credential, self._renewal.known.unproven):
            return credential  # accepted beside the one that was there, or got elsewhere
        try:
            return self.answer(credential, ports)[1]
        except (Unavailable, BadResponse) as error:
            error.advised("The login is kept; only the server's first answer is missing")
            raise

    def keep_token(self, token: str, *, force: bool = False) -> Credential:
        """Store a token issued by hand as this login; see `static_token`."""
        from .static_token import keep_static_token

        return keep_static_token(self._renewal, token, force=force)

    def fresh(self, min_valid: float = 0.0) -> Credential:
        """A credential that lives at least `min_valid` seconds more, refreshed if needed.

        It is for a program that cannot tell us of a refusal, so a marked one is not returned.
        """
        token, lacks = None if self._renewal.known.mark else self.current(), ""
        if token is None:
            token = self._token("hand out", k.For.HANDING_OUT)
        expires = token.tokens.expires_at if token else None
        if token and expires is not None and expires < self.ports.clock() + min_valid:
            token = self._token("renew early", k.Newer(token))
            lacks = f"the login ends within {min_valid:g} s, and cannot be renewed, at"
        if token is None and self._renewal.known.unattended:
            return self.log_in()
        if token is None:
            raise self._no_longer(lacks)
        return token

    def refresh(self) -> Credential:
        """A new access token now; raises `LoginRequired` if the one in use cannot be renewed."""
        token = self._renewal.insist()
        if token is None:
            raise self._no_longer()
        if not self._renewal.known.grant.can_renew(token):
            no_way = "there is no refresh token, so a new login is needed at"
            raise self._no_longer(no_way if token.alive(self.ports.clock()) else "")
        fresh = self._token("renew now", k.Newer(token, explicit=True))
        if fresh is None:
            raise self._no_longer("the authorization server no longer renews the login to")
        return fresh

    def log_out(self, *, local: bool = False) -> LoggedOut:
        """Delete the login here, then end it at the server, unless `local` (RFC 7009, 7592)."""
        from .logout import log_out

        return log_out(self._renewal, self._cooling, local=local)

    def close(self) -> None:
        """End a login that waits for its person or for another login, or is on the way there."""
        self._flights.cancel_all()

    # How it decides

    def _token(self, name: str, need: Need) -> Credential | None:
        return wait(self._flights.start(name, partial(self._renewal.token, need)))

    def _answered(self, need: Need, answer: ServerAnswer | None) -> Credential | None:
        if answer is not None:
            from ..grants.probe import require_covered

            require_covered(self.config.server_url, answer)
        step = self._renewal.settle(need)
        if not isinstance(step, k.Ask):
            return None if isinstance(step, k.HandBack) else step.credential
        cancel, sent = Cancel(), need.sent if isinstance(need, k.Refused) else None
        flow = self._ahead.take() if self._ahead else None
        ports = replace(self.ports, transport=flow) if flow else self.ports
        try:
            login = self._login(answer, ports, refused=sent, cancel=cancel)
            if not self.config.asks:
                return self._flights.here(self._run("login"), login.run, cancel)
            TURNS.leave()
            return wait(self._flights.start(self._run("login"), login.run, cancel))
        finally:
            if flow is not None:
                flow.close()

    def _login(self, answer: ServerAnswer | None, ports: Ports, **how: Any) -> LeasedLogin:
        from .login import LeasedLogin

        return LeasedLogin(self._renewal, self._cooling, self.prompt, answer, ports, **how)

    def _run(self, name: str) -> str:
        """The name of a run that may end in a login; it differs if no one can be asked, since the
        failure of such a run is not an answer to a request that may ask."""
        return f"{name}, asking no one" if self.prompt is None else name

    def _no_longer(self, why: str = "") -> AuthError:
        from .login_required import no_longer

        return no_longer(self._renewal, why)


def _trial(sent: Credential) -> str:
    return f"second try {k.fingerprint(sent)}"
