"""Whatever a server writes where a time or a number belongs: no clock, size or calendar breaks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_client_auth.cli.answers import expiry_fields
from mcp_client_auth.cli.describe import expiry
from mcp_client_auth.doctor.exam import Exam
from mcp_client_auth.errors import AuthError, UsageError
from mcp_client_auth.protocol.authorization import AuthorizationRequest
from mcp_client_auth.protocol.device import read_device_authorization, wait_after
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.dynamic_registration import read_registration
from mcp_client_auth.protocol.endpoints import Endpoints
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.metadata import caller_server_metadata
from mcp_client_auth.protocol.oauth_error import unavailable
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.times import duration, http_date, retry_after
from mcp_client_auth.protocol.tokens import read_token_response, summary
from mcp_client_auth.protocol.urls import ServerUrl

URL = ServerUrl("https://auth.example.com/x")
NOW = 1_800_000_000.0
DAY = 86_400.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
SERVER = caller_server_metadata(
    "https://auth.example.com",
    Endpoints(
        token=URL,
        authorization=URL,
        registration=URL,
    ),
)
CLIENT = Client("app", "https://auth.example.com", "dynamic", "none")

digits = st.text("0123456789", max_size=400)
dates = st.builds(
    lambda *parts: "{}, {} {} {} {}:{}:{} {}".format(*parts),
    st.sampled_from(["Sun", "Xxx", ""]),
    digits,
    st.sampled_from(["Nov", "Feb", "Foo", "1"]),
    digits,
    digits,
    digits,
    digits,
    st.sampled_from(["GMT", "+0000", "-0000", "+9999", "-99999999999", ""]),
)
headers = st.text(max_size=60) | digits | dates | st.just(DATE)
numbers = (
    st.integers()
    | st.floats()
    | st.integers(min_value=10**300, max_value=10**320)
    | st.text(max_size=30)
    | st.sampled_from(["1e400", "-1e400", "nan", "inf", "1_000", " 7 ", "٣", "9" * 4000])
    | st.none()
    | st.booleans()
    | st.lists(st.integers(), max_size=2)
)
quickly = settings(max_examples=60, deadline=None)


def response(body: Any = None, status: int = 200, *pairs: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, URL, pairs, json.dumps(body).encode())


# Retry-After and Date


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.5", 0.5),
        ("999999999999", DAY),
        ("9" * 400, DAY),
        ("-7", None),
        ("٣", None),
        ("7 s", None),
        ("soon", None),
        ("", None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10.0),
        ("Sun Nov  6 08:49:47 1994", 10.0),
        ("Sun, 06 Nov 1990 08:49:47 GMT", 0.0),
        ("Sun, 06 Nov 9999 08:49:47 GMT", DAY),
        ("Sun, 06 Nov 99999999999 08:49:47 GMT", None),
        ("Sun, 99999999999999999999 Nov 1994 08:49:47 GMT", None),
        ("Sun, 06 Nov 1994 99999999999999999999:49:47 GMT", None),
    ],
)
def test_a_time_to_wait_is_a_number_of_seconds_or_none(text: str, seconds: float | None) -> None:
    assert retry_after(response(None, 503, ("Retry-After", text), ("Date", DATE))) == seconds


def test_a_date_without_the_servers_own_clock_is_none() -> None:
    assert retry_after(response(None, 503, ("Retry-After", DATE))) is None


def test_of_several_the_first_that_is_a_time_counts() -> None:
    pairs = ("Retry-After", "soon"), ("Retry-After", "7"), ("Retry-After", "9")
    assert retry_after(response(None, 503, *pairs)) == 7.0


@quickly
@given(wait=headers, date=headers)
@example(wait="Mon, 01 Jan 99999 00:00:00 GMT", date=DATE)
@example(wait=DATE, date="Mon, 01 Jan 0000 00:00:00 +99999999999999")
def test_any_text_in_them_is_a_time_within_a_day_or_none(wait: str, date: str) -> None:
    seconds = retry_after(response(None, 503, ("Retry-After", wait), ("Date", date)))
    assert seconds is None or 0 <= seconds <= DAY
    error = unavailable(response(None, 503, ("Retry-After", wait), ("Date", date)))
    assert error.retry_after == seconds
    assert str(error).isprintable()
    assert 5.0 <= wait_after(error, 5.0) <= DAY


@quickly
@given(date=headers)
def test_any_date_is_a_finite_number_or_none(date: str) -> None:
    known = http_date(date)
    assert known is None or math.isfinite(known)
    exam = Exam(URL, Options(), lambda request: response({}, 200, ("Date", date)), 1.0)
    exam.send(HttpRequest("GET", URL))
    assert all(map(math.isfinite, exam.skews.values()))


# Numbers of JSON


def read(call: Callable[[], Any]) -> Any:
    """What was read, or None where it was refused in our words."""
    try:
        return call()
    except AuthError:
        return None


@quickly
@given(expires_in=numbers)
def test_any_lifetime_of_a_token_can_be_counted_and_shown(expires_in: Any) -> None:
    body = {"access_token": "a", "token_type": "Bearer", "expires_in": expires_in}
    tokens = read(lambda: read_token_response(response(body), NOW))
    if tokens is None or tokens.expires_at is None:
        return
    assert NOW <= tokens.expires_at <= NOW + 10 * 366 * DAY
    assert summary(tokens)
    assert expiry(tokens.expires_at, renewable=True, now=NOW)
    assert expiry_fields(tokens.expires_at)


@quickly
@given(expires_in=numbers, interval=numbers)
def test_any_numbers_of_a_device_code_can_be_waited_for(expires_in: Any, interval: Any) -> None:
    body = {
        "device_code": "d",
        "user_code": "ABCD",
        "verification_uri": URL,
        "expires_in": expires_in,
        "interval": interval,
    }
    found = Discovery(URL, None, None, SERVER, None)
    asked = read(lambda: read_device_authorization(found, CLIENT, None, response(body)))
    if asked is not None:
        assert 0 < asked.expires_in <= DAY
        assert 1 <= asked.interval <= 60


@quickly
@given(expires_at=numbers)
def test_any_end_of_a_client_secret_can_be_compared(expires_at: Any) -> None:
    body = {"client_id": "c", "client_secret": "s", "client_secret_expires_at": expires_at}
    client = read(lambda: read_registration(SERVER, "http://127.0.0.1/cb", None, response(body)))
    if client is None:  # no JSON
        return
    assert isinstance(client.expired(NOW), bool)
    assert json.loads(json.dumps(client.secret_expires_at, allow_nan=False)) is not None


@quickly
@given(expires_in=numbers)
def test_any_life_of_a_pushed_request_can_be_told(expires_in: Any) -> None:
    from mcp_client_auth.protocol.authorization import authorization_request
    from mcp_client_auth.protocol.pushed import read_push
    from mcp_client_auth.secret import Secret

    request: AuthorizationRequest = authorization_request(
        Discovery(URL, None, None, SERVER, None),
        CLIENT,
        "http://127.0.0.1/cb",
        None,
        Options(),
        state=Secret("s"),
        verifier=Secret("v" * 43),
    )
    body = {"request_uri": "urn:x", "expires_in": expires_in}
    pushed = read(lambda: read_push(request, response(body, 201)))
    if pushed is None:  # no JSON
        return
    assert 0 <= (pushed.pushed_for or 0) <= DAY


@pytest.mark.parametrize("name", ["login_timeout", "http_timeout", "patience"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300])
def test_a_callers_time_that_no_clock_knows_is_a_usage_error(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Options(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (0.2, "1 s"), (90, "90 s"), (119.5, "2 min"), (120, "2 min"), (86_400, "24 h")],
)
def test_a_time_to_wait_is_said_in_one_unit(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
