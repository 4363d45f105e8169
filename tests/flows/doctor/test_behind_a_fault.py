"""One run names all faults, and ends the way a login would."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mcp_client_auth.cli.report import exit_code_of
from tests.support.findings import Examine, only
from tests.support.hostile import (
    Behaviour,
    Exchange,
    Spot,
    World,
    challenge,
    document,
    html,
    redirect,
    text,
)

JWKS = "/jwks"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, and the finding: its check, fault and level, and a part of what came back."""

    name: str
    breaks: Callable[[World], None]
    check: str
    fault: str
    level: str
    says: str
    exit_code: int = 0


def resource(**changes: object) -> Callable[[World], None]:
    return lambda world: world.at("resource", document(world.resource_metadata(**changes)))


def server(**changes: object) -> Callable[[World], None]:
    return lambda world: world.at("server", document(world.server_metadata(**changes)))


def answering(status: int, *headers: tuple[str, str]) -> Callable[[World], None]:
    return lambda world: world.at("probe", lambda e: e.reply(status, headers=headers))


def keys(behaviour: Behaviour) -> Callable[[World], None]:
    def breaks(world: World) -> None:
        world.at("server", document(world.server_metadata(jwks_uri=world.issuer + JWKS)))
        world.put(world.issuer + JWKS, behaviour)

    return breaks


def mounted(world: World) -> None:
    place = "/tenant/.well-known/oauth-protected-resource/mcp"
    world.put(world.origin + place, document(world.resource_metadata()))
    world.at("resource", text("nothing", 404))


def appended(world: World) -> None:
    issuer = world.issuer + "/tenant"
    resource(authorization_servers=[issuer])(world)
    place = issuer + "/.well-known/oauth-authorization-server"
    world.put(place, document(world.server_metadata(issuer=issuer)))


def at_the_root(world: World) -> None:
    issuer = world.issuer + "/tenant"
    resource(authorization_servers=[issuer])(world)
    world.at("server", document(world.server_metadata(issuer=issuer)))


def nearby(named: str, path: str) -> Callable[[World], None]:
    """An issuer at this path, under another name in the resource metadata."""

    def breaks(world: World) -> None:
        resource(authorization_servers=[world.issuer + named])(world)
        issuer = world.issuer + path
        place = f"{issuer}/.well-known/openid-configuration"
        world.at("server", text("nothing", 404))
        world.put(place, document(world.server_metadata(issuer=issuer)))

    return breaks


def slash_behind_a_path(world: World) -> None:
    nearby("/tenant/", "/tenant")(world)


def metadata_for_issuer(world: World) -> None:
    named = f"{world.issuer}/.well-known/oauth-authorization-server"
    resource(authorization_servers=[named])(world)


def walled(world: World) -> None:
    world.at("server", html(403))
    world.put(world.issuer + "/.well-known/openid-configuration", html(403))


def in_a_string(world: World) -> None:
    world.at("resource", document(json.dumps(world.resource_metadata())))


def not_compressed(world: World) -> None:
    body = json.dumps(world.resource_metadata()).encode()
    told = [("Content-Encoding", "gzip")]
    world.at("resource", lambda each: each.reply(200, body, headers=told))


def led_away(world: World) -> None:
    world.at("resource", redirect(world.elsewhere + "/meta", 302))


def guarded(*spots: Spot, inside: bool = False) -> Callable[[World], None]:
    """A guard in front of the application sends requests without a session to its sign-in page."""

    def breaks(world: World) -> None:
        base = world.origin if inside else world.elsewhere
        sign_in = redirect(f"{base}/oauth2/sign_in?rd=planted-secret", 302)
        for spot in spots:
            world.at(spot, sign_in)
        if "resource" in spots:
            world.put(f"{world.origin}/.well-known/oauth-protected-resource", sign_in)
        if "server" in spots:
            world.put(world.issuer + "/.well-known/openid-configuration", sign_in)
        world.put(world.origin + "/oauth2/sign_in", html())

    return breaks


def closed_everywhere(world: World) -> None:
    answering(401, ("WWW-Authenticate", 'Bearer realm="site"'))(world)
    world.at("resource", html(401))
    suffixes = ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration")
    for suffix in suffixes:
        world.put(f"{world.origin}/.well-known/{suffix}", html(401))
    world.put(world.origin + "/authorize", html(401))


def no_route_at_a_gateway(world: World) -> None:
    body = b'{"message":"Missing Authentication Token"}'
    kind = ("x-amzn-ErrorType", "MissingAuthenticationTokenException")

    def answer(exchange: Exchange) -> None:
        exchange.reply(403, body, headers=[kind, ("x-amz-apigw-id", "x")])

    world.at("resource", answer)
    world.put(f"{world.origin}/.well-known/oauth-protected-resource", answer)


def no_object_in_a_bucket(world: World) -> None:
    denied = text("<Error><Code>AccessDenied</Code></Error>", 403, "application/xml")
    world.at("resource", denied)
    world.put(f"{world.origin}/.well-known/oauth-protected-resource", denied)


