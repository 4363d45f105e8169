"""What each client would meet at a server that is not as everybody wants it: a table of verdicts.

A scene is what an examination has seen. Each fact of each client changes a verdict somewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from mcp_client_auth.doctor.clients.facts import ClientFacts, Fact, catalogue
from mcp_client_auth.doctor.clients.rules import judge
from mcp_client_auth.doctor.clients.seen import Page, Seen, Trial
from mcp_client_auth.doctor.clients.verdict import ClientVerdict
from mcp_client_auth.secret import Secret

HOST, ISSUER = "https://mcp.example.com", "https://auth.example.com/tenant"
URL = HOST + "/mcp"
PATH = HOST + "/.well-known/oauth-protected-resource/mcp"
ROOT = HOST + "/.well-known/oauth-protected-resource"
ELSEWHERE = "https://static.example.com/resource.json"
OAUTH = "https://auth.example.com/.well-known/oauth-authorization-server/tenant"
OPENID = "https://auth.example.com/.well-known/openid-configuration/tenant"
APPENDED = ISSUER + "/.well-known/openid-configuration"
HOME = HOST + "/.well-known/oauth-authorization-server"
CLIENTS: Final = catalogue().clients
RESOURCE: Final[dict[str, Any]] = {"resource": URL, "authorization_servers": [ISSUER]}
SERVER: Final[dict[str, Any]] = {
    "issuer": ISSUER,
    "authorization_endpoint": ISSUER + "/authorize",
    "token_endpoint": ISSUER + "/token",
    "registration_endpoint": ISSUER + "/register",
    "code_challenge_methods_supported": ["S256"],
    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
    "scopes_supported": ["read", "offline_access"],
    "client_id_metadata_document_supported": True,
    "authorization_response_iss_parameter_supported": True,
}
TAKEN = Trial(grant_types=("authorization_code", "refresh_token"))
ADDRESSES = {"mcp.example.com": ("8.8.8.8",), "auth.example.com": ("8.8.4.4", "2001:4860:4860::1")}


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def seen(
    resource: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    *,
    at: str = PATH,
    server_at: str = OAUTH,
    more: dict[str, Page] | None = None,
    **others: Any,
) -> Seen:
    """A server that everybody is content with, but for what is named."""
    pages = {server_at: Page("a document", SERVER if server is None else server)}
    if at:
        pages[at] = Page("a document", RESOURCE if resource is None else resource)
    usual: dict[str, Any] = {
        "named": at or PATH,
        "scopes": ("read",),
        "pages": {**pages, **(more or {})},
        "addresses": ADDRESSES,
        "trials": dict.fromkeys(CLIENTS, TAKEN),
    }
    return Seen(URL, **{**usual, **others})


def at_home(**changes: Any) -> dict[str, Page]:
    """Metadata of an authorization server on the server's own origin."""
    return {HOME: Page("a document", {**SERVER, "issuer": HOST, **changes})}


