"""The long form: `nice python -m tests.slow.fuzz.run MINUTES [--only NAME …] [--state DIRECTORY]`.

Every target gets its share of the time in a process of its own: coverage-guided where atheris is
installed (`pip install atheris`), drawn from its good inputs otherwise; then with each part of
them grown to half a megabyte. Inputs that have led somewhere new, and findings with the input
that shows them, stay in the state directory, so that the next run goes on from there. Exit status
1: something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Final

_MORE_BLOCKS: Final = 400_000  # than after the first inputs: caches are full by then
_WARM: Final = 300
_LONGEST: Final = 1 << 16


class Findings:
    """A file for each, named by what and where it is; one of them is enough."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir(parents=True, exist_ok=True)
        self._known: set[str] = set()

    def add(self, what: str, data: bytes, more: str = "") -> None:
        if what in self._known:
            return
        self._known.add(what)
        name = hashlib.sha256(what.encode()).hexdigest()[:12]
        (self._place / f"{name}.input").write_bytes(data)
        (self._place / f"{name}.txt").write_text(f"{what}\n\n{more}")
        print(f"  found: {what} ({name})", flush=True)


def fuzz(name: str, seconds: float, state: Path) -> None:
    """In a process of its own, which atheris ends."""
    guided = find_spec("atheris") is not None
    if guided:
        import atheris

        with atheris.instrument_imports(include=["mcp_client_auth"]):
            from tests.slow.fuzz.targets import BY_NAME
    else:
        from tests.slow.fuzz.targets import BY_NAME
    from tests.slow.fuzz.hostile_values import fuzzed
    from tests.slow.fuzz.trial import blocks, signature, tried

    target, words = BY_NAME[name], name.replace(" ", "-")
    findings = Findings(state / "findings" / words)
    corpus = state / "corpus" / words
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    runs, warm = 0, 0
    began = time.monotonic()

    def one(data: bytes) -> None:
        nonlocal runs, warm
        runs += 1
        try:
            tried(target, data)
        except Exception as error:
            findings.add(signature(error), data, traceback.format_exc())
        if runs == _WARM:
            warm = blocks()
        if runs % 1000 == 0 and blocks() - warm > _MORE_BLOCKS:
            findings.add("memory grows", data, f"{blocks() - warm} blocks more")
            warm = blocks()
        if time.monotonic() - began > seconds:
            print(f"{name}: {runs} inputs", flush=True)
            os._exit(0)  # atheris takes any other end for a finding

    if guided:
        guide(one, fuzzed, corpus, seconds)
        return
    random, known = Random(name), [each.read_bytes() for each in corpus.iterdir()]
    while True:
        one(fuzzed(random, random.choice(known)))


def guide(one: Callable[[bytes], None], fuzzed: Any, corpus: Path, seconds: float) -> None:
    import atheris

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.randrange(4) == 0:
            return bytes(atheris.Mutate(data, most))
        return bytes(fuzzed(random, data)[:most])

    flags = ["-timeout=120", "-rss_limit_mb=2048", f"-max_len={_LONGEST}", "-print_final_stats=0"]
    flags += ["-verbosity=0", "-use_value_profile=1", f"-max_total_time={int(seconds) + 60}"]
    flags += [f"-artifact_prefix={corpus.parent.parent}/stopped-{corpus.name}-"]
    atheris.Setup(["fuzz", *flags, str(corpus)], one, custom_mutator=mutated)
    atheris.Fuzz()


def grow(name: str, state: Path) -> None:
    """Every part of every good input as large as half a megabyte."""
    from tests.slow.fuzz.hostile_values import UNITS, UNITS_MORE
    from tests.slow.fuzz.targets import BY_NAME
    from tests.slow.fuzz.trial import costs

    findings = Findings(state / "findings" / name.replace(" ", "-"))
    for what, half, whole in costs(BY_NAME[name], units=UNITS + UNITS_MORE):
        more = f"{half:.2f} s for half of the size, {whole:.2f} s for all of it"
        findings.add(f"more than linear: {what}", b"", more)
    print(f"{name}: grown", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.slow.fuzz.run")
    parser.add_argument("minutes", type=float, help="in all; growing comes on top of it")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these targets")
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir(), "mcp-fuzz"))
    parser.add_argument("--no-growing", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.one:
        how, _, name = wanted.one.partition(":")
        if how == "fuzz":
            fuzz(name, wanted.minutes * 60, wanted.state)
        else:
            grow(name, wanted.state)
        return 0
    from tests.slow.fuzz.targets import TARGETS

    names = wanted.only or [target.name for target in TARGETS]
    share = wanted.minutes / len(names)
    wanted.state.mkdir(parents=True, exist_ok=True)
    for name in names:
        for how in ("fuzz",) if wanted.no_growing else ("fuzz", "grow"):
            each = [sys.executable, "-m", "tests.slow.fuzz.run", str(share)]
            each += ["--state", str(wanted.state), "--one", f"{how}:{name}"]
            with open(wanted.state / "log", "ab") as log:
                done = subprocess.run(each, check=False, stderr=log)
            if done.returncode:
                ended = Findings(wanted.state / "findings" / name.replace(" ", "-"))
                ended.add(f"the process ended with {done.returncode} ({how})", b"")
    found = sorted((wanted.state / "findings").rglob("*.txt"))
    for each_found in found:
        print(each_found.relative_to(wanted.state), each_found.read_text().splitlines()[0])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
