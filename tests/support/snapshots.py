"""What people read, as text that was reviewed; `SNAPSHOTS=write pytest FILE` writes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mcp_client_auth.errors import AuthError


def is_reviewed(file: Path, told: str) -> None:
    """Fail if the text differs from the file's."""
    if os.environ.get("SNAPSHOTS") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(told, "utf-8")
    assert told == file.read_text("utf-8")


def as_text(errors: Mapping[str, AuthError]) -> str:
    """Each error by its name: class, code, sentence and hint."""
    return "\n".join(
        f"{name}\n  {type(error).__name__} {error.code}\n  {error.summary}\n  {error.hint or '-'}\n"
        for name, error in errors.items()
    )
