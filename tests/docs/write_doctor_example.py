"""Write the doctor's example where it stands: `python -m tests.docs.write_doctor_example`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from mcp_client_auth.cli.report import lines
from mcp_client_auth.doctor import Finding, Subject, examine
from mcp_client_auth.storage.memory import MemoryStorage
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.python_path import ROOT

EXAMPLE = re.compile(
    r"(?<=```text\n\$ mcp-login doctor http://127.0.0.1:8000/mcp\n).*?(?=```)", re.S
)
LOCAL = ("local.", "login.", "tls.")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def page() -> Path:
    """The page that has the example, wherever it has moved."""
    (found,) = [each for each in PAGES if EXAMPLE.search(each.read_text("utf-8"))]
    return found


def example() -> str:
    """What the doctor says of a demo server that pages in browsers cannot read."""
    with DemoServer(Settings(cors=False)) as server:
        report = examine(Subject(MemoryStorage(), server.url))
        places = {server.url.removesuffix("/mcp"): "http://127.0.0.1:8000"}
        places[server.issuer] = "http://127.0.0.1:9000"
    kept = tuple(_at(f, places) for f in report.findings if not f.check.startswith(LOCAL))
    shown = replace(report, server="http://127.0.0.1:8000/mcp", findings=kept)
    return "\n".join(lines(shown, 80)) + "\n"


def _at(finding: Finding, places: dict[str, str]) -> Finding:
    for here, there in places.items():
        texts = ("requested", "came", "remedy", "paste")
        said = {name: getattr(finding, name).replace(here, there) for name in texts}
        finding = replace(finding, **said)
    return finding


def main() -> None:
    where, text = page(), example()
    where.write_text(EXAMPLE.sub(lambda _: text, where.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
