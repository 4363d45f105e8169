from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    IssuerMismatch,
    PkceUnsupported,
    Unavailable,
    Untrusted,
)
from mcp_client_auth.protocol.authorization import (
    AuthorizationCode,
    AuthorizationRequest,
    Malformed,
    Unrelated,
    authorization_request,
    does_code_grant,
    require_code_grant,
)
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.registration import Client, Kind
from mcp_client_auth.protocol.scopes import Scopes
from mcp_client_auth.protocol.urls import Issuer
from mcp_client_auth.secret import Secret
from tests.support.protocol_samples import (
    ISSUER,
    PLANTED,
    REDIRECT,
    SERVER_URL,
    client,
    discovery,
    server,
)

STATE, VERIFIER = "state-" + PLANTED, "verifier-" + PLANTED
# RFC 7636 appendix B
KNOWN_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
KNOWN_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def asked(
    scope: Scopes | None = None,
    options: Options | None = None,
    resource: str | None = SERVER_URL,
    verifier: str = VERIFIER,
    by: Client | None = None,
    consent: bool = False,
    **metadata: Any,
) -> AuthorizationRequest:
    return authorization_request(
        discovery(server=server(**metadata), resource=resource),
        by or client(),
        REDIRECT,
        scope,
        options or Options(),
        state=Secret(STATE),
        verifier=Secret(verifier),
        consent=consent,
    )


def sent(request: AuthorizationRequest) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(request.url).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


PROMISES = {"authorization_response_iss_parameter_supported": True}


def accept(query: str | dict[str, str], **metadata: Any) -> AuthorizationCode:
    text = query if isinstance(query, str) else urlencode({"state": STATE, **query})
    return asked(**metadata).accept(text)


# The request


def test_a_request_has_these_parameters_and_no_others() -> None:
    request = asked(verifier=KNOWN_VERIFIER)
    assert request.url.startswith(ISSUER + "/authorize?")
    assert sent(request) == {
        "response_type": "code",
        "client_id": "c1",
        "redirect_uri": REDIRECT,
        "resource": SERVER_URL,
        "state": STATE,
        "code_challenge": KNOWN_CHALLENGE,
        "code_challenge_method": "S256",
    }


def test_an_endpoint_that_has_a_query_keeps_it() -> None:
    endpoint = ISSUER + "/authorize?tenant=a%20b&empty="
    request = asked(authorization_endpoint=endpoint)
    query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    assert query["tenant"] == "a b"
    assert query["empty"] == ""
    assert query["client_id"] == "c1"
    assert request.url.count("?") == 1


def test_what_the_endpoint_has_in_its_query_is_replaced_and_never_sent_twice() -> None:
    query = "resource=x&tenant=%E9+%20&RESOURCE=y&sco%70e=all&state=theirs&client_id=&response_type"
    request = asked(("a",), authorization_endpoint=f"{ISSUER}/authorize?{query}")
    names = [name for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True)]
    assert sorted(set(names)) == sorted(names)
    assert sent(request)["resource"] == SERVER_URL
    assert sent(request)["scope"] == "a"
    assert sent(request)["state"] == STATE
    assert request.url.startswith(f"{ISSUER}/authorize?tenant=%E9+%20&RESOURCE=y&"), "verbatim"


def test_what_no_query_may_hold_is_encoded() -> None:
    """Who shows or opens the address must not have to know what else could stand in it."""
    request = asked(authorization_endpoint=ISSUER + '/a?x="<b>{}|^`[]&y=(1)!%zz')
    kept = request.url.partition("&response_type")[0]
    assert kept == ISSUER + "/a?x=%22%3Cb%3E%7B%7D%7C%5E%60%5B%5D&y=(1)!%zz"


def test_what_the_endpoint_has_in_its_query_and_we_do_not_send_stays() -> None:
    request = asked(resource=None, authorization_endpoint=ISSUER + "/a?resource=x&scope=all")
    assert (sent(request)["resource"], sent(request)["scope"]) == ("x", "all")


@pytest.mark.parametrize(
    "endpoint", ["/a?x=%zz", "/a?{b}", "/a;v=1?x", "/a#part", "/a?&&=", "/a?%ff"]
)
def test_an_odd_endpoint_still_makes_a_request(endpoint: str) -> None:
    request = asked(authorization_endpoint=ISSUER + endpoint)
    query = dict(parse_qsl(urlsplit(request.url).query))
    assert query["state"] == STATE
    assert request.url.startswith(ISSUER + "/a")


