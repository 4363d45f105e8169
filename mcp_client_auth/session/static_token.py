"""A token issued by hand becomes a login once the server has accepted it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..credential import Credential
from ..errors import BadResponse, Remedy, TokenRefused, UsageError
from ..grants.probe import answer_to, require_covered
from ..grants.static_token import static_credential
from ..protocol.oauth_error import is_passing, unavailable
from ..protocol.tokens import read_static_token
from ..threads import Cancel
from .knowledge import Accepted, LoggedIn, shows_acceptance
from .lease import login_lease
from .store_tokens import readable, store_login

if TYPE_CHECKING:
    from ..protocol.probe import ServerAnswer
    from .renewal import Renewal

_PATIENCE: Final = 660.0  # another login may wait for its person


def keep_static_token(renewal: Renewal, text: str, *, force: bool) -> Credential:
    """Store it in place of what is stored; `force`: even in place of a login by a person.

    Raises `UsageError` for a text that cannot be a token and if such a login is stored,
    `TokenRefused` for a token that the server does not accept, `Unavailable` and `BadResponse`
    if its answer does not tell. What was stored is then unchanged.
    """
    config, ports = renewal.config, renewal.ports
    tokens = read_static_token(text, ports.clock())
    ports.storage.check()
    with login_lease(ports, config.key, _PATIENCE, Cancel()):
        stored = readable(ports.storage, config.key)
        if stored and not stored.static and not force:
            raise UsageError(
                f"you are logged in to {config.key.server}, and the token would replace that login",
                code="logged_in",
                server=config.key.server,
                hint=Remedy("To replace it all the same, add {login.force=True}"),
            )
        fresh = replace(static_credential(config, tokens), headers=ports.headers)
        with ports.flow() as flow:
            answer = answer_to(config, flow, fresh)
        require_covered(config.server_url, answer)
        _require_accepted(answer, config.key.server)
        moved = answer.url if answer.url != config.server_url else ""
        fresh = store_login(ports.storage, replace(fresh, final_url=moved))
    renewal.learn(LoggedIn(fresh, renewal.now()))
    renewal.learn(Accepted(fresh))
    ports.tell("storage", detail=f"kept in {ports.storage.where}")
    return fresh


def _require_accepted(answer: ServerAnswer, server: str) -> None:
    status = answer.status
    if answer.requires_authorization or status == 403:
        raise TokenRefused(
            f"the server does not accept this token (HTTP {status})",
            url=answer.url,
            server=server,
            code="invalid_token",
            status=status,
            hint="Nothing was stored; check that the token is whole, not expired, and for this"
            " server",
        )
    if is_passing(status):
        raise unavailable(answer.response)
    if not shows_acceptance(status):
        raise BadResponse(
            f"the server answered HTTP {status} to the MCP request, so nothing tells whether it"
            " accepts the token",
            url=answer.url,
            server=server,
            status=status,
            hint="Nothing was stored; check the server's URL and the token",
        )
