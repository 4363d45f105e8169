"""What to change when a login is refused for a reason that can be mended here: each once.

Three things can be: a registration that the server has forgotten, a metadata document that it
does not take, and `offline_access` where nobody but this program asked for it. A person is
brought to a sign-in page twice at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from .clients import DEAD_CLIENT
from .errors import (
    AuthError,
    AuthorizationDenied,
    LoginFailed,
    RegistrationRefused,
    TokenRefused,
)
from .protocol.discovery import Discovery
from .protocol.registration import Kind
from .protocol.scopes import OFFLINE, Scopes

Mending = Literal["registration", "document", "offline access"]
_MOST_VISITS: Final = 2
_OF_THE_CLIENT: Final = ("invalid_request", "invalid_client_metadata", "invalid_redirect_uri")
RULES: Final[dict[Mending, str]] = {
    "registration": "the kept registration is refused: register anew, once",
    "document": "the metadata document is refused: register, once",
    "offline access": "offline_access is refused: ask without it, once",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a login. `visits`: how often the person was at a sign-in page before it."""

    discovery: Discovery
    way: Kind
    scope: Scopes | None
    visits: int = 0
    mended: tuple[Mending, ...] = ()

    def mending(
        self, error: AuthError, wanted: Scopes | None, *, reused: bool, visited: bool
    ) -> Mending | None:
        """What may help after `error`, None for nothing.

        `wanted` is the caller's own scope; `reused`, whether the client was a registration of
        earlier; `visited`, whether the person was asked in this attempt.
        """
        if self.visits + visited >= _MOST_VISITS:
            return None
        found: Mending | None = None
        if self._scope_is_refused(error) and self._added_offline(wanted):
            found = "offline access"
        elif reused and _client_is_refused(error):
            found = "registration"
        elif self.way == "metadata-document" and _may_be_the_document(error):
            found = "document" if self.discovery.server.registration_endpoint else None
        return None if found in self.mended else found

    def mend(self, what: Mending, *, visited: bool) -> Attempt:
        """The next attempt, which differs from this one by one thing."""
        after = replace(self, visits=self.visits + visited, mended=(*self.mended, what))
        if what == "offline access":
            return replace(after, scope=_without_offline(self.scope or ()) or None)
        return replace(after, way="dynamic")

    def advise(self, error: AuthError, document: str) -> None:
        """Where it may be the document at that URL that is not taken, say what would look at it.

        A server that does not know a client shows a page of its own, and nothing comes back.
        """
        late = isinstance(error, LoginFailed) and error.code == "timeout"
        if self.way == "metadata-document" and (late or _may_be_the_document(error)):
            look = f"mcp-login client-metadata {document} checks the client's document"
            error.hint = f"{error.hint}. {look}" if error.hint else look

    def _scope_is_refused(self, error: AuthError) -> bool:
        if isinstance(error, RegistrationRefused) and error.code == "invalid_client_metadata":
            return "scope" in error.description.lower()
        asking = isinstance(error, AuthorizationDenied | RegistrationRefused)
        return asking and error.code == "invalid_scope"

    def _added_offline(self, wanted: Scopes | None) -> bool:
        """Whether it was this program's own idea."""
        challenge, metadata = self.discovery.challenge, self.discovery.metadata
        challenged = (challenge.scope if challenge else None) or ()
        offered = (metadata.scopes_supported if metadata else None) or ()
        named = {*(wanted or ()), *challenged, *offered}
        return OFFLINE in (self.scope or ()) and OFFLINE not in named


def _may_be_the_document(error: AuthError) -> bool:
    if isinstance(error, AuthorizationDenied) and error.code in _OF_THE_CLIENT:
        said = error.description.lower()
        return error.code != "invalid_request" or "client" in said or "redirect" in said
    return _client_is_refused(error)


def _client_is_refused(error: AuthError) -> bool:
    return isinstance(error, TokenRefused | AuthorizationDenied) and error.code in DEAD_CLIENT


def _without_offline(scope: Iterable[str]) -> Scopes:
    return tuple(word for word in scope if word != OFFLINE)
