from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from mcp_client_auth.errors import (
    AuthError,
    BadResponse,
    InsecureUrl,
    IssuerMismatch,
    PkceUnsupported,
    RegistrationRefused,
    ResourceMismatch,
    Unavailable,
    Untrusted,
)
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.authorization import require_code_grant
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.protocol.discovery import Discovery, absent, discover
from mcp_client_auth.protocol.endpoints import Endpoints
from mcp_client_auth.protocol.flow import HttpResponse, run
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import ServerUrl, same_issuer
from tests.support.protocol_samples import (
    ISSUER,
    RESOURCE_PLACE,
    ROOT_PLACE,
    SERVER_PLACE,
    SERVER_URL,
    Web,
    answer,
    html,
    refused,
    resource_document,
    server_document,
)

NAMED = "https://meta.example.com/resource.json"
ORIGIN = "https://mcp.example.com"
LEGACY_PLACES = [
    ORIGIN + "/.well-known/oauth-authorization-server",
    ORIGIN + "/.well-known/openid-configuration",
]
SERVER_PLACES = [SERVER_PLACE, ISSUER + "/.well-known/openid-configuration"]
Pages = dict[str, HttpResponse | AuthError]


def found(web: Web, *, named: str = "", options: Options | None = None, **more: Any) -> Discovery:
    challenge = Challenge("bearer", {"resource_metadata": named}) if named else None
    return run(discover(SERVER_URL, refused(challenge), options or Options(), **more), web)


def pages(**changes: HttpResponse | AuthError) -> Pages:
    """A server that does everything right, with other pages on top."""
    usual: Pages = {RESOURCE_PLACE: answer(resource_document())}
    return {**usual, SERVER_PLACE: answer(server_document()), **changes}


def test_the_path_aware_place_is_asked_first() -> None:
    web = Web(pages())
    discovery = found(web)
    assert web.asked == [RESOURCE_PLACE, SERVER_PLACE]
    assert discovery.server.issuer == ISSUER
    assert discovery.resource == SERVER_URL


def test_metadata_requests_name_the_protocol_version_and_want_json() -> None:
    web = Web(pages())
    found(web)
    for request in web.requests:
        assert request.method == "GET"
        assert request.headers == {
            "Accept": "application/json",
            "MCP-Protocol-Version": "2026-07-28",
        }


def test_the_challenges_place_comes_before_the_well_known_ones() -> None:
    web = Web(pages(**{NAMED: answer(resource_document())}))
    found(web, named=NAMED)
    assert web.asked == [NAMED, SERVER_PLACE]


def test_no_place_is_asked_twice() -> None:
    web = Web(pages(**{RESOURCE_PLACE: answer(b"", 404), ROOT_PLACE: answer(resource_document())}))
    found(web, named=RESOURCE_PLACE)
    assert web.asked == [RESOURCE_PLACE, ROOT_PLACE, SERVER_PLACE]


def test_the_servers_query_is_kept_in_its_well_known_place() -> None:
    web = Web({})
    run_ = discover(ServerUrl(SERVER_URL + "?tenant=1"), None, Options())
    run(run_, web)
    assert web.asked[0] == RESOURCE_PLACE + "?tenant=1"


ABSENT = {
    "404": answer(b"", 404),
    "401": answer({"error": "unauthorized"}, 401),
    "403 with a document": answer(resource_document(), 403),
    "410": answer(b"gone", 410),
    "HTML": html(),
    "not JSON": answer(b"{"),
    "an array": answer([]),
    "empty": answer(b""),
    "204": answer(b"", 204),
    "a redirect elsewhere": answer(b"", 302, location="https://login.example.com"),
}