def compressed_twice(world: World) -> None:
    body = gzip.compress(gzip.compress(json.dumps(world.resource_metadata()).encode()))
    told = [("Content-Encoding", "gzip")]
    world.at("resource", lambda each: each.reply(200, body, headers=told))


def the_wrong_document(world: World) -> None:
    world.at("resource", document(world.server_metadata()))


def escaped(world: World) -> None:
    place = f"{world.origin}/.well-known/oauth-protected-resource/tenant/mcp"
    answering(401, ("WWW-Authenticate", f'Bearer resource_metadata=\\"{place}\\"'))(world)


def server_metadata_for_resource(world: World) -> None:
    place = f"{world.issuer}/.well-known/oauth-authorization-server"
    world.at("probe", challenge(place))


def refused_in_rpc(world: World) -> None:
    refusal = {"code": -32001, "message": "Unauthorized: no token"}
    world.at("probe", document({"jsonrpc": "2.0", "id": 1, "error": refusal}))


def refused_in_a_stream(world: World) -> None:
    refusal = {"code": -32001, "message": "Unauthorized: no token"}
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "error": refusal})
    said = f"id: 1\ndata:\n\nevent: message\ndata: {message}\n\n"
    world.at("probe", text(said, kind="text/event-stream"))


def differing(world: World) -> None:
    world.at("probe", challenge(world.origin + "/meta"))
    world.put(world.origin + "/meta", document(world.resource_metadata(scopes_supported=["a"])))


def marked(world: World) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(world.resource_metadata()).encode()
    world.at("resource", text(body, kind="application/json"))


def behind_a_redirect(world: World) -> None:
    world.put(world.origin + "/moved", document(world.resource_metadata()))
    world.at("resource", redirect(world.origin + "/moved", 302))


def kept_long(world: World) -> None:
    body = json.dumps(world.resource_metadata()).encode()
    kept = [("Cache-Control", "public, max-age=31536000")]
    world.at("resource", lambda each: each.reply(200, body, headers=kept))


def unquoted(world: World) -> None:
    place = f"{world.origin}/.well-known/oauth-protected-resource/tenant/mcp"
    answering(401, ("WWW-Authenticate", f"Bearer resource_metadata={place}"))(world)


def partly(world: World) -> None:
    message = document({"jsonrpc": "2.0", "id": 1, "result": {}})

    def answer(exchange: Exchange) -> None:
        if b"initialize" in exchange.body:
            message(exchange)
        else:
            exchange.reply(401)

    world.at("probe", answer)


def pushed_to(behaviour: Behaviour, *, required: bool) -> Callable[[World], None]:
    def breaks(world: World) -> None:
        place = {"pushed_authorization_request_endpoint": world.issuer + "/par"}
        server(**place, require_pushed_authorization_requests=required)(world)
        world.put(world.issuer + "/par", behaviour)

    return breaks


def partly_in_rpc(world: World) -> None:
    message = document({"jsonrpc": "2.0", "id": 1, "result": {}})
    refusal = document({"jsonrpc": "2.0", "id": 2, "error": {"message": "Unauthorized"}})

    def answer(exchange: Exchange) -> None:
        (message if b"initialize" in exchange.body else refusal)(exchange)

    world.at("probe", answer)


def only_place(body: object, status: int = 404) -> Callable[[World], None]:
    return lambda world: world.at("token", document(body, status))


def at_token(behaviour: Behaviour) -> Callable[[World], None]:
    return lambda world: world.at("token", behaviour)


TOKEN_ENDPOINTS = [
    (
        "a form without its parser, in FastAPI",
        document({"detail": [{"loc": ["body", "grant_type"], "msg": "Field required"}]}, 422),
        "token-form",
        "422",
        8,
    ),
    (
        "a model in place of a form, in FastAPI",
        document({"detail": [{"loc": ["body"], "msg": "Input should be a valid dictionary"}]}, 422),
        "token-form",
        "422",
        8,
    ),
    (
        "a form without its parser, in Express",
        document({"error": "invalid_request", "error_description": "no grant_type"}, 400),
        "token-form",
        "invalid_request",
        4,
    ),
    (
        "another grant",
        document({"error": "unsupported_grant_type"}, 400),
        "token-grant",
        "unsupported_grant_type",
        4,
    ),
    ("guarded by Django", text("CSRF verification failed", 403), "token-csrf", "403", 8),
    (
        "guarded by SvelteKit",
        text("Cross-site POST form submissions are forbidden", 403, "text/plain"),
        "token-csrf",
        "403",
        8,
    ),
    ("guarded by Laravel", html(419), "token-csrf", "419", 8),
    ("behind a sign-in page", redirect("/accounts/login/?next=x", 302), "token-blocked", "302", 8),
]

