"""Events are read alike, in whatever pieces the stream comes and however its lines end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_client_auth.errors import BadResponse
from mcp_client_auth.mcp.events import EventReader

LIMIT = 1024 * 1024
STREAM = (
    b": a comment\n\n"
    b"id: 1\ndata:\n\n"
    b"event: message\nid: 2\ndata: one\ndata:two\n\n"
    b"event: endpoint\ndata: not for us\n\n"
    b"retry: 1500\nretry: soon\nid\ndata\n\n"
    b"data:  gr\xc3\xb6\xc3\x9fe\nid: 3\nunknown: field\n\n"
)
MESSAGES = ["one\ntwo", " größe"]


def read(*pieces: bytes, limit: int = LIMIT) -> tuple[list[str], EventReader]:
    reader = EventReader(limit)
    return [data for piece in pieces for data in reader.feed(piece)], reader


def cut(stream: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(stream), size):
        yield stream[at : at + size]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_pieces_and_ends_of_lines_make_no_difference(end: bytes, size: int, mark: bytes) -> None:
    messages, reader = read(*cut(mark + STREAM.replace(b"\n", end), size))
    assert messages == MESSAGES
    assert (reader.last_id, reader.retry) == ("3", 1.5)


def test_an_empty_piece_does_not_hide_the_second_half_of_an_end() -> None:
    messages, _ = read(b"data: a\r", b"", b"\n\r", b"\ndata: b\r\n\r\n")
    assert messages == ["a", "b"]


def test_an_event_that_is_cut_off_is_forgotten_with_its_id() -> None:
    messages, reader = read(b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n")
    reader.restart()
    assert (messages, reader.last_id) == (["a"], "1")
    assert list(reader.feed(b"data: c\n\n")) == ["c"]
    assert reader.last_id == "1"


def test_an_id_with_a_zero_byte_is_none() -> None:
    _, reader = read(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")
    assert reader.last_id == "1"


@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 64, b"data: x\n" * 40, b"data\n" * 200, b": " + b"x" * 200]
)
def test_an_event_without_an_end_costs_no_more_than_its_limit(piece: bytes) -> None:
    with pytest.raises(BadResponse, match="larger"):
        read(*[piece] * 1000, limit=100)


def test_comments_and_small_events_without_end_are_kept_by_nobody() -> None:
    reader = EventReader(100)
    for _ in range(1000):
        assert list(reader.feed(b": ping\n\ndata: x\n\n")) == ["x"]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(BadResponse, match="UTF-8"):
        read(b"data: \xff\n\n")


def test_a_large_event_costs_time_in_proportion() -> None:
    size = 8 * 1024 * 1024
    [data], _ = read(*cut(b"data: " + b"x" * size + b"\n\n", 16_384), limit=2 * size)
    assert len(data) == size
