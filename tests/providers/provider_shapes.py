"""What a provider does and what it refuses, as data: the fake provider reads it, line by line.

In every text `{mcp}`, `{auth}` and `{other}` are the three origins, `{path}` the server's path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

ANY: Final = "*"
At = Literal["register", "authorize", "token", "refresh"]
Encoding = Literal["json", "form", "form unless JSON is accepted", "nested", "nested, gzip, BOM"]


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Demand:
    """What requests must say there: a text, one that begins so (`begin*`, `ANY`), or None for
    a parameter that must be absent.

    A request that does not is refused with `error` and `text`.
    """

    at: tuple[At, ...]
    name: str
    value: str | None = ANY
    error: str = "invalid_request"
    text: str = ""


@dataclass(frozen=True)
class Known:
    """A client. Its redirect URIs are compared byte for byte, except for the port of those that
    have none (RFC 8252 §7.3)."""

    method: str = "none"
    secret: str = ""
    redirect_uris: tuple[str, ...] = ("http://127.0.0.1/callback",)
    scope: frozenset[str] | None = None


@dataclass(frozen=True)
class Shape:
    """`public`: methods that need no token. `header`: what every request must have besides.

    `resource_at`, `server_at`: where the documents are; `named` is the issuer that the first
    names, `issuer` the one that the second says (`issuer_at`: another one at these places).
    `resource_says`, `server_says`: changes of the documents, None for what is left out.
    `registers`: the answer to a registration; `admits`: the names that may register, any other
    gets `not_admitted`. `proves`: how a registered client really has to authenticate.
    `misses_with`: the error for a missing secret, empty for one that is not OAuth's; `spends`:
    the code is then used up. `bounded`: a client gets the scopes that it registered. `scopes`: all
    that there are. `strangers`: the answer to an unknown client in the browser. `approval`: the
    page, without a way back, for people who are asked for a consent that is not theirs to give.
    `iss`: what responses say it is (RFC 9207). `renews_for`: what the authorization request must
    say for a refresh token; for `scope`, one of its words.
    `silent`: a refresh names no new refresh token. `told`: a parameter of the authorization
    request without which the token is useless. `tools`: their scopes.
    """

    path: str = "/mcp"
    query: str = ""
    challenge: str = 'Bearer resource_metadata="{mcp}/.well-known/oauth-protected-resource{path}"'
    public: tuple[str, ...] = ()
    header: str = ""
    resource_at: tuple[str, ...] = ("{mcp}/.well-known/oauth-protected-resource{path}",)
    resource_says: Mapping[str, Any] = field(default_factory=dict)
    server_at: tuple[str, ...] = ("{auth}/.well-known/oauth-authorization-server",)
    named: str = "{auth}"
    issuer: str = "{auth}"
    server_says: Mapping[str, Any] = field(default_factory=dict)
    issuer_at: Mapping[str, str] = field(default_factory=dict)
    registers: Mapping[str, Any] = field(default_factory=dict)
    admits: tuple[str, ...] = ()
    not_admitted: Answer = Answer(403, "Forbidden", "text/plain")
    proves: str = "none"
    misses_with: str = "invalid_request"
    spends: bool = False
    clients: Mapping[str, Known] = field(default_factory=dict)
    exact_port: bool = False
    bounded: bool = False
    scopes: frozenset[str] | None = None
    demands: tuple[Demand, ...] = ()
    strangers: Answer = Answer(400, "<!DOCTYPE html><title>Unknown client</title>", "text/html")
    approval: Answer | None = None
    iss: str = ""
    renews_for: Mapping[str, str] = field(default_factory=dict)
    encoding: Encoding = "json"
    refuses_with: Literal[400, 200] = 400
    silent: bool = False
    told: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)


def filled(value: Any, places: Mapping[str, str]) -> Any:
    """The value with its placeholders filled in, at any depth."""
    if isinstance(value, str):
        for name, text in places.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, Mapping):
        return {name: filled(inner, places) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, places) for inner in value]
    return value


def changed(usual: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with changes; None takes one out."""
    return {name: v for name, v in {**usual, **changes}.items() if v is not None}