FAULTS = [
    Fault(
        "renamed",
        answering(401, ("x-amzn-Remapped-WWW-Authenticate", "Bearer")),
        "challenge.header",
        "challenge-renamed",
        "warning",
        "x-amzn-remapped",
    ),
    Fault(
        "unquoted",
        unquoted,
        "challenge.header",
        "challenge-quotes",
        "warning",
        "without quotes",
    ),
    Fault("mounted", mounted, "resource.found", "metadata-mounted", "error", "/tenant/.well", 8),
    Fault("appended", appended, "issuer.found", "metadata-appended", "error", "/tenant/.well", 8),
    Fault(
        "at the root",
        at_the_root,
        "issuer.found",
        "metadata-at-root",
        "error",
        "no client looks",
        8,
    ),
    Fault(
        "a document for an issuer",
        metadata_for_issuer,
        "issuer.found",
        "issuer-metadata-url",
        "error",
        "no document",
        8,
    ),
    *(
        Fault(name, nearby(*paths), "issuer.found", "issuer-nearby", "error", "no document", 8)
        for name, *paths in (
            ("an endpoint for an issuer", "/oauth2/default/v1/authorize", "/oauth2/default"),
            ("an issuer without its prefix", "/realms/acme", "/auth/realms/acme"),
            ("a path that the issuer has not", "/tenant", ""),
        )
    ),
    Fault(
        "an issuer with a path and a slash",
        slash_behind_a_path,
        "issuer.metadata",
        "issuer-slash",
        "error",
        "another issuer",
        5,
    ),
    Fault(
        "a wall before the metadata",
        walled,
        "issuer.found",
        "metadata-protected",
        "error",
        "403",
        8,
    ),
    Fault(
        "no route at API Gateway",
        no_route_at_a_gateway,
        "resource.found",
        "metadata-absent",
        "error",
        "no such route",
        8,
    ),
    Fault(
        "no object in a bucket",
        no_object_in_a_bucket,
        "resource.found",
        "metadata-absent",
        "error",
        "no such object",
        8,
    ),
    Fault(
        "compressed twice",
        compressed_twice,
        "resource.found",
        "document-compression",
        "error",
        "compressed twice",
        8,
    ),
    Fault(
        "the authorization server's metadata at the resource's place",
        the_wrong_document,
        "resource.metadata",
        "metadata-of-server",
        "error",
        "“resource”",
        8,
    ),
    *(
        Fault(
            f"an issuer with {name}",
            resource(authorization_servers=[named]),
            "issuer.url",
            "issuer-quotes",
            "error",
            "https://as.example",
            5,
        )
        for name, named in (("quotes", '"https://as.example"'), ("a line", "https://as.example\n"))
    ),
    Fault(
        "JSON in a string",
        in_a_string,
        "resource.found",
        "document-broken",
        "error",
        "a JSON string",
        8,
    ),
    Fault(
        "no JSON",
        lambda w: w.at("resource", text("{,}", kind="application/json")),
        "resource.found",
        "document-broken",
        "error",
        "not valid JSON",
        8,
    ),
    Fault(
        "not compressed",
        not_compressed,
        "resource.metadata",
        "document-compression",
        "error",
        "compression",
        8,
    ),
    Fault("led away", led_away, "resource.found", "document-redirect", "error", "HTTP 302", 8),
    *(
        Fault(
            f"metadata behind a sign-in page {'here' if inside else 'elsewhere'}",
            guarded("resource", inside=inside),
            "resource.found",
            "metadata-sign-in",
            "error",
            says,
            8,
        )
        for inside, says in ((True, "an HTML page at /oauth2/sign_in"), (False, "HTTP 302 to"))
    ),
    *(
        Fault(
            f"all behind a sign-in page {'here' if inside else 'elsewhere'}",
            guarded("probe", "resource", inside=inside),
            "resource.found",
            "sign-in",
            "error",
            "/oauth2/sign_in",
            8,
        )
        for inside in (True, False)
    ),
    Fault(
        "an endpoint behind a sign-in page",
        guarded("probe"),
        "challenge.status",
        "sign-in",
        "warning",
        "HTTP 302 to",
    ),
    Fault(
        "metadata of the authorization server behind a sign-in page",
        guarded("server"),
        "issuer.found",
        "metadata-sign-in",
        "error",
        "HTTP 302 to",
        8,
    ),
    Fault(
        "a variable",
        resource(authorization_servers=["${AUTHKIT_DOMAIN}"]),
        "issuer.url",
        "value-unset",
        "error",
        "AUTHKIT_DOMAIN",
        5,
    ),
    Fault(
        "no base URL",
        resource(resource="https://undefined/mcp"),
        "resource.metadata",
        "value-unset",
        "error",
        "undefined",
        5,
    ),
    Fault(
        "any tenant",
        server(issuer="https://as.example/{tenantid}/v2.0"),
        "issuer.metadata",
        "issuer-tenant",
        "error",
        "tenantid",
        5,
    ),
    Fault(
        "a port in the issuer",
        server(issuer="https://as.example:443"),
        "issuer.metadata",
        "issuer-other",
        "error",
        "as.example:443",
        5,
    ),
    Fault(
        "closed everywhere",
        closed_everywhere,
        "issuer.found",
        "metadata-protected",
        "error",
        "401 at /authorize",
        4,
    ),
    Fault(
        "escaped quotes", escaped, "challenge.header", "challenge-quotes", "error", "no URL has", 5
    ),
    Fault(
        "the other metadata",
        server_metadata_for_resource,
        "resource.metadata",
        "challenge-server-metadata",
        "error",
        "resource",
        8,
    ),
    Fault(
        "a named place without a document",
        lambda w: w.at("probe", challenge(w.origin + "/nowhere")),
        "resource.metadata",
        "challenge-nowhere",
        "warning",
        "404 at /nowhere",
    ),
    Fault(
        "a host that is not allowed",
        lambda w: w.at("probe", text("Invalid Host header", 421, "text/plain")),
        "challenge.status",
        "host-refused",
        "warning",
        "421: “Invalid Host header”",
    ),
    Fault(
        "a refusal in JSON-RPC",
        refused_in_rpc,
        "challenge.status",
        "no-401",
        "warning",
        "200: “Unauthorized: no token”",
    ),
    Fault(
        "a refusal in a stream",
        refused_in_a_stream,
        "challenge.status",
        "no-401",
        "warning",
        "200: “Unauthorized: no token”, an error of JSON-RPC",
    ),
    Fault(
        "too many requests",
        lambda w: w.at("resource", html(429)),
        "resource.metadata",
        "rate-limited",
        "error",
        "429",
        6,
    ),
    Fault(
        "an endpoint inside",
        server(token_endpoint="http://keycloak:8080/token"),
        "issuer.metadata",
        "endpoint-internal",
        "error",
        "not https",
        5,
    ),
    Fault(
        "a token endpoint that takes no form",
        only_place({"message": "Unsupported Media Type"}, 415),
        "endpoint.token",
        "token-form",
        "error",
        "415",
        8,
    ),
    *(
        Fault(
            f"a token endpoint, {name}",
            at_token(answer),
            "endpoint.token",
            fault,
            "error",
            says,
            code,
        )
        for name, answer, fault, says, code in TOKEN_ENDPOINTS
    ),
    *(
        Fault(
            f"pushed requests that take no form, {'' if required else 'not '}required",
            pushed_to(document({"message": "Unsupported Media Type"}, 415), required=required),
            "endpoint.pushed_request",
            "par-form",
            level,
            "415",
            code,
        )
        for required, level, code in ((True, "error", 8), (False, "warning", 0))
    ),
    Fault(
        "quotes of HTML",
        answering(401, ("WWW-Authenticate", "Bearer resource_metadata=&quot;https://m.x&quot;")),
        "challenge.header",
        "challenge-quotes",
        "warning",
        "the quotes are part of it",
    ),
    Fault(
        "a relative endpoint",
        server(token_endpoint="/token"),
        "issuer.metadata",
        "endpoint-relative",
        "error",
        "“/token”",
        5,
    ),
    Fault(
        "the address that it listens on",
        resource(resource="http://0.0.0.0:8000/mcp"),
        "resource.metadata",
        "internal-address",
        "error",
        "0.0.0.0",
        5,
    ),
    Fault(
        "no TLS",
        lambda w: resource(authorization_servers=[w.issuer.replace("http:", "https:")])(w),
        "issuer.metadata",
        "no-tls",
        "error",
        "WRONG_VERSION",
        6,
    ),
    Fault(
        "two documents", differing, "resource.agreement", "documents-differ", "warning", "scopes"
    ),
    Fault("a mark", marked, "resource.metadata", "document-bom", "warning", "byte order mark"),
    Fault(
        "redirected",
        behind_a_redirect,
        "resource.metadata",
        "document-redirect",
        "warning",
        "/moved",
    ),
    Fault("cached", kept_long, "document.caching", "document-cached", "note", "365 days"),
    Fault(
        "a text for a list",
        lambda w: resource(authorization_servers=w.issuer)(w),
        "resource.metadata",
        "document-lists",
        "warning",
        "not a list",
    ),
    Fault(
        "issuer with a slash",
        lambda w: resource(authorization_servers=[w.issuer + "/"])(w),
        "issuer.identifier",
        "issuer-slash",
        "warning",
        "authorization_servers has a slash",
    ),
    Fault(
        "issuer without a scheme",
        resource(authorization_servers=["acme.authkit.app"]),
        "issuer.url",
        "issuer-no-scheme",
        "error",
        "acme.authkit.app",
        5,
    ),
    Fault(
        "partly open, refusing in JSON-RPC",
        partly_in_rpc,
        "challenge.methods",
        "partly-protected",
        "warning",
        "200 with a refusal",
    ),
    Fault("partly open", partly, "challenge.methods", "partly-protected", "warning", "tools/list"),
    Fault(
        "no public clients",
        server(token_endpoint_auth_methods_supported=["client_secret_basic"]),
        "issuer.public",
        "no-public-clients",
        "note",
        "without none",
    ),
    Fault(
        "PAR required",
        lambda w: server(
            require_pushed_authorization_requests=True,
            pushed_authorization_request_endpoint=w.issuer + "/token",
        )(w),
        "issuer.par",
        "par-required",
        "warning",
        "PAR",
    ),
    Fault(
        "DPoP required",
        lambda w: [
            resource(dpop_bound_access_tokens_required=True)(w),
            server(dpop_signing_alg_values_supported=["ES256"])(w),
        ][0],
        "resource.dpop",
        "dpop-required",
        "warning",
        "Bearer tokens are refused",
    ),
    Fault(
        "no code",
        server(response_types_supported=["id_token"]),
        "issuer.responses",
        "no-code",
        "warning",
        "id_token",
    ),
    Fault("no keys", keys(html(404)), "endpoint.jwks", "jwks-absent", "warning", "HTTP 404"),
    Fault(
        "a private key",
        keys(document({"keys": [{"kty": "oct", "k": "planted-key"}]})),
        "endpoint.jwks",
        "jwks-private",
        "warning",
        "private key",
    ),
    Fault(
        "no token endpoint",
        lambda w: w.at("token", html(404)),
        "endpoint.token",
        "token-absent",
        "error",
        "404",
        8,
    ),
    Fault(
        "no token endpoint, in JSON",
        only_place({"error": "not_found"}),
        "endpoint.token",
        "token-absent",
        "error",
        "not_found",
        4,
    ),
    Fault(
        "the token endpoint is out of reach",
        lambda w: w.at("token", html(502)),
        "endpoint.token",
        "token-absent",
        "error",
        "502",
        6,
    ),
    Fault(
        "a wall before the token endpoint",
        lambda w: w.at("token", html(403)),
        "endpoint.token",
        "token-blocked",
        "error",
        "403",
        8,
    ),
    Fault(
        "a page for a wrong client",
        lambda w: w.at("token", html(400)),
        "endpoint.token",
        "token-unfit",
        "warning",
        "HTML",
    ),
    Fault(
        "tokens for anybody",
        lambda w: w.at("token", document({"access_token": "planted-token"})),
        "endpoint.token",
        "token-open",
        "warning",
        "made-up",
    ),
    Fault(
        "no sign-in page",
        lambda w: w.at("authorize", html(404)),
        "endpoint.authorization",
        "authorize-absent",
        "error",
        "no one can sign in",
        9,
    ),
    Fault(
        "the sign-in page is out of reach",
        lambda w: server(authorization_endpoint="http://127.0.0.1:9/authorize")(w),
        "endpoint.authorization",
        "authorize-absent",
        "error",
        "cannot be reached",
        9,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_of_a_deployment_is_found_with_its_remedy(
    fault: Fault, world: World, examined: Examine
) -> None:
    fault.breaks(world)
    report = examined(world.url)
    found = [f for f in report.findings if f.fault == fault.fault and f.level == fault.level]
    assert [f.check for f in found] == [fault.check], [
        (f.check, f.level, f.fault, f.came) for f in report.findings
    ]
    assert fault.says in found[0].came
    assert found[0].remedy
    assert exit_code_of(report) == fault.exit_code
    if fault.exit_code:
        assert report.verdict.check == fault.check
        assert report.verdict.login == "fails"
    assert "planted" not in str(report)


@pytest.mark.parametrize("spots", [("resource",), ("probe", "resource"), ("server",)])
def test_a_guard_in_front_is_named_with_its_sign_in_page(
    spots: tuple[Spot, ...], world: World, examined: Examine
) -> None:
    guarded(*spots)(world)
    verdict = examined(world.url).verdict
    assert f"redirects to a sign-in page, {world.elsewhere}/oauth2/sign_in." in verdict.sentence
    assert "guards the application" in verdict.change


NOT_THE_SERVER = {
    "no-401": document({"statusCode": 401, "headers": {"WWW-Authenticate": "Bearer"}, "body": ""}),
    "client-certificate": text("<html><center>No required SSL certificate was sent", 400),
    "not-mcp": document({"status": "ok"}),
}


@pytest.mark.parametrize("fault", NOT_THE_SERVER)
def test_what_answers_in_place_of_the_server_is_told_apart(
    fault: str, world: World, examined: Examine
) -> None:
    world.at("probe", NOT_THE_SERVER[fault])
    if fault == "client-certificate":
        world.put(f"{world.origin}/.well-known/oauth-protected-resource", NOT_THE_SERVER[fault])
        world.at("resource", NOT_THE_SERVER[fault])
    else:
        world.at("resource", text("nothing", 404))
    report = examined(world.url)
    assert only(report, "resource.found", "error").fault == fault
    assert exit_code_of(report) == 8


def test_a_function_whose_401_is_the_body_of_a_200_is_told_so(
    world: World, examined: Examine
) -> None:
    world.at("probe", NOT_THE_SERVER["no-401"])
    found = only(examined(world.url), "challenge.status")
    assert (found.level, found.fault) == ("warning", "no-401")
    assert "in the body" in found.came


HOSTS = {
    "Starlette": text("Invalid host header", 400, "text/plain"),
    "an MCP SDK": document({"jsonrpc": "2.0", "error": {"message": "Invalid Host: x"}}, 403),
    "Django": text("<html><h1>DisallowedHost</h1>Invalid HTTP_HOST header: 'x'", 400),
    "Rails": text("Blocked hosts: x", 403, "text/plain"),
    "Vite": text('Blocked request. This host ("x") is not allowed.', 403, "text/plain"),
    "HTTP": text("Misdirected", 421, "text/plain"),
}


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("refusal", HOSTS.values(), ids=HOSTS)
def test_a_host_name_that_the_server_was_not_told_of_is_named(
    refusal: Behaviour, everywhere: bool, world: World, examined: Examine
) -> None:
    world.at("probe", refusal)
    if everywhere:
        world.at("resource", refusal)
        world.put(f"{world.origin}/.well-known/oauth-protected-resource", refusal)
    report = examined(world.url)
    check = "resource.found" if everywhere else "challenge.status"
    assert only(report, check).fault == "host-refused"
    assert (report.verdict.login, report.verdict.check) == (
        ("fails", check) if everywhere else ("works", "")
    )
    assert ("refuses the host name" in report.verdict.sentence) is everywhere


PAGES = {
    "Cognito": (redirect("/error?error=redirect_mismatch&client_id=x", 302), "redirect_mismatch"),
    "Entra": (
        text(r'<html><script>$Config={"strServiceExceptionMessage":"AADSTS50011: \u0022x\u0022"}'),
        'AADSTS50011: "x"',
    ),
    "Keycloak": (
        text("<html><head><title>T</title></head><p>Invalid parameter: redirect_uri</p>", 400),
        "“Invalid parameter: redirect_uri”",
    ),
}


@pytest.mark.parametrize("provider", PAGES)
def test_an_error_page_is_known_and_quoted(provider: str, world: World, examined: Examine) -> None:
    page, words = PAGES[provider]
    world.at("authorize", page)
    report = examined(world.url, register=True)
    ended = only(report, "trial.authorization", "error")
    assert ended.fault == "authorize-refused"
    assert words in ended.came
    assert exit_code_of(report) == 9


@pytest.mark.parametrize(
    "page",
    [
        text('<html><script>$Config={"strServiceExceptionMessage":""}'),
        text('<html><script>$Config={"strServiceExceptionMessage":null}'),
        redirect("/login?error=&next=x", 302),
        redirect("/login?error", 302),
    ],
    ids=["no error", "null", "an empty error", "an error without a value"],
)
def test_a_page_to_sign_in_at_is_none(page: Behaviour, world: World, examined: Examine) -> None:
    world.at("authorize", page)
    assert only(examined(world.url, register=True), "endpoint.authorization").level == "ok"


def test_a_refusal_for_programs_is_no_sign_in_page(world: World, examined: Examine) -> None:
    world.at("authorize", document({"error": "unauthorized"}, 401))
    report = examined(world.url, register=True)
    assert only(report, "trial.authorization", "error").fault == "authorize-refused"
    world.at("authorize", html(403))  # a filter that may let browsers through
    assert examined(world.url, register=True).verdict.login == "works"


def test_what_stands_behind_the_first_fault_is_named_too(world: World, examined: Examine) -> None:
    resource(resource="https://other.example/mcp")(world)
    server(code_challenge_methods_supported=None)(world)
    report = examined(world.url)
    errors = {f.check: f.fault for f in report.findings if f.level == "error"}
    assert errors == {"resource.metadata": "resource-other", "issuer.pkce": "no-pkce"}
    assert report.verdict.check == "resource.metadata"
    assert exit_code_of(report) == 5


def test_the_servers_own_places_are_read_where_the_named_one_is_refused(
    world: World, examined: Examine
) -> None:
    world.at("probe", challenge("http://mcp.example.com/meta"))
    report = examined(world.url)
    assert report.verdict.check == "challenge.header"
    assert exit_code_of(report) == 5
    assert only(report, "issuer.pkce").level == "ok"


def test_an_open_server_gets_one_sentence_and_no_warnings(world: World, examined: Examine) -> None:
    world.at("probe", world.usual("answer"))
    world.at("resource", text("nothing", 404))
    report = examined(world.url)
    assert report.verdict.login == "not-required"
    assert exit_code_of(report) == 0
    levels = {f.level for f in report.findings if not f.check.startswith("local.")}
    assert levels == {"note"}


def test_a_trial_goes_to_the_sign_in_page_and_no_further(world: World, examined: Examine) -> None:
    world.at("authorize", text("<html>sign in", 200))
    report = examined(world.url, register=True)
    assert only(report, "endpoint.authorization").level == "ok"
    assert world.visited.count("authorize") == 1
    codes = [body for name, body in world.bodies if name == "token" and body]
    assert all(b"made-up-code" in body for body in codes)


@pytest.mark.parametrize(
    ("answer", "fault", "doubt"),
    [
        (text("Internal Server Error", 500), "token-fails", "may fail"),
        (html(429), "rate-limited", "works"),
        (document({"error": "server_error"}, 500), "token-unfit", "works"),
    ],
)
def test_a_token_endpoint_in_trouble_may_be_in_it_for_a_made_up_code_only(
    answer: Behaviour, fault: str, doubt: str, world: World, examined: Examine
) -> None:
    world.at("token", answer)
    report = examined(world.url)
    found = only(report, "endpoint.token")
    assert (found.level, found.fault) == ("warning", fault)
    assert f"A login {doubt}" in report.verdict.sentence
    assert exit_code_of(report) == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("invalid_request", "grant_type is unknown to this client"),
        ("invalid_request", "the code is missing"),
        ("invalid_grant", "no code for the grant_type authorization_code"),
    ],
)
def test_a_refusal_of_what_was_made_up_is_none_of_the_form(
    code: str, words: str, world: World, examined: Examine
) -> None:
    refusal = {"error": code, "error_description": words}
    world.at("token", document(refusal, 400))
    assert only(examined(world.url), "endpoint.token").level == "ok"