NO_DOCUMENT = without(SERVER, "client_id_metadata_document_supported")
BY_HAND = without(NO_DOCUMENT, "registration_endpoint")
SECOND = {**RESOURCE, "authorization_servers": ["https://other.example.com", ISSUER]}
SCENES: Final[dict[str, Seen]] = {
    "as everybody wants it": seen(),
    "a private address": seen(addresses={**ADDRESSES, "mcp.example.com": ("10.0.0.5",)}),
    "one private address of two": seen(
        addresses={**ADDRESSES, "mcp.example.com": ("8.8.8.8", "10.0.0.5")}
    ),
    "IPv6 only": seen(addresses={**ADDRESSES, "auth.example.com": ("2001:4860:4860::1",)}),
    "a name that is not known here": seen(addresses={}),
    "bots are kept out": seen(
        agents={"Claude-User": 403, "Python/3.12 aiohttp/3.13.3": 429, "openai": 401}
    ),
    "a 403": seen(status=403),
    "a 200": seen(status=200),
    "a 404": seen(status=404),
    "a bare 401": seen(challenged=False, named="", scopes=()),
    "metadata elsewhere": seen(at=ELSEWHERE),
    "metadata at the root": seen(at=ROOT, named="", challenged=False),
    "the header leads nowhere": seen(named=ELSEWHERE),
    "no resource metadata": seen(at="", named="", more=at_home()),
    "no metadata at all": seen(at="", named="", server_at="https://unused.example/"),
    "resource with a slash": seen({**RESOURCE, "resource": URL + "/"}),
    "resource of the origin": seen({**RESOURCE, "resource": HOST}),
    "resource of the origin, served at home": seen(
        {**RESOURCE, "resource": HOST, "authorization_servers": [HOST]}, more=at_home()
    ),
    "resource in capitals": seen({**RESOURCE, "resource": "HTTPS://MCP.example.com/mcp"}),
    "resource of another host": seen({**RESOURCE, "resource": "https://else.example.com/mcp"}),
    "no resource": seen(without(RESOURCE, "resource")),
    "no authorization server": seen(without(RESOURCE, "authorization_servers")),
    "the second one works": seen(SECOND),
    "OpenID only": seen(server_at=OPENID),
    "OpenID appended only": seen(server_at=APPENDED),
    "no authorization server metadata": seen(server_at="https://unused.example/"),
    "issuer with a slash": seen(
        {**RESOURCE, "authorization_servers": [HOST + "/"]}, more=at_home()
    ),
    "another issuer": seen(server={**SERVER, "issuer": "https://else.example.com"}),
    "no S256": seen(server={**SERVER, "code_challenge_methods_supported": ["plain"]}),
    "no list of PKCE": seen(server=without(SERVER, "code_challenge_methods_supported")),
    "no token endpoint": seen(server=without(SERVER, "token_endpoint")),
    "no method none": seen(
        server={**SERVER, "token_endpoint_auth_methods_supported": ["client_secret_post"]}
    ),
    "documents only": seen(server=without(SERVER, "registration_endpoint")),
    "registration only": seen(server=NO_DOCUMENT),
    "registration, not tried": seen(server=NO_DOCUMENT, trials={}),
    "registration is refused": seen(
        server=NO_DOCUMENT, trials=dict.fromkeys(CLIENTS, Trial("HTTP 400", "invalid_redirect_uri"))
    ),
    "registration is down": seen(
        server=NO_DOCUMENT, trials=dict.fromkeys(CLIENTS, Trial("HTTP 503", passing=True))
    ),
    "registration drops a redirect URI": seen(
        server=NO_DOCUMENT,
        trials=dict.fromkeys(CLIENTS, replace(TAKEN, redirect_uris=("http://127.0.0.1/",))),
    ),
    "registration without refresh": seen(
        server=NO_DOCUMENT,
        trials=dict.fromkeys(CLIENTS, replace(TAKEN, grant_types=("authorization_code",))),
    ),
    "the sign-in page refuses": seen(
        trials=dict.fromkeys(CLIENTS, replace(TAKEN, page="HTTP 400 with a page"))
    ),
    "a certificate of one's own": seen(untrusted=frozenset([HOST])),
    "a client is left over": seen(
        server=NO_DOCUMENT, trials=dict.fromkeys(CLIENTS, replace(TAKEN, left_over="it stays"))
    ),
    "no way to a client": seen(server=BY_HAND),
    "a client of the operator's own": seen(server=BY_HAND, client_id="own", trials={}),
    "no iss": seen(server=without(SERVER, "authorization_response_iss_parameter_supported")),
    "the server's scopes": seen(server={**SERVER, "scopes_supported": ["a", "b"]}, scopes=()),
    "slow": seen(more={OAUTH: Page("a document", SERVER, 12.0)}),
    "closed to pages": seen(closed={PATH: "no Access-Control-Allow-Origin"}),
    "endpoint closed to pages": seen(closed={URL: "HTTP 405 to OPTIONS"}),
}
# Who does not come through, and at which step; of the scenes that are not here everybody does.
EXPECTED = """
as everybody wants it
a private address | fails: claude 1, chatgpt 1
one private address of two | fails: claude 1
IPv6 only | fails: claude 5
a name that is not known here | unknown: claude 1, chatgpt 1
bots are kept out | fails: claude 1, chatgpt 1
a 403 | fails: claude 2 | unknown: chatgpt 2, cursor 2, inspector 2, inspector-1 2, page 2, mcp-remote 2, codex 2, copilot-cli 2, zed 2, goose 2, gemini-cli 2, opencode 2, cline 2, librechat 2, open-webui 2, n8n 2
a 200 | unknown: claude 2, chatgpt 2, claude-code 2, cursor 2, vscode 2, inspector 2, inspector-1 2, page 2, mcp-remote 2, codex 2, copilot-cli 2, zed 2, goose 2, gemini-cli 2, opencode 2, cline 2, librechat 2, open-webui 2, n8n 2
a 404 | fails: claude 2, chatgpt 2, claude-code 2, cursor 2, vscode 2, inspector 2, inspector-1 2, page 2, mcp-remote 2, codex 2, copilot-cli 2, zed 2, goose 2, gemini-cli 2, opencode 2, cline 2, librechat 2, open-webui 2, n8n 2
a bare 401 | fails: claude 2 | unknown: cursor 3, copilot-cli 2
metadata elsewhere | fails: zed 3, librechat 5 | unknown: claude-code 3, codex 5, copilot-cli 3, goose 5, n8n 3
metadata at the root | fails: claude 2 | unknown: cursor 3, copilot-cli 2, n8n 3
the header leads nowhere | fails: vscode 3, inspector 3, inspector-1 3, page 3, opencode 3, cline 3 | unknown: cursor 3, copilot-cli 3
no resource metadata | fails: claude 2, chatgpt 3, zed 3 | unknown: cursor 3, copilot-cli 2, open-webui 3, n8n 3
no metadata at all | fails: claude 2, chatgpt 3, zed 3, librechat 5 | unknown: claude-code 5, cursor 3, vscode 5, inspector 5, inspector-1 5, page 5, mcp-remote 5, codex 5, copilot-cli 2, goose 5, gemini-cli 5, opencode 5, cline 5, open-webui 3, n8n 3
resource with a slash | fails: claude 4, vscode 4, gemini-cli 4 | unknown: chatgpt 4, cursor 4, copilot-cli 4, open-webui 4, n8n 4
resource of the origin | fails: claude 4, vscode 4, gemini-cli 4 | unknown: chatgpt 4, cursor 4, copilot-cli 4, open-webui 4, n8n 4
resource of the origin, served at home | fails: claude 4, gemini-cli 4 | unknown: chatgpt 4, cursor 4, copilot-cli 4, open-webui 4, n8n 4
resource in capitals | fails: claude 4 | unknown: chatgpt 4, cursor 4, copilot-cli 4, open-webui 4, n8n 4
resource of another host | fails: claude 4, claude-code 4, vscode 4, inspector 4, inspector-1 4, page 4, mcp-remote 4, codex 4, goose 4, gemini-cli 4, opencode 4, cline 4, librechat 4 | unknown: chatgpt 4, cursor 4, copilot-cli 4, open-webui 4, n8n 4
no resource | fails: claude 4, claude-code 4, vscode 4, inspector 4, inspector-1 4, page 4, mcp-remote 4, codex 4, goose 4, gemini-cli 4, opencode 4, cline 4, librechat 4 | unknown: chatgpt 4, cursor 4, copilot-cli 4, open-webui 4, n8n 4
no authorization server | fails: claude 4, chatgpt 4, claude-code 4, cursor 4, vscode 4, inspector 4, inspector-1 4, page 4, mcp-remote 4, codex 4, copilot-cli 4, zed 4, goose 4, gemini-cli 4, opencode 4, cline 4, librechat 4, open-webui 4, n8n 4
the second one works | fails: claude 5, claude-code 5, vscode 5, inspector 5, inspector-1 5, page 5, mcp-remote 5, zed 5, gemini-cli 5, opencode 5, cline 5, librechat 5 | unknown: cursor 5, copilot-cli 5, open-webui 5, n8n 5
OpenID only | fails: chatgpt 5 | unknown: claude-code 5, cursor 5, codex 5, copilot-cli 5, goose 5, open-webui 5, n8n 5
OpenID appended only | unknown: claude-code 5, cursor 5, codex 5, copilot-cli 5, goose 5, open-webui 5, n8n 5
no authorization server metadata | fails: claude 5, chatgpt 5, claude-code 5, cursor 5, vscode 5, inspector 5, inspector-1 5, page 5, mcp-remote 5, codex 5, copilot-cli 5, zed 5, goose 5, gemini-cli 5, opencode 5, cline 5, librechat 5, open-webui 5, n8n 5
issuer with a slash | fails: chatgpt 6, inspector 6, mcp-remote 6, copilot-cli 6, zed 6 | unknown: claude 6, claude-code 6, cursor 6, inspector-1 6, page 6, opencode 6, cline 6, librechat 6, open-webui 6, n8n 6
another issuer | fails: chatgpt 6, inspector 6, mcp-remote 6, codex 6, copilot-cli 6, zed 6, goose 6 | unknown: claude 6, claude-code 6, cursor 6, inspector-1 6, page 6, opencode 6, cline 6, librechat 6, open-webui 6, n8n 6
no S256 | fails: claude 6, chatgpt 6, claude-code 6, inspector 6, inspector-1 6, page 6, mcp-remote 6, codex 6, zed 6, goose 6, opencode 6, cline 6, librechat 6 | unknown: cursor 6, copilot-cli 6, open-webui 6, n8n 6
no list of PKCE | fails: claude 6, chatgpt 6, claude-code 6, zed 6 | unknown: cursor 6, copilot-cli 6, open-webui 6, n8n 6
no token endpoint | fails: claude 6, chatgpt 6, claude-code 6, cursor 6, vscode 6, inspector 6, inspector-1 6, page 6, mcp-remote 6, codex 6, copilot-cli 6, zed 6, goose 6, gemini-cli 6, opencode 6, cline 6, librechat 6, open-webui 6, n8n 6
no method none
documents only | setup: cursor 7, inspector 7, mcp-remote 7, gemini-cli 7, cline 7, librechat 7, n8n 7 | unknown: inspector-1 7, page 7, open-webui 7
registration only
registration, not tried | unknown: claude 8, chatgpt 8, claude-code 8, cursor 8, vscode 8, inspector 8, inspector-1 8, page 8, mcp-remote 8, codex 8, copilot-cli 8, zed 8, goose 8, gemini-cli 8, opencode 8, cline 8, librechat 8, open-webui 8, n8n 8
registration is refused | fails: claude 8, chatgpt 8, claude-code 8, cursor 8, vscode 8, inspector 8, inspector-1 8, page 8, mcp-remote 8, codex 8, copilot-cli 8, zed 8, goose 8, gemini-cli 8, opencode 8, cline 8, librechat 8, open-webui 8, n8n 8
registration is down | unknown: claude 8, chatgpt 8, claude-code 8, cursor 8, vscode 8, inspector 8, inspector-1 8, page 8, mcp-remote 8, codex 8, copilot-cli 8, zed 8, goose 8, gemini-cli 8, opencode 8, cline 8, librechat 8, open-webui 8, n8n 8
registration drops a redirect URI | fails: cursor 8 | unknown: claude 8, chatgpt 8, claude-code 8, vscode 8, inspector 8, mcp-remote 8, codex 8, copilot-cli 8, zed 8, goose 8, gemini-cli 8, opencode 8, cline 8, librechat 8, open-webui 8, n8n 8
registration without refresh | fails: chatgpt 8
the sign-in page refuses | fails: claude 9, chatgpt 9, claude-code 9, cursor 9, vscode 9, inspector 9, inspector-1 9, page 9, mcp-remote 9, codex 9, copilot-cli 9, zed 9, goose 9, gemini-cli 9, opencode 9, cline 9, librechat 9, open-webui 9, n8n 9
a certificate of one's own | fails: claude 1, chatgpt 1 | unknown: claude-code 1, cursor 1, vscode 1, inspector 1, inspector-1 1, page 1, mcp-remote 1, codex 1, copilot-cli 1, zed 1, goose 1, gemini-cli 1, opencode 1, cline 1, librechat 1, open-webui 1, n8n 1
a client is left over
no way to a client | setup: claude 7, chatgpt 7, claude-code 7, cursor 7, vscode 7, inspector 7, mcp-remote 7, codex 7, copilot-cli 7, gemini-cli 7, opencode 7, cline 7, librechat 7, n8n 7 | unknown: inspector-1 7, page 7, zed 7, goose 7, open-webui 7
a client of the operator's own | unknown: inspector-1 7, page 7, zed 7, goose 7, open-webui 7
no iss
the server's scopes
slow | fails: claude 6
closed to pages | fails: inspector-1 3, page 3
endpoint closed to pages | fails: page 1
"""  # noqa: E501


