"""Reports of the doctor as `--json` prints them, for tests of the formats made from them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from mcp_client_auth.doctor.clients.facts import chosen
from mcp_client_auth.doctor.clients.rules import judge
from mcp_client_auth.doctor.clients.seen import Page, Seen
from mcp_client_auth.doctor.report import Finding, Report

URL = "https://mcp.example.com/mcp"
PLACE = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
# What a server may say: markup and other formats' syntax; control characters are removed before.
HOSTILE = "<script>alert(1)</script> ]]> & \" ' | `x` [a](https://evil.example/) @team ![i](x) \\"


def fine(check: str = "challenge.status") -> Finding:
    return Finding(check, "ok", f"POST {URL}, an MCP initialize without a token", "HTTP 401")


def wrong(level: Any = "warning", said: str = "resource is elsewhere", **more: Any) -> Finding:
    return Finding(
        "resource.identifier",
        level,
        f"GET {PLACE}",
        said,
        "the identifier that the well-known URL was made from (RFC 9728 §3.3)",
        "clients that compare strings",
        f"Let resource be {URL}",
        "ResourceMismatch" if level == "error" else "",
        **more,
    )


def others() -> tuple[Any, ...]:
    document = {"resource": URL + "/", "authorization_servers": ["https://auth.example.com"]}
    seen = Seen(URL, named=PLACE, pages={PLACE: Page("a document", document)})
    return tuple(judge(client, seen) for client in chosen(["all"]))


@cache
def reports() -> dict[str, Report]:
    noted = Finding("local.browser", "note", "whether a browser can be opened from here", "no")
    return {
        "well": Report(URL, "1.2", (fine(), noted)),
        "warned": Report(URL, "1.2", (fine(), wrong())),
        "broken": Report(URL, "1.2", (fine(), wrong("error"), wrong())),
        "hostile": Report(URL, "1.2", (wrong("error", HOSTILE), wrong("warning", HOSTILE))),
        "this machine": Report("", "1.2", (noted,)),
        "others": Report(URL, "1.2", (fine(), wrong()), clients=others()),
    }


def told() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, report in reports().items():
        told = report.as_json(5 if report.worst == "error" else 0)
        yield name, told
