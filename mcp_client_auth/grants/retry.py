"""What to change when a login is refused for a reason that can be fixed here, each thing once.

A registration that the server has forgotten, a metadata document or a callback that it does not
accept, a scope that only the resource lists, and `offline_access` where only this program
requested it. A person is brought to a sign-in page twice at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from ..errors import (
    AuthError,
    AuthorizationDenied,
    LoginFailed,
    TokenRefused,
    shell_command,
)
from ..protocol.discovery import Discovery
from ..protocol.registration import Identity, Kind
from ..protocol.registration_errors import about_callback, about_scope
from ..protocol.scopes import OFFLINE, Scopes, union
from ..protocol.tokens import DEAD_CLIENT
from ..secret import quoted

Recovery = Literal["registration", "document", "localhost", "scopes", "offline access"]
_MOST_VISITS: Final = 2
_OF_THE_CLIENT: Final = ("invalid_request", "invalid_client_metadata", "invalid_redirect_uri")
RULES: Final[dict[Recovery, str]] = {
    "registration": "the kept registration is refused: register again, once",
    "document": "the metadata document is refused: register, once",
    "localhost": "the callback on 127.0.0.1 is refused: register localhost, once",
    "scopes": "ask for the scopes that the authorization server lists, once",
    "offline access": "offline_access is refused: ask without it, once",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a login. `visits`: how often the person was at a sign-in page before it.

    `named` is the caller's own scope. `own_callback`: the callback's address is our choice.
    """

    discovery: Discovery
    kind: Kind
    scope: Scopes | None
    named: Scopes | None = None
    own_callback: bool = True
    visits: int = 0
    recoveries: tuple[Recovery, ...] = ()

    @property
    def host(self) -> str:
        """The host of a callback whose address is our choice (RFC 8252 §7.3, §8.3)."""
        return "localhost" if "localhost" in self.recoveries else "127.0.0.1"

    def asking_too(self, scope: Scopes) -> Attempt:
        """The same with more scopes."""
        return replace(self, scope=union(self.scope or (), scope)) if scope else self

    def recovery(self, error: AuthError, *, reused: bool, visited: bool) -> Recovery | None:
        """What may help after `error`; None if nothing does.

        `reused`: the client was registered by an earlier login; `visited`: the person was at a
        sign-in page in this attempt.
        """
        if self.visits + visited >= _MOST_VISITS:
            return None
        scope = _scope_is_refused(error)
        helps: dict[Recovery, bool] = {
            "scopes": scope and self._within_reach() is not None,
            "offline access": scope and self._added_offline(),
            "localhost": self.kind == "dynamic" and self.own_callback and about_callback(error),
            "registration": reused and _client_is_refused(error),
            "document": self.kind == "metadata-document"
            and bool(self.discovery.server.registration_endpoint)
            and _may_be_the_document(error),
        }
        return next((what for what in helps if helps[what] and what not in self.recoveries), None)

    def retried(self, what: Recovery, *, visited: bool) -> Attempt:
        """The next attempt, which differs from this one by one thing."""
        after = replace(self, visits=self.visits + visited, recoveries=(*self.recoveries, what))
        if what == "scopes":
            return replace(after, scope=self._within_reach())
        if what == "offline access":
            return replace(after, scope=_without_offline(self.scope or ()) or None)
        return replace(after, kind="dynamic")

    def advise(self, error: AuthError, identity: Identity) -> None:
        """Add to an error that ends the login what only this attempt knows.

        A server that does not know a client shows a page of its own, and sends no response.
        """
        late = isinstance(error, LoginFailed) and error.code == "timeout"
        document = identity.client_id if identity else ""
        more = ""
        if self.kind == "metadata-document" and (late or _may_be_the_document(error)):
            check = shell_command("client-metadata", document)
            more = f"{check} checks the client's document"
        elif _scope_is_refused(error) and (beyond := self._beyond_the_server()):
            more = f"The authorization server does not list {quoted(' '.join(beyond))}"
        error.advised(error.remedy, more)

    def _beyond_the_server(self) -> Scopes:
        """The requested scopes that the authorization server does not list."""
        listed = frozenset(self.discovery.server.scopes_supported or ())  # may be many
        return tuple(word for word in self.scope or () if listed and word not in listed)

    def _within_reach(self) -> Scopes | None:
        """The scope without what only the resource lists; None if that changes nothing.

        What the caller or the challenge has named is not left out.
        """
        beyond = set(self._beyond_the_server()) - self._demanded()
        kept = tuple(word for word in self.scope or () if word not in beyond)
        return kept if beyond and _without_offline(kept) else None

    def _added_offline(self) -> bool:
        """Whether requesting `offline_access` was this program's own idea."""
        metadata = self.discovery.metadata
        offered = (metadata.scopes_supported if metadata else None) or ()
        return OFFLINE in (self.scope or ()) and OFFLINE not in self._demanded().union(offered)

    def _demanded(self) -> set[str]:
        challenge = self.discovery.challenge
        return {*(self.named or ()), *((challenge.scope if challenge else None) or ())}


def _scope_is_refused(error: AuthError) -> bool:
    if isinstance(error, AuthorizationDenied | TokenRefused):
        return error.code == "invalid_scope"
    return about_scope(error)


def _may_be_the_document(error: AuthError) -> bool:
    if isinstance(error, AuthorizationDenied) and error.code in _OF_THE_CLIENT:
        text = error.description.lower()
        return error.code != "invalid_request" or "client" in text or "redirect" in text
    return _client_is_refused(error)


def _client_is_refused(error: AuthError) -> bool:
    return isinstance(error, TokenRefused | AuthorizationDenied) and error.code in DEAD_CLIENT


def _without_offline(scope: Iterable[str]) -> Scopes:
    return tuple(word for word in scope if word != OFFLINE)