@pytest.mark.parametrize("absence", ABSENT.values(), ids=ABSENT)
def test_an_absent_document_leads_to_the_next_place(absence: HttpResponse) -> None:
    named = {NAMED: absence, RESOURCE_PLACE: absence, ROOT_PLACE: answer(resource_document())}
    first = ISSUER + "/.well-known/openid-configuration"
    web = Web({**named, SERVER_PLACE: absence, first: answer(server_document())})
    assert found(web, named=NAMED).server.issuer == ISSUER
    assert web.asked == [NAMED, RESOURCE_PLACE, ROOT_PLACE, SERVER_PLACE, first]


def test_the_places_of_an_issuer_with_a_path_are_asked_in_order() -> None:
    issuer = ISSUER + "/tenant1"
    places = [
        ISSUER + "/.well-known/oauth-authorization-server/tenant1",
        ISSUER + "/.well-known/openid-configuration/tenant1",
        issuer + "/.well-known/openid-configuration",
    ]
    listed = answer(resource_document(authorization_servers=[issuer]))
    web = Web({RESOURCE_PLACE: listed, places[-1]: answer(server_document(issuer=issuer))})
    assert found(web).server.issuer == issuer
    assert web.asked == [RESOURCE_PLACE, *places]


PASSING: dict[str, HttpResponse | AuthError] = {
    "500": answer(b"", 500),
    "503": html(503),
    "429": answer(b"", 429),
    "a network fault": Unavailable("no answer"),
}


