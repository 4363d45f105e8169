"""The two metadata documents, each made only by the reader that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from ..errors import IssuerMismatch, ResourceMismatch, quoted
from .document import Document, read_document
from .flow import HttpResponse
from .options import Endpoints
from .urls import require_issuer, require_secure, resource_matches, same_issuer, shown

_ENDPOINTS: Final = (
    "authorization_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
)


IF_ELSEWHERE: Final = (
    "if its authorization server is another one, pass its issuer (--issuer, Options(issuer=…)), and"
    " where that has no metadata its endpoints (--endpoint,"
    " Options(issuer=…, endpoints=…))"
)
# RFC 8705 §5: those that this client speaks to itself
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
    an empty string. `aliases` are the endpoints for clients with a certificate.
    """

    issuer: str
    token_endpoint: str
    source: Literal["metadata", "defaults", "caller"]
    authorization_endpoint: str = ""
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    pushed_authorization_request_endpoint: str = ""
    device_authorization_endpoint: str = ""
    scopes_supported: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None
    token_auth_methods: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None
    dpop_algorithms: tuple[str, ...] | None = None
    client_id_metadata_documents: bool = False
    iss_promised: bool = False
    par_required: bool = False
    signing_algorithms: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def for_certificates(self) -> ServerMetadata:
        """The same server as a client with a certificate speaks to it (RFC 8705 §5)."""
        aliases: Mapping[str, Any] = self.aliases
        return replace(self, **aliases) if aliases else self


def read_resource_metadata(
    server_url: str, response: HttpResponse, *, confirmed: str = ""
) -> ResourceMetadata:
    """The only maker of `ResourceMetadata` (RFC 9728 §3.3).

    `confirmed` is a resource that the caller vouches for. Raises `BadResponse` without
    `resource` or `authorization_servers`, `ResourceMismatch` when it speaks for another one.
    """
    document = read_document(response, "protected resource metadata")
    resource = document.need("resource")
    if resource != confirmed and not resource_matches(server_url, resource):
        raise ResourceMismatch(
            f"the protected resource metadata speaks for another resource: expected"
            f" {shown(server_url)} or a parent of it, got {quoted(shown(resource))}",
            url=shown(response.url),
            hint="Check the server URL; if the operator confirms the other name, pass it as"
            " resource (Options(resource=…))",
        )
    servers = document.texts("authorization_servers")
    if not servers:
        document.broken("“authorization_servers” must list at least one issuer (RFC 9728 §2)")
    return ResourceMetadata(
        url=response.url,
        resource=resource,
        authorization_servers=servers,
        scopes_supported=document.texts("scopes_supported"),
        dpop_required=document.flag("dpop_bound_access_tokens_required"),
        raw=document.raw,
        dpop_algorithms=document.texts("dpop_signing_alg_values_supported"),
    )


def read_server_metadata(
    issuer: str, response: HttpResponse, *, allow_insecure_http: bool = False
) -> ServerMetadata:
    """The only maker of `ServerMetadata` from a document (RFC 8414 §3.3).

    Raises `IssuerMismatch` before anything else of the document is looked at, `InsecureUrl`
    for an endpoint that is not https, `BadResponse` without a token endpoint.
    """
    document = read_document(response, "authorization server metadata")
    named = document.need("issuer")
    if not same_issuer(named, issuer):
        raise IssuerMismatch(
            f"the authorization server metadata names another issuer: expected {shown(issuer)},"
            f" got {quoted(shown(named))} (RFC 8414 §3.3)",
            url=shown(response.url),
            hint="The operator must mend this: metadata and resource metadata have to name the"
            " same issuer. If he confirms which one is his, pin it: --issuer URL"
            " (Options(issuer=…)); its own metadata is then read",
        )
    require_issuer(named, "the issuer", allow_insecure_http=allow_insecure_http)
    endpoints = {name: _endpoint(document, name, allow_insecure_http) for name in _ENDPOINTS}
    token_endpoint = document.need("token_endpoint")
    require_secure(token_endpoint, "the token endpoint", allow_insecure_http=allow_insecure_http)
    return ServerMetadata(
        issuer=named,
        token_endpoint=token_endpoint,
        source="metadata",
        scopes_supported=document.texts("scopes_supported"),
        code_challenge_methods=document.texts("code_challenge_methods_supported"),
        token_auth_methods=document.texts("token_endpoint_auth_methods_supported"),
        grant_types=document.texts("grant_types_supported"),
        dpop_algorithms=document.texts("dpop_signing_alg_values_supported"),
        client_id_metadata_documents=document.flag("client_id_metadata_document_supported"),
        iss_promised=document.flag("authorization_response_iss_parameter_supported"),
        par_required=document.flag("require_pushed_authorization_requests"),
        signing_algorithms=document.texts("token_endpoint_auth_signing_alg_values_supported"),
        aliases=_aliases(document, allow_insecure_http),
        raw=document.raw,
        **endpoints,
    )


def default_server_metadata(origin: str) -> ServerMetadata:
    """What the 2025-03-26 specification assumes where no metadata exists ("Fallbacks")."""
    return ServerMetadata(
        issuer=origin,
        token_endpoint=origin + "/token",
        source="defaults",
        authorization_endpoint=origin + "/authorize",
        registration_endpoint=origin + "/register",
    )


def caller_server_metadata(
    issuer: str, endpoints: Endpoints, *, allow_insecure_http: bool = False
) -> ServerMetadata:
    """What the caller knows of a server that publishes nothing; checked like a document.

    Nothing is promised by it: neither `iss` (which is compared when it comes) nor scopes.
    """
    require_issuer(issuer, "the issuer", allow_insecure_http=allow_insecure_http)
    named: dict[str, Any] = {name: url for name, url in endpoints.named() if url}
    for name, url in named.items():
        what = f"the {name.replace('_', ' ')}"
        require_secure(url, what, allow_insecure_http=allow_insecure_http)
    return ServerMetadata(issuer=issuer, source="caller", **named)


def _aliases(document: Document, allow_insecure_http: bool) -> dict[str, str]:
    raw = document.raw.get("mtls_endpoint_aliases")
    if not isinstance(raw, dict):
        return {}
    inner = Document(document.what, document.url, raw)
    found = {name: _endpoint(inner, name, allow_insecure_http) for name in _ALIASED}
    return {name: url for name, url in found.items() if url}


def _endpoint(document: Document, name: str, allow_insecure_http: bool) -> str:
    value = document.text(name)
    if value:
        what = f"the {name.replace('_', ' ')}"
        require_secure(value, what, allow_insecure_http=allow_insecure_http)
    return value