def verdicts(scene: Seen) -> dict[str, ClientVerdict]:
    return {name: judge(client, scene) for name, client in CLIENTS.items()}


def row(name: str, scene: Seen) -> str:
    """A line of the table: by outcome, who has it and at which step."""
    parts = [name]
    for outcome in ("fails", "setup", "unknown"):
        found = {c: v.deciding for c, v in verdicts(scene).items() if v.outcome == outcome}
        listed = [f"{c} {point.step}" for c, point in found.items() if point]
        parts += [f"{outcome}: {', '.join(listed)}"] if listed else []
    return " | ".join(parts)


def test_the_table_of_verdicts() -> None:
    assert [row(name, scene) for name, scene in SCENES.items()] == EXPECTED.strip().splitlines()


# They say that nothing is out of the ordinary, as if nothing were known.
SILENT: Final = (
    "cors: none",
    "connects_from: machine",
    "connects_from: server",
    "connects_from: page",
    "server_order: oauth-inserted openid-inserted? openid-appended?",
)


def is_silent(fact: Fact) -> bool:
    value = " ".join(map(str, fact.value)) if isinstance(fact.value, list) else fact.value
    return f"{fact.name}: {value}" in SILENT


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.id)
def test_each_fact_changes_what_is_found_somewhere(client: ClientFacts) -> None:
    found = {name: judge(client, scene).points for name, scene in SCENES.items()}
    for fact in client.facts.values():
        others = {name: each for name, each in client.facts.items() if name != fact.name}
        ignorant = replace(client, facts=others)
        changed = (n for n, scene in SCENES.items() if judge(ignorant, scene).points != found[n])
        assert is_silent(fact) or next(changed, ""), fact.name


