"""One input tried, and what is wrong with what came of it: an exception, time, or memory."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Final

from mcp_client_auth.errors import AuthError
from tests.slow.fuzz.hostile_values import UNITS, grown
from tests.slow.fuzz.targets import Target, told

LARGE: Final = 500_000
_HANG: Final = 20.0  # seconds of this process's own, for any input up to a megabyte
_CHEAP: Final = 0.4  # what takes less is not measured again
_MORE_THAN_LINEAR: Final = 3.2  # of twice the size; the square takes four times as long


class TooSlow(Exception):
    """An input has taken more of the processor than any may."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """By the processor's time, so that a loaded machine changes nothing."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def tried(target: Target, data: bytes) -> None:
    """Anything but an error of ours, or one of the target's own, goes on as a finding."""
    with limited(_HANG):
        try:
            target.use(data)
        except AuthError as error:
            told(error)
        except target.own:
            pass


def signature(error: BaseException) -> str:
    """Where it was raised last in our own code: one finding for each such place."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "mcp_client_auth" in each.filename] or frames
    last = ours[-1]
    place = last.filename.rpartition("mcp_client_auth/")[2].replace("/", ".")
    return f"{type(error).__name__} at {place}:{last.lineno}"


def seconds(target: Target, data: bytes) -> float:
    began = time.process_time()
    tried(target, data)
    return time.process_time() - began


def costs(
    target: Target,
    size: int = LARGE,
    units: tuple[str, ...] = UNITS,
    *,
    most: int = 1000,
    random: Random | None = None,
    cheap: float = _CHEAP,
) -> Iterator[tuple[str, float, float]]:
    """What has cost more than in proportion: where the input was large, the seconds for half of
    the size and for all of it. `most`: so many places of each good input, drawn by `random`;
    `cheap`: seconds that need no second look."""
    for seed in target.seeds:
        names = [name for name, _ in grown(seed, 100, units)]
        drawn = {*(random or Random(0)).sample(names, min(most, len(names)))}
        halves = grown(seed, size // 2, units)
        for (name, whole), (_, half) in zip(grown(seed, size, units), halves, strict=True):
            if name not in drawn or seconds(target, whole) < cheap:
                continue
            large = min(seconds(target, whole) for _ in range(2))
            small = min(seconds(target, half) for _ in range(2))
            if large > _MORE_THAN_LINEAR * small:
                yield name, small, large


def blocks() -> int:
    """How much is allocated, in blocks of the interpreter's: the same for the same work."""
    import gc

    gc.collect()
    return sys.getallocatedblocks()
