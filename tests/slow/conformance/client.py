"""The client under test: what the conformance suite calls as `client.py URL`.

Written on the public surface alone, and blind: the arguments come from the keys of the
context that the suite hands over, never from the scenario's name.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mcp_client_auth import (
    BrowserPrompt,
    ClientCredentials,
    ClientMetadataDocument,
    EnterpriseManaged,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    WorkloadIdentity,
)
from mcp_client_auth.errors import AuthError
from mcp_client_auth.grants.base import Grant
from mcp_client_auth.testing import ScriptedBrowser

CLIENT_ID_DOCUMENT = "https://conformance-test.local/client-metadata.json"
STATELESS_SINCE = "2026-07-28"
TIMEOUT = 25.0

Message: TypeAlias = dict[str, Any]

_UNDERSTOOD = {
    "name", "client_id", "client_secret", "issuer", "private_key_pem", "signing_algorithm",
    "idp_client_id", "idp_id_token", "idp_issuer", "idp_token_endpoint",
    "valid_jwt", "wrong_audience_jwt", "expired_jwt",
}  # fmt: skip


class NotImplementedYet(Exception):
    """The context asks for a grant that the library does not have."""


class UnexpectedAnswer(Exception):
    """The MCP server said something other than a result."""


def arguments(context: Mapping[str, str]) -> dict[str, Any]:
    """What the suite tells a client, as arguments of `MCPAuth`."""
    foreign = sorted(set(context) - _UNDERSTOOD)
    if foreign:
        raise NotImplementedYet(f"no argument for {', '.join(foreign)}")
    if "client_id" not in context:
        return {"client": ClientMetadataDocument(CLIENT_ID_DOCUMENT), "options": Options()}
    given = {"client": client(context), "options": Options(issuer=context.get("issuer", ""))}
    grant = grant_of(context)
    return {**given, "grant": grant, "prompt": None} if grant else given


def client(context: Mapping[str, str]) -> PreRegistered:
    proof: dict[str, Any] = {}
    if "client_secret" in context:
        proof = {"secret": context["client_secret"]}
    if "private_key_pem" in context:
        proof = {"key": context["private_key_pem"], "algorithm": context["signing_algorithm"]}
    return PreRegistered(context["client_id"], **proof)


def grant_of(context: Mapping[str, str]) -> Grant | None:
    """What is there to present; a client with an issuer beside it belongs to a person's login."""
    if "valid_jwt" in context:
        return WorkloadIdentity(assertion=context["valid_jwt"])
    if "idp_id_token" in context:
        return EnterpriseManaged(
            assertion=context["idp_id_token"],
            idp_client=PreRegistered(context["idp_client_id"]),
            idp_issuer=context["idp_issuer"],
            idp_token_endpoint=context["idp_token_endpoint"],
        )
    return None if "issuer" in context else ClientCredentials()


def conversation(version: str) -> list[Message]:
    """The messages of one session; a notification has no id."""
    if version >= STATELESS_SINCE:
        meta = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        return [
            _message(1, "server/discover", {"_meta": meta}),
            _message(2, "tools/list", {"_meta": meta}),
            _message(3, "tools/call", {"name": "test-tool", "arguments": {}, "_meta": meta}),
        ]
    hello = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "mcp-client-auth conformance", "version": "1"},
    }
    return [
        _message(1, "initialize", hello),
        _message(None, "notifications/initialized", {}),
        _message(2, "tools/list", {}),
        _message(3, "tools/call", {"name": "test-tool", "arguments": {}}),
    ]


def talk(url: str, version: str, auth: MCPAuth) -> None:
    library = importlib.import_module(os.environ.get("MCP_CONFORMANCE_HTTP", "httpx"))
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
    }
    with library.Client(auth=auth, headers=headers, timeout=TIMEOUT) as http:
        for message in conversation(version):
            check(message, http.post(url, json=message))


def check(message: Message, answer: Any) -> None:
    """`answer` is a response of httpx or httpx2."""
    method = message["method"]
    if not answer.is_success:
        raise UnexpectedAnswer(f"{method} was answered {answer.status_code}")
    if "id" not in message:
        return
    answered = next((each for each in _messages(answer) if each.get("id") == message["id"]), {})
    if "result" not in answered:
        raise UnexpectedAnswer(f"{method} was answered without a result")


def _message(number: int | None, method: str, params: Message) -> Message:
    message: Message = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if number is None else {**message, "id": number}


def _messages(answer: Any) -> list[Message]:
    if "text/event-stream" not in answer.headers.get("content-type", ""):
        return [answer.json()]
    lines = (line.removeprefix("data:").strip() for line in answer.text.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


def report(ending: Mapping[str, str]) -> None:
    """The last line on stderr, and in a file: the suite shows a client's output only at times."""
    text = json.dumps(ending)
    print(text, file=sys.stderr)
    path = os.environ.get("MCP_CONFORMANCE_REPORT")
    if path:
        Path(path).write_text(text)


def main(url: str) -> int:
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", STATELESS_SINCE)
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    try:
        auth = MCPAuth(
            url,
            storage=MemoryStorage(),
            **{"prompt": BrowserPrompt(open_url=ScriptedBrowser()), **arguments(context)},
        )
        talk(url, version, auth)
    except AuthError as error:
        report({"error": type(error).__name__, "code": error.code, "message": str(error)})
        return 1
    except (NotImplementedYet, UnexpectedAnswer) as error:
        report({"error": type(error).__name__, "code": "", "message": str(error)})
        return 1
    report({"error": "", "code": "", "message": ""})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
