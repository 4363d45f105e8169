"""The file of facts: complete, and no fact without its source, date and sureness."""

from __future__ import annotations

import re

import pytest

from mcp_client_auth.doctor.clients.facts import KINDS, catalogue, chosen, read_catalogue
from mcp_client_auth.errors import UsageError

ROW = 'pkce = { is = "required", sure = "vendor", date = "2026-11", source = "its page" }'


def test_the_clients_that_people_ask_about_are_there() -> None:
    asked = ["claude", "claude-code", "chatgpt", "cursor", "vscode", "inspector", "mcp-remote"]
    assert set(asked) <= set(catalogue().clients)
    assert [client.id for client in chosen(["vscode", " Claude ", ""])] == ["claude", "vscode"]
    assert len(chosen(["all"])) == len(catalogue().clients)
    assert chosen([]) == ()


def test_an_unknown_client_is_named_with_those_that_are_known() -> None:
    with pytest.raises(UsageError) as caught:
        chosen(["claude", "clippy"])
    assert "clippy" in caught.value.summary
    assert "claude-code" in str(caught.value)


def test_every_kind_of_fact_is_used() -> None:
    used = {name for client in catalogue().clients.values() for name in client.facts}
    assert used == set(KINDS)


def test_every_date_is_a_date_and_none_is_after_the_file() -> None:
    for client in catalogue().clients.values():
        for fact in client.facts.values():
            dates = fact.date.split(" to ")
            assert all(re.fullmatch(r"20\d\d-\d\d(-\d\d)?", date) for date in dates), fact
            assert max(dates) <= catalogue().checked, fact


def test_adding_a_client_is_adding_a_table() -> None:
    text = f'checked = "2026-11"\n[base.sdk]\n{ROW}\n[client.new]\nname = "New"\nlike = "sdk"\n'
    (client,) = read_catalogue(text).clients.values()
    assert (client.id, client.name, client.get("pkce")) == ("new", "New", "required")
    assert client.get("iss") is None
    own = ROW.replace("required", "none")
    assert read_catalogue(text + own).clients["new"].get("pkce") == "none"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("pkce =", "pkse =", "new.pkse: no such fact"),
        ('"required"', '"demanded"', "'demanded' is none of"),
        ('source = "its page"', 'source = ""', "it needs a source"),
        (', date = "2026-11"', "", "it has no date"),
        ('"vendor"', '"certain"', "it needs a source, a date, and one of"),
        ("name =", 'like = "sdk"\nname =', "there is no base sdk"),
    ],
)
def test_a_faulty_row_is_named(before: str, after: str, says: str) -> None:
    text = f'checked = "2026-11"\n[client.new]\nname = "New"\n{ROW}\n'
    read_catalogue(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        read_catalogue(text.replace(before, after))
