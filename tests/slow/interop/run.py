"""Walks a login's life at every form of server and prints a table of how it went.

    python -m tests.slow.interop.run [FORM …] [--jobs N]

The exit status is 1 when a step failed or a form could not be started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.slow.interop.forms import FORMS
from tests.slow.interop.life import STEPS
from tests.slow.interop.walk import Row, walk

_NAME, _WIDTH, _REASON = 30, 9, 160


def line(row: Row) -> str:
    absent = "" if row.trouble else "–"
    cells = "".join(f"{row.steps.get(step, absent):{_WIDTH}}" for step in STEPS)
    said = (row.trouble.strip().splitlines() or [""])[-1][:_REASON]
    return f"{row.form.name:{_NAME}}{cells}{row.seconds:6.1f} s  {said}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("forms", nargs="*", metavar="FORM", help="parts of names (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    chosen = [
        form for form in FORMS if not options.forms or any(w in form.name for w in options.forms)
    ]
    print(f"{'form':{_NAME}}{''.join(f'{step:{_WIDTH}}' for step in STEPS)}")
    rows = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(walk, chosen):
            print(line(row), flush=True)
            rows.append(row)
    for row in rows:
        if row.trouble:
            print(f"\n{row.form.name}, {row.trouble}")
    return int(not rows or any(row.trouble for row in rows))


if __name__ == "__main__":
    sys.exit(main())
