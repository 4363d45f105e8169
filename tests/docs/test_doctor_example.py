"""The documented example is what the doctor says of a demo server that pages cannot read."""

from __future__ import annotations

from tests.docs.write_doctor_example import EXAMPLE, example, page


def test_the_example_is_real() -> None:
    shown = EXAMPLE.search(page().read_text("utf-8"))
    assert shown
    assert shown[0] == example(), "python -m tests.docs.write_doctor_example"