@pytest.mark.parametrize(
    "resource",
    ["https://MCP.example.com:443/mcp/", "https://a/mcp?x=1&y=%20", "urn:x:y", "https://a"],
)
def test_the_resource_is_sent_verbatim(resource: str) -> None:
    request = asked(resource=resource)
    assert sent(request)["resource"] == request.resource == resource


def test_the_resource_is_sent_also_where_no_document_names_it() -> None:
    found = replace(discovery(server=server(), resource=SERVER_URL), metadata=None)
    state, verifier = Secret(STATE), Secret(VERIFIER)
    request = authorization_request(
        found, client(), REDIRECT, None, Options(), state=state, verifier=verifier
    )
    assert sent(request)["resource"] == SERVER_URL


@pytest.mark.parametrize("resource", [None, ""])
def test_no_resource_is_sent_where_there_is_none(resource: str | None) -> None:
    assert "resource" not in sent(asked(resource=resource))


@pytest.mark.parametrize("scope", [None, ()])
def test_no_scope_is_sent_where_there_is_none(scope: Scopes | None) -> None:
    assert "scope" not in sent(asked(scope))
    assert "scope" not in dict(asked(scope).parameters), "nor pushed"
    assert sent(asked(("a", "b:c")))["scope"] == "a b:c"


def test_consent_is_asked_for_with_offline_access_only() -> None:
    assert sent(asked(("a", "offline_access")))["prompt"] == "consent"
    assert "prompt" not in sent(asked(("a",)))
    chosen = Options(authorize_params={"prompt": "login", "audience": "x"})
    fields = sent(asked(("offline_access",), chosen))
    assert (fields["prompt"], fields["audience"]) == ("login", "x")


@pytest.mark.parametrize(
    ("kind", "consent", "expected"),
    [
        ("dynamic", False, "consent"),
        ("metadata-document", False, "consent"),
        ("pre-registered", False, None),
        ("pre-registered", True, "consent"),
    ],
)
def test_consent_to_a_client_of_the_operators_is_not_asked_for_unless_it_is_needed(
    kind: Kind, consent: bool, expected: str | None
) -> None:
    by = replace(client(), kind=kind)
    assert sent(asked(("a", "offline_access"), by=by, consent=consent)).get("prompt") == expected
    assert "prompt" not in sent(asked(("a",), by=by, consent=consent))


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (["login", "consent"], "consent"),
        (["login", "none"], None),
        ([], None),
        ("consent", "consent"),
    ],
)
def test_consent_is_not_asked_for_where_the_server_lists_other_prompts_only(
    listed: Any, expected: str | None
) -> None:
    request = asked(("a", "offline_access"), prompt_values_supported=listed)
    assert sent(request).get("prompt") == expected


@pytest.mark.parametrize(
    ("listed", "expected"),
    [(["none", "select_account"], "select_account"), (["none"], "login"), (None, "login")],
)
def test_another_account_is_chosen_from_a_list_where_the_server_has_one(
    listed: Any, expected: str
) -> None:
    request = asked(("a",), Options(switch_account=True), prompt_values_supported=listed)
    assert sent(request)["prompt"] == expected


def test_a_request_shows_neither_its_url_nor_its_secrets() -> None:
    request = asked()
    assert PLANTED not in f"{request!r} {request} {accept({'code': PLANTED})!r}"


# Whether the server can serve it


@pytest.mark.parametrize("methods", [..., None, [], ["plain"], "plain", [7]])
def test_a_server_that_does_not_list_s256_is_refused(methods: Any) -> None:
    metadata = server(code_challenge_methods_supported=methods)
    with pytest.raises(PkceUnsupported) as caught:
        require_code_grant(metadata, Options())
    assert "Options(assume_pkce_s256=True)" in str(caught.value)
    require_code_grant(metadata, Options(assume_pkce_s256=True))


def test_s256_among_others_will_do_and_so_does_no_metadata_at_all() -> None:
    require_code_grant(server(code_challenge_methods_supported=["plain", "S256"]), Options())
    require_code_grant(default_server_metadata(ISSUER), Options())


