"""`mcp-login doctor` as a process: what it prints where, and how it ends."""

from __future__ import annotations

import json
import re
import time
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcp_client_auth.cli.report import exit_code_of, lines
from mcp_client_auth.doctor import Finding, Report
from mcp_client_auth.doctor.report import Question
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import World, document, text
from tests.support.inside import Inside
from tests.support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(tmp_path_factory.mktemp("home"))


def test_a_good_server_ends_with_0_on_one_screen(terminal: Terminal) -> None:
    with DemoServer() as server:
        answer = terminal.run("doctor", server.url, COLUMNS="80")
        whole = terminal.run("doctor", server.url, "--verbose", COLUMNS="80")
    assert answer.code == whole.code == 0, answer.out
    shown = answer.out.splitlines()
    assert shown[:2] == [server.url, "A login works here."]
    assert "WARNING" not in answer.out
    assert len(shown) < 24
    assert max(map(len, (*shown, *whole.out.splitlines()))) <= 80
    assert answer.err.startswith("checking challenge")
    assert whole.out.splitlines()[:2] == shown[:2]
    assert "\nok: challenge.status\n  sent      POST" in whole.out


def test_json_is_all_that_stands_on_stdout(terminal: Terminal) -> None:
    with DemoServer() as server:
        answer = terminal.run("doctor", server.url, "--json")
    report = json.loads(answer.out)
    keys = ["version", "mcp_client_auth", "server", "verdict", "worst", "exit_code", "findings"]
    assert list(report) == keys
    assert report["version"] == 1
    assert report["server"] == server.url
    assert report["verdict"]["login"] == "works"
    assert all(list(each) == [f.name for f in fields(Finding)] for each in report["findings"])


def test_looking_again_says_only_what_has_changed(inside: Inside) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    clock = SimpleNamespace(sleep=sleep, strftime=time.strftime)
    inside.patch.setattr("mcp_client_auth.cli.examination.time", clock)
    ran = inside("doctor", "--watch", "30")
    assert (ran.code, waits) == (130, [30.0] * 3)
    assert ran.err.count("checking local.clock") == 1
    assert ran.err.endswith("interrupted\n")


def test_what_is_an_error_or_was_noted_is_not_noted_again(terminal: Terminal) -> None:
    answer = terminal.run("doctor", "http://127.0.0.1:1/mcp")
    assert answer.code == 6
    assert answer.out.count("\nERROR    no answer: “") == 1
    notes = [line for line in answer.out.splitlines() if line.startswith("note ")]
    assert notes
    assert len(set(notes)) == len(notes)
    assert not [line for line in notes if line.startswith("note     no answer: “")]


def test_warnings_count_only_where_they_shall(terminal: Terminal) -> None:
    with DemoServer(Settings(cors=False)) as server:
        assert terminal.run("doctor", server.url).code == 0
        assert terminal.run("doctor", server.url, "--strict").code == 1


def test_what_other_clients_would_meet_is_a_table(terminal: Terminal) -> None:
    with DemoServer(Settings(client_id_metadata_documents=True)) as server:
        answer = terminal.run("doctor", server.url, "--as-client", "vscode,claude")
        unknown = terminal.run("doctor", server.url, "--as-client", "clippy")
    assert re.search(r"^FAILS +claude +step 1, request: it connects from", answer.out, re.MULTILINE)
    assert re.search(r"^works +vscode +VS Code", answer.out, re.MULTILINE)
    assert unknown.code == 2
    assert "no client is known as “clippy”" in unknown.err


def test_the_worst_finding_gives_the_exit_code_of_the_login(
    terminal: Terminal, world: World
) -> None:
    world.at("resource", document(world.resource_metadata(resource="https://other.example/")))
    examination, login = terminal.run("doctor", world.url), terminal.run(world.url)
    assert examination.code == login.code == 5


def test_a_stored_login_is_looked_at_and_not_shown(terminal: Terminal) -> None:
    with DemoServer() as server:
        terminal.log_in(server.url)
        token = terminal.run("token", server.url).out.strip()
        stored = b" ".join(terminal.stored().values()).decode()
        answer = terminal.run("doctor", server.url, "--register", "--json")
    report = json.loads(answer.out)
    levels = {f["check"]: f["level"] for f in report["findings"]}
    assert levels["login.token"] == levels["login.lasting"] == "ok"
    assert levels["login.audience"] == "note"
    said = answer.out + answer.err
    assert token not in said
    secrets = re.findall(r'"(?:refresh_token|access_token)": ?"([^"]+)"', stored)
    assert secrets
    assert not [secret for secret in secrets if secret in said]


def test_the_query_of_the_url_is_not_shown(terminal: Terminal, world: World) -> None:
    answer = terminal.run("doctor", world.url + "?key=planted-key")
    assert "planted" not in answer.out + answer.err


def test_without_a_url_this_machine_is_checked(terminal: Terminal) -> None:
    answer = terminal.run("doctor")
    assert answer.code == 0, answer.out
    assert answer.out.startswith("This machine is ready for logins.\n")


