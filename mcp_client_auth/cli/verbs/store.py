"""`mcp-login store`: a storage that many hosts share, as its operator sees it."""

from __future__ import annotations

import time
from typing import Any

import click

from ...errors import UsageError
from ..arguments import argument, command_line, json_answer, option
from ..commands import verb
from ..values import StoragePlace, checked, storage_place


@command_line
class Arguments:
    action: str = argument("ACTION", type=click.Choice(["check", "create", "reseal"]))
    store: str | None = option(
        "--store",
        type=StoragePlace(),
        callback=checked(storage_place),
        env="STORAGE",
        metavar="URL",
        help="Which storage: redis://, rediss://, unix:// or postgresql://, or @FILE with that.",
    )
    json: bool = json_answer()


@verb("store", Arguments)
def command(arguments: Arguments) -> None:
    """ACTION is one of: check (write, read, lease and delete a canary, and tell what may lose
    logins), create (make the tables in PostgreSQL), reseal (seal every record again with the first
    of several keys; then the others can go). The keys are those of MCP_CLIENT_AUTH_KEY or
    MCP_CLIENT_AUTH_KEY_FILE, one a line.
    """
    from ...prompt.screen import hanging, screen
    from ..answers import answers
    from ..storage import shared_storage

    storage: Any = shared_storage(arguments.store)
    if storage is None:
        raise UsageError(
            "store needs the URL of a storage that hosts share",
            hint="Set MCP_CLIENT_AUTH_STORAGE, or pass --store URL or --store @FILE",
        )
    answer: dict[str, Any] = {"storage": storage.where}
    if arguments.action == "check":
        began = time.monotonic()
        storage.check()
        milliseconds = round(1000 * (time.monotonic() - began), 1)
        warnings = list(storage.warnings())
        answer |= {"milliseconds": milliseconds, "warnings": warnings}
        screen.remark(f"It works: {storage.where} ({milliseconds:g} ms)")
        for warning in warnings:
            screen.remark(hanging("  ! ", warning))
    elif arguments.action == "create":
        if not hasattr(storage, "create"):
            raise UsageError(f"there is nothing to create in {storage.where}")
        storage.create()
        screen.remark(f"Created, where it was missing: {storage.where}")
    else:
        done = list(storage.reseal())
        resealed, left = done.count(True), done.count(None)
        answer |= {"records": len(done), "resealed": resealed, "left": left}
        screen.remark(f"Sealed {resealed} of {len(done)} records again: {storage.where}")
        if left:
            screen.remark(hanging("  ! ", f"{left} are in use, or no key that is given opens them"))
    if answers.as_json:
        answers.give(**answer)