@pytest.mark.parametrize(
    ("error", "fault"),
    [("invalid_scope", "scope-refused"), ("invalid_target", "resource-refused")],
)
def test_what_the_sign_in_page_refuses_ends_the_login(
    world: World, examined: Examine, error: str, fault: str
) -> None:
    world.at("authorize", world.callback(error=error, code=None))
    report = examined(world.url, register=True)
    assert only(report, "trial.authorization").fault == fault
    assert exit_code_of(report) == 4


def test_a_page_that_refuses_the_trial_client_leads_nowhere(
    world: World, examined: Examine
) -> None:
    reason = {"error": "invalid_request", "error_description": "no connections enabled"}
    world.at("authorize", document(reason, 400))
    report = examined(world.url, register=True)
    assert "no connections enabled" in only(report, "trial.authorization").came
    assert only(report, "trial.authorization").fault == "authorize-refused"
    assert exit_code_of(report) == 9


def without(parameters: Behaviour, whole: Behaviour) -> Callable[[World], None]:
    """A sign-in page that answers a request without parameters differently."""

    def answer(exchange: Exchange) -> None:
        (whole if exchange.query.get("client_id") else parameters)(exchange)

    return lambda world: world.at("authorize", answer)


@pytest.mark.parametrize(
    ("bare", "whole", "level", "fault", "code"),
    [
        (500, 500, "warning", "authorize-fails", 0),  # for a client that is not known
        (500, 400, "note", "", 0),
        (502, 400, "note", "", 0),
        (502, 500, "warning", "authorize-fails", 0),
        (502, 504, "error", "authorize-fails", 9),
        (429, 400, "warning", "rate-limited", 0),
    ],
)
def test_a_failing_sign_in_page_is_asked_as_a_client_asks(
    bare: int, whole: int, level: str, fault: str, code: int, world: World, examined: Examine
) -> None:
    without(html(bare), html(whole))(world)
    report = examined(world.url)
    found = only(report, "endpoint.authorization")
    assert (found.level, found.fault) == (level, fault)
    assert exit_code_of(report) == code
    fails = fault == "authorize-fails"
    assert report.verdict.sentence.startswith("A login works here") is not fails
    assert ("authorization endpoint" in report.verdict.sentence) is fails


