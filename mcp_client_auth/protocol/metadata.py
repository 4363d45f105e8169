"""The two metadata documents, each made only by the reader that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from ..errors import AuthError, BadResponse, InsecureUrl, IssuerMismatch, Remedy, ResourceMismatch
from ..origin import same_origin, shown, spelled
from ..secret import quoted
from .document import TO_FIX, Document, read_document
from .endpoints import Endpoints
from .flow import HttpResponse
from .options import Options
from .urls import Endpoint, Issuer, ServerUrl, same_issuer

_ABSENT: Final = Endpoint()
_ENDPOINTS: Final = (
    "authorization_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
)


OR_PIN: Final = Remedy(
    "If its operator names the authorization server, pass its issuer: {Options.issuer}"
)
_CHECK_THE_URL: Final = "Check the server URL"
_NAME_THE_RESOURCE: Final = Remedy(
    TO_FIX + ". If they confirm the resource, pass it: {Options.resource}; if they name the"
    " issuer, pass that: {Options.issuer}"
)
_NAME_THE_ENDPOINTS: Final = Remedy(
    TO_FIX + ". If they tell you the issuer and its endpoints, pass them: {Options.issuer} and"
    " {Options.endpoints}"
)
_NAME_THE_ISSUER: Final = Remedy(
    TO_FIX + ": metadata and resource metadata have to name the same issuer. If they confirm the"
    " issuer, pass it: {Options.issuer}; its own metadata is then read"
)
_CHECK_WHAT_WAS_PASSED: Final = Remedy(
    "Check what was passed, {Options.metadata_url} and {Options.issuer}: the document has to name"
    " that issuer"
)
IF_ELSEWHERE: Final = Remedy(
    "if its authorization server is another one, pass its issuer: {Options.issuer}; where that has"
    " no metadata, its endpoints too: {Options.endpoints}"
)
# RFC 8705 §5: those that this client itself sends requests to
_ALIASED: Final = ("token_endpoint", *_ENDPOINTS[1:])


@dataclass(frozen=True, slots=True)
class ResourceMetadata:
    """Protected resource metadata (RFC 9728 §2), checked against the server that it describes."""

    url: str
    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...] | None
    dpop_required: bool
    raw: Mapping[str, Any] = field(repr=False)
    dpop_algorithms: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """Authorization server metadata (RFC 8414 §2), checked against its issuer.

    `source` tells whether a document was read, or the defaults of the 2025-03-26
    specification or the caller's own endpoints stand in for one. An endpoint that is absent is
    empty. `aliases` are the endpoints for clients with a certificate.
    """

    issuer: Issuer
    token_endpoint: Endpoint
    source: Literal["metadata", "defaults", "caller"]
    authorization_endpoint: Endpoint = _ABSENT
    registration_endpoint: Endpoint = _ABSENT
    revocation_endpoint: Endpoint = _ABSENT
    pushed_authorization_request_endpoint: Endpoint = _ABSENT
    device_authorization_endpoint: Endpoint = _ABSENT
    scopes_supported: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None
    token_auth_methods: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None
    dpop_algorithms: tuple[str, ...] | None = None
    client_id_metadata_documents: bool = False
    iss_promised: bool = False
    par_required: bool = False
    signing_algorithms: tuple[str, ...] | None = None
    aliases: Mapping[str, Endpoint] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def without_browser(self) -> ServerMetadata:
        """The same server for a login that opens no sign-in page."""
        return replace(self, authorization_endpoint=_ABSENT)

    def for_certificates(self) -> ServerMetadata:
        """The same server with the endpoints for clients with a certificate (RFC 8705 §5)."""
        aliases: Mapping[str, Any] = self.aliases
        return replace(self, **aliases) if aliases else self


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the caller's options stand for, so that the resource metadata need not say it."""

    resource: str | None = None
    issuer: bool = False

    @classmethod
    def by(cls, options: Options) -> Vouched:
        return cls(options.resource, bool(options.issuer))

    def __bool__(self) -> bool:
        return self.resource is not None or self.issuer

    def stands_for(self, error: AuthError) -> bool:
        """Whether a document with this error can be ignored; one that contradicts never can.

        With both options nothing in it is needed, so even its place may be unreachable.
        """
        if isinstance(error, ResourceMismatch):
            return False
        whole = self.resource is not None and self.issuer
        return whole or (bool(self) and isinstance(error, BadResponse))


