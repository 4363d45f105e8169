"""The table of other clients: a row each, and everything with `verbose`."""

from __future__ import annotations

from mcp_client_auth.cli.other_clients import client_lines
from mcp_client_auth.doctor.clients.facts import chosen
from mcp_client_auth.doctor.clients.rules import judge
from mcp_client_auth.doctor.clients.seen import Page, Seen

URL = "https://mcp.example.com/mcp"
PLACE = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
SEEN = Seen(URL, named=PLACE, pages={PLACE: Page("a document", {"resource": URL + "/"})})
VERDICTS = [judge(client, SEEN) for client in chosen(["zed", "vscode"])]


def test_a_row_has_the_verdict_the_step_and_the_remedy() -> None:
    said = list(client_lines(VERDICTS, 100))
    assert said[2].startswith("FAILS      vscode  step 4, resource-metadata: resource is https://")
    assert any(line.strip().startswith(f"fix: Set resource to exactly {URL}") for line in said)
    assert max(map(len, said)) <= 100
    assert "microsoft/vscode" not in "\n".join(said)


def test_verbose_names_sources_and_dates() -> None:
    said = " ".join(" ".join(client_lines(VERDICTS, 100, verbose=True)).split())
    assert "step 4, resource-metadata: the resource metadata names no authorization server" in said
    assert (
        "- resource_match: its source code, 2025-11 to 2026-09, microsoft/vscode"
        " src/vs/base/common/oauth.ts (on a mismatch the document is dropped)" in said
    )


def test_a_narrow_terminal_gets_the_answers_below() -> None:
    said = list(client_lines(VERDICTS, 40))
    assert said[3] == "FAILS      vscode"
    assert said[4].startswith("    step 4")
    assert max(map(len, said)) <= 40


def test_no_client_is_no_table() -> None:
    assert list(client_lines([], 80)) == []
