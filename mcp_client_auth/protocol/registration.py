"""The three ways to a `Client`: pre-registered, client ID metadata document, registration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..errors import BadResponse, IssuerMismatch, RegistrationRefused, UsageError, quoted
from ..events import Event
from ..secret import Secret
from .discovery import unavailable
from .document import described, error_code, parsed, read_document
from .flow import Flow, HttpRequest, HttpResponse, send
from .metadata import ServerMetadata
from .options import LATEST, Options
from .scopes import Scopes, parse
from .urls import is_loopback, same_issuer, shown, split

SUPPORTED_METHODS: Final = ("none", "client_secret_post", "client_secret_basic")
Kind = Literal["pre-registered", "metadata-document", "dynamic"]


@dataclass(frozen=True, slots=True)
class PreRegistered:
    """A client that somebody registered by hand (MCP "Pre-registration").

    `method` is how it proves itself at the token endpoint; by default what the server lists.
    `redirect_uris` are those registered; the port of a loopback one may vary (RFC 8252 §7.3).
    """

    client_id: str
    secret: Secret | str | None = None
    method: str = ""
    redirect_uris: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.secret, str):
            object.__setattr__(self, "secret", Secret(self.secret))
        if self.method and self.method not in SUPPORTED_METHODS:
            raise UsageError(
                f"the client authentication method {quoted(self.method, 60)} is not supported",
                hint="Supported: " + ", ".join(SUPPORTED_METHODS),
            )


@dataclass(frozen=True, slots=True)
class ClientMetadataDocument:
    """A client whose id is the URL of its metadata (draft-ietf-oauth-client-id-metadata-document).

    `url` is https with a path and no fragment, user info or dot segment (§3). `redirect_uris`
    are those in the document.
    """

    url: str
    redirect_uris: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            parts = split(self.url)
        except ValueError as error:
            raise UsageError(f"the client metadata URL is not usable: {error}") from None
        dots = {".", ".."} & set(parts.path.split("/"))
        plain = not (parts.fragment or parts.username or parts.password or dots)
        if parts.scheme != "https" or parts.path in ("", "/") or not plain:
            raise UsageError(
                "a client metadata URL is https with a path, and without fragment, user info"
                " or dot segments",
                url=shown(self.url),
            )


@dataclass(frozen=True, slots=True)
class Client:
    """A client as one authorization server knows it; its secret goes to that issuer only.

    `secret_expires_at` is in seconds since the epoch, 0 for never (RFC 7591 §3.2.1).
    `dpop`: it gets no tokens but such that are bound to a key (RFC 9449 §5.2).
    """

    client_id: str
    issuer: str
    kind: Kind
    method: str
    secret: Secret | None = None
    redirect_uris: tuple[str, ...] = ()
    scope: Scopes = ()
    secret_expires_at: float = 0.0
    management_uri: str = ""
    management_token: Secret | None = None
    dpop: bool = False

    def expired(self, now: float) -> bool:
        return 0 < self.secret_expires_at <= now


Identity = PreRegistered | ClientMetadataDocument | None


def way_to_client(identity: Identity, server: ServerMetadata) -> Kind:
    """Which of the three ways applies (MCP "Client Registration").

    Raises `RegistrationRefused`, naming the three, when there is none.
    """
    if isinstance(identity, PreRegistered):
        return "pre-registered"
    if identity is not None and server.client_id_metadata_documents:
        return "metadata-document"
    if server.registration_endpoint:
        return "dynamic"
    raise RegistrationRefused(
        "there is no way to a client: the authorization server offers no registration endpoint"
        + ("" if server.client_id_metadata_documents else " and no client ID metadata documents"),
        url=shown(server.issuer),
        hint="Either pass a client id that its operator gave you (--client-id,"
        " PreRegistered(…)), or the URL of a client metadata document where the server supports"
        " them (--client-metadata-url, ClientMetadataDocument(…)), or ask the operator to enable"
        " dynamic registration (RFC 7591)",
    )


def pre_registered(identity: PreRegistered, server: ServerMetadata, options: Options) -> Client:
    """The caller's client, bound to one issuer: the pinned one, or the one found."""
    if options.issuer and not same_issuer(options.issuer, server.issuer):
        raise IssuerMismatch(
            f"the client belongs to {shown(options.issuer)}, but the server uses another issuer",
            url=shown(server.issuer),
        )
    secret = identity.secret if isinstance(identity.secret, Secret) else None
    return Client(
        client_id=identity.client_id,
        issuer=server.issuer,
        kind="pre-registered",
        method=identity.method or usable_method(secret, server),
        secret=secret,
        redirect_uris=identity.redirect_uris,
    )


