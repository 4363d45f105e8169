"""Other clients at a server that can be talked to: what is sent for them, and what is found."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mcp_client_auth.doctor.clients.facts import chosen
from mcp_client_auth.doctor.report import Report
from mcp_client_auth.protocol.registration import PreRegistered
from mcp_client_auth.testing import DemoServer
from tests.support.findings import Examine, only
from tests.support.hostile import Exchange, World, document, html, reset

TOKEN = "planted-registration-token"


def outcomes(report: Report) -> dict[str, str]:
    return {verdict.client.id: verdict.outcome for verdict in report.clients}


def test_nothing_is_asked_for_others_unless_they_are_named(world: World, examined: Examine) -> None:
    report = examined(world.url)
    assert report.clients == ()
    assert "clients" not in report.as_json(0)
    before = len(world.visited)
    examined(world.url, clients=chosen(["zed", "vscode"]))
    assert world.visited.count("probe") - world.visited[:before].count("probe") <= 4


def test_what_is_hosted_elsewhere_cannot_come_to_this_machine(
    world: World, examined: Examine
) -> None:
    report = examined(world.url, clients=chosen(["claude", "zed"]))
    finding = only(report, "client.claude", "warning")
    assert finding.came.startswith("fails at step 1, request: it connects from the vendor's")
    assert only(report, "client.zed").came.startswith("not known: it registers with http://127.")
    assert report.as_json(0)["clients"][0]["facts"][0]["fact"] == "connects_from"


def test_each_client_registers_with_its_own_body_and_is_deleted(
    world: World, examined: Examine
) -> None:
    bodies: list[dict[str, object]] = []
    deleted: list[str] = []

    def register(exchange: Exchange) -> None:
        body = json.loads(exchange.body)
        bodies.append(body)
        uri = world.issuer + f"/register/{len(bodies)}"
        world.put(uri, delete)
        answer = {
            **body,
            "client_id": f"dyn-{len(bodies)}",
            "client_secret": "planted-client-secret",
            "registration_client_uri": uri,
            "registration_access_token": TOKEN,
        }
        exchange.reply(201, json.dumps(answer).encode())

    def delete(exchange: Exchange) -> None:
        deleted.append(exchange.command + " " + exchange.path)
        exchange.reply(204)

    world.at("register", register)
    report = examined(world.url, clients=chosen(["cursor", "cline", "claude"]), register=True)
    names = [body["client_name"] for body in bodies]
    assert names == ["mcp-client-auth", "Claude", "Cursor", "Cline"]
    assert bodies[2]["redirect_uris"][0].startswith("cursor://")  # type: ignore[index]
    assert deleted == [f"DELETE /register/{n}" for n in (1, 2, 3, 4)]
    assert outcomes(report) == {"claude": "fails", "cursor": "works", "cline": "works"}
    assert "planted" not in json.dumps(report.as_json(0))


def refused_page(world: World, uri: str) -> Callable[[Exchange], None]:
    """An authorization endpoint that knows one redirect URI."""

    def answer(exchange: Exchange) -> None:
        if exchange.query.get("redirect_uri", uri) == uri:
            exchange.reply(200, b"<html>sign in</html>", "text/html")
        else:
            exchange.reply(400, b"<html>unknown redirect URI</html>", "text/html")

    return answer


def test_the_sign_in_page_is_asked_with_the_redirect_uri_of_each(
    world: World, examined: Examine
) -> None:
    world.at("authorize", refused_page(world, "http://127.0.0.1:1456/mcp/oauth/callback"))
    report = examined(world.url, clients=chosen(["cline", "mcp-remote"]), register=True)
    assert outcomes(report) == {"cline": "works", "mcp-remote": "fails"}
    (verdict,) = [each for each in report.clients if each.outcome == "fails"]
    assert verdict.because.startswith(
        "step 9, authorization-request: the authorization endpoint refuses it: HTTP 400 with"
    )


def test_an_error_on_the_way_back_is_a_refusal(world: World, examined: Examine) -> None:
    world.at("authorize", world.callback(code=None, error="invalid_scope"))
    (verdict,) = examined(world.url, clients=chosen(["cline"]), register=True).clients
    assert verdict.because.endswith("refuses it: invalid_scope")


def test_a_client_with_a_document_is_asked_about_and_never_registered(
    world: World, examined: Examine
) -> None:
    asked: list[str] = []

    def authorize(exchange: Exchange) -> None:
        asked.append(exchange.query.get("client_id", ""))
        exchange.reply(400, b"cannot fetch the document", "text/plain")

    metadata = world.server_metadata(
        client_id_metadata_document_supported=True,
        token_endpoint_auth_methods_supported=["none"],
    )
    world.at("server", document(metadata))
    world.at("authorize", authorize)
    quiet = examined(world.url, clients=chosen(["zed"]))
    assert outcomes(quiet) == {"zed": "works"}
    assert not [each for each in asked if "zed.dev" in each]
    report = examined(world.url, clients=chosen(["zed"]), register=True)
    assert "https://zed.dev/oauth/client-metadata.json" in asked
    assert outcomes(report) == {"zed": "fails"}
    bodies = [json.loads(body) for name, body in world.bodies if name == "register" and body]
    assert "Zed" not in [body["client_name"] for body in bodies]


def test_a_client_of_the_operators_own_is_tried_with_the_redirect_uri_of_each(
    world: World, examined: Examine
) -> None:
    world.at("server", document(world.server_metadata(registration_endpoint=None)))
    world.at("authorize", refused_page(world, "http://127.0.0.1:1456/mcp/oauth/callback"))
    clients = chosen(["cline", "mcp-remote"])
    assert set(outcomes(examined(world.url, clients=clients)).values()) == {"setup"}
    report = examined(world.url, clients=clients, identity=PreRegistered("registered"))
    assert outcomes(report) == {"cline": "works", "mcp-remote": "fails"}
    assert not any(name == "register" and body for name, body in world.bodies)


def test_pages_need_what_browsers_ask_for(world: World, examined: Examine) -> None:
    inspector, page = examined(world.url, clients=chosen(["page", "inspector-1"])).clients
    assert (inspector.client.id, page.client.id) == ("inspector-1", "page")
    assert inspector.outcome == page.outcome == "fails"
    said = [point.because for point in page.points if point.outcome == "fails"]
    assert len(said) == 4  # the endpoint, two documents, and registration
    assert len([point for point in inspector.points if point.outcome == "fails"]) == 3
    assert all(each.startswith("it runs in a page, which may not use http://") for each in said)
    assert not [name for name in world.visited if name == "elsewhere"]


def test_a_client_that_stays_is_named(world: World, examined: Examine) -> None:
    report = examined(world.url, clients=chosen(["cline"]), register=True)
    (verdict,) = report.clients
    assert verdict.outcome == "works"
    (left,) = [point for point in verdict.points if point.outcome == "note" and point.step == 8]
    assert left.because.startswith("the client “dyn” stays registered")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (document({"error": "invalid_redirect_uri", "error_description": "no"}, 400), "“no”"),
        (html(403), "HTTP 403"),
        (document({"error": "invalid_client_metadata"}, 200), "invalid_client_metadata"),
        (document({}, 201), "no client_id"),
    ],
    ids=["refused", "filtered", "an error with 200", "empty"],
)
def test_a_refused_registration_is_where_it_ends(
    world: World, examined: Examine, answer: object, says: str
) -> None:
    world.at("register", answer)  # type: ignore[arg-type]
    report = examined(world.url, clients=chosen(["cline"]), register=True)
    (verdict,) = report.clients
    assert verdict.outcome == "fails"
    assert verdict.because.startswith("step 8, registration: ")
    assert says in verdict.because


def test_a_server_in_trouble_refuses_nobody(world: World, examined: Examine) -> None:
    world.at("register", html(503))
    (verdict,) = examined(world.url, clients=chosen(["cline"]), register=True).clients
    assert (verdict.outcome, verdict.because) == ("unknown", "its registration met HTTP 503")


def test_nothing_is_registered_where_our_own_login_would_not(
    world: World, examined: Examine
) -> None:
    """VS Code compares no issuer; we do, and send nothing to who claims to be another."""
    changed = world.server_metadata(issuer="https://else.example.com")
    world.at("server", document(changed))
    report = examined(world.url, clients=chosen(["vscode"]), register=True)
    assert outcomes(report) == {"vscode": "unknown"}
    assert not any(name == "register" and body for name, body in world.bodies)


def test_a_filter_of_user_agents_is_found(world: World, examined: Examine) -> None:
    usual = world.usual("probe")

    def filtered(exchange: Exchange) -> None:
        if "openai" in exchange.headers["User-Agent"]:
            exchange.reply(403, b"no bots", "text/plain")
        else:
            usual(exchange)

    world.at("probe", filtered)
    (verdict,) = examined(world.url, clients=chosen(["chatgpt"])).clients
    said = [point.because for point in verdict.points if point.outcome == "fails"]
    assert "a request as openai-mcp/1.0.0 (ChatGPT) gets HTTP 403, without that HTTP 401" in said


def test_where_no_login_is_required_nobody_is_judged(world: World, examined: Examine) -> None:
    world.at("probe", world.usual("answer"))
    assert examined(world.url, clients=chosen(["all"])).clients == ()


def test_the_demo_server_suits_those_that_come_from_this_machine(examined: Examine) -> None:
    with DemoServer() as server:
        report = examined(server.url, clients=chosen(["all"]), register=True)
    found = outcomes(report)
    assert {found[name] for name in ("zed", "codex", "vscode", "claude-code")} == {"works"}
    assert found["claude"] == found["chatgpt"] == "fails"


def test_a_host_that_does_not_answer_costs_one_time_limit(world: World, examined: Examine) -> None:
    """It is asked once, whatever the clients ask of it."""
    world.at("server", reset)
    world.put(world.issuer + "/.well-known/openid-configuration", reset)
    before = len(world.visited)
    examined(world.url)
    alone, before = len(world.visited) - before, len(world.visited)
    report = examined(world.url, clients=chosen(["all"]), register=True)
    places = 2 + 4 + 3  # of the resource, user agents, and of its own origin
    assert len(world.visited) - before <= alone + places
    assert {each.outcome for each in report.clients} == {"fails"}