def test_a_failing_sign_in_page_that_no_login_of_ours_comes_to_leaves_the_verdict(
    world: World, examined: Examine
) -> None:
    other = world.issuer + "/tenant"
    resource(authorization_servers=[world.issuer, other])(world)
    page = other + "/authorize"
    told = world.server_metadata(issuer=other, authorization_endpoint=page)
    world.put(f"{world.issuer}/.well-known/oauth-authorization-server/tenant", document(told))
    world.put(page, html(500))
    report = examined(world.url)
    assert "authorize-fails" in {finding.fault for finding in report.findings}
    assert report.verdict.sentence.startswith("A login works here")


@pytest.mark.parametrize(
    "led",
    ["http://0.0.0.0:3000/login?next=planted-secret", "https://3f2a9c1b7d42:3000/auth/login"],
)
def test_a_sign_in_page_at_an_address_of_the_container_ends_a_login(
    led: str, world: World, examined: Examine
) -> None:
    world.at("authorize", redirect(led))
    report = examined(world.url, register=True)
    ended = only(report, "trial.authorization", "error")
    assert ended.fault == "authorize-internal"
    assert led.partition("?")[0] in report.verdict.sentence
    assert exit_code_of(report) == 9
    assert "planted" not in str(report)


@pytest.mark.parametrize(
    "led", ["/login", "https://sso.example.com/login", "http://localhost:3000/login"]
)
def test_a_sign_in_page_elsewhere_is_none(led: str, world: World, examined: Examine) -> None:
    world.at("authorize", redirect(led))
    assert only(examined(world.url, register=True), "endpoint.authorization").level == "ok"


