"""The authorization request and its checked response (RFC 6749 §4.1, 7636, 8707, 9207)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from ..errors import (
    AuthorizationDenied,
    BadResponse,
    IssuerMismatch,
    PkceUnsupported,
    Unavailable,
    UsageError,
    quoted,
)
from ..secret import Secret, masked
from . import _authlib
from .discovery import Discovery
from .document import error_code
from .metadata import ServerMetadata
from .options import Options
from .registration import Client
from .scopes import OFFLINE, Scopes
from .urls import shown

_MOST_FIELDS: Final = 50
_LATER: Final = ("server_error", "temporarily_unavailable")
_NO_SUCH_SCOPE: Final = "AADSTS650053"  # Entra ID's words, under several codes
_RESOURCE: Final = re.compile(r"\bresource\b", re.IGNORECASE)


class Unrelated(Exception):
    """An answer to some other request, or a forged one: it is ignored and the wait goes on."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One authorization request; `url` is what the browser opens.

    It holds everything that its answer is checked against and exchanged with, so that no
    answer can be taken to another issuer (RFC 9700 §4.4). `parameters` is what is asked;
    `pushed_for` is how many seconds a reference to it holds, None where it was not pushed.
    """

    url: str = field(repr=False)
    server: ServerMetadata
    client: Client
    redirect_uri: str
    scope: Scopes | None
    resource: str | None
    state: Secret
    verifier: Secret
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    pushed_for: float | None = None
    dpop_jkt: str = ""

    def accept(self, query: str) -> AuthorizationCode:
        """The only maker of `AuthorizationCode`, from the callback's query string.

        Raises `Unrelated` for another request's answer, `IssuerMismatch` before anything
        else of an answer is used, `AuthorizationDenied` or `Unavailable` for an error.
        """
        fields = _single_valued(query)
        if Secret(fields.get("state", "")) != self.state:
            raise Unrelated("the state is not the one that was sent")
        self._check_issuer(fields.get("iss"))
        if "error" in fields:
            raise self._refusal(fields)
        if not fields.get("code"):
            raise BadResponse(
                "the authorization response has neither “code” nor “error” (RFC 6749 §4.1.2)",
                url=shown(self.server.authorization_endpoint),
            )
        return AuthorizationCode(Secret(fields["code"]), self)

    def _check_issuer(self, iss: str | None) -> None:
        # RFC 9207 §2.4: compared as strings, never normalised; with or without a promise
        if iss == self.server.issuer or (iss is None and not self.server.iss_promised):
            return
        got = "none" if iss is None else quoted(shown(iss), 120)
        raise IssuerMismatch(
            f"the authorization response comes from another issuer: expected"
            f" {self.server.issuer}, got {got} (RFC 9207 §2.4)",
            url=shown(self.server.authorization_endpoint),
            hint="The answer was thrown away; its code was not sent anywhere",
        )

    def _refusal(self, fields: Mapping[str, str]) -> AuthorizationDenied | Unavailable:
        code = error_code(fields["error"])
        text = masked(fields.get("error_description", ""), (self.state,))
        return refusal(self, code, text, shown(self.server.authorization_endpoint))


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """A code that passed every check of its response, with the request that it answers."""

    code: Secret
    request: AuthorizationRequest

    def presented_by(self, client: Client) -> AuthorizationCode:
        """The same code by the same client, which proves itself in another way."""
        asked = self.request.client
        if (client.client_id, client.issuer) != (asked.client_id, asked.issuer):
            raise ValueError("a code is good for the client that asked for it")
        return replace(self, request=replace(self.request, client=client))


def refusal(
    request: AuthorizationRequest, code: str, text: str, url: str, status: int = 0
) -> AuthorizationDenied | Unavailable:
    """The error of an authorization response, or of that to a pushed request (`status`)."""
    said = f": {quoted(text)}" if text else ""
    if code in _LATER:
        return Unavailable(
            f"the authorization server could not serve the login, {quoted(code, 60)}{said}",
            url=url,
            code=code,
            hint="Nothing was changed; try again later",
        )
    denied = code == "access_denied" and not status
    return AuthorizationDenied(
        ("the login was denied in the browser" if denied else _refused_with(code)) + said,
        url=url,
        code=code,
        status=status,
        description=quoted(text)[1:-1] if text else "",
        hint="Nothing was changed; " + _what_helps(request, code, text, denied=denied),
    )


def _refused_with(code: str) -> str:
    return f"the authorization server refused the login with {quoted(code, 60)}"


def about_target(code: str, text: str) -> str:
    """What helps where a server complains of `resource` (RFC 8707 §2); empty where it does not."""
    if code != "invalid_target" and not _RESOURCE.search(text):
        return ""
    return (
        "if the server does not take the resource that it was sent, name the one that it knows, or"
        " none: --resource URL or --resource '' (Options(resource=…), Options(resource=\"\"))"
    )


def _what_helps(request: AuthorizationRequest, code: str, text: str, *, denied: bool) -> str:
    if denied:
        return "start the login again to give consent"
    if code == "invalid_request_uri" and request.pushed_for is not None:
        return (
            f"the address is good once and for {request.pushed_for:.0f} s (RFC 9126 §2.2): start"
            " the login again and sign in before that"
        )
    if code == "invalid_scope" or _NO_SUCH_SCOPE in text:
        return "name the scopes that the server grants to this client (--scope '…', scope=\"…\")"
    if code in ("invalid_client", "unauthorized_client"):
        return "the server does not accept this client: check its id and how it proves itself"
    if about := about_target(code, text):
        return about
    return "start the login again when what the server complains of is mended"


def authorization_request(
    discovery: Discovery,
    client: Client,
    redirect_uri: str,
    scope: Scopes | None,
    options: Options,
    *,
    state: Secret,
    verifier: Secret,
    dpop_jkt: str = "",
) -> AuthorizationRequest:
    """Build the request; `state` and `verifier` are fresh and used once (RFC 7636 §4.1).

    `dpop_jkt`: the thumbprint of the key that the code shall be bound to (RFC 9449 §10).
    """
    fields = _wishes(discovery, redirect_uri, scope, options)
    fields["state"] = state.reveal()
    fields["code_challenge"] = _authlib.s256(verifier.reveal())
    fields["code_challenge_method"] = "S256"
    if dpop_jkt:
        fields["dpop_jkt"] = dpop_jkt
    endpoint = discovery.server.authorization_endpoint
    pairs = tuple(fields.items())
    return AuthorizationRequest(
        url=_authlib.authorization_url(endpoint, client.client_id, pairs),
        server=discovery.server,
        client=client,
        redirect_uri=redirect_uri,
        scope=scope or None,  # what is granted without a scope parameter the server decides
        resource=discovery.resource,
        state=state,
        verifier=verifier,
        parameters=(("response_type", "code"), *pairs),
        dpop_jkt=dpop_jkt,
    )


def _wishes(
    discovery: Discovery, redirect_uri: str, scope: Scopes | None, options: Options
) -> dict[str, str]:
    fields = options.asked()
    fields["redirect_uri"] = redirect_uri
    if scope:
        fields["scope"] = " ".join(scope)
    if words := _prompts(discovery.server, scope, options):
        fields.setdefault("prompt", words)
    if discovery.resource:
        fields["resource"] = discovery.resource  # RFC 8707 §2: byte for byte as it was named
    return fields


def _prompts(server: ServerMetadata, scope: Scopes | None, options: Options) -> str:
    """What the server shall show although it might think it needless (OIDC Core §3.1.2.1)."""
    offered = server.raw.get("prompt_values_supported")
    chooser = isinstance(offered, list) and "select_account" in offered
    words = [("select_account" if chooser else "login") if options.switch_account else ""]
    # §11: without consent offline access is ignored
    words += ["consent" if OFFLINE in (scope or ()) else ""]
    return " ".join(filter(None, words))


def require_code_grant(server: ServerMetadata, options: Options) -> None:
    """Refuse, before anything is sent, a server that cannot serve the code grant with PKCE.

    MCP 2026-07-28 "Authorization Code Protection": no S256 in the metadata, no login.
    """
    if not server.authorization_endpoint:
        raise BadResponse(
            "the authorization server metadata has no “authorization_endpoint”",
            url=shown(server.issuer),
        )
    _require_a_place_to_push(server, options)
    if _promises_s256(server, options):
        return
    methods = server.code_challenge_methods
    listed = "are not listed" if methods is None else f"are {quoted(' '.join(methods), 80)}"
    raise PkceUnsupported(
        f"the authorization server does not promise PKCE with S256: its code challenge methods"
        f" {listed}",
        url=shown(server.issuer),
        hint="If its operator confirms S256, pass --assume-pkce-s256"
        " (Options(assume_pkce_s256=True))",
    )


def does_code_grant(server: ServerMetadata, options: Options) -> bool:
    """Whether a person can be sent there, and with PKCE."""
    return bool(server.authorization_endpoint) and _promises_s256(server, options)


def _promises_s256(server: ServerMetadata, options: Options) -> bool:
    """Where there is no metadata, none is asked for."""
    if server.source != "metadata" or options.assume_pkce_s256:
        return True
    return "S256" in (server.code_challenge_methods or ())


def pushes(server: ServerMetadata, options: Options) -> bool:
    """Whether the request goes to the server itself (RFC 9126 §5), not through the browser."""
    return server.par_required or options.push_authorization_request


def _require_a_place_to_push(server: ServerMetadata, options: Options) -> None:
    if server.pushed_authorization_request_endpoint or not pushes(server, options):
        return
    if server.par_required:
        raise BadResponse(
            "the authorization server metadata requires pushed authorization requests, but has"
            " no “pushed_authorization_request_endpoint” (RFC 9126 §5)",
            url=shown(server.issuer),
        )
    raise UsageError(
        "the authorization server takes no pushed authorization requests",
        url=shown(server.issuer),
        hint="Leave out --par (Options(push_authorization_request=True))",
    )


def _single_valued(query: str) -> Mapping[str, str]:
    try:
        query.encode()  # fails for what a terminal could not read as text
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Unrelated("not text, or too many parameters") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unrelated("a parameter stands twice (RFC 6749 §3.1)")
    return MappingProxyType(fields)
