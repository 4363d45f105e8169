"""docs/providers.md has a row for each provider that is tested, and names what it needs."""

from mcp_client_auth import Options
from tests.providers.rows import ROWS
from tests.support.python_path import ROOT

SECTION = (ROOT / "docs" / "providers.md").read_text("utf-8")
TABLE = {
    cells[0]: cells[1:]
    for line in SECTION.splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split("|")])
    and len(cells) == 4
    and cells[0] not in ("provider", "---")
}
NAMES = list(dict.fromkeys(row.name for row in ROWS))
LOUD = (
    "allow_mix_up",
    "assume_pkce_s256",
    "allow_insecure_http",
    "allow_private_addresses",
)
PLACES = {name: f"http://127.0.0.1/{name}" for name in ("mcp", "auth", "other")} | {"port": "1"}


def test_no_provider_is_missing_on_either_side() -> None:
    assert sorted(TABLE) == sorted(NAMES)


def test_a_row_names_each_option_that_its_test_passes() -> None:
    for name in NAMES:
        _, passed, verdict = TABLE[name]
        rows = [row for row in ROWS if row.name == name]
        wanted = {option for row in rows for option in row.options}
        assert [option for option in wanted if option not in passed] == [], name
        assert verdict == ("with options" if rows[0].options else "works"), name


def options_of(name: str) -> list[Options]:
    return [
        passed
        for row in ROWS
        if row.name == name and isinstance(passed := row.passes(PLACES).get("options"), Options)
    ]


def test_no_check_is_weakened_but_by_a_loud_name_that_the_row_says() -> None:
    flags = {f"--{loud.replace('_', '-')}" for loud in LOUD}
    for name in NAMES:
        used = {
            f"--{loud.replace('_', '-')}"
            for options in options_of(name)
            for loud in LOUD
            if getattr(options, loud)
        }
        assert used == {flag for flag in flags if flag in TABLE[name][1]}, name
