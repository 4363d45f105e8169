"""A login's life at every form of server; `run.py` prints the same as a table."""

from __future__ import annotations

import pytest
from forms import FORMS, NEEDS, Form, waits_for
from life import STEPS, Life, offered


def _walked(form: Form) -> object:
    reason = waits_for(form)
    return pytest.param(form, id=form.name, marks=pytest.mark.skipif(bool(reason), reason=reason))


@pytest.mark.parametrize("place", [_walked(form) for form in FORMS], indirect=True)
def test_a_login_lives_through_all_that_the_server_offers(life: Life) -> None:
    for step in offered(life.form):
        STEPS[step](life)


def test_what_waits_for_a_feature_is_a_form() -> None:
    """And none of them is walked under another name."""
    names = [form.name for form in FORMS]
    assert set(NEEDS) <= set(names)
    assert len(set(names)) == len(names)
