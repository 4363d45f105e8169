"""The JSON object that a verb prints on stdout, with the same keys for the same things.

Each has `version` and `mcp_client_auth` (this package's version). Keys stay; new ones may be
added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from .flags import hint_of

if TYPE_CHECKING:
    from ..errors import AuthError
    from ..session.logout import LoggedOut
    from ..storage import Summary


class Answers:
    """Whether answers are printed as JSON, and how one is printed."""

    def __init__(self) -> None:
        self.as_json = False

    def expect(self, arguments: list[str]) -> None:
        """Look for `--json` among the words of the command, before they are parsed."""
        ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
        self.as_json = "--json" in ours

    def give(self, **fields: Any) -> None:
        import json

        import click

        click.echo(json.dumps({"version": 1, "mcp_client_auth": __version__, **fields}, indent=2))


answers: Final = Answers()


def login_fields(entry: Summary, names: dict[str, str]) -> dict[str, Any]:
    """What may be known of a login without reading its secret."""
    from .describe import refused

    key, mark = entry.key, refused(entry)
    reason = mark.reason.summary if mark and mark.reason else ""
    return {
        "server": key.server,
        "account": key.account,
        "names": [name for name, url in names.items() if url == key.server],
        "grant": key.grant,
        "client_id": entry.client_id,
        "issuer": entry.issuer,
        "issued_by_hand": entry.by_hand,
        "scopes": None if entry.scope is None else list(entry.scope),
        "renewable": entry.renewable,
        "storage": entry.storage,
        **expiry_fields(entry.expires_at),
        "refused": {"since": _utc(mark.since), "reason": reason} if mark else None,
    }


def expiry_fields(expires_at: float | None) -> dict[str, Any]:
    """`expires_at` as a UTC time, `expires_in` in seconds; null where the server does not say."""
    if expires_at is None:
        return {"expires_at": None, "expires_in": None}
    import time

    return {"expires_at": _utc(expires_at), "expires_in": round(expires_at - time.time())}


def _utc(moment: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def logout_fields(server: str, account: str, done: LoggedOut) -> dict[str, Any]:
    return {
        "server": server,
        "account": account,
        "found": done.found,
        "revoked": done.revoked,
        "unregistered": done.unregistered,
        "trouble": list(done.trouble),
    }


def error_fields(error: AuthError, exit_code: int) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "code": error.code,
        "message": error.summary,
        "url": error.url,
        "hint": hint_of(error),
        "server": error.server,
        "step": error.step,
        "retry_after": getattr(error, "retry_after", None),
        "exit_code": exit_code,
    }
