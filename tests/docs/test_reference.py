"""Every public name is in the reference, and has an example in its docstring that runs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import mcp_client_auth
from mcp_client_auth import Login, errors, extending, login, testing
from mcp_client_auth.testing import DemoServer
from tests.support.documents import DOCS, EXAMPLE
from tests.support.python_path import ROOT

if TYPE_CHECKING:
    import griffe

PAGES = "\n".join(path.read_text("utf-8") for path in (DOCS / "reference").glob("*.md"))
LISTED = set(re.findall(r"^::: (\S+)$", PAGES, re.MULTILINE))
ERRORS = errors.__name__
CODE = re.compile(r"Example:\n+ +```python\n(.*?)```", re.DOTALL)


@cache
def package() -> griffe.Object:
    import griffe  # reads the whole package, so only these tests load it

    loaded = griffe.load("mcp_client_auth", search_paths=[str(ROOT)], try_relative_path=False)
    assert isinstance(loaded, griffe.Object)
    return loaded


def home(name: str) -> griffe.Object:
    """Where a name that is imported from elsewhere is defined."""
    import griffe

    found = package()[name.removeprefix("mcp_client_auth.")]
    target = found.final_target if isinstance(found, griffe.Alias) else found
    assert isinstance(target, griffe.Object)
    return target


def names() -> list[str]:
    """One name for each thing; what is defined elsewhere, or only imported here, is not listed."""
    own = [n for n, value in vars(errors).items() if getattr(value, "__module__", "") == ERRORS]
    roots: dict[ModuleType, list[str]] = {
        mcp_client_auth: [name for name in mcp_client_auth.__all__ if name != "__version__"],
        extending: extending.__all__,
        testing: testing.__all__,
        errors: [name for name in own if name[0].isupper()],
    }
    found = {f"{at.__name__}.{name}": getattr(at, name) for at in roots for name in roots[at]}
    return sorted({id(found[name]): name for name in sorted(found, reverse=True)}.values())


NAMES = names()


def test_each_public_name_is_in_the_reference() -> None:
    listed = {home(name).path for name in LISTED}
    assert [name for name in NAMES if home(name).path not in listed] == []


def example(name: str) -> str:
    docstring = home(name).docstring
    found = CODE.search(docstring.value if docstring else "")
    assert found, f"{name} has no Example"
    return "\n".join(line[4:] for line in found[1].splitlines())


@pytest.mark.usefixtures("mcp_person")
@pytest.mark.parametrize("name", NAMES)
def test_its_example_runs(
    name: str, shared: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = example(name)
    monkeypatch.chdir(tmp_path)
    if EXAMPLE in code:
        login(shared.url).close()
    run: dict[str, Any] = {"__name__": name}
    exec(compile(code.replace(EXAMPLE, shared.url), name, "exec"), run)
    for value in run.values():
        if isinstance(value, Login):
            value.close()
