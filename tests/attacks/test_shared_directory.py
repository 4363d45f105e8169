"""Another user of this machine has put a file where we are about to write or read one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.inside import Inside, credential

URL = "https://mcp.example.invalid/mcp"
PRECIOUS = "precious"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and links of POSIX")


@pytest.fixture
def precious(inside: Inside) -> Path:
    """A file of the user's own, elsewhere."""
    file = inside.home / "precious"
    file.write_text(PRECIOUS)
    file.chmod(0o640)
    return file


PUT: dict[str, Callable[[Path, Path], None]] = {
    "a symbolic link": lambda place, precious: place.symlink_to(precious),
    "a hard link": lambda place, precious: os.link(precious, place),
}


@pytest.mark.parametrize("put", PUT.values(), ids=PUT)
@pytest.mark.parametrize("verb", ["token", "status", "logout"])
def test_a_trace_empties_no_file_of_ours(
    inside: Inside, precious: Path, put: Callable[[Path, Path], None], verb: str
) -> None:
    put(Path("trace"), precious)
    ran = inside(verb, URL, "--trace", "trace")
    assert (ran.code, ran.out) == (2, "")
    assert "the trace cannot be written to" in ran.err
    assert precious.read_text() == PRECIOUS
    assert stat.S_IMODE(precious.stat().st_mode) == 0o640


def test_a_trace_goes_into_no_file_of_another_user(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the file could read along, whatever its mode becomes."""
    Path("trace").write_text("of another user")
    there = Path("trace").stat()
    monkeypatch.setattr("os.geteuid", lambda: there.st_uid + 1)
    ran = inside("token", URL, "--trace", "trace")
    assert ran.code == 2
    assert "belongs to another user" in ran.err
    assert Path("trace").read_text() == "of another user"


@pytest.mark.parametrize("put", PUT.values(), ids=PUT)
@pytest.mark.parametrize("ending", [".secret", ".json"])
def test_a_write_goes_through_no_link(
    inside: Inside, precious: Path, put: Callable[[Path, Path], None], ending: str
) -> None:
    """A file is replaced by a new one; what a link leads to stays as it is."""
    inside.keep(credential(URL))
    place = inside.record(URL, ending)
    place.unlink()
    put(place, precious)
    inside.keep(credential(URL, "planted-new"))
    assert precious.read_text() == PRECIOUS
    assert not place.is_symlink()
    assert place.stat().st_nlink == 1
    assert inside("token", URL).out == "planted-new\n"


@pytest.mark.parametrize("number", range(4))
def test_a_temporary_name_that_is_taken_is_not_written_through(
    inside: Inside, precious: Path, number: int
) -> None:
    """Temporary names can be guessed; each file is newly created, or another name is used."""
    inside.keep(credential(URL))
    record = inside.record(URL)
    for each in range(number + 1):
        record.with_name(f".{record.name}.{each}").symlink_to(precious)
    inside.keep(credential(URL, "planted-new"))
    assert precious.read_text() == PRECIOUS
    assert inside("token", URL).out == "planted-new\n"