def read_resource_metadata(
    server_url: ServerUrl,
    response: HttpResponse,
    *,
    final_url: str = "",
    vouched: Vouched = Vouched(),
) -> ResourceMetadata:
    """The only maker of `ResourceMetadata` (RFC 9728 §3.3).

    `final_url` is where redirects of the server's URL have led. Raises `BadResponse` if
    `resource` or `authorization_servers` is missing and no option stands for it,
    `ResourceMismatch` if the document describes another resource.
    """
    document = read_document(response, "protected resource metadata")
    if vouched.resource is not None and not document.text("resource"):
        resource = vouched.resource
    else:
        resource = document.need("resource", _NAME_THE_RESOURCE)
        if resource != vouched.resource:
            _require_match(server_url, final_url, resource, response.url)
    servers = document.texts("authorization_servers") or ()
    if not servers and not vouched.issuer:
        why = "“authorization_servers” must list at least one issuer (RFC 9728 §2)"
        document.broken(why, Remedy(TO_FIX + "; {}", IF_ELSEWHERE))
    return ResourceMetadata(
        url=response.url,
        resource=resource,
        authorization_servers=servers,
        scopes_supported=document.words("scopes_supported"),
        dpop_required=document.flag("dpop_bound_access_tokens_required"),
        raw=document.raw,
        dpop_algorithms=document.texts("dpop_signing_alg_values_supported"),
    )


def _require_match(server: ServerUrl, final_url: str, resource: str, where: str) -> None:
    """Raise `ResourceMismatch` unless the document is for one of the URLs, or a parent of it."""
    places = (server, ServerUrl(final_url) if final_url else server)
    if any(place.is_described_by(resource) for place in places):
        return
    mine = same_origin(server, resource)
    raise ResourceMismatch(
        f"the protected resource metadata is for another resource: expected"
        f" {server.shown} or a parent of it, got {quoted(spelled(resource))}",
        url=where,
        hint=Remedy(
            "{}; if the operator confirms the other name, pass it: {Options.resource}",
            f"If {shown(resource)} is the MCP server, use that URL" if mine else _CHECK_THE_URL,
        ),
    )


def read_server_metadata(
    issuer: Issuer, response: HttpResponse, options: Options | None = None
) -> ServerMetadata:
    """The only maker of `ServerMetadata` from a document (RFC 8414 §3.3).

    Raises `IssuerMismatch` before anything else in the document is read, `InsecureUrl`
    for an endpoint that is not https, `BadResponse` without a token endpoint.
    """
    document = read_document(response, "authorization server metadata", _NAME_THE_ENDPOINTS)
    named = document.need("issuer")
    if not same_issuer(named, issuer):
        passed = options and options.metadata_url and same_issuer(options.issuer, issuer)
        raise IssuerMismatch(
            f"the authorization server metadata names another issuer: expected"
            f" {spelled(issuer)}, got {quoted(spelled(named))} (RFC 8414 §3.3)",
            url=response.url,
            hint=_CHECK_WHAT_WAS_PASSED if passed else _NAME_THE_ISSUER,
        )
    endpoints = {name: _endpoint(document, name, options) for name in _ENDPOINTS}
    document.need("token_endpoint")
    raw = document.raw.get("mtls_endpoint_aliases")
    inner = replace(document, raw=raw if isinstance(raw, dict) else {})
    aliases = {name: _endpoint(inner, name, options) for name in _ALIASED if inner.text(name)}
    return ServerMetadata(
        issuer=Issuer(named),  # the one that was requested, except perhaps for a slash
        token_endpoint=_endpoint(document, "token_endpoint", options),
        source="metadata",
        scopes_supported=document.words("scopes_supported"),
        code_challenge_methods=document.texts("code_challenge_methods_supported"),
        token_auth_methods=document.texts("token_endpoint_auth_methods_supported"),
        grant_types=document.texts("grant_types_supported"),
        dpop_algorithms=document.texts("dpop_signing_alg_values_supported"),
        client_id_metadata_documents=document.flag("client_id_metadata_document_supported"),
        iss_promised=document.flag("authorization_response_iss_parameter_supported"),
        par_required=document.flag("require_pushed_authorization_requests"),
        signing_algorithms=document.texts("token_endpoint_auth_signing_alg_values_supported"),
        aliases=aliases,
        raw=document.raw,
        **endpoints,
    )


def default_server_metadata(issuer: Issuer) -> ServerMetadata:
    """What the 2025-03-26 specification assumes if no metadata exists ("Fallbacks")."""
    return ServerMetadata(
        issuer=issuer,
        token_endpoint=Endpoint(issuer + "/token"),
        source="defaults",
        authorization_endpoint=Endpoint(issuer + "/authorize"),
        registration_endpoint=Endpoint(issuer + "/register"),
    )


def caller_server_metadata(
    issuer: str, endpoints: Endpoints, options: Options | None = None
) -> ServerMetadata:
    """What the caller knows of a server that publishes nothing; checked like a document.

    It promises nothing: neither `iss` (which is compared if it comes) nor scopes.
    """
    checked = Issuer.checked(issuer, "the issuer", options)
    named: dict[str, Any] = {
        name: Endpoint.checked(url, _called(name), options)
        for name, url in endpoints.named()
        if url
    }
    return ServerMetadata(issuer=checked, source="caller", **named)


def _endpoint(document: Document, name: str, options: Options | None) -> Endpoint:
    value = document.text(name)
    try:
        return Endpoint.checked(value, _called(name), options) if value else _ABSENT
    except InsecureUrl as error:
        if not error.remedy:
            error.advised(document.hint)
        raise error.at(url=document.url) from None


def _called(name: str) -> str:
    return f"the {name.replace('_', ' ')}"
