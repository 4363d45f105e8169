"""Settings and decisions that are none, which a test would else believe in."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_client_auth.testing import ScriptedBrowser, Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dpop", "maybe"),
        ("dpop", True),
        ("dpop_nonces", "all"),
        ("registration_method", "basic"),
        ("refuse_offline_access", "token"),
        ("access_token_seconds", "a"),
        ("device_interval", None),
        ("latency", True),
    ],
)
def test_a_value_that_means_nothing_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})


def test_so_is_a_decision() -> None:
    person = ScriptedBrowser()
    wrong: Any = "Deny"
    with pytest.raises(ValueError, match="'deny'"):
        person.decision = wrong
    assert person.decision == "allow"
    with pytest.raises(ValueError, match="'deny'"):
        ScriptedBrowser(wrong)