@pytest.mark.parametrize(
    ("status", "fault"),
    [(500, "authorize-fails"), (404, "authorize-absent"), (429, "rate-limited")],
)
def test_what_fails_for_a_client_that_is_registered_ends_a_login(
    status: int, fault: str, world: World, examined: Examine
) -> None:
    world.at("authorize", html(status))
    report = examined(world.url, register=True)
    ended = only(report, "trial.authorization", "error")
    assert ended.fault == fault
    assert "redirect URI" not in ended.remedy
    assert exit_code_of(report) == 9


@pytest.mark.parametrize(
    ("back", "why"),
    [
        ("?error=invalid_scope", "return “state”"),
        ("?code=c&state=another", ""),
        ("#code=c&state=s", "return the parameters in the query"),
    ],
)
def test_a_page_that_leads_back_without_the_answer_ends_a_login(
    world: World, examined: Examine, back: str, why: str
) -> None:
    def lead_back(exchange: Exchange) -> None:
        where = exchange.query.get("redirect_uri", "") + back
        exchange.reply(302, headers=[("Location", where)])

    world.at("authorize", lead_back)
    report = examined(world.url, register=True)
    ended = only(report, "trial.authorization", "error")
    assert "not with the answer" in ended.came
    assert why in ended.remedy
    assert report.verdict.login == "fails"
    assert not [each for each in report.findings if "the check itself failed" in each.came]


