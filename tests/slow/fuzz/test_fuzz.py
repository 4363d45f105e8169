"""The short form: the same inputs each time. `python -m tests.slow.fuzz.run 60` goes on from here.

What it has found is a test beside the reader that it was found in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

import pytest

from mcp_client_auth.errors import AuthError
from tests.slow.fuzz.hostile_values import fuzzed, grown
from tests.slow.fuzz.targets import BY_NAME, TARGETS, Target
from tests.slow.fuzz.trial import TooSlow, blocks, costs, limited, signature, tried

INPUTS = 60
GROWN = 6  # of each good input
SIZE = 200_000
MORE_BLOCKS = 100_000

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_values_raise_nothing_but_errors_of_ours(target: Target) -> None:
    random, inputs = Random(target.name), [*target.seeds]
    for _ in range(INPUTS):
        inputs.append(fuzzed(random, random.choice(inputs[-40:])))
    for data in inputs:
        tried(target, data)
    before = blocks()
    for data in inputs:
        tried(target, data)
    assert blocks() - before < MORE_BLOCKS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_large_input_costs_time_in_proportion(target: Target) -> None:
    random = Random(target.name)
    unit = random.choice(['"', "a ", ",", "/", "=", "\\"])
    assert list(itertools.islice(costs(target, SIZE, (unit,), most=GROWN, random=random), 1)) == []


def broken(use: Callable[[bytes], object], *own: type[Exception]) -> Target:
    return Target("broken", (b'{"a": "b"}',), use, own)


def test_an_error_that_is_not_ours_is_a_finding_with_its_place() -> None:
    def use(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError) as raised:
        tried(broken(use), b"x")
    assert signature(raised.value).startswith("KeyError at ")
    tried(broken(use, KeyError), b"x")


def test_an_error_of_ours_that_cannot_be_shown_is_a_finding() -> None:
    def use(data: bytes) -> None:
        raise AuthError("a\x1bb")

    with pytest.raises(AssertionError):
        tried(broken(use), b"x")


def test_a_loop_without_end_is_a_finding() -> None:
    def use(data: bytes) -> None:
        while True:
            pass

    with pytest.raises(TooSlow), limited(0.05):
        use(b"")


def test_the_square_of_the_size_is_a_finding() -> None:
    def use(data: bytes) -> int:
        return sum(data[at : at + 1] in data[:at] for at in range(len(data)) if data[at] == 0)

    def square(data: bytes) -> None:
        text = data.decode()
        for at in range(len(text)):
            text[at:].replace("z", "")

    assert list(costs(broken(use), 20_000, ("a",), cheap=0.01)) == []
    assert [name for name, *_ in costs(broken(square), 20_000, ("a",), cheap=0.01)] != []


def test_an_input_is_changed_in_its_structure_and_by_its_seed() -> None:
    seed = BY_NAME["token response"].seeds[0]
    made = [fuzzed(Random(number), seed) for number in range(200)]
    assert made == [fuzzed(Random(number), seed) for number in range(200)]
    assert len(set(made)) > 150
    assert sum(each.startswith(b"{") for each in made) > 100
    large = dict(grown(seed, 1000, ("a",)))
    assert "body.scope: 'a'" in large
    assert all(1000 < len(each) < 3000 for each in large.values())
