"""The authorization request and its checked response (RFC 6749 §4.1, 7636, 8707, 9207)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from ..errors import (
    AuthorizationDenied,
    BadResponse,
    IssuerMismatch,
    PkceUnsupported,
    Remedy,
    Unavailable,
    Untrusted,
    UsageError,
)
from ..origin import spelled
from ..secret import Secret, quoted
from . import _authlib
from .oauth_error import LATER, OAuthError, read_error
from .options import Options
from .scopes import OFFLINE, Scopes

if TYPE_CHECKING:
    from .discovery import Discovery
    from .metadata import ServerMetadata
    from .registration import Client

_MOST_FIELDS: Final = 50
_ERRORS: Final = (  # RFC 6749 §4.1.2.1, RFC 8707 §2, OIDC Core §3.1.2.6
    *LATER,
    "access_denied",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_response_type",
    "consent_required",
    "interaction_required",
    "login_required",
)
IN_QUERY: Final = "return the parameters in the query (RFC 6749 §4.1.2)"
_NO_SUCH_SCOPE: Final = "AADSTS650053"  # Entra ID's words, under several codes
_REDIRECT: Final = re.compile(r"redirect[_ ]ur[il]", re.IGNORECASE)
_RESOURCE: Final = re.compile(r"\bresource\b", re.IGNORECASE)


class Unrelated(Exception):
    """An answer to some other request, or a forged one: it is ignored and the wait goes on."""


class Malformed(Unrelated):
    """An answer that the server may have sent, or anyone else. `fix`: what the server's operator
    has to do in the first case.

    Both texts may be shown: of the answer they contain at most an error code of the standards.
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One authorization request; `url` is what the browser opens.

    It holds everything that its answer is checked against and exchanged with, so that no
    answer can be taken to another issuer (RFC 9700 §4.4). `parameters` is what it asks for;
    `pushed_for` is how many seconds a reference to it is valid, None if it was not pushed.
    `nonce`: the ID token that is requested has to repeat it.

    Example:
        ```python
        from mcp_client_auth.extending import Answer, AuthorizationRequest


        def by_hand(request: AuthorizationRequest) -> Answer:
            print("Open", request.url)
            _, _, query = input("The address that you end on: ").partition("?")
            return request.accept(query)  # checks state, iss and error
        ```
    """

    url: str = field(repr=False)
    server: ServerMetadata
    client: Client
    redirect_uri: str
    scope: Scopes | None
    resource: str | None
    state: Secret
    verifier: Secret
    iss_required: bool = False
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    pushed_for: float | None = None
    dpop_jkt: str = ""
    nonce: Secret | None = None

    def accept(self, query: str) -> AuthorizationCode:
        """The only maker of `AuthorizationCode`, from the callback's query string.

        Raises `Unrelated` for another request's answer, `IssuerMismatch` before anything
        else in an answer is used, `AuthorizationDenied` or `Unavailable` for an error.
        """
        try:
            query.encode()  # fails for bytes that a terminal could not decode
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Unrelated("not text, or too many parameters") from None
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise Unrelated("a parameter is repeated (RFC 6749 §3.1)")
        if not query:
            raise Malformed("a request without parameters", f"{IN_QUERY}, not behind “#”")
        if not fields.get("state") and not {"code", "error"}.isdisjoint(fields):
            error = fields.get("error", "")
            named = f", with the error “{error}”" if error in _ERRORS else ""
            raise Malformed(
                f"a response without “state”{named}", "return “state” (RFC 6749 §4.1.2)"
            )
        if not self.state.matches(fields.get("state", "")):
            raise Unrelated("the state is not the one that was sent")
        self._check_issuer(fields.get("iss"))
        if "error" in fields:
            refused = read_error(fields, (self.state,))
            raise refusal(self, refused, self.server.authorization_endpoint)
        if not fields.get("code"):
            raise BadResponse(
                "the authorization response has neither “code” nor “error” (RFC 6749 §4.1.2)",
                url=self.server.authorization_endpoint,
            )
        return AuthorizationCode(Secret(fields["code"]), self)

    def _check_issuer(self, iss: str | None) -> None:
        # RFC 9207 §2.4: compared as strings, never normalised; with or without a promise
        required = self.server.iss_promised or self.iss_required
        if iss == self.server.issuer or (iss is None and not required):
            return
        where = self.server.authorization_endpoint
        thrown = "The response was discarded; its code was not sent anywhere"
        if iss is None and not self.server.iss_promised:
            raise IssuerMismatch(
                "the authorization response has no “iss” (RFC 9207), which require_iss demands",
                url=where,
                hint=thrown,
            )
        if iss is None:
            raise IssuerMismatch(
                "the authorization response has no “iss”, although the metadata of"
                f" {self.server.issuer.shown} promises one"
                " (authorization_response_iss_parameter_supported, RFC 9207 §3)",
                url=where,
                hint=f"{thrown}. The server's operator has to fix this: send “iss”, or stop"
                " promising it",
            )
        raise IssuerMismatch(
            f"the authorization response comes from another issuer: expected"
            f" {spelled(self.server.issuer)}, got {quoted(spelled(iss), 120)} (RFC 9207 §2.4)",
            url=where,
            hint=thrown,
        )


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """A code that passed every check of its response, with the request that it answers.

    Example:
        ```python
        import time

        from mcp_client_auth.extending import AuthorizationCode, TokenSet, Transport
        from mcp_client_auth.protocol import exchange, run


        def redeem(code: AuthorizationCode, send: Transport) -> TokenSet:
            return run(exchange(code, time.time()), send)
        ```
    """

    code: Secret
    request: AuthorizationRequest

    def presented_by(self, client: Client) -> AuthorizationCode:
        """The same code for the same client, which authenticates in another way."""
        own = self.request.client
        if (client.client_id, client.issuer) != (own.client_id, own.issuer):
            raise ValueError("a code is good for the client that requested it")
        return replace(self, request=replace(self.request, client=client))


def refusal(
    request: AuthorizationRequest, error: OAuthError, url: str, status: int = 0
) -> AuthorizationDenied | Unavailable:
    """The error in an authorization response, or in the response to a pushed request (`status`)."""
    code = error.code or "unknown_error"
    if code in LATER:
        return Unavailable(
            f"the authorization server could not serve the login, {quoted(code, 60)}{error.ending}",
            url=url,
            code=code,
            hint="Nothing was changed; try again later",
        )
    denied = code == "access_denied" and not status
    refused = f"the authorization server refused the login with {quoted(code, 60)}"
    return AuthorizationDenied(
        ("the login was denied in the browser" if denied else refused) + error.ending,
        url=url,
        code=code,
        status=status,
        description=error.description,
        hint=Remedy("Nothing was changed; {}", _what_helps(request, error, denied=denied)),
    )


def about_target(error: OAuthError) -> Remedy:
    """What helps if a server complains about `resource` (RFC 8707 §2); empty if it does not."""
    if error.code != "invalid_target" and not _RESOURCE.search(error.text):
        return Remedy()
    return Remedy(
        "if the server does not accept the resource that it was sent, name the one that it knows"
        " ({Options.resource}) or none ({Options.resource=})"
    )


def _what_helps(request: AuthorizationRequest, error: OAuthError, *, denied: bool) -> Remedy:
    code, text = error.code, error.text
    if denied and "consent" in dict(request.parameters).get("prompt", ""):
        return Remedy(
            "start the login again to give consent. If only an administrator may give it, and has,"
            " leave the question out: {Options.prompt=login}"
        )
    if denied:
        return Remedy("start the login again to give consent")
    if code == "invalid_request_uri" and request.pushed_for is not None:
        return Remedy(
            "the address is good once and for {} s (RFC 9126 §2.2): start the login again and sign"
            " in before that",
            f"{request.pushed_for:.0f}",
        )
    if code == "invalid_scope" or _NO_SUCH_SCOPE in text:
        return Remedy("name the scopes that the server grants to this client: {scope}")
    if code in ("invalid_client", "unauthorized_client"):
        return Remedy(
            "the server does not accept this client: check its id, which was {}, and how it"
            " authenticates",
            quoted(request.client.client_id, 120),
        )
    if code == "invalid_redirect_uri" or _REDIRECT.search(text):
        return Remedy(
            "the callback was {}: pass one that the client is registered for:"
            " {Options.redirect_uri}",
            request.redirect_uri,
        )
    if about := about_target(error):
        return about
    return Remedy("start the login again when what the server complains of has been fixed")


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
    consent: bool = False,
    nonce: Secret | None = None,
) -> AuthorizationRequest:
    """Build the request; `state` and `verifier` are fresh and used once (RFC 7636 §4.1).

    `dpop_jkt`: the thumbprint of the key that the code is to be bound to (RFC 9449 §10).
    `consent`: a pre-registered client, too, asks for offline access with prompt=consent.
    `nonce`: for a request for an ID token (OIDC Core §3.1.2.1), also fresh and used once.
    """
    fields = options.authorization_parameters()
    fields["redirect_uri"] = redirect_uri
    if scope:
        fields["scope"] = " ".join(scope)
    if discovery.resource:
        fields["resource"] = discovery.resource  # RFC 8707 §2: byte for byte as it was named
    # OIDC Core §11. For a client that was registered by hand a tenant's administrator may have
    # consented, and its users cannot (Entra ID, AADSTS90094)
    asks = OFFLINE in (scope or ()) and (consent or client.kind != "pre-registered")
    if words := _prompts(discovery.server, options, consent=asks):
        fields.setdefault("prompt", words)
    fields["state"] = state.reveal()
    fields["code_challenge"] = _authlib.s256(verifier.reveal())
    fields["code_challenge_method"] = "S256"
    if nonce:
        fields["nonce"] = nonce.reveal()
    if dpop_jkt:
        fields["dpop_jkt"] = dpop_jkt
    pairs = tuple(fields.items())
    first = (("response_type", "code"), ("client_id", client.client_id))
    return AuthorizationRequest(
        url=discovery.server.authorization_endpoint.with_query((*first, *pairs)),
        server=discovery.server,
        client=client,
        redirect_uri=redirect_uri,
        scope=scope or None,  # without a scope parameter the server decides
        resource=discovery.resource,
        state=state,
        verifier=verifier,
        iss_required=options.require_iss,
        parameters=(("response_type", "code"), *pairs),
        dpop_jkt=dpop_jkt,
        nonce=nonce,
    )


def _prompts(server: ServerMetadata, options: Options, *, consent: bool) -> str:
    """The `prompt`: what the server must show even if it could skip it (OIDC Core §3.1.2.1)."""
    listed = server.raw.get("prompt_values_supported")
    offered = listed if isinstance(listed, list) else None
    chooser = offered is not None and "select_account" in offered
    words = [("select_account" if chooser else "login") if options.switch_account else ""]
    # a value that is not listed may be an error (OpenID Initiating User Registration §4)
    words += ["consent" if consent and (offered is None or "consent" in offered) else ""]
    return " ".join(filter(None, words))


def require_code_grant(server: ServerMetadata, options: Options) -> None:
    """Refuse, before anything is sent, a server that cannot serve the code grant with PKCE.

    MCP 2026-07-28 "Authorization Code Protection": no S256 in the metadata, no login.
    """
    if not server.authorization_endpoint:
        raise BadResponse(
            "the authorization server metadata has no “authorization_endpoint”",
            url=server.issuer,
        )
    _require_a_place_to_push(server, options)
    if not _may_send_iss(server, options):
        raise Untrusted(
            "the authorization server does not promise “iss” in its responses (RFC 9207 §3),"
            " which require_iss demands",
            url=server.issuer,
            code="iss_not_promised",
            hint=Remedy(
                "Its operator can send it and advertise"
                " authorization_response_iss_parameter_supported; or leave out"
                " {Options.require_iss=True}"
            ),
        )
    if _promises_s256(server, options):
        return
    methods = server.code_challenge_methods
    listed = "are not listed" if methods is None else f"are {quoted(' '.join(methods), 80)}"
    raise PkceUnsupported(
        f"the authorization server does not promise PKCE with S256: its code challenge methods"
        f" {listed}",
        url=server.issuer,
        hint=Remedy("If its operator confirms S256, pass {Options.assume_pkce_s256=True}"),
    )


def does_code_grant(server: ServerMetadata, options: Options) -> bool:
    """Whether a person can be sent there to sign in, with PKCE."""
    usable = bool(server.authorization_endpoint) and _may_send_iss(server, options)
    return usable and _promises_s256(server, options)


def _may_send_iss(server: ServerMetadata, options: Options) -> bool:
    """Whether `iss` can come if it is required: without metadata, only the response can tell."""
    return server.iss_promised or server.source != "metadata" or not options.require_iss


def _promises_s256(server: ServerMetadata, options: Options) -> bool:
    """Whether S256 is promised or assumed: without metadata, nothing can promise it."""
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
            url=server.issuer,
        )
    raise UsageError(
        "the authorization server does not accept pushed authorization requests",
        url=server.issuer,
        hint=Remedy("Leave out {Options.push_authorization_request=True}"),
    )
