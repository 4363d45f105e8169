from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.protocol.challenge import Challenge, read_challenges, relevant

META = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
TOKEN = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"


@dataclass(frozen=True)
class Case:
    header: str | list[str]
    expected: list[tuple[str, dict[str, str]]]


READ = {
    "one parameter": Case('Bearer realm="a"', [("bearer", {"realm": "a"})]),
    "no parameter": Case("Bearer", [("bearer", {})]),
    "any case": Case('BEARER ReAlM="A"', [("bearer", {"realm": "A"})]),
    "two schemes": Case(
        'Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]
    ),
    "scheme without parameters before another": Case(
        'Negotiate, Bearer realm="b"', [("negotiate", {}), ("bearer", {"realm": "b"})]
    ),
    "two of one scheme": Case(
        'Bearer realm="a", Bearer realm="b"',
        [("bearer", {"realm": "a"}), ("bearer", {"realm": "b"})],
    ),
    "several headers": Case(
        ['Basic realm="a"', 'Bearer scope="x y"'],
        [("basic", {"realm": "a"}), ("bearer", {"scope": "x y"})],
    ),
    "a parameter in a header of its own": Case(
        ['Bearer realm="a"', 'scope="x"'], [("bearer", {"realm": "a", "scope": "x"})]
    ),
    "comma in quotes": Case('Bearer realm="a, b=c"', [("bearer", {"realm": "a, b=c"})]),
    "escapes": Case(r'Bearer realm="a\"b\\c"', [("bearer", {"realm": 'a"b\\c'})]),
    "an escaped quote hides no parameter": Case(
        r'Bearer realm="a\", scope=\"x"', [("bearer", {"realm": 'a", scope="x'})]
    ),
    "unquoted": Case(
        f"Bearer resource_metadata={META}, scope=x",
        [("bearer", {"resource_metadata": META, "scope": "x"})],
    ),
    "no commas": Case('Bearer realm="a" scope="b"', [("bearer", {"realm": "a", "scope": "b"})]),
    "space around the equals sign": Case(
        'Bearer realm = "a" ,\tscope\t= "b"', [("bearer", {"realm": "a", "scope": "b"})]
    ),
    "empty list members": Case(', ,Bearer realm="a",,', [("bearer", {"realm": "a"})]),
    "empty value": Case('Bearer realm="", scope="x"', [("bearer", {"realm": "", "scope": "x"})]),
    "the first of two counts": Case('Bearer realm="a", realm="b"', [("bearer", {"realm": "a"})]),
    "unterminated quote": Case('Bearer scope="x", realm="a', [("bearer", {"scope": "x"})]),
    "a bare URL": Case(META, []),
    "a bare URL, then a challenge": Case(f'{META}, Bearer realm="a"', [("bearer", {"realm": "a"})]),
    "a parameter without a scheme": Case('realm="a"', []),
    "nothing": Case("", []),
    "only commas": Case(",,,", []),
    "a quoted string where a scheme stands": Case('"x", Bearer', [("bearer", {})]),
}


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_a_header_is_read_by_its_grammar(case: Case) -> None:
    headers = [case.header] if isinstance(case.header, str) else case.header
    assert [(c.scheme, dict(c.parameters)) for c in read_challenges(headers)] == case.expected


@pytest.mark.parametrize("token68", ["abc", "abc==", "a-b._~+/9="])
def test_a_token68_is_no_parameter(token68: str) -> None:
    challenges = read_challenges([f'Negotiate {token68}, Bearer realm="a"'])
    assert challenges == [
        Challenge("negotiate", {}, token68),
        Challenge("bearer", {"realm": "a"}),
    ]


@pytest.mark.parametrize(
    "header",
    [
        'Bearer error_description="see resource_metadata=https://evil.example"',
        'Bearer x_resource_metadata="https://evil.example"',
        r'Bearer error_description="a\" resource_metadata=https://evil.example"',
        'Bearer error_description="a, Bearer resource_metadata=https://evil.example',
        'Bearer realm=a"resource_metadata=https://evil.example"',
    ],
)
def test_no_value_can_pose_as_a_parameter(header: str) -> None:
    assert [c.resource_metadata for c in read_challenges([header])] == [""]


