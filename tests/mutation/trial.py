"""One mutant under its tests, in a fork of this process: nothing is written to the source."""

from __future__ import annotations

import importlib
import importlib.util
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

from tests.mutation.mutants import PACKAGE, Mutant
from tests.support.python_path import ROOT

_LOADED: Final = (
    *("anyio", "authlib.oauth2", "certifi", "click", "coverage", "cryptography.x509", "filelock"),
    *("httpcore", "httpx", "httpx2", "hypothesis", "joserfc.jwk", "joserfc.jws", "keyring"),
    *("keyring.backends", "platformdirs", "pytest", "starlette.applications", "trio", "uvicorn"),
    *("h11", "requests", "xml.dom"),
)
_IGNORED: Final = "ignore::pytest.PytestAssertRewriteWarning"  # of plugins loaded before
_STILL: Final = 45  # seconds in which nothing runs: it waits for what does not come
_LONGEST: Final = 1200.0


class Outcome(NamedTuple):
    """`killed`, `survived`, `too slow`, `uncovered`, or `unsure` and `error` where it could not be
    tried; `by` names the test."""

    outcome: str
    by: str = ""
    seconds: float = 0.0
    tests: int = 0


class _Mutated(SourceFileLoader):
    """Loads one module with its change and keeps no compiled file of it."""

    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutant.source(), self.path, "exec", dont_inherit=True)


def module_of(mutant: Mutant) -> str:
    name = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"mcp_client_auth.{name}"


class _Finder:
    def __init__(self, mutant: Mutant) -> None:
        self._path = str(PACKAGE / mutant.file)
        self._name, self._mutant = module_of(mutant), mutant

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        loader = _Mutated(name, self._path)
        loader.mutant = self._mutant
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


class _Killer:
    """A plugin of pytest that selects tests and notes the first one that fails. Functions are
    named on its command line, for the names of their cases may differ from run to run."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self.by = ""

    @property
    def functions(self) -> list[str]:
        return [*dict.fromkeys(test.partition("[")[0] for test in self._order)]

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if item.nodeid in self._order] or items
        items.sort(key=lambda item: self._order.get(item.nodeid, 0))

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.by = self.by or (report.nodeid if report.failed else "")

    def pytest_collectreport(self, report: Any) -> None:
        self.by = self.by or (report.nodeid or "collection" if report.failed else "")


def warm() -> None:
    """Load what every test needs, and nothing of the package: a fork costs no import of it."""
    for name in _LOADED:
        with suppress(ImportError):
            __import__(name)
    os.chdir(ROOT)
    assert not [name for name in sys.modules if name.startswith("mcp_client_auth")]


def tried(mutant: Mutant | None, tests: Sequence[str], seconds: float) -> Outcome:
    """The source as it is without a mutant. `seconds`: of the processor, for all of the tests."""
    if not tests:
        return Outcome("uncovered")
    ours, theirs = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _run(mutant, list(tests), theirs, seconds)
    os.close(theirs)
    said, still = b"", 0
    while still < _STILL and time.monotonic() - began < _LONGEST:
        if select.select([ours], [], [], 1)[0]:
            said = os.read(ours, 65_536)
            break
        still = still + 1 if _waits(child) else 0
    unsure = not said and time.monotonic() - began >= _LONGEST
    os.close(ours)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    lasted = round(time.monotonic() - began, 1)
    if not said:
        return Outcome("unsure" if unsure else "too slow", "", lasted, len(tests))
    by = said.decode("utf-8", "replace")
    outcome = {"-": "survived", "!": "error"}.get(by[0], "killed")
    return Outcome(outcome, by.strip("-!"), lasted, len(tests))


def _waits(process: int) -> bool:
    """Whether none of its threads runs or would like to: a loaded machine looks different."""
    with suppress(OSError):
        tasks = Path(f"/proc/{process}/task").iterdir()
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]
        return all(state == "S" for state in states)
    return False


def _loads(mutant: Mutant) -> bool:
    """Whether the module with the change can be loaded; otherwise no test could begin."""
    try:
        importlib.import_module(module_of(mutant))
    except Exception:
        return False
    return True


def _run(mutant: Mutant | None, tests: list[str], told: int, seconds: float) -> None:
    """Says the name of the test that has failed, or `-`."""
    killer = _Killer(tests)
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(mutant))
        import pytest

        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        with tempfile.TemporaryDirectory(prefix="mutant-") as place:
            code = pytest.main(
                [
                    *(
                        *killer.functions,
                        "-x",
                        "-q",
                        "-W",
                        _IGNORED,
                        "--basetemp",
                        f"{place}/tests",
                    ),
                    *("-p", "no:cacheprovider", "-p", "no:xdist"),
                ],
                plugins=[killer],
            )
        said = "-" if code == 0 else f"!pytest ended with {code}"
        if code != 0 and mutant is not None and not _loads(mutant):
            said = "loading it"
        os.write(told, (killer.by or said).encode())
    except BaseException as error:
        said = f"!{type(error).__name__}: {error}"  # perhaps of what a failed test has left behind
        os.write(told, (killer.by or said).encode())
    finally:
        os._exit(0)