@pytest.mark.parametrize("options", [Options(), Options(assume_pkce_s256=True)])
def test_a_server_without_an_authorization_endpoint_is_refused(options: Options) -> None:
    with pytest.raises(BadResponse, match="authorization_endpoint"):
        require_code_grant(server(authorization_endpoint=...), options)


# The response


@pytest.mark.parametrize("more", [{}, {"iss": ISSUER}, {"session_state": "x", "scope": "a b"}])
def test_a_response_with_the_right_state_gives_its_code(more: dict[str, str]) -> None:
    code = accept({"code": "c/d+e", **more})
    assert code.code == Secret("c/d+e")
    assert code.request == asked()


FOREIGN = {
    "no state": urlencode({"code": "x"}),
    "empty state": urlencode({"code": "x", "state": ""}),
    "wrong state": urlencode({"code": "x", "state": STATE + "x"}),
    "prefix": urlencode({"code": "x", "state": STATE[:-1]}),
    "other case": urlencode({"code": "x", "state": STATE.upper()}),
    "error without state": "error=access_denied",
    "error with a wrong state": "error=access_denied&state=x",
    "two codes": urlencode([("code", "a"), ("code", "b"), ("state", STATE)]),
    "two states": urlencode([("code", "a"), ("state", STATE), ("state", STATE)]),
    "two iss": urlencode([("code", "a"), ("state", STATE), ("iss", ISSUER), ("iss", ISSUER)]),
    "two of anything": urlencode([("code", "a"), ("state", STATE), ("x", ""), ("x", "")]),
    "too many": "&".join(f"a{n}=1" for n in range(60)) + f"&state={STATE}&code=x",
    "not text": f"code=\udcff&state={STATE}",
    "a state that is not text": "code=x&state=\udcff",
    "a state beyond ASCII": "code=x&state=%C3%BC",
    "nothing": "",
}


MALFORMED = ("no state", "empty state", "error without state", "nothing")


@pytest.mark.parametrize("name", FOREIGN)
def test_an_answer_to_another_request_is_unrelated(name: str) -> None:
    with pytest.raises(Unrelated) as caught:
        accept(FOREIGN[name])
    assert isinstance(caught.value, Malformed) is (name in MALFORMED), "the person is told of it"


@pytest.mark.parametrize(
    "iss",
    [
        ISSUER + "/",
        ISSUER.upper(),
        "https://auth.example.com:443",
        "https://auth%2Eexample.com",
        "https://evil.example",
        " " + ISSUER,
        "",
    ],
)
def test_the_issuer_is_compared_byte_for_byte(iss: str) -> None:
    for metadata in ({}, PROMISES):
        with pytest.raises(IssuerMismatch) as caught:
            accept({"code": PLANTED, "iss": iss}, **metadata)
        assert PLANTED not in str(caught.value)


def test_both_issuers_are_told_as_they_are_spelled_and_in_part_where_they_have_no_end() -> None:
    with pytest.raises(IssuerMismatch, match=r"expected \S+com, got “\S+com:443”"):
        accept({"code": "x", "iss": ISSUER + ":443"})
    with pytest.raises(IssuerMismatch) as caught:
        accept({"code": "x", "iss": ISSUER}, issuer=ISSUER + "/" * 100_000)
    assert len(str(caught.value)) < 1000


def test_the_recorded_spelling_of_the_issuer_counts() -> None:
    metadata = {"issuer": ISSUER + "/", **PROMISES}
    assert accept({"code": "x", "iss": ISSUER + "/"}, **metadata)
    with pytest.raises(IssuerMismatch):
        accept({"code": "x", "iss": ISSUER}, **metadata)


def test_an_issuer_that_was_promised_must_come() -> None:
    with pytest.raises(IssuerMismatch, match="promises one"):
        accept({"code": "x"}, **PROMISES)


def test_an_issuer_that_is_insisted_on_must_come_though_nobody_promised_it() -> None:
    insisting = asked(options=Options(require_iss=True))
    with pytest.raises(IssuerMismatch, match="require_iss"):
        insisting.accept(urlencode({"state": STATE, "code": PLANTED}))
    assert insisting.accept(urlencode({"state": STATE, "code": "x", "iss": ISSUER}))


