"""A server's words go into a log or a trace, where a line break would begin a new line: none of
them can look like an entry that we have written, or colour the terminal that shows it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mcp_client_auth import AuthError
from tests.attacks.test_hostile_words import SAYINGS, TOLD
from tests.support.hostile import document, text
from tests.support.inside import Inside
from tests.support.victim import Victim, victim_of

FORGED = "ok\r\n2026-01-01 INFO mcp_client_auth: logged in\n\x1b[2K\x9b1A\u2028\u2029\x85\u202edni"


class Lines(logging.Handler):
    """The log lines, as a program writes them to a file."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[Lines]:
    root, handler = logging.getLogger(), Lines()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        victim.forget_client()
        yield victim


@pytest.mark.parametrize("saying", [*SAYINGS, *TOLD])
def test_each_entry_of_a_log_is_one_line(saying: str, victim: Victim, lines: Lines) -> None:
    spot, behaviour = {**SAYINGS, **TOLD}[saying]
    victim.world.at(spot, behaviour(victim.world, FORGED))
    with suppress(AuthError):
        victim.log_in()
    ours = [each for each in lines.texts if "mcp_client_auth" in each]
    assert len(ours) > 3
    for each in ours:
        assert each.isprintable(), ascii(each)


@pytest.mark.parametrize("saying", ["token error", "registration error", "granted scope"])
def test_each_line_of_a_trace_is_ours(saying: str, inside: Inside, victim: Victim) -> None:
    spot, behaviour = {**SAYINGS, **TOLD}[saying]
    victim.world.at(spot, behaviour(victim.world, FORGED))
    inside("login", victim.world.url, "--trace", "trace", "--timeout", "40")
    inside.browser.join(60)
    told = Path("trace").read_text().splitlines()
    assert len(told) > 5
    assert json.loads(told[0])["version"] == 1
    for line in told:
        entry = json.loads(line)
        assert set(entry) >= {"time", "name"} or "version" in entry
        assert all(str(value).isprintable() for value in entry.values())


def test_so_is_what_a_renewal_is_refused_with(victim: Victim, lines: Lines) -> None:
    victim.expire()
    said = {"error": f"temporarily_unavailable{FORGED}", "error_description": FORGED}
    for answer in (document(said, 400), text(FORGED, 503, "text/plain")):
        victim.world.at("refresh", answer)
        with suppress(AuthError):
            victim.post()
    ours = [each for each in lines.texts if "mcp_client_auth" in each]
    assert ours
    for each in ours:
        assert each.isprintable(), ascii(each)
