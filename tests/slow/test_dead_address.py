"""A name with an address that drops packets: a login costs a moment more, and does not end.

Real packets: a network namespace whose second address is answered by nobody.
"""

from __future__ import annotations

import pytest

from tests.support.namespaces import missing, namespace, told_by
from tests.support.python_path import ROOT

HOST, ADDRESS = "mcp.test", "10.77.32.1"
SCRIPT = ROOT / "tests" / "support" / "login_by_name.py"

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.mark.parametrize("dead", [["2001:db8::dead"], ["2001:db8::dead", "2001:db8::beef"]])
def test_a_login_and_a_refresh_go_around_a_dead_address(dead: list[str]) -> None:
    lines = [f"{address} {HOST}" for address in (*dead, ADDRESS)]
    hosts = "\n".join(["127.0.0.1 localhost", *lines, ""])
    with namespace(f"{ADDRESS}/24", "2001:db8::1/64", dead=dead, files={"hosts": hosts}) as name:
        told = told_by(name, SCRIPT, HOST, ADDRESS)
    assert told["login"] < 14, "it took 15 s, and failed"
    assert told["refresh"] < 14
    assert told["doctor"] < 30
    # the families take turns, so that only the first of them is tried
    assert told["found"] in [[f"a connection to {HOST} at {address}"] for address in dead]
    assert told["requests"] == 8, "none was sent twice"
