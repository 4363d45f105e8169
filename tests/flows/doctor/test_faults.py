"""Each fault of a server gives a finding: one row each, in a world with no other fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from mcp_client_auth.cli.report import exit_code_of
from mcp_client_auth.doctor.challenge import challenge as challenge_check
from mcp_client_auth.doctor.exam import Exam
from mcp_client_auth.doctor.faults import fault_of
from mcp_client_auth.doctor.metadata_places import closed_to
from mcp_client_auth.errors import BadResponse, ResourceMismatch, Unavailable
from mcp_client_auth.protocol.absence import Absence
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.metadata import read_resource_metadata
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import ServerUrl
from tests.support.findings import Examine, only
from tests.support.hostile import World, challenge, document, html, redirect, reset, text

OPENID = "/.well-known/openid-configuration"
PATH = "/.well-known/oauth-protected-resource/tenant/mcp"
ROOT = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, and what is found: `says` is a part of what came back."""

    name: str
    breaks: Callable[[World], None]
    check: str
    level: str
    says: str
    exit_code: int = 0


def probe(*headers: tuple[str, str], status: int = 401) -> Callable[[World], None]:
    return lambda world: world.at("probe", lambda e: e.reply(status, headers=headers))


def said(value: str) -> Callable[[World], None]:
    return probe(("WWW-Authenticate", value))


def resource(**changes: object) -> Callable[[World], None]:
    return lambda world: world.at("resource", document(world.resource_metadata(**changes)))


def server(**changes: object) -> Callable[[World], None]:
    return lambda world: world.at("server", document(world.server_metadata(**changes)))


def openid_only(world: World) -> None:
    world.at("server", text("nothing", 404))
    world.put(world.issuer + OPENID, document(world.server_metadata()))


def two_minds(world: World) -> None:
    changed = world.server_metadata(token_endpoint=world.issuer + "/another")
    world.put(world.issuer + OPENID, document(changed))


def no_metadata(world: World) -> None:
    world.at("probe", lambda e: e.reply(401, headers=[("WWW-Authenticate", "Bearer")]))
    world.at("resource", text("nothing", 404))
    world.at("server", text("nothing", 404))


def no_login_at_all(world: World) -> None:
    """A server that requires an API key for every request."""
    no_metadata(world)
    world.put(world.origin + "/authorize", text("Unauthorized", 401))


def slashed(world: World) -> None:
    world.at("resource", document(world.resource_metadata(resource=world.url + "/")))


def parent(world: World) -> None:
    world.at("resource", document(world.resource_metadata(resource=world.origin)))


def named_but_absent(world: World) -> None:
    world.at("probe", challenge(world.origin + "/nowhere"))


def elsewhere(world: World) -> None:
    world.put(world.elsewhere + "/here", document(world.resource_metadata()))
    world.at("probe", challenge(world.elsewhere + "/here"))


def untyped(world: World) -> None:
    body = json.dumps(world.resource_metadata())
    world.at("resource", text(body, kind="text/plain"))


def root_of_another(world: World) -> None:
    changed = world.resource_metadata(resource="https://other.example/mcp")
    world.put(world.origin + ROOT, document(changed))