def test_who_insists_on_it_is_not_brought_to_a_server_whose_metadata_does_not_promise_it() -> None:
    insisting = Options(require_iss=True)
    assert not does_code_grant(server(), insisting)
    with pytest.raises(Untrusted, match="promise “iss”"):
        require_code_grant(server(), insisting)
    for found in (server(**PROMISES), default_server_metadata(Issuer("https://mcp.example.com"))):
        assert does_code_grant(found, insisting)
        require_code_grant(found, insisting)


def test_nothing_of_an_answer_from_another_issuer_is_shown() -> None:
    evil = {"error": "access_denied", "error_description": "call 555-EVIL", "iss": "https://e"}
    with pytest.raises(IssuerMismatch) as caught:
        accept(evil)
    assert "EVIL" not in str(caught.value)
    assert "access_denied" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("access_denied", AuthorizationDenied),
        ("invalid_scope", AuthorizationDenied),
        ("unheard_of", AuthorizationDenied),
        ("server_error", Unavailable),
        ("temporarily_unavailable", Unavailable),
    ],
)
def test_an_error_is_sorted_by_what_can_be_done(code: str, kind: type[AuthError]) -> None:
    with pytest.raises(kind) as caught:
        accept({"error": code, "error_description": "because", "code": PLANTED})
    assert caught.value.code == code
    assert "“because”" in str(caught.value)
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "text", "hint"),
    [
        ("invalid_target", "", 'Options(resource="")'),
        ("invalid_request", "AADSTS901002: the 'resource' parameter", "Options(resource=…)"),
        ("invalid_scope", "", "scope=…"),
        ("invalid_client", "AADSTS650053: no such scope on the resource", "scope=…"),
        ("invalid_client", "", "check its id, which was “c1”,"),
        ("invalid_redirect_uri", "", "Options(redirect_uri=…)"),
        ("invalid_request", "the redirect URI is not registered", REDIRECT),
        ("access_denied", "no resource for you", "give consent"),
        ("unheard_of", "resourceful", "has been fixed"),
    ],
)
def test_a_refusal_names_the_option_that_helps(code: str, text: str, hint: str) -> None:
    with pytest.raises(AuthorizationDenied) as caught:
        accept({"error": code, "error_description": text})
    assert hint in caught.value.hint


def test_a_denied_consent_that_was_asked_for_names_the_prompt() -> None:
    for scope, named in ((("a", "offline_access"), True), (("a",), False)):
        with pytest.raises(AuthorizationDenied) as caught:
            asked(scope).accept(urlencode({"state": STATE, "error": "access_denied"}))
        assert ('Options(prompt="login")' in caught.value.hint) == named


def test_a_text_of_theirs_is_printable_quoted_and_short() -> None:
    nasty = "\x1b[2J\r\nerror\u202e\x00" + "x" * 5000
    with pytest.raises(AuthorizationDenied) as caught:
        accept({"error": nasty, "error_description": nasty})
    assert str(caught.value).isprintable()
    assert caught.value.code.isprintable()
    assert len(str(caught.value)) < 800
    assert len(caught.value.code) <= 60


def test_an_empty_error_is_an_error() -> None:
    with pytest.raises(AuthorizationDenied) as caught:
        accept({"error": "", "code": "x"})
    assert caught.value.code == "unknown_error"


@pytest.mark.parametrize("fields", [{}, {"code": ""}, {"access_token": PLANTED}])
def test_an_answer_without_code_or_error_breaks_the_standard(fields: dict[str, str]) -> None:
    with pytest.raises(BadResponse) as caught:
        accept(fields)
    assert PLANTED not in str(caught.value)


@given(st.text(max_size=80) | st.text("state=codeiss&+%", max_size=80))
def test_no_query_without_the_state_gives_a_code(query: str) -> None:
    with pytest.raises(Unrelated):
        accept(query)


def test_a_code_is_bound_to_the_request_that_it_answers() -> None:
    other = replace(asked(), state=Secret("other"))
    with pytest.raises(Unrelated):
        other.accept(urlencode({"code": "x", "state": STATE}))


def test_a_code_may_be_presented_by_its_client_in_another_way() -> None:
    got = accept({"code": "c"})
    proving = replace(client(), method="client_secret_post", secret=Secret("s"))
    assert got.presented_by(proving).request.client == proving
    for other in (replace(proving, client_id="c2"), replace(proving, issuer="https://evil")):
        with pytest.raises(ValueError, match="good for the client"):
            got.presented_by(other)
