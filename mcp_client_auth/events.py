"""What happened, one value per step: the command's progress, the log and the tests read these.

An event never carries a secret: it is made from URLs without a query, statuses and names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from .origin import shown
from .secret import hidden

logger: Final = logging.getLogger("mcp_client_auth")

STEPS: Final = (
    "request",
    "challenge",
    "resource-metadata-request",
    "resource-metadata",
    "server-metadata-request",
    "server-metadata",
    "registration-request",
    "registration",
    "authorization-request",
    "sign-in",
    "authorization-response",
    "token-request",
    "token",
    "authorized-request",
    "answer",
)
TRYING_AGAIN: Final = "kept; again later"  # the rule of a refresh that hit a temporary fault
DEFAULTS: Final = "defaults"  # the detail of a server's metadata if there is none
# the rule of metadata from a company's identity provider, not from an authorization server
OF_PROVIDER: Final = "the issuer that was passed (OpenID Connect Discovery §4.3)"
BESIDE: Final = (
    "refresh",
    "step-up",
    "revocation",
    "storage",
    "again",
    "notice",
    "decision",
    "waiting",
    "audit",
    "message",  # of MCP, sent by a verb of the command: its HTTP method, and the answer's status
)


@dataclass(frozen=True, slots=True)
class Event:
    """One step of the fifteen (or one beside them).

    `name` is from `STEPS` or `BESIDE`; of `url` only what may be shown is kept (no query, no
    fragment); `status` is the HTTP status of the answer (0 for none); `detail` is what came back
    in a few words; `rule` is the rule or section that applied; `seconds` is how long the answer
    took.

    Example:
        ```python
        import httpx
        from mcp_client_auth import Event, MCPAuth


        def show(event: Event) -> None:
            print(event.number, event.name, event.url, event.rule)


        with httpx.Client(auth=MCPAuth("https://mcp.example.com/mcp", on_event=show)) as client:
            client.get("https://mcp.example.com/mcp")
        ```
    """

    name: str
    url: str = ""
    status: int = 0
    detail: str = ""
    rule: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", shown(self.url))

    @property
    def number(self) -> int:
        """1 to 15, or 0 for an event beside the steps."""
        return STEPS.index(self.name) + 1 if self.name in STEPS else 0

    def __str__(self) -> str:
        status = str(self.status) if self.status else ""
        return " ".join(
            part for part in (self.name, self.url, status, self.detail, self.rule) if part
        )


Listener: TypeAlias = Callable[[Event], None]


def tell(listener: Listener | None, event: Event) -> None:
    """Log the event and pass it to the listener; if that fails, no token may be lost."""
    if listener is None and not logger.isEnabledFor(logging.DEBUG):
        return
    event = _masked(event)
    logger.debug("%s", event)
    if listener is None:
        return
    try:
        listener(event)
    except Exception:
        logger.warning("the on_event listener failed on %s", event.name, exc_info=True)


def _masked(event: Event) -> Event:
    """Mask `detail` and `rule`, which may repeat a server's words; the URL is masked already."""
    detail, rule = hidden(event.detail), hidden(event.rule)
    if (detail, rule) == (event.detail, event.rule):
        return event
    return replace(event, detail=detail, rule=rule)
