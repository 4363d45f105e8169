"""A login's life at every form of server; `run.py` prints the same as a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.slow.interop.forms import FORMS, Form, missing
from tests.slow.interop.life import offered
from tests.slow.interop.walk import Row, walk

NAMES = [form.name for form in FORMS]
each_form = pytest.mark.parametrize("form", FORMS, ids=NAMES)


@pytest.fixture(scope="module")
def walks(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Row]]]:
    """All forms that are tested this time, as many at once as there are processors."""
    if lack := missing():
        pytest.skip(lack)
    tests = [item for item in request.session.items if item.parent is request.node]
    asked = [test.callspec.params["form"] for test in tests if hasattr(test, "callspec")]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {form.name: pool.submit(walk, form) for form in FORMS if form in asked}
        pool.shutdown(cancel_futures=True)


@each_form
def test_a_login_lives_through_all_that_the_server_offers(
    form: Form, walks: dict[str, Future[Row]]
) -> None:
    row = walks[form.name].result()
    assert not row.trouble, row.trouble
    assert row.steps == dict.fromkeys(offered(form), "ok")


def test_no_form_hides_behind_the_name_of_another() -> None:
    assert len(set(NAMES)) == len(NAMES)
