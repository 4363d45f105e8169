"""Four MCP hosts live through what docs/hosts.md promises; `run.py` prints all of them."""

from __future__ import annotations

import pytest

from tests.slow.hosts.hosts import HOSTS, Host
from tests.slow.hosts.run import COLUMNS, walk
from tests.support.python_path import ROOT

QUICK = COLUMNS[:7]
PAGE = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("hosts.md", "python.md"))


@pytest.mark.parametrize("host", [host for host in HOSTS if host.quick], ids=lambda host: host.name)
def test_a_login_lives_through_all_that_happens_in_a_host(host: Host) -> None:
    assert walk(host, QUICK) == dict.fromkeys(QUICK, "ok")


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_the_page_has_the_line_of_each_host(host: Host) -> None:
    assert f"| {host.shown} | `{host.glue}` |" in PAGE


def test_each_host_has_its_file() -> None:
    files = {path.stem for path in (ROOT / "tests/slow/hosts/libraries").glob("*.py")}
    assert files == {host.name for host in HOSTS}