def metadata_document_client(identity: ClientMetadataDocument, server: ServerMetadata) -> Client:
    return Client(
        client_id=identity.url,
        issuer=server.issuer,
        kind="metadata-document",
        method="none",
        redirect_uris=identity.redirect_uris,
    )


def registration_request(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, options: Options
) -> HttpRequest:
    """RFC 7591 §3.1: a public native client, so that no secret has to be kept."""
    wanted: dict[str, Any] = {
        "client_name": options.client_name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native" if is_loopback(redirect_uri) else "web",
    }
    if scope:
        wanted["scope"] = " ".join(scope)
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": LATEST,
    }
    return HttpRequest("POST", server.registration_endpoint, headers, json.dumps(wanted).encode())


def read_registration(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, response: HttpResponse
) -> Client:
    """What was answered is what is used, also where it is not what was asked (RFC 7591 §3.2.1)."""
    if response.status not in (200, 201):
        raise refused_registration(server, response)
    document = read_document(response, "registration response")
    secret = Secret(document.text("client_secret")) if document.text("client_secret") else None
    token = document.text("registration_access_token")
    method = document.text("token_endpoint_auth_method") or usable_method(secret, server)
    if method != "none" and secret is None:
        document.broken(f"it demands {quoted(method, 60)} without giving a client secret")
    if method not in SUPPORTED_METHODS:
        document.broken(f"it demands the client authentication {quoted(method, 60)}")
    return Client(
        client_id=document.need("client_id"),
        issuer=server.issuer,
        kind="dynamic",
        method=method,
        secret=secret if method != "none" else None,
        redirect_uris=(redirect_uri,),
        scope=parse(document.text("scope")) or tuple(scope or ()),
        secret_expires_at=document.number("client_secret_expires_at") or 0.0 if secret else 0.0,
        management_uri=document.text("registration_client_uri"),
        management_token=Secret(token) if token else None,
        dpop=document.flag("dpop_bound_access_tokens"),
    )


def register(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, options: Options
) -> Flow[Client]:
    url = shown(server.registration_endpoint)
    yield Event("registration-request", url=url, rule="RFC 7591 §3.1: public native client")
    response = yield from send(registration_request(server, redirect_uri, scope, options))
    client = read_registration(server, redirect_uri, scope, response)
    yield Event(
        "registration",
        url,
        response.status,
        f"client {quoted(client.client_id, 60)}, authentication {client.method}",
        "what was answered is used (RFC 7591 §3.2.1)",
        response.seconds,
    )
    return client


def usable_method(secret: Secret | None, server: ServerMetadata) -> str:
    """A method where nobody named one: from the metadata's list, post before basic."""
    if secret is None:
        return "none"
    listed = server.token_auth_methods
    if listed is None:
        return "client_secret_basic"  # RFC 8414 §2: the default when the list is omitted
    for method in ("client_secret_post", "client_secret_basic"):
        if method in listed:
            return method
    return "client_secret_post"


def refused_registration(server: ServerMetadata, response: HttpResponse) -> Exception:
    if server.source == "defaults" and response.status in (404, 405):
        return RegistrationRefused(
            "the server wants a login but does not say where: it has no resource metadata, no"
            f" authorization server metadata, and HTTP {response.status} at /register, the place"
            " that the 2025-03-26 specification assumes",
            url=shown(response.url),
            code="no_authorization_server",
            status=response.status,
            hint="The operator must publish the document of RFC 9728",
        )
    if response.status == 429 or response.status >= 500:
        return unavailable(response)
    body = parsed(response)
    fields = body if isinstance(body, dict) else {}
    code = fields.get("error") if isinstance(fields.get("error"), str) else ""
    text = fields.get("error_description") if code else _plain_text(response)
    said = f": {quoted(text)}" if isinstance(text, str) and text else ""
    if response.status < 400:
        return BadResponse(
            f"the registration endpoint must answer 201 (RFC 7591 §3.2.1), got HTTP"
            f" {response.status} with {described(response)}",
            url=shown(response.url),
        )
    return RegistrationRefused(
        f"the authorization server refused to register this client, HTTP {response.status}"
        + (f" {quoted(code, 60)}" if code else "")
        + said,
        url=shown(response.url),
        code=error_code(code) if code else "registration_refused",
        status=response.status,
        hint="Its operator may only admit clients that he knows: ask for a client id and pass"
        " it (--client-id, PreRegistered(…))",
    )


def _plain_text(response: HttpResponse) -> str:
    if not response.header("content-type").startswith("text/plain"):
        return ""
    return response.body[:400].decode("utf-8", "replace")
