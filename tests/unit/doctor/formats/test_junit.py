"""JUnit: well-formed whatever a server says, and failures where the command fails."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from mcp_client_auth.doctor.formats.junit import junit
from tests.support.doctor_reports import HOSTILE, told

TOLD = dict(told())


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", TOLD)
def test_the_counts_are_those_of_the_cases(name: str, strict: bool) -> None:
    root = ElementTree.fromstring(junit([TOLD[name]], strict=strict))
    (suite,) = root
    assert int(suite.attrib["tests"]) == len(suite) == len(TOLD[name]["findings"])
    failures = suite.findall("testcase/failure")
    assert int(suite.attrib["failures"]) == len(failures)
    failing = ("error", "warning") if strict else ("error",)
    assert len(failures) == sum(f["level"] in failing for f in TOLD[name]["findings"])


def test_words_of_a_server_are_words() -> None:
    root = ElementTree.fromstring(junit([TOLD["hostile"]]))
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == HOSTILE
    assert (failure.text or "").startswith(HOSTILE)
