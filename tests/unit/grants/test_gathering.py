from __future__ import annotations

from mcp_client_auth.grants.gathering import Gathering


def test_what_joins_a_run_is_taken_once_until_it_closes() -> None:
    gathering = Gathering(["a", "b"])
    assert gathering.join(["b", "c"])
    assert gathering.take() == ("a", "b", "c")
    assert gathering.join(["d"])
    assert not gathering.closes()
    assert gathering.take() == ("d",)
    assert gathering.closes()
    assert not gathering.join(["a"])
    assert gathering.take() == ()