@pytest.mark.parametrize(
    ("policy", "fault"),
    [("Trusted Hosts", "registration-refused"), ("Allowed Client Scopes", "scope-refused")],
)
def test_a_policy_of_keycloak_is_told_by_its_name(
    policy: str, fault: str, world: World, examined: Examine
) -> None:
    why = f"Policy '{policy}' rejected request to client-registration service."
    refusal = {"error": "insufficient_scope", "error_description": why}
    world.at("register", document(refusal, 403))
    found = only(examined(world.url, register=True), "registration.answer", "error")
    assert found.fault == fault
    assert policy in found.paste


@pytest.mark.parametrize(
    ("answer", "fault", "code"),
    [
        (html(403), "registration-blocked", 4),
        (html(429), "rate-limited", 6),
        (document({"data": {"client_id": "dyn"}}, 201), "registration-unfit", 8),
        (redirect("/accounts/login/?next=x", 302), "registration-blocked", 8),
        (document({"error": "invalid_scope"}, 400), "scope-refused", 4),
        (document({"error": "invalid_client_metadata"}, 400), "registration-refused", 4),
    ],
)
def test_a_registration_is_called_refused_only_where_it_is(
    world: World, examined: Examine, answer: Behaviour, fault: str, code: int
) -> None:
    world.at("register", answer)
    report = examined(world.url, register=True)
    assert only(report, "registration.answer", "error").fault == fault
    assert exit_code_of(report) == code