@pytest.mark.parametrize("url", ["ftp://mcp.example.com", "https://ada:planted@mcp.example.com/"])
def test_what_is_no_server_url_is_a_usage_error(terminal: Terminal, url: str) -> None:
    answer = terminal.run("doctor", url)
    assert answer.code == 2
    assert "planted" not in answer.out + answer.err


def test_a_terminal_that_cannot_show_a_letter_gets_a_question_mark(
    terminal: Terminal, world: World
) -> None:
    world.at("server", text("nothing", 404))
    answer = terminal.run("doctor", world.url, PYTHONIOENCODING="ascii")
    assert answer.code == 8
    assert "Traceback" not in answer.err
    assert answer.out.isascii()


def test_the_cause_comes_first_and_its_remedy_with_it() -> None:
    question = Question("resource.metadata", "GET https://mcp.example.com/x")
    warnings = [Question(f"a.{n}", "sent").warning(f"warning {n} " * 20, "all") for n in range(9)]
    cause = question.found("error", "no-pkce", "S256 is not listed", error="PkceUnsupported")
    report = Report("https://mcp.example.com/mcp", "0", (*warnings, cause))
    said = list(lines(report, 80))
    assert said[1].startswith("A login fails here: the authorization server does not advertise")
    assert any(line.startswith("Fix: List S256") for line in said[:8])
    assert any("code_challenge_methods_supported" in line for line in said[:8])
    assert sum("warning" in line and "…" in line for line in said[:23]) == 9  # all on one screen
    assert "S256 is not listed [resource.metadata]" in " ".join(said)
    assert exit_code_of(report) == 5


def test_a_narrow_terminal_gets_whole_words() -> None:
    finding = Finding("resource.metadata", "warning", "asked", "came back as a long sentence")
    report = Report("https://mcp.example.com/mcp", "0", (finding,))
    assert max(map(len, lines(report, 10))) <= 40
    assert "long sentence [resource.metadata]" in " ".join(" ".join(lines(report, 40)).split())


@pytest.mark.parametrize(
    ("level", "error", "strict", "code"),
    [
        ("ok", "", True, 0),
        ("note", "", True, 0),
        ("warning", "", False, 0),
        ("warning", "", True, 1),
        ("error", "PkceUnsupported", False, 5),
        ("error", "StorageError", True, 7),
        ("error", "", False, 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    level: str, error: str, strict: bool, code: int
) -> None:
    well = Finding("a", "ok", "asked", "came")
    found = replace(well, level=level, error=error)  # type: ignore[arg-type]
    assert exit_code_of(Report("", "0", (well, found, well)), strict=strict) == code


@pytest.mark.parametrize(
    ("behind", "sentence"),
    [
        ("ok", "The server is in order, but a login fails on this machine: no keyring."),
        ("error", "A login fails on this machine: no keyring."),
    ],
)
def test_a_fault_of_this_machine_is_not_told_of_the_server(behind: str, sentence: str) -> None:
    here = Finding("local.storage", "error", "a canary", "no keyring", error="StorageError")
    server = Finding("endpoint.token", behind, "sent", "came")  # type: ignore[arg-type]
    report = Report("https://mcp.example.com/mcp", "0", (server, here), cause=1)
    assert report.verdict.sentence == sentence
    assert exit_code_of(report) == 7


def test_a_machine_without_a_place_for_logins_is_named(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    home = str(tmp_path / "file" / "home")
    with DemoServer() as server:
        answer = terminal.run("doctor", server.url, "--store", "file", MCP_CLIENT_AUTH_HOME=home)
    assert answer.code == 7
    assert "The server is in order, but a login fails on this machine" in answer.out
    assert "every login that is made on this machine" in answer.out


def test_what_is_wrong_has_a_colour_where_there_are_colours(
    terminal: Terminal, world: World
) -> None:
    world.at("server", text("nothing", 404))
    plain = terminal.run("doctor", world.url)
    tinted = terminal.run("doctor", world.url, FORCE_COLOR="1")
    assert "\n\x1b[31mERROR\x1b[0m  " in tinted.out
    assert "\n\x1b[36mFix\x1b[0m: " in tinted.out
    assert re.sub(r"\x1b\[[0-9]*m", "", tinted.out) == plain.out


def test_several_servers_are_examined_and_the_worst_counts(
    terminal: Terminal, world: World
) -> None:
    world.at("server", text("nothing", 404))
    with DemoServer() as server:
        answer = terminal.run("doctor", server.url, world.url, "--json")
    told = json.loads(answer.out)
    assert [each["exit_code"] for each in told["reports"]] == [0, 8]
    assert answer.code == told["exit_code"] == 8
    checks = [{f["check"] for f in each["findings"]} for each in told["reports"]]
    assert "local.storage" in checks[0]
    assert "local.storage" not in checks[1]  # checked once, for it is the same machine


def test_a_page_and_the_schema_are_all_that_stands_on_stdout(terminal: Terminal) -> None:
    with DemoServer(Settings(cors=False)) as server:
        page = terminal.run("doctor", server.url, "--format", "html", "--fail-on", "warning")
    assert page.code == 1
    assert page.out.startswith("<!doctype html>")
    schema = terminal.run("doctor", "--schema")
    assert json.loads(schema.out)["title"] == "mcp-login doctor --json"
    assert terminal.run("doctor", "--json", "--format", "html").code == 2
