"""One check failing, hanging or being wrong never stops the others."""

from __future__ import annotations

import threading

import pytest

from mcp_client_auth.doctor.exam import Check, Exam
from mcp_client_auth.doctor.report import Finding
from mcp_client_auth.errors import BadResponse, Unavailable
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import ServerUrl


def exam(*answers: HttpResponse | Exception) -> Exam:
    left = list(answers)

    def transport(request: HttpRequest) -> HttpResponse:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Exam(ServerUrl("https://mcp.example.com/mcp"), Options(), transport, patience=60)


def test_an_error_of_ours_becomes_a_finding_with_its_hint() -> None:
    def check() -> Check[int]:
        yield Finding("a", "ok", "asked", "came")
        raise BadResponse("broken", hint="mend it")

    here = exam()
    assert here.perform("a", check()) is None
    assert [(f.level, f.came, f.remedy, f.error) for f in here.findings[1:]] == [
        ("error", "broken", "mend it", "BadResponse")
    ]


def test_a_defect_becomes_a_finding_without_the_words_of_the_exception() -> None:
    def check() -> Check[None]:
        yield Finding("a", "ok", "asked", "came")
        raise ValueError("planted-secret")

    here = exam()
    here.perform("a", check())
    assert here.findings[1].came == "the check itself failed: ValueError"
    assert "planted" not in str(here.findings)


def test_a_check_that_hangs_is_left_behind_with_what_it_found() -> None:
    free, ended = threading.Event(), threading.Event()

    def check() -> Check[None]:
        yield Finding("a", "ok", "asked", "first")
        free.wait(20)
        yield Finding("a", "ok", "asked", "too late")
        ended.set()

    here = exam()
    assert here.perform("a", check(), patience=0.05) is None
    free.set()
    assert ended.wait(60)
    assert [f.came for f in here.findings] == ["first", "no end within 0.05 s"]


def test_a_check_gives_what_the_next_one_builds_on() -> None:
    def check() -> Check[int]:
        yield Finding("a", "ok", "asked", "came")
        return 7

    assert exam().perform("a", check()) == 7


def test_a_document_is_asked_for_once_and_its_fault_is_told_twice() -> None:
    url = "https://mcp.example.com/metadata"
    here = exam(Unavailable("down"))
    for _ in range(2):
        with pytest.raises(Unavailable, match="down"):
            here.send(HttpRequest("GET", url))
