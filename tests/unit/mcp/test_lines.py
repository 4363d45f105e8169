"""Lines of a client, whatever the pieces that they come in."""

from __future__ import annotations

import pytest

from mcp_client_auth.mcp import lines as module
from mcp_client_auth.mcp.lines import lines_of


def test_lines_are_found_whatever_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 8)
    pieces = iter([b"a", b"b\r\n", b"\n \nc", b"", b"never"])
    assert list(lines_of(lambda: next(pieces))) == [b"ab", b"c"]
    pieces = iter([b"12345678\n123456789\n1234", b"56789", b"0\nd\n123456789", b""])
    assert list(lines_of(lambda: next(pieces))) == [b"12345678", None, None, b"d"]
