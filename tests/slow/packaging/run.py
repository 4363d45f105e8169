"""All default tests against the built wheel: `python -m tests.slow.packaging.run`.

On the Python that runs it, or on `--python 3.12`, or on `all` that are here; with the newest
dependencies, with `--pre` (their release candidates, to learn of a new major early), or with
`--lowest`. More words go to pytest. The tests run in a copy of the sdist without the package, so
that nothing but what is installed can be found.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

from tests.slow.packaging.built import Built, Installed, build, install, lowest, ran
from tests.slow.packaging.pythons import INSTALL, PROJECT, pythons

# With the lowest dependencies these cannot be installed: they want newer ones.
TOO_NEW = ("fastmcp", "mcp", "jupyterlab", "ipykernel", "nbclient", "basedpyright", "playwright")
_OF_THE_SOURCE = ("unit_mirror", "requirements")
_WANTS = re.compile(rf"^\s*(from|import) ({'|'.join(TOO_NEW)})\b", re.MULTILINE)
_EXTRAS = "demo,docs,testing,httpx2,socks,redis,postgres"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", default="{}.{}".format(*sys.version_info), metavar="X.Y|all")
    parser.add_argument("--pre", action="store_true", help="also pre-releases of dependencies")
    parser.add_argument("--lowest", action="store_true", help="the lowest dependencies allowed")
    asked, words = parser.parse_known_args()
    versions = sorted(pythons()) if asked.python == "all" else [asked.python]
    if missing := set(versions) - set(pythons()):
        parser.error(f"there is no Python {', '.join(missing)} here: {INSTALL}")
    codes = []
    with tempfile.TemporaryDirectory() as place:
        built = build(Path(place) / "built")
        for version in versions:
            home = Path(place) / version
            print(f"== Python {version}", flush=True)
            installed = prepared(home, version, built, pre=asked.pre, least=asked.lowest)
            codes.append(tested(home / "tested", built, installed, words, least=asked.lowest))
    return max(codes)


def prepared(home: Path, version: str, built: Built, *, pre: bool, least: bool) -> Installed:
    options: list[str | Path] = ["--pre"] if pre else []
    tools = [line for line in PROJECT["optional-dependencies"]["dev"] if wanted(line, least)]
    if least:
        constraints = home.with_suffix(".txt")
        constraints.write_text("\n".join(lowest(*tools)))
        options += ["--constraint", constraints]
    return install(home, pythons()[version], built.wheel, _EXTRAS, [*options, *tools])


def wanted(line: str, least: bool) -> bool:
    name = Requirement(line).name
    return name != PROJECT["name"] and not (least and name in TOO_NEW)


def tested(
    place: Path, built: Built, installed: Installed, words: list[str], *, least: bool
) -> int:
    with tarfile.open(built.sdist) as file:
        file.extractall(place, filter="data")
    [source] = place.iterdir()
    shutil.rmtree(source / "mcp_client_auth")
    code = "import mcp_client_auth as m; print(m.__file__)"
    where = ran(installed.python, "-c", code, cwd=source)
    assert Path(where.strip()).is_relative_to(installed.home), where
    # the source of the package is not there, and they read it
    words = [*words, *(f"--ignore=tests/docs/test_{name}.py" for name in _OF_THE_SOURCE)]
    if least:
        out = [file for file in source.rglob("test_*.py") if _WANTS.search(file.read_text("utf-8"))]
        print(f"{len(out)} files are left out that want {', '.join(TOO_NEW)}", flush=True)
        words = [*words, *(f"--ignore={file.relative_to(source)}" for file in out)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(installed.python), "-m", "pytest", *words]
    return subprocess.run(command, cwd=source, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
