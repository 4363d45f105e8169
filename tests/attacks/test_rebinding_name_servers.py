"""The name servers of a public MCP server answer 127.0.0.1 when they are asked again.

Real name servers, a real public address: both in a network namespace.
"""

from __future__ import annotations

import pytest

from tests.support.namespaces import missing, namespace, told_by
from tests.support.python_path import ROOT

SCRIPT = ROOT / "tests" / "support" / "rebinding.py"
HOST, ADDRESS = "mcp.test", "93.184.216.34"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.mark.parametrize("way", ["issuer", "page"])
@pytest.mark.parametrize("first", [1, 2, 3, 4, 99])
def test_the_name_servers_do_not_open_this_machine(first: int, way: str) -> None:
    """`first`: how many answers are the public address."""
    files = {"resolv.conf": "nameserver 127.0.0.1\n", "hosts": "127.0.0.1 localhost\n"}
    with namespace(f"{ADDRESS}/24", files=files) as name:
        told = told_by(name, SCRIPT, HOST, ADDRESS, str(first), way)
    assert told["visited"] == []
    assert told["opened"] == []
    assert told["ended"] == "forbidden_address"
    assert told["asked"][0] == ADDRESS
