"""A run of the doctor: several servers, formats, a baseline, and looking again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fastjsonschema
import pytest

from mcp_client_auth.cli.answers import answers
from mcp_client_auth.cli.examination import Reporting, changed, read_baseline, run
from mcp_client_auth.doctor import Report
from mcp_client_auth.errors import UsageError
from tests.support.doctor_reports import URL, reports
from tests.support.report_schema import published, require_published_shape

OTHER = "https://other.example.com/mcp"


def looks(*names: str) -> list[Callable[[], Report]]:
    return [lambda name=name: reports()[name] for name in names]  # type: ignore[misc]


@pytest.fixture(autouse=True)
def text() -> Iterator[None]:
    yield
    answers.as_json = False


@pytest.mark.parametrize("name", reports())
def test_each_report_keeps_to_the_published_schema(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(looks(name), Reporting(form="json"))
    told = json.loads(capsys.readouterr().out)
    require_published_shape(told)
    assert told["exit_code"] == code


def test_several_servers_keep_to_it_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answers.as_json = True
    assert run(looks("well", "broken", "others"), Reporting(baseline={})) == 5
    told = json.loads(capsys.readouterr().out)
    require_published_shape(told)
    assert [each["exit_code"] for each in told["reports"]] == [0, 5, 0]
    assert told["exit_code"] == 5


def test_what_is_no_report_does_not_keep_to_it() -> None:
    with pytest.raises(fastjsonschema.JsonSchemaException):
        fastjsonschema.validate(published(), {"version": 1})
    told = reports()["broken"].as_json(5)
    fastjsonschema.validate(published(), {**told, "added": "later"})
    with pytest.raises(fastjsonschema.JsonSchemaException):
        require_published_shape({**told, "added": "later"})


@pytest.mark.parametrize(
    ("names", "strict", "code"),
    [
        (["well"], True, 0),
        (["warned"], False, 0),
        (["warned"], True, 1),
        (["warned", "broken"], True, 5),
        (["broken", "well"], False, 5),
        (["others"], True, 1),  # a client that fails counts as a warning
    ],
)
def test_the_worst_gives_the_exit_code(
    names: list[str], strict: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(looks(*names), Reporting(strict=strict)) == code
    assert capsys.readouterr().out.count(URL + "\n") >= len(names)


def test_what_stands_in_the_baseline_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(looks("warned"), Reporting(form="json"))
    kept = tmp_path / "kept.json"
    kept.write_text(capsys.readouterr().out)
    baseline = read_baseline(str(kept))
    assert run(looks("warned"), Reporting(strict=True, baseline=baseline)) == 0
    assert "Since the baseline: 0 new, 0 gone" in capsys.readouterr().out
    assert run(looks("broken"), Reporting(baseline=baseline)) == 5
    said = capsys.readouterr().out
    assert "Since the baseline: 1 new, 0 gone" in said
    assert "new    error    resource.identifier: resource is elsewhere" in said
    assert run(looks("well"), Reporting(baseline=baseline)) == 0
    assert "gone   warning  resource.identifier" in capsys.readouterr().out


def test_a_baseline_of_several_servers_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(looks("broken", "this machine"), Reporting(form="json"))
    kept = tmp_path / "kept.json"
    kept.write_text(capsys.readouterr().out)
    assert set(read_baseline(str(kept))) == {URL, ""}


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"server": 1}', '{"reports": 7}'])
def test_what_is_no_baseline_is_said(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(text)
    if text == '{"server": 1}':  # a report without findings, which has none to compare
        assert read_baseline(str(kept)) == {"1": {"server": 1}}
        return
    with pytest.raises(UsageError, match="is not a report of the doctor"):
        read_baseline(str(kept))


@pytest.mark.parametrize(
    "words",
    [
        {"check": "\x1b[2J", "came": "a\x1b]0;b\x07\n\u202ec" + "d" * 5000},
        {},
        {"check": 1, "came": [1]},
    ],
    ids=["colours", "nothing", "no texts"],
)
def test_the_words_of_a_baseline_steer_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: dict[str, Any]
) -> None:
    """It may have come with a repository."""
    kept = tmp_path / "baseline.json"
    kept.write_text(json.dumps({"server": URL, "findings": [{"level": "error", **words}]}))
    assert run(looks("well"), Reporting(baseline=read_baseline(str(kept)))) == 0
    said = capsys.readouterr().out
    assert "0 new, 1 gone" in said
    assert all(line.isprintable() and len(line) < 1000 for line in said.split("\n"))


def test_a_baseline_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the baseline"):
        read_baseline(str(tmp_path))


@pytest.mark.parametrize("form", ["sarif", "html", "markdown", "junit"])
def test_each_format_is_all_that_stands_on_stdout(
    form: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(looks("broken", "others"), Reporting(form=form)) == 5
    said = capfdbinary.readouterr().out.decode()
    if form == "sarif":
        assert len(json.loads(said)["runs"]) == 2
    elif form == "junit":
        assert len(ElementTree.fromstring(said)) == 2
    elif form == "html":
        assert said.startswith("<!doctype html>")
        assert said.rstrip().endswith("</html>")
    else:
        assert said.count("## ") == 2


@pytest.mark.parametrize(
    ("as_json", "wanted"),
    [
        (True, {"form": "html"}),
        (True, {"again": 5.0}),
        (False, {"form": "sarif", "again": 5.0}),
    ],
)
def test_what_cannot_be_combined_is_said(as_json: bool, wanted: dict[str, Any]) -> None:
    answers.as_json = as_json
    with pytest.raises(UsageError):
        Reporting(**wanted)


def test_looking_again_prints_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = iter(["broken", "broken", "warned", "well"])
    waits: list[float] = []

    def look() -> Report:
        name = next(seen, "")
        if not name:
            raise KeyboardInterrupt
        return reports()[name]

    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(KeyboardInterrupt):
        run([look], Reporting(again=30.0))
    said = capsys.readouterr().out.rpartition("this machine")[2] or ""
    whole = said.split("\n")
    assert waits == [30.0] * 4
    later = [line for line in whole if line.startswith(("new", "gone"))]
    assert later == [
        "gone   error    resource.identifier: resource is elsewhere",
        "gone   warning  resource.identifier: resource is elsewhere",
    ]
    assert sum(": A login works here" in line for line in whole) == 2


def test_the_same_trouble_in_other_words_is_no_change() -> None:
    before, after = (reports()[name].as_json(5) for name in ("broken", "hostile"))
    assert changed(before, after) == {"new": [], "gone": []}
    assert changed({}, before)["new"] == before["findings"][1:]


def test_the_page_has_the_time_of_the_examination(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "2026-11-29 03:10 UTC")
    run(looks("well"), Reporting(form="html"))
    assert b"2026-11-29 03:10 UTC" in capfdbinary.readouterr().out
