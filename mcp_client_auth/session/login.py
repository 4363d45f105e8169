"""One login at a time across all processes. Under its lease, take what another process has got
meanwhile, otherwise do the steps. After a failed login, no process asks again for a while."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..errors import AuthError, InsufficientScope, TokenRefused
from ..events import Event, tell
from ..grants.clients import identity_of
from ..grants.gathering import Gathering
from ..protocol.scopes import Scopes, step_up, union
from ..protocol.urls import same_issuer
from ..threads import Cancel
from .acceptance import prove, require_gain, waiting
from .cooldown import LOGIN, STEP_UP, Cooling
from .decision import in_use
from .knowledge import WORDS, Accepted, Ask, For, HandBack, Stored, same_token
from .lease import login_lease
from .login_required import provider_required, require_no_static_token, require_someone_to_ask
from .notes import read_mark
from .steps import log_in
from .store_tokens import readable

if TYPE_CHECKING:
    from ..credential import Credential
    from ..grants.base import Grant, LoginConfig, Ports
    from ..prompt.base import Prompt
    from ..protocol.probe import ServerAnswer
    from ..storage import Storage
    from .renewal import Renewal

_AFTER_THE_PERSON: Final = 60.0  # how long the rest of another login may take
_TOGETHER: Final = 0.2  # simultaneous requests open one browser, however quick the server is


@dataclass(frozen=True, slots=True)
class LeasedLogin:
    """A login that runs when it is its turn.

    `refused`: the token whose refusal led to it. `force`: log in whatever another process has
    got. `explicit`: log in even right after a failed login.
    """

    renewal: Renewal
    cooling: Cooling
    prompt: Prompt | None
    answer: ServerAnswer | None
    ports: Ports
    refused: Credential | None = None
    cancel: Cancel = field(default_factory=Cancel)
    gathering: Gathering = field(default_factory=Gathering)
    force: bool = False
    explicit: bool = False

    def run(self) -> Credential:
        """Raises `LoginRequired` if no one can sign in, and what a failed login raises."""
        if self.force:  # otherwise what is stored was read just before
            self.renewal.adopt(readable(self.ports.storage, self.renewal.config.key))
        config, ports, gathering = self.renewal.config, self.ports, self.gathering
        require_someone_to_ask(self.renewal, self.prompt)
        if not self.force:
            require_no_static_token(self.renewal)
        limit = config.options.login_timeout + _AFTER_THE_PERSON
        with login_lease(ports, config.key, limit, self.cancel):
            scope = gathering.take() or None
            while not self.force and (meanwhile := self._from_elsewhere(scope)):
                if gathering.closes():
                    return meanwhile
                scope = union(scope or (), gathering.take())
            if not self.force and (left := self._left_waiting(scope)):
                return left
            if scope and (stored := readable(ports.storage, config.key)):
                # another process may have gained some while we waited
                scope = step_up(stored.requested or (), stored.tokens.scope or (), scope)
            purpose = STEP_UP if scope else LOGIN
            if not self.explicit:
                self.cooling.check(purpose)
            if scope and self.prompt:
                ports.sleep(_TOGETHER)
            try:
                return self._by_the_steps(scope)
            except AuthError as error:
                self.cooling.remember(purpose, error.at(server=config.key.server, step="login"))
                raise

    def _by_the_steps(self, scope: Scopes | None) -> Credential:
        config = self.renewal.config
        with self.ports.flow() as ports:
            stored = readable(ports.storage, config.key)
            refused = None if scope else self.refused
            beside = beside_another(self.renewal, ports.storage, stored, refused)
            fresh = log_in(
                replace(as_before(config, stored, force=self.force), beside=beside),
                replace(ports, cancel=self.cancel),
                self.prompt,
                self.answer,
                scope=(config.scope if self.force else scope) or None,
                gathering=self.gathering,
                signed_in=self._signed_in,
            )
            return into_place(self.renewal, ports, fresh, scope)

    def _signed_in(self, grant: Grant) -> Grant:
        """The grant with the login at its identity provider, if it needs one. That is stored and
        renewed separately; a person signs in there only if it has ended, or by force."""
        if grant.provider is None:
            return grant
        login = None if self.force else self.renewal.signed_in()
        if login is None and self.prompt is None:
            raise provider_required(self.renewal.config, grant.provider)
        if login is None:
            there = self.renewal.at_provider()
            ports = replace(there.ports, on_event=self.ports.on_event)
            cooling = Cooling(ports.storage, there.config.key, ports.clock)
            if self.explicit:
                cooling.clear()
            again = replace(
                self,
                renewal=there,
                cooling=cooling,
                answer=None,
                ports=ports,
                refused=None,
                gathering=Gathering(),
            )
            login = again.run()
        return grant.presenting(login)

    def _from_elsewhere(self, scope: Scopes | None) -> Credential | None:
        """A login that another process has made while we waited for the lease."""
        stored = readable(self.ports.storage, self.renewal.config.key)
        if stored is None or same_token(stored, self.refused):
            return None
        if not stored.covers(scope or self.renewal.config.scope):
            return None
        step = self.renewal.settle(For.HANDING_OUT, patience=0)
        if isinstance(step, Ask | HandBack) or same_token(step.credential, self.refused):
            return None
        rule = "another process has logged in"
        event = Event("decision", detail=WORDS["Send"], rule=rule)
        tell(self.ports.on_event, event)
        return step.credential

    def _left_waiting(self, scope: Scopes | None) -> Credential | None:
        """A login that a crash has kept from taking its place, if the server accepts it."""
        fresh = waiting(self.renewal.config, self.ports)
        if fresh is None or not fresh.alive(self.ports.clock()):
            return None
        if not self.renewal.fits(fresh) or not fresh.covers(scope or self.renewal.config.scope):
            return None
        with suppress(TokenRefused, InsufficientScope):
            return into_place(self.renewal, self.ports, fresh, scope)
        return None


def beside_another(
    renewal: Renewal,
    storage: Storage,
    stored: Credential | None,
    refused: Credential | None = None,
) -> bool:
    """Whether a new login has to wait beside the stored one, which is in use."""
    there = Stored(stored, read_mark(storage, renewal.config.key))
    return renewal.config.for_server and in_use(renewal.known, there, refused, renewal.now())


def into_place(
    renewal: Renewal, ports: Ports, fresh: Credential, scope: Scopes | None
) -> Credential:
    """Put the new login in the place of the stored one; if that is in use, only once the server
    has accepted the new one. `scope`: set if it is a step-up."""
    if not fresh.key.waits:
        renewal.logged_in(fresh)
        return fresh
    if scope:
        require_gain(renewal.config, ports, fresh)
    kept, answer = prove(renewal.config, ports, fresh)
    renewal.logged_in(kept)
    if answer is None:
        return kept
    renewal.learn(Accepted(kept))
    return renewal.reached(kept, answer.url)


def as_before(
    config: LoginConfig, stored: Credential | None, *, force: bool = False
) -> LoginConfig:
    """The config with the client that was named for the stored login, at its issuer only. It
    also binds to a key, refreshes with scopes and insists on iss if that did, unless forced."""
    options = config.options
    if stored is None or stored.static:
        return config
    elsewhere = options.issuer and not same_issuer(options.issuer, stored.issuer)
    if config.interactive and not (config.identity or elsewhere):
        config = replace(config, identity=identity_of(stored.client))
    if force:
        return config
    dpop = options.dpop or stored.dpop_key is not None
    naming = options.refresh_scope or bool(stored.options.get("refresh_scope"))
    insists = options.require_iss or bool(stored.options.get("require_iss"))
    kept = replace(options, dpop=dpop, refresh_scope=naming, require_iss=insists)
    return replace(config, options=kept)
