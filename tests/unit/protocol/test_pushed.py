from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mcp_client_auth.errors import AuthorizationDenied, BadResponse, Unavailable, UsageError
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.authorization import (
    AuthorizationRequest,
    authorization_request,
    pushes,
    require_code_grant,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.pushed import push, push_request, read_push
from mcp_client_auth.secret import Secret
from tests.support.protocol_samples import (
    ISSUER,
    PLANTED,
    REDIRECT,
    Script,
    answer,
    client,
    discovery,
    server,
)

PAR = ISSUER + "/par"
REFERENCE = "urn:ietf:params:oauth:request_uri:x&y=1#z"
TAKES = {"pushed_authorization_request_endpoint": PAR}


def asked(method: str = "none", secret: str = "", **metadata: Any) -> AuthorizationRequest:
    return authorization_request(
        discovery(server=server(**TAKES, **metadata)),
        client(method, secret),
        REDIRECT,
        ("a", "b"),
        Options(audience="x", login_hint="me@example.com", authorize_params={"foo": "bar"}),
        state=Secret("state-" + PLANTED),
        verifier=Secret("verifier-" + PLANTED),
    )


def fields(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "nothing stands twice"
    return dict(pairs)


def pushed(response: HttpResponse, **metadata: Any) -> tuple[AuthorizationRequest, HttpRequest]:
    script = Script(response)
    return run(push(asked(**metadata)), script), script.requests[0]


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
def test_everything_that_would_be_asked_in_the_browser_is_pushed(method: str) -> None:
    request = asked(method, "" if method == "none" else "s3cret")
    sent = push_request(request).signed()
    assert (sent.method, sent.url) == ("POST", PAR)
    body = fields(sent.body.decode())
    secret = body.pop("client_secret", None)
    assert body == fields(urlsplit(request.url).query)
    assert {"audience", "login_hint", "foo", "resource", "code_challenge", "state"} <= set(body)
    assert secret == ("s3cret" if method == "client_secret_post" else None)
    assert ("Authorization" in sent.headers) == (method == "client_secret_basic")


def test_the_browser_gets_the_reference_and_nothing_else() -> None:
    request, _ = pushed(answer({"request_uri": REFERENCE, "expires_in": 90}, 201))
    assert fields(urlsplit(request.url).query) == {"client_id": "c1", "request_uri": REFERENCE}
    assert request.url.startswith(ISSUER + "/authorize?")
    assert PLANTED not in request.url
    assert request.pushed_for == 90


def test_the_reference_replaces_what_the_endpoint_has_in_its_query() -> None:
    endpoint = ISSUER + "/authorize?request_uri=x&tenant=a&client_id=y"
    found = answer({"request_uri": REFERENCE, "expires_in": 90}, 201)
    request, _ = pushed(found, authorization_endpoint=endpoint)
    query = fields(urlsplit(request.url).query)
    assert query == {"tenant": "a", "client_id": "c1", "request_uri": REFERENCE}


def test_an_endpoint_that_has_a_query_keeps_it() -> None:
    response = answer({"request_uri": REFERENCE, "expires_in": 90}, 201)
    request, _ = pushed(response, authorization_endpoint=ISSUER + "/authorize?tenant=a%20b&e=")
    query = fields(urlsplit(request.url).query)
    assert query == {"tenant": "a b", "e": "", "client_id": "c1", "request_uri": REFERENCE}


def test_the_pushed_request_answers_as_the_same_request() -> None:
    request, _ = pushed(answer({"request_uri": "urn:x", "expires_in": "90"}, 200))
    code = request.accept(f"state=state-{PLANTED}&code=c")
    assert code.request.verifier == Secret("verifier-" + PLANTED)


REFUSED = {
    "by an OAuth error": (400, {"error": "invalid_request", "error_description": "no"}, "“no”"),
    "because of the client": (401, {"error": "invalid_client"}, "invalid_client"),
    "by policy": (403, {"error": "access_denied"}, "refused the login"),
}


@pytest.mark.parametrize(("status", "body", "said"), REFUSED.values(), ids=REFUSED)
def test_an_oauth_error_is_the_servers_no(status: int, body: Any, said: str) -> None:
    with pytest.raises(AuthorizationDenied) as caught:
        read_push(asked(), answer(body, status))
    assert caught.value.code == body["error"]
    assert caught.value.status == status
    assert said in str(caught.value)
    assert "browser" not in str(caught.value), "nobody has been asked yet"


@pytest.mark.parametrize("echo", ["state-" + PLANTED, "s3cret-" + PLANTED])
def test_a_refusal_repeats_nothing_that_was_sent(echo: str) -> None:
    body = {"error": echo, "error_description": f"what is {echo}?"}
    with pytest.raises(AuthorizationDenied) as caught:
        read_push(asked("client_secret_post", "s3cret-" + PLANTED), answer(body, 400))
    assert PLANTED not in f"{caught.value} {caught.value.__dict__}"


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b""), (500, {"error": "x"}), (429, b""), (400, {"error": "temporarily_unavailable"})],
)
def test_a_passing_fault_is_no_refusal(status: int, body: Any) -> None:
    with pytest.raises(Unavailable):
        read_push(asked(), answer(body, status))


@pytest.mark.parametrize(
    "response",
    [
        answer(b"", 302, location="https://evil.example/par"),
        answer({"request_uri": "urn:x"}, 307, location="https://evil.example/par"),
        answer({}, 201),
        answer({"request_uri": ""}, 201),
        answer({"request_uri": 7}, 201),
        answer({"request_uri": "urn:\x1b[1m"}, 201),
        answer(b"<html>", 201),
        answer([1], 400),
        answer({"error": 7}, 400),
        answer(b"", 204),
    ],
)
def test_anything_else_breaks_the_standard_and_is_not_followed(response: HttpResponse) -> None:
    script = Script(response)
    with pytest.raises(BadResponse):
        run(push(asked()), script)
    assert len(script.requests) == 1


def test_a_push_is_one_event_that_shows_no_reference() -> None:
    events: list[Event] = []
    script = Script(answer({"request_uri": REFERENCE, "expires_in": 90}, 201))
    run(push(asked()), script, events.append)
    assert [event.detail for event in events] == ["the reference is good for 90 s"]
    assert "urn" not in str(events)


def test_a_reference_that_has_run_out_is_told_as_such() -> None:
    request, _ = pushed(answer({"request_uri": "urn:x", "expires_in": 5}, 201))
    with pytest.raises(AuthorizationDenied, match="once and for 5 s") as caught:
        request.accept(f"state=state-{PLANTED}&error=invalid_request_uri")
    assert caught.value.code == "invalid_request_uri"


@pytest.mark.parametrize(
    ("required", "asked_for", "pushed"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_a_request_is_pushed_where_required_or_asked_for(
    required: bool, asked_for: bool, pushed: bool
) -> None:
    metadata = server(require_pushed_authorization_requests=required, **TAKES)
    options = Options(push_authorization_request=asked_for)
    assert pushes(metadata, options) is pushed
    require_code_grant(metadata, options)


def test_no_place_to_push_to_is_said_before_anything_is_sent() -> None:
    with pytest.raises(BadResponse, match="RFC 9126"):
        require_code_grant(server(require_pushed_authorization_requests=True), Options())
    with pytest.raises(UsageError, match="does not accept pushed") as caught:
        require_code_grant(server(), Options(push_authorization_request=True))
    assert ("Options.push_authorization_request", "True") in caught.value.remedy
