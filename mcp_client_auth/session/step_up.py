"""One step-up at a time: a login for more scope, which other requests join until its browser opens.

MCP "Step-Up Authorization Flow".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import AuthError
from ..events import Event, tell
from ..grants.probe import for_more_scope, missing_scopes, too_little_scope
from ..protocol.scopes import Scopes, step_up
from ..secret import quoted
from .cooldown import STEP_UP, Cooling
from .knowledge import For
from .login import LeasedLogin
from .login_required import login_required
from .single_flight import Flights, wait
from .turns import TURNS

if TYPE_CHECKING:
    from ..credential import Credential
    from ..grants.base import Ports
    from ..grants.gathering import Gathering
    from ..prompt.base import Prompt
    from ..protocol.challenge import Challenge
    from ..threads import Cancel
    from .renewal import Renewal


@dataclass(frozen=True, slots=True)
class StepUp:
    """A token with more scope than `sent`, which the challenge asks for.

    `again`: what was granted for the same request did not help.
    """

    renewal: Renewal
    cooling: Cooling
    prompt: Prompt | None
    ports: Ports
    sent: Credential
    challenge: Challenge
    again: bool

    def run(self, flights: Flights) -> Credential:
        """Raises if a login cannot help or no one can sign in, and what a failed login raises."""
        config, sent = self.renewal.config, self.sent
        answer = for_more_scope(config.server_url, self.challenge, sent)

        def login(gathering: Gathering, cancel: Cancel) -> Credential:
            parts = (self.renewal, self.cooling, self.prompt, answer, self.ports)
            return LeasedLogin(*parts, refused=sent, cancel=cancel, gathering=gathering).run()

        needed = self.challenge.scope or ()
        if not self.again:
            needed = missing_scopes(config, self.ports, answer)
        while True:
            stored, latest = self.renewal.look(), sent
            if stored.credential and not stored.holds(sent):  # renewed if it has expired
                latest = self.renewal.token(For.REQUEST) or sent
            if latest is not sent and set(needed) <= set(latest.tokens.scope or ()):
                return latest  # another request or process has stepped up meanwhile
            scope = self._more_than(latest, needed)
            future, joined = flights.gather("step-up login", scope, login)
            TURNS.leave()
            if joined:
                return wait(future)
            with suppress(AuthError):  # its own callers get the error
                wait(future)

    def _more_than(self, latest: Credential, needed: Scopes) -> Scopes:
        """The scopes to request; raises if they cannot help or no one can sign in."""
        config, granted = self.renewal.config, latest.tokens.scope or ()
        scope = step_up(latest.requested or (), granted, needed)
        no_more = not self.challenge.scope and set(needed) <= set(granted)
        if self.again or no_more or set(scope) <= set(latest.requested or ()):
            error = too_little_scope(latest, scope)
            if self.again:  # the person signed in without success
                self.cooling.remember(STEP_UP, error)
            raise error
        if config.interactive and self.prompt is None:
            missing = quoted(" ".join(needed))
            raise login_required(config, f"the scope {missing} must be granted for", scope)
        words = quoted(" ".join(scope))[1:-1]
        tell(self.renewal.ports.on_event, Event("step-up", config.key.server, 403, words))
        return scope