def test_what_a_challenge_says_has_names() -> None:
    header = f'Bearer error="insufficient_scope", scope=" a  b ", resource_metadata="{META}"'
    (challenge,) = read_challenges([header])
    assert challenge.error == "insufficient_scope"
    assert challenge.scope == ("a", "b")
    assert challenge.resource_metadata == META


def test_a_challenge_without_scope_names_none() -> None:
    assert [c.scope for c in read_challenges(["Bearer", 'Bearer scope=""'])] == [None, None]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="a"', None),
        ('Basic realm="a", Bearer realm="b"', 'Bearer realm="b"'),
        ('Basic realm="a", error="x", scope="y", Bearer realm="b"', 'Bearer realm="b"'),
        ('DPoP algs="ES256", Bearer realm="b"', 'Bearer realm="b"'),
        ('DPoP algs="ES256"', 'DPoP algs="ES256"'),
        (f'Bearer, Bearer resource_metadata="{META}"', f'Bearer resource_metadata="{META}"'),
        ('Bearer, Bearer error="invalid_token"', 'Bearer error="invalid_token"'),
        (f'Bearer, DPoP resource_metadata="{META}"', f'DPoP resource_metadata="{META}"'),
    ],
)
def test_the_challenge_that_says_something_is_acted_on(header: str, expected: str | None) -> None:
    wanted = read_challenges([expected])[0] if expected else None
    found = relevant(read_challenges([header]))
    assert (found and replace(found, bearer_too=False)) == wanted


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("DPoP", True),
        ('DPoP algs="ES256", error="invalid_token"', True),
        ('Basic realm="a", DPoP algs="ES256"', True),
        ("Bearer", False),
        ('DPoP algs="ES256", Bearer realm="b"', False),
        (f'Bearer, DPoP resource_metadata="{META}"', False),
        (f'DPoP resource_metadata="{META}", Bearer', False),
    ],
)
def test_only_a_dpop_challenge_without_a_bearer_one_demands_dpop(
    header: str, expected: bool
) -> None:
    found = relevant(read_challenges([header]))
    assert found is not None
    assert found.dpop_only is expected


names = st.text(TOKEN, min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=30)
challenges = st.lists(
    st.tuples(names, st.dictionaries(names, values, max_size=4)), min_size=1, max_size=4
)


@given(challenges)
def test_a_well_formed_header_is_read_back(wanted: list[tuple[str, dict[str, str]]]) -> None:
    written = ", ".join(
        " ".join([scheme, ", ".join(f"{name}={_quoted(v)}" for name, v in parameters.items())])
        for scheme, parameters in wanted
    )
    assert [(c.scheme, dict(c.parameters)) for c in read_challenges([written])] == wanted


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


hostile = st.lists(
    st.sampled_from(["Bearer", "=", '"', "\\", ",", " ", "\t", "a", "scope", META, "é", "\n", "\0"])
)


@given(st.lists(st.text() | hostile.map("".join), max_size=3))
def test_no_header_breaks_the_reader(headers: list[str]) -> None:
    read_challenges(headers)


@given(hostile.map("".join))
def test_no_parameter_is_made_of_the_inside_of_a_quoted_string(inside: str) -> None:
    plain = inside.replace("\\", "").replace('"', "")
    (challenge,) = read_challenges([f'Bearer error_description="{plain}"'])
    assert dict(challenge.parameters) == {"error_description": plain}


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Its cost is that of everything that the test run has made."""
    gc.disable()
    yield
    gc.enable()


HOSTILE = {
    "spaces": " ",
    "commas": ",",
    "quotes": '"',
    "backslashes": "\\",
    "open quotes": 'a="',
    "escaped quotes": 'a="\\"',
    "tokens": "a ",
    "one token": "a",
    "equals": "=",
    "parameters": 'a="b",',
    "token68": "a=",
    "tabs before equals": "a \t",
    "junk": "(",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.usefixtures("no_collector")
def test_a_hostile_header_costs_linear_time(piece: str) -> None:
    """Four times as long takes about four times, not sixteen, of this thread's own time."""

    def cost(size: int) -> float:
        header = "Bearer " + piece * (size // len(piece))
        best = float("inf")
        for _ in range(2):
            began = time.thread_time()
            read_challenges([header])
            best = min(best, time.thread_time() - began)
        return best

    assert cost(80_000) < 8 * cost(20_000) + 0.1
