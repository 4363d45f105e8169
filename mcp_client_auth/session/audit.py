"""The audit log of a fleet or a web host: what became of whose login, on which host.

It has one event for each action on a login that hosts share or that an application's user has. No
event names an account: an HMAC with the sealing key stands for it, the same on all hosts with it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from ..errors import StorageError, Unavailable, UsageError
from ..events import Event, tell

if TYPE_CHECKING:
    from ..errors import AuthError
    from ..events import Listener
    from ..grants.base import LoginConfig, Ports
    from ..storage import Storage

Action = Literal["begin", "finish", "refresh", "refusal", "forget"]
logger: Final = logging.getLogger("mcp_client_auth.audit")
_NO_REFUSAL: Final = (Unavailable, UsageError, StorageError)


@dataclass(frozen=True, slots=True)
class AuditEvent(Event):
    """What became of a login: `detail` is "begin", "finish", "refresh", "refusal" or "forget".

    `url` is the MCP server, `account` an HMAC by the first sealing key (empty if there is none),
    `generation` that of the stored login, `host` the name of this machine. `rule` says why; for
    a refusal it is the error's code. The events also go to the logger `mcp_client_auth.audit`.

    Example:
        ```python
        import json
        import logging

        from mcp_client_auth import AuditEvent


        class AsJson(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                event = record.args[0]
                assert isinstance(event, AuditEvent)
                return json.dumps({"what": event.detail, "who": event.account, "at": event.url})


        handler = logging.StreamHandler()
        handler.setFormatter(AsJson())
        logging.getLogger("mcp_client_auth.audit").addHandler(handler)
        logging.getLogger("mcp_client_auth.audit").setLevel(logging.INFO)
        ```
    """

    account: str = ""
    generation: int = 0
    host: str = ""

    def __str__(self) -> str:
        more = f"account={self.account} generation={self.generation} host={self.host}"
        return f"{Event.__str__(self)} {more}"


def audit(
    config: LoginConfig, ports: Ports, action: Action, *, generation: int = 0, why: str = ""
) -> None:
    """Record an action on a login that is shared by hosts or made by an application."""
    if ports.storage.shared or config.by_application:
        who = config.key.server, config.key.account
        record(ports.storage, ports.on_event, *who, action, generation=generation, why=why)


def refused(
    storage: Storage, listener: Listener | None, server: str, account: str, error: AuthError
) -> None:
    """Record a sign-in that was not finished, unless the cause was only a fault or a misuse."""
    if not isinstance(error, _NO_REFUSAL):
        record(storage, listener, server, account, "refusal", why=error.code)


def record(
    storage: Storage,
    listener: Listener | None,
    server: str,
    account: str,
    action: Action,
    *,
    generation: int = 0,
    why: str = "",
) -> None:
    if listener is None and not logger.isEnabledFor(logging.INFO):
        return
    name = ""
    with suppress(UsageError):
        name = storage.alias(account)
    event = AuditEvent(
        "audit", server, 0, action, why, account=name, generation=generation, host=_host()
    )
    logger.info("%s", event)
    tell(listener, event)


@cache
def _host() -> str:
    import socket

    return socket.gethostname()