def test_a_client_of_which_nothing_is_known_works_where_everybody_does() -> None:
    nobody = ClientFacts("new", "New", {})
    server = without(NO_DOCUMENT, "registration_endpoint")
    assert judge(nobody, seen()).outcome == "unknown"  # how it gets a client
    assert {p.step for p in judge(nobody, seen()).points} == {7}
    for scene in SCENES.values():
        judge(nobody, scene)
    assert judge(nobody, seen(server=server)).outcome == "unknown"


def test_a_verdict_names_step_cause_remedy_and_sources() -> None:
    verdict = judge(CLIENTS["claude"], SCENES["resource of the origin"])
    assert verdict.summary == (
        f"fails at step 4, resource-metadata: resource is {HOST} in {PATH}, which it refuses:"
        " it has to be the URL, letter by letter"
    )
    assert verdict.remedies == (f"Set resource to exactly {URL}",)
    told = verdict.as_json()
    assert (told["verdict"], told["step"], told["step_name"]) == ("fails", 4, "resource-metadata")
    (fact,) = [each for each in told["facts"] if each["fact"] == "resource_match"]
    assert fact["value"] == "exact"
    assert fact["sure"] == "vendor"
    assert fact["source"].startswith("claude.com")
    works = judge(CLIENTS["zed"], seen())
    assert (works.summary, works.because, works.remedies) == ("works", "", ())


