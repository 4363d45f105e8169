"""Markdown: the verdict first, and no markup of a server's making."""

from __future__ import annotations

import re

from mcp_client_auth.doctor.formats.markdown import markdown, plain
from tests.support.doctor_reports import HOSTILE, URL, told

TOLD = dict(told())


def test_the_verdict_comes_first_and_each_trouble_has_its_remedy() -> None:
    lines = markdown([TOLD["broken"]]).split("\n")
    assert lines[0].startswith("## https:")
    assert lines[2] == plain(TOLD["broken"]["verdict"]["sentence"])
    assert [line for line in lines if line.startswith("- **")] == [
        "- **error** `resource.identifier`: resource is elsewhere",
        "- **warning** `resource.identifier`: resource is elsewhere",
    ]
    assert sum("Fix:" in line and plain(URL) in line for line in lines) >= 2


def test_other_clients_are_a_table() -> None:
    text = markdown([TOLD["others"]])
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert len(rows) == 2 + len(TOLD["others"]["clients"])
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert any("fails at step 4" in row for row in rows)


def test_words_of_a_server_are_words() -> None:
    said = markdown([TOLD["hostile"]])
    assert plain(HOSTILE) in said
    assert not re.search(
        r"<script|(?<!\\)[\]`!]\S|@team", said.replace("`resource.identifier`", "")
    )
