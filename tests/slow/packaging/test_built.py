"""What is released is what is tested: the sdist and the wheel, built once, each installed alone.

One short life for each Python that is here, with the newest and with the lowest dependencies, with
httpx and with httpx2. `python -m tests.slow.packaging.run` is the whole suite on one of them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mcp_client_auth import __version__
from tests.slow.packaging.built import Built, Installed, build, install, lowest, ran
from tests.slow.packaging.pythons import INSTALL, PROJECT, SUPPORTED, pythons
from tests.support.python_path import ROOT

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    """`libraries`: of the program's HTTP client; `lowest`: all dependencies at their bounds."""

    version: str
    libraries: tuple[str, ...] = ("httpx",)
    lowest: bool = False

    @property
    def extras(self) -> str:
        return "demo,httpx2" if "httpx2" in self.libraries else "demo"


# From one version to the next, httpx alone or httpx2 alone.
CASES = {
    version: Case(version, ("httpx", "httpx2")[number % 2 :][:1])
    for number, version in enumerate(SUPPORTED)
} | {"lowest": Case(SUPPORTED[0], ("httpx", "httpx2"), lowest=True)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Installed]:
    """Each case whose Python is here, side by side: most of the time goes to the index."""
    home = tmp_path_factory.mktemp("installed")
    constraints = home / "lowest.txt"
    constraints.write_text("\n".join(lowest()))

    def one(number: int, case: Case) -> Installed:
        options = ["--constraint", str(constraints)] if case.lowest else []
        python = pythons()[case.version]
        return install(home / str(number), python, built.wheel, case.extras, options)

    with ThreadPoolExecutor(4) as pool:
        made = {
            name: pool.submit(one, number, case)
            for number, (name, case) in enumerate(CASES.items())
            if case.version in pythons()
        }
        return {name: future.result() for name, future in made.items()}


@pytest.mark.parametrize("name", CASES)
def test_it_lives_a_short_life(
    name: str, installed: Mapping[str, Installed], tmp_path: Path
) -> None:
    case = CASES[name]
    if case.version not in pythons():
        pytest.skip(f"there is no Python {case.version} here: {INSTALL}")
    place = installed[name]
    said = ran(place.python, "-W", "error", HERE / "short.py", *case.libraries, cwd=tmp_path)
    found = json.loads(said.splitlines()[0])
    assert (found["python"], found["version"]) == (case.version, __version__)
    assert found["codes"] == [0, 0, 0, 0] * len(case.libraries)
    assert found["httpx2"] == ("httpx2" in case.libraries)
    assert found["modules"] > 200
    assert ran(place.command, "--version").strip() == f"mcp-login {__version__}"


def test_the_command_shows_its_demo(installed: Mapping[str, Installed]) -> None:
    place = next(iter(installed.values()))
    assert "15  answer" in ran(place.command, "demo", "--no-browser")


def test_the_lowest_are_lowest_and_the_newest_newest(installed: Mapping[str, Installed]) -> None:
    """A dependency that another one holds back is not tested; nor is a bound that is not true."""
    if "lowest" in installed:
        assert set(lowest()) >= set(ours(installed["lowest"]))
    said = ran(
        *(sys.executable, "-m", "pip", "--python", newest(installed).python),
        *("list", "--outdated", "--format", "json", "--disable-pip-version-check"),
    )
    [line] = [line for line in said.splitlines() if line.startswith("[")]
    old = {each["name"].lower() for each in json.loads(line)}
    assert old & {Requirement(line).name for line in PROJECT["dependencies"]} == set()


def newest(installed: Mapping[str, Installed], library: str = "") -> Installed:
    """One with the newest dependencies, and that library, if there is one here."""
    fit = [n for n, case in CASES.items() if n in installed and library in ("", *case.libraries)]
    return installed[fit[0]]


def ours(place: Installed) -> list[str]:
    """The installed versions of what the package itself depends on."""
    code = (
        "import sys\nfrom importlib.metadata import version\n"
        "print(*(f'{n}=={version(n)}' for n in sys.argv[1:]))"
    )
    names = [Requirement(line).name for line in PROJECT["dependencies"]]
    # 4.5 and 4.5.0 are one version
    return [re.sub(r"(\.0)$", "", each) for each in ran(place.python, "-c", code, *names).split()]


