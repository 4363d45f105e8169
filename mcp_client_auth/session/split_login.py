"""A login in two halves, with nothing that waits between them: for a web application.

Neither half holds the login lease: that is for a program that waits for its person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import LoginFailed, UsageError
from ..grants.pending import not_this_login
from ..grants.probe import naming_redirect, probe, require_covered
from ..protocol.authorization import AuthorizationCode, Unrelated
from ..protocol.times import duration
from .login import as_before, beside_another, into_place
from .steps import begin_login, finish_login
from .store_tokens import readable

if TYPE_CHECKING:
    from ..credential import Credential
    from ..grants.base import Ports
    from ..grants.pending import PendingLogin
    from ..protocol.redirects import AppRedirect
    from .renewal import Renewal


def begin(renewal: Renewal, ports: Ports, redirect: AppRedirect) -> PendingLogin:
    """Steps 1 to 9."""
    config = renewal.config
    answer = probe(config, ports, None)
    require_covered(config.server_url, answer)
    with naming_redirect(answer):
        stored = readable(ports.storage, config.key)
        return begin_login(as_before(config, stored), ports, answer, redirect)


def accept(pending: PendingLogin, callback_url: str, now: float) -> AuthorizationCode:
    """Step 11: the checked response. Nothing is sent, and nothing is used up.

    Raises `Untrusted` (code "not_this_login") for another login's response, `LoginFailed` (code
    "expired"), or what the response itself says.
    """
    path, query = taken_apart(callback_url)
    if pending.mark and not path:
        raise UsageError(
            "where the response arrived is part of what is checked, since the redirect URI has"
            " {issuer} in it",
            hint="Pass the whole URL of the callback, not its query alone",
        )
    if pending.mark not in path:  # RFC 9700 §4.4: before anything else of it is used
        raise not_this_login("the response did not arrive at the page of this authorization server")
    require_in_time(pending.expires_at, now, pending.config.key.server)
    try:
        return pending.request.accept(query)
    except Unrelated as error:
        raise not_this_login(str(error)) from None


def finish(
    renewal: Renewal, ports: Ports, pending: PendingLogin, code: AuthorizationCode
) -> Credential:
    """Steps 12 and 13. A login in use is replaced once the server has accepted the new one."""
    stored = readable(ports.storage, renewal.config.key)
    beside = beside_another(renewal, ports.storage, stored)
    fresh = finish_login(pending.placed(beside=beside), code, ports)
    return into_place(renewal, ports, fresh, pending.config.scope)


def require_in_time(expires_at: float, now: float, server: str = "") -> None:
    """Raise `LoginFailed` (code "expired") for a response that came too late."""
    if now <= expires_at:
        return
    raise LoginFailed(
        f"the sign-in came back {duration(now - expires_at)} after its time",
        code="expired",
        server=server,
        hint="Start the login again",
    )


def taken_apart(callback_url: str) -> tuple[str, str]:
    """Path and query of a URL, or of its part from the path or the query on."""
    text = str(callback_url).partition("#")[0]
    path, mark, query = text.partition("?")
    return (path, query) if mark or "/" in path.partition("=")[0] else ("", text)