FAULTS = [
    Fault("down", lambda w: w.at("probe", html(503)), "challenge.status", "warning", "503"),
    Fault("gone", lambda w: w.at("probe", reset), "challenge", "error", "no answer", 6),
    Fault("open", probe(status=200), "challenge.status", "note", "HTTP 200"),
    Fault("forbidden", probe(status=403), "challenge.status", "warning", "HTTP 403"),
    Fault(
        "moved",
        lambda w: w.at("probe", redirect("https://new.example/mcp?key=planted-key")),
        "challenge.status",
        "warning",
        "307 to https://new.example/mcp",
    ),
    Fault("mute", probe(), "challenge.header", "warning", "schemes: none"),
    Fault("basic", said('Basic realm="x"'), "challenge.header", "warning", "schemes: basic"),
    Fault("bare", said("Bearer"), "challenge.header", "warning", "without resource_metadata"),
    Fault(
        "plain http",
        said('Bearer resource_metadata="http://other.example/m"'),
        "challenge.header",
        "error",
        "not https",
        5,
    ),
    Fault(
        "no whole URL",
        said('Bearer resource_metadata="/meta"'),
        "challenge.header",
        "warning",
        "not an absolute URL",
    ),
    Fault(
        "single quotes",
        said("Bearer resource_metadata='https://mcp.example.com/meta'"),
        "challenge.header",
        "warning",
        "single quotes are part of it",
    ),
    Fault("elsewhere", elsewhere, "challenge.header", "warning", "/here"),
    Fault("early error", said('Bearer error="invalid_token"'), "challenge.error", "note", "error="),
    Fault("offline", said('Bearer scope="offline_access"'), "challenge.scope", "note", "offline"),
    Fault("named, absent", named_but_absent, "resource.metadata", "warning", "404 at /nowhere"),
    Fault(
        "metadata down",
        lambda w: w.at("resource", html(502)),
        "resource.metadata",
        "error",
        "502",
        6,
    ),
    Fault("two roots", root_of_another, "resource.metadata", "warning", "another resource"),
    Fault("no login at all", no_login_at_all, "issuer.found", "error", "HTTP 401 at /authorize", 4),
    Fault("no metadata", no_metadata, "resource.found", "warning", "2025-03-26"),
    Fault(
        "page",
        lambda w: w.at("resource", html()),
        "resource.found",
        "error",
        "no document",
        8,
    ),
    Fault("untyped", untyped, "resource.metadata", "warning", "text/plain"),
    Fault(
        "no servers",
        resource(authorization_servers=[]),
        "resource.metadata",
        "error",
        "at least one issuer",
        8,
    ),
    Fault(
        "another resource",
        resource(resource="https://other.example/mcp"),
        "resource.metadata",
        "error",
        "another resource",
        5,
    ),
    Fault("slash", slashed, "resource.identifier", "warning", "trailing slash"),
    Fault("parent", parent, "resource.identifier", "warning", "a parent"),
    Fault("no scopes", resource(), "resource.scopes", "note", "no scopes_supported"),
    Fault("empty scopes", resource(scopes_supported=[]), "resource.scopes", "note", "empty"),
    Fault(
        "offline scope",
        resource(scopes_supported=["a", "offline_access"]),
        "resource.scopes",
        "note",
        "offline_access",
    ),
    Fault(
        "token in the query",
        resource(bearer_methods_supported=["query"]),
        "resource.methods",
        "warning",
        "query",
    ),
    Fault(
        "issuer with a query",
        resource(authorization_servers=["https://as.example/?tenant=1"]),
        "issuer.url",
        "error",
        "query",
        5,
    ),
    Fault("openid only", openid_only, "issuer.metadata", "warning", "404"),
    Fault("two minds", two_minds, "issuer.agreement", "warning", "token_endpoint"),
    Fault(
        "no server metadata",
        lambda w: w.at("server", text("nothing", 404)),
        "issuer.found",
        "error",
        "no document",
        8,
    ),
    Fault(
        "another issuer",
        server(issuer="https://other.example"),
        "issuer.metadata",
        "error",
        "another issuer",
        5,
    ),
    Fault(
        "clear text",
        server(token_endpoint="http://as.example/token"),
        "issuer.metadata",
        "error",
        "not https",
        5,
    ),
    Fault(
        "no PKCE",
        server(code_challenge_methods_supported=None),
        "issuer.pkce",
        "error",
        "not listed",
        5,
    ),
    Fault(
        "plain PKCE",
        server(code_challenge_methods_supported=["plain", "S256"]),
        "issuer.pkce",
        "note",
        "plain",
    ),
    Fault(
        "no login page",
        server(authorization_endpoint=None),
        "issuer.pkce",
        "error",
        "authorization_endpoint",
        8,
    ),
    Fault(
        "no revocation", server(revocation_endpoint=None), "issuer.endpoints", "note", "revocation"
    ),
    Fault("grants unsaid", server(), "issuer.grants", "warning", "left out"),
    Fault(
        "no refresh",
        server(grant_types_supported=["authorization_code"]),
        "issuer.grants",
        "warning",
        "authorization_code",
    ),
    Fault(
        "no code",
        server(grant_types_supported=["client_credentials"]),
        "issuer.grants",
        "warning",
        "client_credentials",
    ),
    Fault(
        "no iss",
        server(authorization_response_iss_parameter_supported=None),
        "issuer.iss",
        "note",
        "not promised",
    ),
    Fault("scopes unsaid", server(), "issuer.scopes", "note", "no scopes_supported"),
    Fault("no way", server(registration_endpoint=None), "issuer.clients", "error", "neither", 4),
    Fault(
        "documents only",
        server(registration_endpoint=None, client_id_metadata_document_supported=True),
        "issuer.clients",
        "error",
        "documents only",
        4,
    ),
    Fault(
        "closed to pages",
        lambda w: None,
        "cors.endpoint",
        "note",
        "a page cannot post to the MCP endpoint",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_is_a_finding(fault: Fault, world: World, examined: Examine) -> None:
    fault.breaks(world)
    report = examined(world.url)
    found = [f for f in report.findings if f.check == fault.check and f.level == fault.level]
    assert any(fault.says in f.came for f in found), [
        (f.check, f.level, f.came) for f in report.findings
    ]
    assert exit_code_of(report) == fault.exit_code
    assert all(f.remedy or f.stumbles for f in found)
    assert "planted" not in str(report)


def test_the_world_has_no_other_fault(world: World, examined: Examine) -> None:
    """A row's finding comes from its own fault: without a fault there are only these two."""
    usual = {"issuer.grants", "cors.answer"}
    report = examined(world.url)
    assert {f.check for f in report.findings if f.level in ("warning", "error")} == usual


def test_scopes_that_the_authorization_server_does_not_list_are_named(
    world: World, examined: Examine
) -> None:
    resource(scopes_supported=["mcp:read"])(world)
    server(scopes_supported=["openid"])(world)
    assert "mcp:read" in only(examined(world.url), "issuer.scopes").came


def test_scopes_with_commas_between_them_need_spaces(world: World, examined: Examine) -> None:
    world.at("probe", challenge(world.origin + PATH, scope="a,b"))
    server(scopes_supported=["a", "b"])(world)
    assert "spaces" in only(examined(world.url), "issuer.scopes").remedy


def test_where_one_authorization_server_is_well_a_fault_of_another_is_a_warning(
    world: World, examined: Examine
) -> None:
    resource(authorization_servers=[world.elsewhere, world.issuer])(world)
    report = examined(world.url)
    assert report.worst == "warning"
    assert only(report, "resource.servers").level == "note"
    broken = [f for f in report.findings if f.check == "issuer.metadata" and f.level == "warning"]
    assert broken[0].stumbles == "clients that take this authorization server"


@pytest.mark.parametrize(("first", "code"), [(True, 6), (False, 0)])
def test_an_authorization_server_that_is_down_ends_the_login_where_it_is_named_first(
    world: World, examined: Examine, first: bool, code: int
) -> None:
    world.put(world.elsewhere + "/.well-known/oauth-authorization-server", html(503))
    named = [world.elsewhere, world.issuer] if first else [world.issuer, world.elsewhere]
    resource(authorization_servers=named)(world)
    assert exit_code_of(examined(world.url)) == code


def test_nothing_is_sent_to_a_server_in_clear_text(examined: Examine) -> None:
    report = examined("http://mcp.example.com/mcp")
    assert only(report, "server.url").error == "InsecureUrl"
    assert not [f for f in report.findings if not f.check.startswith(("server", "local"))]


def test_each_document_is_asked_for_once_without_an_origin(world: World, examined: Examine) -> None:
    examined(world.url)
    # the document, and the request of a page with its preflight
    assert world.visited.count("resource") == world.visited.count("server") == 3
    assert world.visited.count("token") == 2  # a made-up code, and a preflight
    assert "register" not in [name for name, body in world.bodies if body]


def test_no_server_leads_the_examination_to_the_machines_of_the_network(
    world: World, examined: Examine
) -> None:
    resource(authorization_servers=["https://169.254.169.254"])(world)
    found = only(examined(world.url), "issuer.metadata", "error")
    assert found.error == "InsecureUrl"
    assert "link-local" in found.came


def test_a_server_that_forgets_its_tls_is_told_which_header_to_trust() -> None:
    def behind_a_proxy(request: HttpRequest) -> HttpResponse:
        return HttpResponse(307, request.url, (("Location", "http://mcp.example.com/mcp/"),))

    exam = Exam(ServerUrl("https://mcp.example.com/mcp"), Options(), behind_a_proxy, patience=60.0)
    (finding,) = challenge_check(exam)
    assert finding.came == "HTTP 307 to http://mcp.example.com/mcp/, which is not followed"
    assert "X-Forwarded-Proto" in finding.remedy


@pytest.mark.parametrize(
    ("led_to", "fault"),
    [
        ("http://mcp.example.com/meta/", "http-urls"),
        ("https://as.example/meta", "document-redirect"),
        ("http://as.example/meta", "document-redirect"),
        ("https://as.example/.well-known/oauth2/meta", "document-redirect"),
        ("https://as.example/auth/meta.json", "document-redirect"),
        ("https://auth.example.com/oauth2/metadata", "document-redirect"),
        ("https://accounts.example.com/meta", "document-redirect"),
    ],
)
def test_a_redirect_of_a_document_tells_a_forgotten_tls_from_another_place(
    led_to: str, fault: str
) -> None:
    place = "https://mcp.example.com/meta"
    moved = Absence(place, f"HTTP 301 to {led_to}, not followed", 301, led_to=led_to)
    assert closed_to([moved]) == (fault, {"url": place})


@pytest.mark.parametrize(
    "page",
    [
        "https://mcp.example.com/accounts/login/",
        "https://mcp.example.com/oauth2/start",
        "https://auth.example.com/",
        "https://acme.cloudflareaccess.com/cdn-cgi/access/x",
        "https://vercel.com/sso-api",
        "https://accounts.google.com/v3/signin/identifier",
        "https://sso.example.com/adfs/ls/",
        "https://id.example.com/realms/acme/protocol/openid-connect/auth",
        "https://acme.us.auth0.com/u/signin",
    ],
)
def test_a_sign_in_page_is_known_by_its_name(page: str) -> None:
    place = "https://mcp.example.com/.well-known/oauth-protected-resource"
    led = Absence(place, f"HTTP 302 to {page}, not followed", 302, led_to=page)
    followed = Absence(page, "an HTML page", 200, is_page=True)
    assert closed_to([led]) == ("metadata-sign-in", {"url": place, "led": page})
    assert closed_to([followed]) == ("metadata-sign-in", {"url": page, "led": page})
    assert closed_to([replace(followed, url=place)]) == ("", {})


def test_the_query_of_the_url_is_in_no_finding(world: World, examined: Examine) -> None:
    world.at("probe", challenge(world.origin + "/nowhere"))
    world.at("resource", text("{,}", kind="application/json"))
    report = examined(world.url + "?key=planted")
    assert "document-broken" in {finding.fault for finding in report.findings}
    assert "planted" not in str(report)


@pytest.mark.parametrize("resource", [f"{PATH}?tenant=1", "/" + "a" * 400])
def test_a_resource_that_is_shown_in_part_is_still_known_to_be_of_the_server(resource: str) -> None:
    server = ServerUrl("https://mcp.example.com/mcp")
    body = json.dumps({"resource": f"https://mcp.example.com{resource}"}).encode()
    with pytest.raises(ResourceMismatch) as caught:
        read_resource_metadata(server, HttpResponse(200, server, body=body), final_url=server)
    assert fault_of(caught.value, server)[0] == "resource-path"


@pytest.mark.parametrize(
    ("says", "url", "fault"),
    [
        ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert", "https://as.example/x", "tls-refused"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x", "https://as.example/x", "tls-refused"),
        ("[SSL: UNSUPPORTED_PROTOCOL] unsupported", "https://as.example/x", "tls-refused"),
        ("Connection refused", "https://as.example/x", "no-connection"),
        ("Connection refused", f"https://mcp.example.com:8000{ROOT}/mcp", "challenge-port"),
        ("Connection refused", f"https://mcp.example.com{ROOT}/mcp", "no-connection"),
        ("Connection refused", f"http://localhost:8000{ROOT}/mcp", "no-connection"),
        ("Connection refused", "https://mcp.example.com:8443/token", "no-connection"),
    ],
)
def test_why_no_answer_comes_is_told_apart(says: str, url: str, fault: str) -> None:
    error = Unavailable(f"no answer: “{says}”", url=url)
    assert fault_of(error, "https://mcp.example.com/mcp")[0] == fault


@pytest.mark.parametrize(
    ("led", "fault"),
    [
        ("http://mcp.example.com/mcp/", "http-urls"),
        ("http://mcp.example.com:8000/mcp/", "http-urls"),
        ("http://other.example/mcp/", "redirected"),
        ("https://mcp.example.com:8443/mcp/", "redirected"),
        ("https://other.example/login", "sign-in"),
    ],
)
def test_where_a_server_redirects_tells_what_is_wrong_with_it(led: str, fault: str) -> None:
    summary = f"the server redirects to {led}, which is another origin and was not followed"
    error = BadResponse(summary, url="https://mcp.example.com/mcp", code="redirected")
    assert fault_of(error, "https://mcp.example.com/mcp")[0] == fault


def test_a_base_url_that_was_left_at_its_default_is_named_at_this_machine_too() -> None:
    error = Unavailable("no answer: “Connection refused”", url=f"http://localhost:8000{ROOT}/mcp")
    assert fault_of(error, "http://127.0.0.1:9000/mcp")[0] == "challenge-port"


def test_a_scheme_that_was_put_before_another_one_is_no_host() -> None:
    url = "https://https/.well-known/oauth-authorization-server//auth.example.com"
    error = Unavailable("the host “https” does not exist", url=url, code="unknown_host")
    fault, values = fault_of(error, "https://mcp.example.com/mcp")
    assert (fault, values["url"]) == ("scheme-twice", url)


def test_an_issuer_that_is_shown_in_part_is_no_fault_of_the_doctor() -> None:
    issuer = "https://as.example/" + "a" * 400
    error = BadResponse("it has no metadata", url=issuer, code="no_server_metadata")
    assert fault_of(error, "https://mcp.example.com/mcp")[0] == "issuer-absent"
