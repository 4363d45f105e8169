"""A login's life at every form of server; `run.py` prints the same as a table."""

from __future__ import annotations

import pytest
from forms import FORMS
from life import STEPS, Life, offered

NAMES = [form.name for form in FORMS]


@pytest.mark.parametrize("place", FORMS, indirect=True, ids=NAMES)
def test_a_login_lives_through_all_that_the_server_offers(life: Life) -> None:
    for step in offered(life.form):
        STEPS[step](life)


def test_no_form_hides_behind_the_name_of_another() -> None:
    assert len(set(NAMES)) == len(NAMES)