@pytest.mark.parametrize("place", [NAMED, RESOURCE_PLACE, SERVER_PLACE])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_ends_the_search_at_any_place(
    place: str, fault: HttpResponse | AuthError
) -> None:
    fault = fault.fresh() if isinstance(fault, AuthError) else fault
    web = Web(pages(**{NAMED: answer(b"", 404), place: fault}))
    with pytest.raises(Unavailable) as caught:
        found(web, named=NAMED)
    assert web.asked[-1] == place
    # the challenge may name an address that only the operator's own machines reach
    both = {("Options.issuer", None), ("Options.resource", None)}
    assert both.intersection(caught.value.remedy) == (both if place == NAMED else set())


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("9" * 500, 86_400.0),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("²", None),
        ("", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_retry_after_is_handed_on_in_seconds(wait: str, expected: float | None) -> None:
    with pytest.raises(Unavailable) as caught:
        found(Web(pages(**{RESOURCE_PLACE: answer(b"", 503, retry_after=wait)})))
    assert caught.value.retry_after == expected
    assert ("as the server asks" in caught.value.hint) == (expected is not None)


BROKEN = {
    "no resource": (resource_document(resource=...), BadResponse),
    "no authorization servers": (resource_document(authorization_servers=[]), BadResponse),
    "another resource": (resource_document(resource="https://other.example"), ResourceMismatch),
    "an empty object": ({}, BadResponse),
}


@pytest.mark.parametrize(("document", "error"), BROKEN.values(), ids=BROKEN)
def test_an_object_decides_whatever_it_says(document: Any, error: type[AuthError]) -> None:
    web = Web(pages(**{RESOURCE_PLACE: answer(document)}))
    with pytest.raises(error):
        found(web)
    assert web.asked == [RESOURCE_PLACE]


def test_a_broken_server_document_decides_too() -> None:
    web = Web(pages(**{SERVER_PLACE: answer(server_document(token_endpoint=...))}))
    with pytest.raises(BadResponse):
        found(web)
    assert web.asked == [RESOURCE_PLACE, SERVER_PLACE, SERVER_PLACES[1]]


def test_the_origin_is_the_issuer_only_when_nothing_named_metadata() -> None:
    own = server_document(issuer=ORIGIN)
    web = Web({LEGACY_PLACES[0]: answer(own)})
    discovery = found(web)
    assert web.asked == [RESOURCE_PLACE, ROOT_PLACE, LEGACY_PLACES[0]]
    assert discovery.server.source == "metadata"
    assert discovery.metadata is None
    assert discovery.resource == SERVER_URL


def test_without_any_metadata_the_defaults_of_2025_03_26_apply() -> None:
    web = Web({})
    discovery = found(web)
    assert web.asked == [RESOURCE_PLACE, ROOT_PLACE, *LEGACY_PLACES]
    assert discovery.server.source == "defaults"
    assert discovery.server.token_endpoint == ORIGIN + "/token"


def test_nothing_is_invented_when_the_challenge_named_metadata() -> None:
    web = Web({})
    with pytest.raises(BadResponse) as caught:
        found(web, named=NAMED)
    assert web.asked == [NAMED, RESOURCE_PLACE, ROOT_PLACE]
    assert caught.value.code == "no_resource_metadata"
    assert "HTTP 404" in str(caught.value)


def test_nothing_is_invented_when_an_issuer_was_named() -> None:
    web = Web({RESOURCE_PLACE: answer(resource_document())})
    with pytest.raises(BadResponse) as caught:
        found(web)
    assert caught.value.code == "no_server_metadata"
    assert all(url.startswith((RESOURCE_PLACE, ISSUER)) for url in web.asked)


def test_a_plain_http_place_is_not_asked() -> None:
    web = Web(pages())
    with pytest.raises(InsecureUrl):
        found(web, named="http://mcp.example.com/meta")
    assert web.asked == []


@pytest.mark.parametrize("issuer", ["http://auth.example.com", ISSUER + "?x", "", "/relative"])
def test_an_unusable_issuer_is_not_asked(issuer: str) -> None:
    web = Web({RESOURCE_PLACE: answer(resource_document(authorization_servers=[issuer]))})
    with pytest.raises(InsecureUrl):
        found(web)
    assert web.asked == [RESOURCE_PLACE]


FIRST, SECOND = "https://one.example.com", "https://two.example.com"
WELL_KNOWN = "/.well-known/oauth-authorization-server"


def two(**changes: HttpResponse | AuthError) -> Web:
    """A resource with two authorization servers, both fit."""
    documents = {
        issuer + WELL_KNOWN: answer(server_document(issuer=issuer)) for issuer in (FIRST, SECOND)
    }
    listed = resource_document(authorization_servers=[FIRST, SECOND])
    return Web({RESOURCE_PLACE: answer(listed), **documents, **changes})


def test_of_several_authorization_servers_the_first_is_taken() -> None:
    assert found(two()).server.issuer == FIRST


@pytest.mark.parametrize("held", [SECOND, SECOND + "/"])
def test_one_for_which_a_credential_is_held_comes_first(held: str) -> None:
    web = two()

    def rank(issuer: str) -> int:
        return 0 if same_issuer(issuer, held) else 1

    assert found(web, rank=rank).server.issuer == SECOND
    assert web.asked == [RESOURCE_PLACE, SECOND + WELL_KNOWN]


@pytest.mark.parametrize(
    "unfit",
    [answer(b"", 404), answer({}), answer(server_document(issuer=SECOND)), html()],
    ids=["absent", "empty", "mismatch", "html"],
)
def test_one_without_valid_metadata_is_passed_over(unfit: HttpResponse) -> None:
    assert found(two(**{FIRST + WELL_KNOWN: unfit})).server.issuer == SECOND


def test_one_that_cannot_serve_is_passed_over() -> None:
    def usable(server: ServerMetadata) -> None:
        if server.issuer == FIRST:
            raise PkceUnsupported("no S256")

    assert found(two(), usable=usable).server.issuer == SECOND


@pytest.mark.parametrize("place", SERVER_PLACES)
@pytest.mark.parametrize("methods", [..., ["plain"]], ids=["absent", "plain"])
def test_metadata_of_either_kind_must_list_s256(place: str, methods: Any) -> None:
    def usable(server: ServerMetadata) -> None:
        require_code_grant(server, Options())

    document = server_document(code_challenge_methods_supported=methods)
    web = Web({RESOURCE_PLACE: answer(resource_document()), place: answer(document)})
    with pytest.raises(PkceUnsupported):
        found(web, usable=usable)
    assert web.asked == [RESOURCE_PLACE, *SERVER_PLACES]


def test_when_none_can_serve_the_first_reason_counts() -> None:
    def usable(server: ServerMetadata) -> None:
        raise (PkceUnsupported if server.issuer == FIRST else RegistrationRefused)("no")

    with pytest.raises(PkceUnsupported):
        found(two(), usable=usable)


@pytest.mark.parametrize(("fit", "served"), [(10, True), (11, False)])
def test_of_very_many_authorization_servers_ten_are_asked(fit: int, served: bool) -> None:
    listed = [f"https://as{number}.example.com" for number in range(1, 200)]
    chosen = f"https://as{fit}.example.com"
    web = Web(
        {
            RESOURCE_PLACE: answer(resource_document(authorization_servers=listed)),
            chosen + WELL_KNOWN: answer(server_document(issuer=chosen)),
        }
    )
    ranked: list[str] = []

    def rank(issuer: str) -> int:  # each may be a look into the storage
        ranked.append(issuer)
        return 0

    with nullcontext() if served else pytest.raises(BadResponse, match=r"as1\.example"):
        assert found(web, rank=rank).server.issuer == chosen
    assert len({place.partition("/.well")[0] for place in web.asked}) == 11, "and the resource"
    assert ranked == listed[:100]


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_of_one_is_no_reason_for_the_next(fault: HttpResponse | AuthError) -> None:
    web = two(**{FIRST + WELL_KNOWN: fault})
    with pytest.raises(Unavailable):
        found(web)
    assert SECOND + WELL_KNOWN not in web.asked


def test_the_defaults_must_be_able_to_serve_as_well() -> None:
    def usable(server: ServerMetadata) -> None:
        raise RegistrationRefused("no")

    with pytest.raises(RegistrationRefused):
        found(Web({}), usable=usable)


def test_a_pinned_issuer_is_the_only_one_asked() -> None:
    web = two()
    assert found(web, options=Options(issuer=SECOND)).server.issuer == SECOND
    assert FIRST + WELL_KNOWN not in web.asked


def test_a_pinned_issuers_metadata_must_name_it() -> None:
    web = two(**{SECOND + WELL_KNOWN: answer(server_document(issuer=FIRST))})
    with pytest.raises(IssuerMismatch):
        found(web, options=Options(issuer=SECOND))
    assert FIRST + WELL_KNOWN not in web.asked


def test_a_default_port_in_an_issuer_is_a_matter_of_pinning_it() -> None:
    spelled = FIRST + ":443"
    spelling = {FIRST + WELL_KNOWN: answer(server_document(issuer=spelled))}
    listed = {RESOURCE_PLACE: answer(resource_document(authorization_servers=[FIRST]))}
    web = Web({**listed, **spelling})
    with pytest.raises(IssuerMismatch) as caught:
        found(web)
    assert "Options(issuer=…)" in caught.value.hint
    assert found(web, options=Options(issuer=spelled)).server.issuer == spelled


def test_a_pinned_issuer_without_metadata_is_not_replaced() -> None:
    web = Web({})
    with pytest.raises(BadResponse) as caught:
        found(web, options=Options(issuer=SECOND))
    assert caught.value.code == "no_server_metadata"
    assert not any(url.startswith(ORIGIN + WELL_KNOWN) for url in web.asked)


@pytest.mark.parametrize(
    ("option", "expected"), [(None, ORIGIN + "/"), ("urn:x", "urn:x"), ("", None)]
)
def test_the_resource_goes_out_verbatim_unless_the_caller_says_otherwise(
    option: str | None, expected: str | None
) -> None:
    web = Web(pages(**{RESOURCE_PLACE: answer(resource_document(resource=ORIGIN + "/"))}))
    assert found(web, options=Options(resource=option)).resource == expected


def test_without_metadata_the_resource_is_the_canonical_server() -> None:
    server_url = ServerUrl("https://MCP.example.com:443/mcp/#x")
    discovery = run(discover(server_url, None, Options()), Web({}))
    assert discovery.resource == SERVER_URL


def test_every_step_tells_where_it_went_and_which_rule_applied() -> None:
    events: list[Event] = []
    web = Web(pages(**{RESOURCE_PLACE: html(), ROOT_PLACE: answer(resource_document())}))
    run(discover(SERVER_URL, None, Options()), web, events.append)
    assert [event.name for event in events] == [
        "resource-metadata-request",
        "resource-metadata",
        "resource-metadata-request",
        "resource-metadata",
        "server-metadata-request",
        "server-metadata",
    ]
    assert all(event.rule for event in events)
    assert "an HTML page" in events[1].detail
    assert ISSUER in events[3].detail


# Endpoints of the caller's

TOLD = Endpoints(authorization=ISSUER + "/a?tenant=1", token=ISSUER + "/t")


def test_endpoints_of_the_callers_are_used_and_no_metadata_is_asked_for() -> None:
    web = Web(pages())
    discovery = found(web, options=Options(issuer=ISSUER, endpoints=TOLD))
    assert web.asked == [RESOURCE_PLACE]
    server = discovery.server
    assert (server.issuer, server.source) == (ISSUER, "caller")
    assert (server.authorization_endpoint, server.token_endpoint) == (
        TOLD.authorization,
        TOLD.token,
    )
    assert (server.registration_endpoint, server.revocation_endpoint) == ("", "")
    assert not server.iss_promised


@pytest.mark.parametrize(
    "changed",
    [
        {"token": "http://auth.example.com/t"},
        {"authorization": "http://auth.example.com/a"},
        {"registration": "http://auth.example.com/r"},
        {"revocation": "https://user:pw@auth.example.com/r"},
        {"pushed_authorization": "http://auth.example.com/p"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_each_of_them_is_checked(changed: dict[str, str]) -> None:
    from dataclasses import replace

    options = Options(issuer=ISSUER, endpoints=replace(TOLD, **changed))
    with pytest.raises(InsecureUrl, match="endpoint"):
        found(Web(pages()), options=options)


# Redirects of the server's URL

MOVED = SERVER_URL + "/"


def test_after_a_redirect_both_urls_have_a_place_and_the_final_one_comes_first() -> None:
    web = Web({})
    run(discover(ServerUrl(ORIGIN + "/"), refused(url=SERVER_URL), Options()), web)
    assert web.asked[:2] == [RESOURCE_PLACE, ROOT_PLACE]


def test_a_path_with_a_slash_has_a_place_with_it_and_one_without() -> None:
    web = Web({})
    run(discover(SERVER_URL, refused(url=MOVED), Options()), web)
    assert web.asked[:3] == [RESOURCE_PLACE, RESOURCE_PLACE + "/", ROOT_PLACE]


@pytest.mark.parametrize("resource", [ORIGIN + "/", SERVER_URL, MOVED])
def test_the_resource_may_be_that_of_either_url(resource: str) -> None:
    web = Web(pages(**{RESOURCE_PLACE: answer(resource_document(resource=resource))}))
    found = run(discover(ServerUrl(ORIGIN), refused(url=SERVER_URL), Options()), web)
    assert found.resource == resource
    assert found.final_url == SERVER_URL


def test_without_a_redirect_there_is_no_final_url() -> None:
    assert found(Web(pages())).final_url == ""


def test_a_resource_of_neither_url_is_refused_and_the_right_url_named() -> None:
    other = ORIGIN + "/other"
    web = Web(pages(**{RESOURCE_PLACE: answer(resource_document(resource=other))}))
    with pytest.raises(ResourceMismatch) as caught:
        run(discover(SERVER_URL, refused(url=MOVED), Options()), web)
    assert f"If {other} is the MCP server, use that URL" in caught.value.hint


# What the caller's options stand for

RESOURCE = Options(resource=SERVER_URL)
PINNED = Options(issuer=ISSUER)
BOTH = Options(issuer=ISSUER, resource="urn:x")


@pytest.mark.parametrize("options", [RESOURCE, PINNED, BOTH, Options(resource="")])
@pytest.mark.parametrize("resource", [..., None, "", 7], ids=str)
def test_a_document_without_a_resource_is_no_dead_end(options: Options, resource: Any) -> None:
    web = Web(pages(**{RESOURCE_PLACE: answer(resource_document(resource=resource))}))
    discovery = found(web, options=options)
    assert discovery.server.issuer == ISSUER
    expected = SERVER_URL if options.resource is None else options.resource or None
    assert discovery.resource == expected


@pytest.mark.parametrize("servers", [..., [], None, {}, "", [7]], ids=str)
def test_a_document_without_servers_is_no_dead_end_for_a_pinned_issuer(servers: Any) -> None:
    document = resource_document(authorization_servers=servers, resource=ORIGIN + "/")
    web = Web(pages(**{RESOURCE_PLACE: answer(document)}))
    discovery = found(web, options=PINNED)
    assert web.asked == [RESOURCE_PLACE, SERVER_PLACE]
    assert discovery.resource == ORIGIN + "/"  # the rest of it is used


def test_a_document_without_servers_gives_its_scopes_to_a_pinned_issuer() -> None:
    document = resource_document(authorization_servers=..., scopes_supported=["a"])
    web = Web(pages(**{RESOURCE_PLACE: answer(document)}))
    metadata = found(web, options=PINNED).metadata
    assert metadata
    assert metadata.scopes_supported == ("a",)


@pytest.mark.parametrize(
    ("status", "came"), [(299, None), (300, "HTTP 300"), (301, "HTTP 301"), (204, "an empty body")]
)
def test_a_document_comes_with_a_success_only(status: int, came: str | None) -> None:
    page = answer({} if status != 204 else b"", status)
    absence = absent(page)
    assert (absence and absence.came) == came


def test_a_document_of_no_use_counts_as_absent_and_is_told_of() -> None:
    events: list[Event] = []
    web = Web(pages(**{RESOURCE_PLACE: answer({}), ROOT_PLACE: answer(resource_document())}))
    run(discover(SERVER_URL, refused(), RESOURCE), web, events.append)
    assert web.asked == [RESOURCE_PLACE, ROOT_PLACE, SERVER_PLACE]
    (notice,) = [event for event in events if event.name == "notice"]
    assert (notice.url, notice.rule) == (RESOURCE_PLACE, "counts as absent")


@pytest.mark.parametrize("options", [Options(issuer=ISSUER), Options(resource="urn:other")])
def test_another_resource_is_refused_whatever_else_is_vouched_for(options: Options) -> None:
    document = resource_document(resource="https://evil.example/mcp")
    with pytest.raises(ResourceMismatch):
        found(Web(pages(**{RESOURCE_PLACE: answer(document)})), options=options)


@pytest.mark.parametrize("place", ["http://mcp.example.com/meta", "/meta", "nonsense"])
@pytest.mark.parametrize("options", [RESOURCE, PINNED, BOTH])
def test_a_place_that_must_not_be_asked_is_no_dead_end(place: str, options: Options) -> None:
    web = Web(pages())
    assert found(web, named=place, options=options).server.issuer == ISSUER
    assert web.asked[0] == RESOURCE_PLACE


def test_a_place_that_must_not_be_asked_is_told_with_the_option_that_helps() -> None:
    with pytest.raises(InsecureUrl, match="Options\\(issuer=…\\)"):
        found(Web(pages()), named="http://mcp.example.com/meta")


@pytest.mark.parametrize("place", ["/meta", "nonsense", "'https://mcp.example.com/meta'"])
def test_a_place_that_is_no_url_counts_as_absent_and_is_told_of(place: str) -> None:
    web, events = Web(pages()), list[Event]()
    challenge = Challenge("bearer", {"resource_metadata": place})
    run(discover(SERVER_URL, refused(challenge), Options()), web, events.append)
    assert web.asked[0] == RESOURCE_PLACE
    assert any("cannot be used" in event.detail for event in events)


def test_nothing_is_invented_after_a_place_that_is_no_url() -> None:
    with pytest.raises(BadResponse) as caught:
        found(Web({}), named="/meta")
    assert caught.value.code == "no_resource_metadata"


def test_an_unusable_issuer_is_told_with_the_option_that_helps() -> None:
    document = resource_document(authorization_servers=["auth.example.com"])
    with pytest.raises(InsecureUrl, match="Options\\(issuer=…\\)"):
        found(Web(pages(**{RESOURCE_PLACE: answer(document)})))


UNREACHABLE: dict[str, HttpResponse | AuthError] = {
    **PASSING,
    "a forbidden address": InsecureUrl("a private address"),
    "another's certificate": Untrusted("not trusted"),
}


@pytest.mark.parametrize("fault", UNREACHABLE.values(), ids=UNREACHABLE)
def test_nothing_is_needed_of_a_place_out_of_reach_where_all_is_vouched_for(
    fault: HttpResponse | AuthError,
) -> None:
    changed = {NAMED: fault, RESOURCE_PLACE: fault, ROOT_PLACE: fault}
    discovery = found(Web(pages(**changed)), named=NAMED, options=BOTH)
    assert (discovery.server.issuer, discovery.resource) == (ISSUER, "urn:x")


@pytest.mark.parametrize("options", [RESOURCE, PINNED, Options()])
def test_with_less_a_place_out_of_reach_ends_the_search(options: Options) -> None:
    with pytest.raises(Unavailable):
        found(Web(pages(**{NAMED: Unavailable("no answer")})), named=NAMED, options=options)


@pytest.mark.parametrize(
    ("change", "option"),
    [("resource", "Options.resource"), ("authorization_servers", "Options.issuer")],
)
def test_what_is_missing_is_told_with_the_option_that_helps(change: str, option: str) -> None:
    web = Web(pages(**{RESOURCE_PLACE: answer(resource_document(**{change: ...}))}))
    with pytest.raises(BadResponse) as caught:
        found(web)
    assert (option, None) in caught.value.remedy


def test_metadata_without_an_issuer_names_the_options_that_help() -> None:
    web = Web(pages(**{SERVER_PLACE: answer(server_document(issuer=...))}))
    with pytest.raises(BadResponse) as caught:
        found(web)
    assert ("Options.issuer", None) in caught.value.remedy
    assert ("Options.endpoints", None) in caught.value.remedy


# A second document of the same issuer


def needs_pkce(server: ServerMetadata) -> None:
    require_code_grant(server, Options())


LACKING = {
    "no S256": server_document(code_challenge_methods_supported=...),
    "no authorization endpoint": server_document(authorization_endpoint=...),
    "no token endpoint": server_document(token_endpoint=...),
}


@pytest.mark.parametrize("first", LACKING.values(), ids=LACKING)
def test_a_document_that_cannot_serve_leads_to_the_next_one(first: Any) -> None:
    events: list[Event] = []
    second = server_document(token_endpoint=ISSUER + "/second")
    web = Web(pages(**{SERVER_PLACE: answer(first), SERVER_PLACES[1]: answer(second)}))
    flow = discover(SERVER_URL, refused(), Options(), usable=needs_pkce)
    server = run(flow, web, events.append).server
    assert server.token_endpoint == ISSUER + "/second"  # whole, not merged
    assert web.asked == [RESOURCE_PLACE, *SERVER_PLACES]
    assert [event.name for event in events[-4:]] == [
        "server-metadata-request",
        "notice",
        "server-metadata-request",
        "server-metadata",
    ]
    assert events[-1].url == SERVER_PLACES[1]
    assert "used whole" in events[-1].rule


def test_two_documents_are_not_merged() -> None:
    first = server_document(code_challenge_methods_supported=...)
    second = server_document(authorization_endpoint=...)
    web = Web(pages(**{SERVER_PLACE: answer(first), SERVER_PLACES[1]: answer(second)}))
    with pytest.raises(PkceUnsupported):
        found(web, usable=needs_pkce)


def test_a_document_that_serves_is_the_only_one_asked_for() -> None:
    web = Web(pages(**{SERVER_PLACES[1]: answer(server_document())}))
    found(web, usable=needs_pkce)
    assert web.asked == [RESOURCE_PLACE, SERVER_PLACE]


SECOND_FAULTS = {
    "another issuer": answer(server_document(issuer="https://evil.example")),
    "absent": answer(b"", 404),
    "down": answer(b"", 503),
    "no answer": Unavailable("no answer"),
    "an insecure endpoint": answer(server_document(token_endpoint="http://auth.example.com/t")),
}


@pytest.mark.parametrize("second", SECOND_FAULTS.values(), ids=SECOND_FAULTS)
def test_the_first_reason_stands_where_the_second_document_is_no_help(
    second: HttpResponse | AuthError,
) -> None:
    first = answer(server_document(code_challenge_methods_supported=...))
    web = Web(pages(**{SERVER_PLACE: first, SERVER_PLACES[1]: second}))
    with pytest.raises(PkceUnsupported):
        found(web, usable=needs_pkce)
    assert web.asked == [RESOURCE_PLACE, *SERVER_PLACES]


@pytest.mark.parametrize("first", [server_document(issuer="https://evil.example")])
def test_a_document_of_another_issuer_ends_the_search(first: Any) -> None:
    web = Web(pages(**{SERVER_PLACE: answer(first), SERVER_PLACES[1]: answer(server_document())}))
    with pytest.raises(IssuerMismatch):
        found(web, usable=needs_pkce)
    assert web.asked == [RESOURCE_PLACE, SERVER_PLACE]


def test_the_servers_own_origin_has_a_second_document_too() -> None:
    first = server_document(issuer=ORIGIN, code_challenge_methods_supported=...)
    documents = {LEGACY_PLACES[0]: first, LEGACY_PLACES[1]: server_document(issuer=ORIGIN)}
    web = Web({place: answer(document) for place, document in documents.items()})
    assert found(web, usable=needs_pkce).server.issuer == ORIGIN
    assert web.asked[-1] == LEGACY_PLACES[1]


ELSEWHERE = "https://docs.example.com/oauth/metadata.json"


def test_a_document_that_lies_elsewhere_is_the_only_one_requested() -> None:
    web = Web(pages(**{ELSEWHERE: answer(server_document()), SERVER_PLACE: answer({})}))
    discovery = found(web, options=Options(issuer=ISSUER, metadata_url=ELSEWHERE))
    assert web.asked == [RESOURCE_PLACE, ELSEWHERE]
    assert discovery.server.issuer == ISSUER


def test_a_document_that_lies_elsewhere_has_to_name_the_pinned_issuer() -> None:
    web = Web(pages(**{ELSEWHERE: answer(server_document(issuer="https://evil.example"))}))
    with pytest.raises(IssuerMismatch) as caught:
        found(web, options=Options(issuer=ISSUER, metadata_url=ELSEWHERE))
    assert "Check what was passed" in caught.value.hint


def test_no_other_place_is_requested_where_the_named_one_has_no_document() -> None:
    web = Web(pages(**{ELSEWHERE: html(404)}))
    with pytest.raises(BadResponse) as caught:
        found(web, options=Options(issuer=ISSUER, metadata_url=ELSEWHERE))
    assert caught.value.code == "no_server_metadata"
    assert web.asked == [RESOURCE_PLACE, ELSEWHERE]


def test_a_named_place_is_https_as_every_other() -> None:
    web = Web(pages())
    with pytest.raises(InsecureUrl):
        found(web, options=Options(issuer=ISSUER, metadata_url="http://docs.example.com/m.json"))
    assert web.asked == [RESOURCE_PLACE]
