"""The laws once more with the lowest versions of the engines' libraries that the extras allow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.python_path import ROOT, search_path

# One engine each; what stands in between does not depend on the version.
LAWS = "(redis or postgres) and not clocks and not every_field and not answers_for_another"

USED = """
import psycopg, psycopg_pool, redis
print(redis.__version__, psycopg.__version__, psycopg_pool.__version__)
"""


def lowest() -> list[str]:
    """As pip takes them; psycopg with the libpq of the system."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [
        re.sub(r"\[.*\]", "", each).replace(">=", "==")
        for each in (*extras["redis"], *extras["postgres"])
    ]


def test_the_lowest_versions_keep_the_laws(tmp_path: Path) -> None:
    named = lowest()
    assert len(named) == 3
    assert all("==" in each for each in named)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    subprocess.run([*pip, *named], check=True, timeout=300)
    path = os.pathsep.join([str(tmp_path), search_path()])
    environment = {**os.environ, "PYTHONPATH": path, "PSYCOPG_IMPL": "python"}
    used = subprocess.run(
        [sys.executable, "-c", USED], env=environment, capture_output=True, text=True, check=True
    )
    bounds = [each.partition("==")[2] for each in named]
    assert used.stdout.split() == [f"{each}.0" if each.count(".") == 1 else each for each in bounds]
    laws = str(ROOT / "tests" / "slow" / "fleet" / "test_laws.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "slow", "-k", LAWS, laws],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 40
    assert "skipped" not in done.stdout
