"""The example in docs/operators.md is the doctor's report on a demo server without CORS."""

from __future__ import annotations

import re
from dataclasses import replace

from mcp_client_auth.cli.report import lines
from mcp_client_auth.doctor import Finding
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.findings import Examine
from tests.support.python_path import ROOT

PAGE = (ROOT / "docs" / "operators.md").read_text("utf-8")
LOCAL = ("local.", "login.", "tls.")


def test_the_example_is_real(examined: Examine) -> None:
    with DemoServer(Settings(cors=False)) as server:
        report = examined(server.url)
        places = {server.url.removesuffix("/mcp"): "http://127.0.0.1:8000"}
        places[server.issuer] = "http://127.0.0.1:9000"
    kept = tuple(at(f, places) for f in report.findings if not f.check.startswith(LOCAL))
    shown = replace(report, server="http://127.0.0.1:8000/mcp", findings=kept)
    text = "\n".join(lines(shown, 80))
    (example,) = re.findall(r"```text\n\$ mcp-login doctor .*?\n(.*?)```", PAGE, re.DOTALL)
    for part in example.split("…\n"):
        assert part in text + "\n", text


def at(finding: Finding, places: dict[str, str]) -> Finding:
    for here, there in places.items():
        said = {name: getattr(finding, name).replace(here, there) for name in ("requested", "came")}
        finding = replace(finding, **said)
    return finding
