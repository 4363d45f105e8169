"""Walks one form's whole life, and tells how it went."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.slow.interop.forms import Form, missing
from tests.slow.interop.life import STEPS, Life, offered
from tests.slow.interop.person import Person


@dataclass(slots=True)
class Row:
    """`steps`: how each went that was reached. `trouble`: the error of the one that failed."""

    form: Form
    steps: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    seconds: float = 0.0


def walk(form: Form) -> Row:
    row, began = Row(form), time.monotonic()
    step = "start"
    try:
        if lack := missing():
            raise RuntimeError(lack)
        with tempfile.TemporaryDirectory() as scratch, form.start(Path(scratch)) as place:
            life = Life.at(form, place, Person(Path(scratch, "home")))
            for step in offered(form):
                STEPS[step](life)
                row.steps[step] = "ok"
    except Exception as error:
        row.steps[step] = "failed"
        row.trouble = f"{step}: {type(error).__name__}: {error}"
    row.seconds = time.monotonic() - began
    return row
