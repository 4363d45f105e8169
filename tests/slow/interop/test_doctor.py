"""The doctor at the real servers: what their operators would read."""

from __future__ import annotations

import json
from typing import Any

from tests.slow.interop.person import Person


def examined(person: Person, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    person.extra = {"MCP_CLIENT_AUTH_STORAGE": "file"}
    answer = person.mcp_login("doctor", "--json", *arguments)
    return answer.code, json.loads(answer.out)["findings"], answer.out + answer.err


def those(findings: list[dict[str, Any]], check: str) -> list[dict[str, Any]]:
    found = [each for each in findings if each["check"] == check]
    assert found, [each["check"] for each in findings]
    return found


def test_fastmcp_behind_authkit_has_no_error(person: Person, authkit: str) -> None:
    code, findings, _ = examined(person, authkit, "--register")
    assert code == 0, findings
    assert not [each for each in findings if each["level"] == "error"]
    primary, compatible = those(findings, "issuer.metadata")
    assert primary["level"] == compatible["level"] == "ok"
    assert those(findings, "resource.identifier")[0]["level"] == "ok"
    assert those(findings, "resource.scopes")[0]["level"] == "note"  # an empty list
    assert those(findings, "registration.answer")[0]["level"] in ("ok", "note")
    assert not [each for each in findings if each["level"] == "warning"], findings


def test_a_login_behind_authkit_is_for_this_server(person: Person, authkit: str) -> None:
    person.log_in(authkit)
    token = person.token(authkit)
    code, findings, said = examined(person, authkit)
    assert code == 0, findings
    for check in ("login.token", "login.audience", "login.issuer", "login.lasting"):
        assert those(findings, check)[0]["level"] == "ok", those(findings, check)
    assert token not in said


def test_what_is_known_of_the_sdk_server_is_found(person: Person, sdk: str) -> None:
    code, findings, _ = examined(person, sdk, "--strict")
    assert code == 0, findings
    assert those(findings, "issuer.iss")[0]["level"] == "note"
    for each in those(findings, "endpoint.token"):
        assert each["level"] == "ok"
