"""The error when a person must log in and no one can, and the command to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..credential import PROVIDER
from ..errors import LoginRequired, Remedy
from ..origin import shown
from ..protocol.scopes import Scopes
from ..protocol.tokens import LOG_IN_AGAIN, NOT_RENEWABLE, TO_BE_RENEWABLE
from ..secret import hidden
from .notes import read_refusal
from .store_tokens import readable

if TYPE_CHECKING:
    from ..grants.base import LoginConfig, Provider
    from ..prompt.base import Prompt
    from .renewal import Renewal

_LONGEST_SCOPE: Final = 500
ISSUED_BY_HAND: Final = "It was issued by hand: get a new one where it came from"
_OWN_CLIENT: Final = (
    "The login belongs to this program's own client: call login() with the same client once,"
    " where a person can sign in"
)
_BY_APPLICATION: Final = "Send this user to sign in: begin() of the Logins, or begin_login()"
_SHARED: Final = ", with MCP_CLIENT_AUTH_STORAGE and the key of the storage that this program uses"
OF_THE_COMPANY: Final = "It is made by the login to any MCP server of that company"


def login_required(
    config: LoginConfig,
    why: str,
    scope: Scopes | None = None,
    ended_by: Remedy | str = "",
    *,
    shared: bool = False,
) -> LoginRequired:
    """`why` ends before the server's name. `scope`: what must be requested. `ended_by`: why a
    login that was there needs its person again. `shared`: many hosts use the storage."""
    key, command = config.key, ""
    scope = tuple(map(hidden, scope)) if scope else scope  # a server's, which may repeat a secret
    if not (key.client or config.by_application):
        # some of them are a server's own words
        scopes = " ".join(filter(str.isprintable, scope or config.scope or ()))
        scopes = scopes if len(scopes) <= _LONGEST_SCOPE else ""
        more = config.grant.command_options(config.identity) if config.grant else {}
        command = key.login_command(**{"scope": scopes, **more})
    own = _BY_APPLICATION if config.by_application else _OWN_CLIENT
    own = OF_THE_COMPANY if key.grant == PROVIDER else own
    own = f"Run: {command}" + (_SHARED if shared else "") if command else own
    hint = Remedy.joined(ended_by, own)
    return LoginRequired(
        f"{why} {key.server}", server=key.server, hint=hint, command=command, scope=scope or ()
    )


def provider_required(config: LoginConfig, provider: Provider) -> LoginRequired:
    """The same if a person has to sign in at the identity provider."""
    return login_required(config, f"a person must sign in at {shown(provider.issuer)} for")


def require_someone_to_ask(renewal: Renewal, prompt: Prompt | None) -> None:
    """Raise `LoginRequired` if only a person could log in and no one can be asked."""
    if renewal.config.interactive and prompt is None:
        raise no_longer(renewal, "a person must log in to")


def require_no_static_token(renewal: Renewal) -> None:
    """Raise `LoginRequired` if a token issued by hand is stored: no browser opens instead."""
    stored = readable(renewal.ports.storage, renewal.config.key)
    if stored and stored.static:
        raise no_longer(renewal)


def no_longer(renewal: Renewal, why: str = "") -> LoginRequired:
    """The error that says why there is no token and what ended the login; see `login_required`."""
    known, storage, key = renewal.known, renewal.ports.storage, renewal.config.key
    stored = renewal.look().credential
    if stored and stored.static:
        why = "the server no longer accepts" if known.mark else "nothing renews"
        command = key.login_command(token_file="FILE")  # noqa: S106 - the word for a path
        return LoginRequired(
            f"{why} the token that is stored for {key.server}",
            server=key.server,
            hint=Remedy.joined(ISSUED_BY_HAND, f"Run: {command}"),
            command=command,
        )
    if known.mark and not why:
        why = "the server no longer accepts the login to"
    elif not why:
        entry = storage.summary(key)
        end = entry.expires_at if entry else None
        ended = end is not None and end <= renewal.ports.clock()
        why = "the login has expired at" if ended else "you are not logged in to"
    reason = known.mark.reason if known.mark and stored else None
    reason = reason or (known.refusal.error if known.refusal else None)
    noted = read_refusal(storage, stored) if stored and not reason else None
    reason = reason or (noted[0] if noted else None)
    if reason is None and (stored is None or stored.renewable):
        return login_required(renewal.config, why, shared=storage.shared)
    first, more = (reason.summary, reason.remedy) if reason else (NOT_RENEWABLE, TO_BE_RENEWABLE)
    more = Remedy() if more == Remedy(LOG_IN_AGAIN) else more
    ended_by = Remedy.joined(first[:1].upper() + first[1:], more)
    return login_required(renewal.config, why, ended_by=ended_by, shared=storage.shared)
