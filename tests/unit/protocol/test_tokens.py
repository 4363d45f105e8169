from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import (
    AuthError,
    BadResponse,
    DpopUnsupported,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.authorization import AuthorizationCode, authorization_request
from mcp_client_auth.protocol.client_auth import RequestSigner
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.scopes import Scopes
from mcp_client_auth.protocol.tokens import (
    TokenSet,
    exchange,
    exchange_request,
    read_token_response,
    refresh,
    refresh_request,
    revocation_request,
    revoke,
)
from mcp_client_auth.secret import Secret
from tests.support.protocol_samples import (
    ISSUER,
    PLANTED,
    REDIRECT,
    SERVER_URL,
    Script,
    answer,
    changed,
    client,
    discovery,
    html,
)

NOW = 1_000_000.0


@dataclass(frozen=True)
class Held:
    """What a refresh is made from."""

    tokens: TokenSet
    client: Client
    resource: str | None = SERVER_URL
    token_endpoint: str = ISSUER + "/token"
    revocation_endpoint: str = ISSUER + "/revoke"
    options: Mapping[str, Any] = field(default_factory=dict)


def held(refresh_token: str = "r1", scope: Scopes | None = ("a",), **more: Any) -> Held:
    old = TokenSet(Secret("old"), NOW, NOW + 1, Secret(refresh_token), scope)
    return Held(old, more.pop("client", client()), **more)


def code(resource: str | None = SERVER_URL, scope: Scopes | None = ("a",)) -> AuthorizationCode:
    request = authorization_request(
        discovery(resource=resource),
        client(),
        REDIRECT,
        scope,
        Options(),
        state=Secret("s"),
        verifier=Secret("v" * 43),
    )
    return request.accept("code=c1/2&state=s")


def fields(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def read(status: int = 200, **changes: Any) -> TokenSet:
    usual = {"access_token": "t1", "token_type": "Bearer"}
    return read_token_response(answer(changed(usual, changes), status), NOW, requested=("a",))


# Requests


def test_an_exchange_sends_verifier_redirect_and_resource() -> None:
    request = exchange_request(code()).signed()
    assert (request.method, request.url) == ("POST", ISSUER + "/token")
    assert fields(request) == {
        "grant_type": "authorization_code",
        "code": "c1/2",
        "redirect_uri": REDIRECT,
        "code_verifier": "v" * 43,
        "resource": SERVER_URL,
        "client_id": "c1",
    }
    assert "resource" not in fields(exchange_request(code(resource=None)).signed())
    assert not request.private, "a server names no place behind the firewall"


def test_a_refresh_sends_resource_and_no_scope() -> None:
    request = refresh_request(held()).signed()
    assert request.url == ISSUER + "/token"
    assert fields(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "r1",
        "resource": SERVER_URL,
        "client_id": "c1",
    }
    assert "resource" not in fields(refresh_request(held(resource=None)).signed())


@pytest.mark.parametrize(("granted", "sent"), [(("a", "b"), "a b"), ((), None), (None, None)])
def test_a_refresh_names_the_scopes_that_were_granted_when_it_is_asked_to(
    granted: Scopes | None, sent: str | None
) -> None:
    asked = held(scope=granted, options={"refresh_scope": True})
    assert fields(refresh_request(asked).signed()).get("scope") == sent


def test_a_refresh_needs_a_refresh_token() -> None:
    with pytest.raises(ValueError, match="no refresh token"):
        refresh_request(Held(TokenSet(Secret("t"), NOW), client()))


def test_a_revocation_names_the_token_and_its_kind() -> None:
    secret = Secret("t1")
    request = revocation_request(held(), secret, "access_token").signed()
    assert fields(request) == {"token": "t1", "token_type_hint": "access_token", "client_id": "c1"}


# Answers


@pytest.mark.parametrize(
    ("expires_in", "expires_at"),
    [
        (3600, NOW + 3600),
        (0, NOW),
        ("3600", NOW + 3600),
        ("0", NOW),
        (-5, NOW),
        (1.5, NOW + 1.5),
        (10**15, NOW + 10 * 365 * 86_400),
        (10**400, None),
        (..., None),
        (None, None),
        ("soon", None),
        ("NaN", None),
        (True, None),
        ([3600], None),
        ("", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_expiry_is_a_number_of_seconds_or_unknown(
    expires_in: object, expires_at: float | None
) -> None:
    tokens = read(expires_in=expires_in)
    assert tokens.expires_at == expires_at
    assert tokens.issued_at == NOW
    assert (tokens.lifetime is None) == (expires_at is None)


@pytest.mark.parametrize("kind", [..., None, "Bearer", "bearer", "user", "", "N_A", 7])
def test_any_token_type_but_dpop_counts_as_bearer(kind: object) -> None:
    assert read(token_type=kind).access_token == Secret("t1")


@pytest.mark.parametrize("kind", ["DPoP", "dpop"])
def test_a_token_bound_to_a_key_that_was_never_sent_is_refused(kind: str) -> None:
    with pytest.raises(BadResponse, match="DPoP"):
        read(token_type=kind)


@pytest.mark.parametrize("token", ["", None, 7, ["t"], {}, True, "a\nb", "a\x00", "ü", "😀"])
def test_a_token_that_no_header_can_carry_is_refused(token: object) -> None:
    with pytest.raises(BadResponse, match="access_token"):
        read(access_token=token)


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("b c", ("b", "c")),
        ("b,c", ("b", "c")),
        (["b", "c"], ("b", "c")),
        (..., ("a",)),
        (None, ("a",)),
        (7, ("a",)),
    ],
)
def test_the_scope_granted_is_the_one_asked_for_unless_said(
    scope: object, granted: tuple[str, ...]
) -> None:
    assert read(scope=scope).scope == granted


def test_a_form_is_read_whatever_was_asked_for() -> None:
    body = urlencode({"access_token": "t/1+", "expires_in": "60", "scope": "b c"}).encode()
    for kind in ("application/x-www-form-urlencoded; charset=utf-8", "text/plain", ""):
        tokens = read_token_response(answer(body, content_type=kind), NOW)
        assert tokens == TokenSet(Secret("t/1+"), NOW, NOW + 60, None, ("b", "c"))


def test_a_byte_order_mark_is_stepped_over() -> None:
    response = answer(b'\xef\xbb\xbf{"access_token": "t1"}')
    assert read_token_response(response, NOW).access_token == Secret("t1")


# Slack's answers (oauth.v2.user.access): the token of a person is in an object of its own
NESTED: dict[str, Any] = {
    "ok": True,
    "app_id": "A1",
    "team": {"id": "T1"},
    "authed_user": {
        "id": "U1",
        "access_token": "xoxp-1",
        "refresh_token": "xoxe-1",
        "token_type": "user",
        "scope": "search:read,chat:write",
        "expires_in": 43_200,
    },
}


def nested(**changes: Any) -> HttpResponse:
    return answer(changed(NESTED, changes))


def test_the_token_of_a_person_may_stand_in_an_object_of_its_own() -> None:
    assert read_token_response(nested(), NOW) == TokenSet(
        Secret("xoxp-1"), NOW, NOW + 43_200, Secret("xoxe-1"), ("search:read", "chat:write")
    )


def test_nothing_of_the_outer_object_is_mixed_with_the_inner_one() -> None:
    outer = {"refresh_token": "bot", "expires_in": 60, "scope": "bot", "token_type": "DPoP"}
    inner = {"id": "U1", "access_token": "xoxp-1"}
    tokens = read_token_response(nested(**outer, authed_user=inner), NOW, requested=("a",))
    assert tokens == TokenSet(Secret("xoxp-1"), NOW, None, None, ("a",))


def test_a_token_of_the_outer_object_comes_first() -> None:
    tokens = read_token_response(nested(access_token="xoxb-1", token_type="bot"), NOW)
    assert tokens == TokenSet(Secret("xoxb-1"), NOW)


NO_TOKEN_INSIDE = {
    "it does not call itself good": nested(ok=...),
    "good is a word": nested(ok="true"),
    "no token in it": nested(authed_user={"id": "U1"}),
    "no object": nested(authed_user=[NESTED["authed_user"]]),
    "another name": nested(authed_user=..., user=NESTED["authed_user"]),
    "a level deeper": nested(authed_user={"authed_user": NESTED["authed_user"]}),
    "an empty token": nested(authed_user={"access_token": ""}),
    "an empty token outside": nested(access_token=""),
    "no token outside": nested(access_token=None),
    "bound to a key that was never sent": nested(
        authed_user={"access_token": "t", "token_type": "DPoP"}
    ),
    "not good inside": nested(authed_user={**NESTED["authed_user"], "ok": False}),
    "a 400": answer(NESTED, 400),
}


@pytest.mark.parametrize("response", NO_TOKEN_INSIDE.values(), ids=NO_TOKEN_INSIDE)
def test_an_inner_object_is_one_place_and_no_weaker_one(response: HttpResponse) -> None:
    with pytest.raises(BadResponse):
        read_token_response(response, NOW)


@pytest.mark.parametrize("where", [{}, {"authed_user": {"access_token": PLANTED}}])
def test_the_error_of_a_200_is_said_in_its_own_word(where: dict[str, Any]) -> None:
    said = {"ok": False, "error": "bad_client_secret", **where}
    with pytest.raises(TokenRefused, match="“bad_client_secret”") as caught:
        read_token_response(answer(said), NOW)
    assert (caught.value.code, caught.value.status) == ("bad_client_secret", 200)
    assert PLANTED not in str(caught.value)


def test_an_error_inside_is_an_error() -> None:
    inner = {**NESTED["authed_user"], "error": "token_revoked"}
    with pytest.raises(BadResponse):
        read_token_response(nested(authed_user=inner), NOW)


def test_unknown_fields_are_stepped_over() -> None:
    tokens = read(id_token="x", team={"id": 1}, authed_user={"access_token": PLANTED}, ok=True)
    assert tokens == TokenSet(Secret("t1"), NOW, None, None, ("a",))


@pytest.mark.parametrize(
    ("code", "text", "hint"),
    [
        ("invalid_client", "", "PreRegistered(secret=…)"),
        ("invalid_request", "client_secret is missing.", "PreRegistered(method=…)"),
        ("invalid_target", "", "Options(resource=…)"),
        ("invalid_request", "AADSTS901002: The 'resource' parameter", 'Options(resource="")'),
        ("invalid_request", "AADSTS90009: a token for itself", "Options(refresh_scope=True)"),
        ("bad_verification_code", "The code has expired", "tell the server's operator"),
        ("invalid_request", "AADSTS9002327: for the type SPA only", "tell the server's operator"),
        ("invalid_grant", "the resource is gone", "Log in again"),
    ],
)
def test_a_refusal_names_the_option_that_helps(code: str, text: str, hint: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        read(400, error=code, error_description=text)
    assert hint in caught.value.hint


REFUSALS = {
    "400": answer({"error": "invalid_grant", "error_description": "too\x1b old"}, 400),
    "401": answer({"error": "invalid_grant", "error_description": "too\x1b old"}, 401),
    "500": answer({"error": "invalid_grant", "error_description": "too\x1b old"}, 500),
    "200": answer({"error": "invalid_grant", "error_description": "too\x1b old"}),
    "200 with ok": answer({"ok": False, "error": "invalid_grant", "error_description": "too old"}),
    "200 with a token": answer(
        {"access_token": PLANTED, "error": "invalid_grant", "error_description": "too old"}
    ),
    "form": answer(
        b"error=invalid_grant&error_description=too+old", 200, content_type="text/plain"
    ),
}


@pytest.mark.parametrize("response", REFUSALS.values(), ids=REFUSALS)
def test_a_parsed_error_is_a_refusal_at_any_status(response: HttpResponse) -> None:
    with pytest.raises(TokenRefused) as caught:
        read_token_response(response, NOW)
    assert caught.value.code == "invalid_grant"
    assert caught.value.status == response.status
    assert "“too old”" in str(caught.value)
    assert PLANTED not in str(caught.value)


PASSING = {
    "500": answer(b"", 500),
    "502 page": html(502),
    "429": answer(b"", 429, retry_after="30"),
    "503 JSON": answer({"message": "busy"}, 503),
    "temporarily_unavailable": answer({"error": "temporarily_unavailable"}, 400),
    "server_error in a 200": answer({"error": "server_error"}),
    "slow_down": answer({"error": "slow_down"}, 400),
}


@pytest.mark.parametrize("response", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_no_refusal(response: HttpResponse) -> None:
    with pytest.raises(Unavailable) as caught:
        read_token_response(response, NOW)
    assert caught.value.retry_after == (30.0 if response.status == 429 else None)


BROKEN = {
    "HTML": html(),
    "HTML that has an error in it": answer(b"<html lang=en>&error=invalid_grant</html>", 400),
    "login page": html(401),
    "empty": answer(b""),
    "empty 401": answer(b"", 401),
    "empty 403": answer(b"", 403),
    "array": answer([{"access_token": "t"}]),
    "string": answer("t"),
    "an object without a token": answer({"token": "t"}),
    "ok is false": answer({"ok": False}),
    "ok is false beside a token": answer({"ok": False, "access_token": PLANTED}),
    "a token in a 400": answer({"access_token": PLANTED}, 400),
    "a token in a redirect": answer({"access_token": PLANTED}, 302, location="https://evil"),
    "an error that is no string": answer({"error": {"code": "invalid_grant"}}, 400),
    "a form in a 400": answer(b"access_token=" + PLANTED.encode(), 400, content_type="text/plain"),
    "a form with too many fields": answer(b"&".join(b"a=1" for _ in range(200))),
    "a form without a token": answer(b"a=1&b=2"),
    "not text": answer(b"\xff\xfe=\x00"),
}


@pytest.mark.parametrize("response", BROKEN.values(), ids=BROKEN)
def test_anything_else_breaks_the_standard(response: HttpResponse) -> None:
    with pytest.raises(BadResponse) as caught:
        read_token_response(response, NOW)
    assert PLANTED not in f"{caught.value} {caught.value.__dict__}"


UNNAMED: dict[str, tuple[HttpResponse, str, str]] = {
    "a list of problems": (
        answer([{"logref": "59ae", "message": "Bad credentials"}], 401),
        "“Bad credentials”",
        "PreRegistered.secret",
    ),
    "a gateway's object": (
        answer({"message": "No key found"}, 403),
        "“No key found”",
        "Options.endpoints",
    ),
    "plain text": (
        answer(b"404 page not found\n", 404, content_type="Text/plain"),
        "“404 page not found”",
        "Options.endpoints",
    ),
    "a redirect": (answer(b"", 307, location="/t/"), "a redirect to https://", "Options.endpoints"),
    "a page": (html(404), "an HTML page", "Options.endpoints"),
}


@pytest.mark.parametrize("case", UNNAMED)
def test_what_is_no_oauth_error_is_said_in_its_words_with_what_helps(case: str) -> None:
    response, words, option = UNNAMED[case]
    with pytest.raises(BadResponse) as caught:
        read_token_response(response, NOW)
    assert words in caught.value.summary
    assert (option, None) in caught.value.remedy


def test_an_error_code_without_a_description_takes_the_words_beside_it() -> None:
    said = {"error": "invalid_request", "message": f"client_secret is missing, not {PLANTED}"}
    with pytest.raises(TokenRefused) as caught:
        read_token_response(answer(said, 400), NOW, sent=[Secret(PLANTED)])
    assert "client_secret is missing, not ****" in caught.value.summary
    assert ("PreRegistered.secret", None) in caught.value.remedy


def test_an_error_of_theirs_is_never_empty_nor_long() -> None:
    for error in ("\n", "x" * 5000, "\x1b[2J"):
        with pytest.raises(TokenRefused) as caught:
            read(400, error=error)
        assert caught.value.code.isprintable()
        assert caught.value.code not in ("", "invalid_grant")
        assert len(str(caught.value)) < 800


@given(st.binary(max_size=200), st.sampled_from([200, 400, 401, 500]))
def test_any_answer_is_tokens_or_an_error_of_ours(body: bytes, status: int) -> None:
    with suppress(AuthError):
        read_token_response(answer(body, status), NOW)


# Flows


def test_an_exchange_is_one_request_and_two_events() -> None:
    script = Script(answer({"access_token": PLANTED, "refresh_token": PLANTED, "expires_in": 60}))
    events: list[Event] = []
    tokens = run(exchange(code(), NOW), script, events.append)
    assert len(script.requests) == 1
    assert tokens.refresh_token == Secret(PLANTED)
    assert tokens.scope == ("a",)
    assert [event.name for event in events] == ["token-request", "token"]
    assert PLANTED not in " ".join(map(str, events))


@pytest.mark.parametrize("silent", [{}, {"refresh_token": ""}, {"refresh_token": None}])
def test_a_refresh_keeps_what_the_answer_does_not_name(silent: dict[str, Any]) -> None:
    script = Script(answer({"access_token": "new", **silent}))
    tokens = run(refresh(held(), NOW), script)
    assert tokens == TokenSet(Secret("new"), NOW, None, Secret("r1"), ("a",))


def test_a_refresh_takes_what_the_answer_names() -> None:
    script = Script(answer({"access_token": "new", "refresh_token": "r2", "scope": "b"}))
    tokens = run(refresh(held(), NOW), script)
    assert tokens == TokenSet(Secret("new"), NOW, None, Secret("r2"), ("b",))


def test_a_login_that_takes_bound_tokens_only_takes_no_other_from_a_refresh() -> None:
    stored = held(options={"dpop_required": True})  # as every version has written it
    bound = answer({"access_token": "new", "token_type": "DPoP"})
    assert run(refresh(stored, NOW, Bound()), Script(bound)).access_token == Secret("new")
    with pytest.raises(DpopUnsupported):
        run(refresh(stored, NOW, Bound()), Script(answer({"access_token": "new"})))


class Bound(RequestSigner):
    @property
    def binds(self) -> bool:
        return True


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_refresh_is_refused(status: int) -> None:
    script = Script(answer(b"", status, location="https://evil.example/token"))
    with pytest.raises(BadResponse):
        run(refresh(held(), NOW), script)
    assert [request.url for request in script.requests] == [ISSUER + "/token"]


def revoked(script: Script, kind: Client) -> bool:
    return run(revoke(replace(held(), client=kind), Secret(PLANTED), "refresh_token"), script)


@pytest.mark.parametrize(("status", "done"), [(200, True), (401, False), (503, False)])
def test_a_token_is_revoked_when_the_server_says_so(status: int, done: bool) -> None:
    script = Script(answer(b"", status))
    assert revoked(script, client()) is done
    assert len(script.requests) == 1


def test_a_public_client_tries_once_more_with_an_empty_secret() -> None:
    script = Script(answer({"error": "invalid_client"}, 400), answer(b""))
    assert revoked(script, client())
    assert [fields(request).get("client_secret") for request in script.requests] == [None, ""]


def test_a_confidential_client_does_not() -> None:
    script = Script(answer({"error": "invalid_client"}, 400))
    assert not revoked(script, client("client_secret_post", "s"))


def test_tokens_show_nothing() -> None:
    tokens = read(access_token=PLANTED, refresh_token=PLANTED)
    assert PLANTED not in f"{tokens!r} {tokens}"


@pytest.mark.parametrize("where", ["error", "error_description"])
def test_a_secret_that_the_server_echoes_is_not_repeated(where: str) -> None:
    echo = {"error": "invalid_grant", where: "x" * 180 + " refused: r1-planted"}
    script = Script(answer(echo, 400))
    with pytest.raises(TokenRefused) as caught:
        run(refresh(held("r1-planted"), NOW), script)
    assert "r1-" not in f"{caught.value!s} {vars(caught.value)}"