@pytest.mark.parametrize("refuses", [refused_in_rpc, refused_in_a_stream])
def test_a_server_that_refuses_in_json_rpc_and_has_no_metadata_is_not_open(
    refuses: Callable[[World], None], world: World, examined: Examine
) -> None:
    refuses(world)
    world.at("resource", text("nothing", 404))
    report = examined(world.url)
    assert (report.verdict.login, report.verdict.check) == ("fails", "resource.found")
    assert exit_code_of(report) == 8


def test_a_registration_that_is_answered_200_is_a_warning(world: World, examined: Examine) -> None:
    world.at("register", document({"client_id": "dyn", "token_endpoint_auth_method": "none"}, 200))
    found = only(examined(world.url, register=True), "registration.answer")
    assert (found.level, found.fault) == ("warning", "registration-status")


def test_no_code_and_no_client_is_sent_to_a_token_endpoint_twice(
    world: World, examined: Examine
) -> None:
    examined(world.url)
    sent = [body for name, body in world.bodies if name == "token" and body]
    assert len(sent) == 1
    assert b"made-up-code" in sent[0]


def test_a_server_that_protects_some_methods_and_says_nowhere_where_is_no_open_one(
    world: World, examined: Examine
) -> None:
    partly(world)
    world.at("resource", text("nothing", 404))
    report = examined(world.url)
    assert report.verdict.sentence.startswith("Clients do not log in here: initialize is open")
    assert only(report, "challenge.methods").level == "warning"