# What is in them


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    assert "mcp_client_auth/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {
        "mcp_client_auth",
        f"mcp_client_auth-{__version__}.dist-info",
    }
    source = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "mcp_client_auth").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if name.startswith("mcp_client_auth/")} == source


def test_the_sdist_can_be_tested_and_built_again(built: Built) -> None:
    with tarfile.open(built.sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for name in ("tests/conftest.py", "examples/first.py", "docs/index.md", "CHANGELOG.md"):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or name.startswith(".git/")]


def test_the_metadata_is_what_a_reader_of_the_index_needs(built: Built) -> None:
    said = ran(sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel)
    assert said.count("PASSED") == 2
    told = metadata(built)
    assert told["License-Expression"] == "MIT"
    assert told.get_all("License-File") == ["LICENSE"]
    assert told["Requires-Python"] == f">={SUPPORTED[0]}"
    assert told["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    assert f"mcp_client_auth-{__version__}.dist-info/licenses/LICENSE" in (
        zipfile.ZipFile(built.wheel).namelist()
    )


def metadata(built: Built) -> Message:
    name = f"mcp_client_auth-{__version__}.dist-info/METADATA"
    return Parser().parsestr(zipfile.ZipFile(built.wheel).read(name).decode())


def test_every_dependency_may_be_used_with_this_licence(installed: Mapping[str, Installed]) -> None:
    """None of what the package brings along has one that reaches over to its users."""
    code = (
        "import json\nfrom importlib.metadata import distributions\n"
        "print(json.dumps([[d.name, d.metadata.get('License-Expression') or "
        "d.metadata.get('License') or '', d.metadata.get_all('Classifier') or []] "
        "for d in distributions()]))"
    )
    for name, licence, classifiers in json.loads(ran(newest(installed).python, "-c", code)):
        told = " ".join([licence[:200], *(c for c in classifiers if c.startswith("License"))])
        assert re.search(r"MIT|BSD|Apache|MPL|Mozilla|PSF|ISC", told), f"{name}: {told}"
        assert not re.search(r"\bA?GPL", told), f"{name}: {told}"


def test_two_builds_are_the_same_byte_for_byte(built: Built, tmp_path: Path) -> None:
    """The second one from the sdist, elsewhere, with other times and another umask."""
    with tarfile.open(built.sdist) as file:
        file.extractall(tmp_path, filter="data")
    [source] = [path for path in tmp_path.iterdir() if path.is_dir()]
    for path in source.rglob("*"):
        os.utime(path, (1, 1))
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "again", source)
    finally:
        os.umask(before)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


# Types, as who installs it sees them

MISSPELLED = "from mcp_client_auth import Logn\nfrom mcp_client_auth.testing import DemoSrver\n"


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_type_checker_reads_the_types_of_what_is_installed(
    checker: str, installed: Mapping[str, Installed], tmp_path: Path
) -> None:
    """It finds nothing in what programs do, and each name that is misspelled."""
    place = newest(installed, "httpx2")
    # elsewhere, where nothing of the checkout is in the way of what is installed
    (tmp_path / "public_use.py").write_text((HERE / "public_use.py").read_text())
    (tmp_path / "misspelled.py").write_text(MISSPELLED)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    commands = {
        "mypy": ["mypy", "--strict", "--python-executable", str(place.python)],
        "pyright": ["basedpyright", "--level", "error", "--pythonpath", str(place.python)],
    }
    with pytest.raises(AssertionError) as found:
        ran(sys.executable, "-m", *commands[checker], tmp_path, cwd=tmp_path)
    errors = re.findall(r"^.*error:.*$", str(found.value), re.MULTILINE)
    assert all("misspelled.py" in line for line in errors), found.value
    assert {"Logn", "DemoSrver"} <= set(re.findall(r"\w+", "\n".join(errors)))