def test_the_remedy_of_a_refused_registration_is_what_was_refused() -> None:
    codes = "invalid_redirect_uri", "other", ""
    refused = {code: Trial(f"HTTP 400 {code}", code) for code in codes}
    said = [
        judge(CLIENTS["zed"], seen(server=NO_DOCUMENT, trials={"zed": trial})).remedies[0]
        for trial in refused.values()
    ]
    assert said[2].startswith("Look at what answers in front of the registration endpoint")
    assert said[:2] == [
        "Accept its redirect URIs in a registration: http://127.0.0.1:PORT/callback",
        "Accept its registration: token_endpoint_auth_method “none”,"
        " grant_types “authorization_code refresh_token”",
    ]


@pytest.mark.parametrize(
    ("page", "server", "begins"),
    [
        ("HTTP 400 with an HTML page", {}, "Accept the client and its redirect URIs"),
        ("invalid_scope", {}, "Allow every client to request the scopes"),
        ("HTTP 400", {"require_pushed_authorization_requests": True}, "Do not require pushed"),
    ],
)
def test_the_remedy_of_a_refusing_sign_in_page(
    page: str, server: dict[str, Any], begins: str
) -> None:
    scene = seen(server={**SERVER, **server}, trials={"zed": replace(TAKEN, page=page)})
    (remedy,) = judge(CLIENTS["zed"], scene).remedies
    assert remedy.startswith(begins)


def test_nothing_of_a_server_is_shown_that_is_a_secret() -> None:
    secret = Secret("planted-client-secret")
    scene = seen(server=NO_DOCUMENT, trials={"zed": Trial("HTTP 400: planted-client-secret")})
    verdict = judge(CLIENTS["zed"], scene).fit([secret])
    assert "planted" not in str(verdict.as_json())
    assert "HTTP 400" in verdict.because


ODD: Final[tuple[object, ...]] = (
    None,
    7,
    "text",
    [],
    [7],
    {},
    ["\x1b[31m"],
    ["http://[::1"],
    "http://[::1",
)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.id)
def test_what_is_not_of_the_right_type_ends_no_examination(client: ClientFacts) -> None:
    scenes = [seen({**RESOURCE, name: odd}) for name in RESOURCE for odd in ODD]
    scenes += [seen(server={**SERVER, name: odd}) for name in SERVER for odd in ODD]
    for scene in scenes:
        assert "\x1b" not in str(judge(client, scene).as_json())
