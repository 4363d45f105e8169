"""The three ways to a `Client`: pre-registered, client ID metadata document, registration."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ..errors import BadResponse, IssuerMismatch, RegistrationRefused, UsageError, quoted
from ..events import Event
from ..secret import Secret, masked
from .assertions import ALGORITHMS
from .discovery import unavailable
from .document import described, error_code, parsed, read_document
from .flow import Flow, HttpRequest, HttpResponse, send
from .metadata import IF_ELSEWHERE, ServerMetadata
from .options import LATEST, Options
from .scopes import Scopes, parse
from .urls import is_loopback, same_issuer, shown, split

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
WITH_SECRET: Final = ("client_secret_post", "client_secret_basic", "client_secret_jwt")
ASSERTED: Final = ("private_key_jwt", "client_secret_jwt")
CERTIFIED: Final = ("tls_client_auth", "self_signed_tls_client_auth")  # RFC 8705 §2
SUPPORTED_METHODS: Final = ("none", *WITH_SECRET, "private_key_jwt", *CERTIFIED)
SigningKey = Secret | str | Callable[[str], str] | None
Kind = Literal["pre-registered", "metadata-document", "dynamic"]


@dataclass(frozen=True, slots=True)
class PreRegistered:
    """A client that somebody registered by hand (MCP "Pre-registration").

    `method` is how it proves itself at the token endpoint; by default private_key_jwt with a
    key, else what the server lists. `redirect_uris` are those registered; the port of a
    loopback one may vary (RFC 8252 §7.3).

    `key` signs its assertions (RFC 7523): a private key as PEM or JWK text, or a callable that
    is given the audience and returns a finished assertion. Nothing of it is stored, so each
    program passes it again; of a `key_file` the path is, and the file is read at each use.
    `algorithm` is its JWS `alg` (default: what fits the key and is listed).

    With tls_client_auth or self_signed_tls_client_auth (RFC 8705) the certificate is the
    transport's: `HttpTransport(url, cert=…)`.
    """

    client_id: str
    secret: Secret | str | None = None
    method: str = ""
    redirect_uris: tuple[str, ...] = ()
    key: SigningKey = None
    key_file: str = ""
    algorithm: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.secret, str):
            object.__setattr__(self, "secret", Secret(self.secret))
        _seal_key(self)
        if self.method and self.method not in SUPPORTED_METHODS:
            raise UsageError(
                f"the client authentication method {quoted(self.method, 60)} is not supported",
                hint="Supported: " + ", ".join(SUPPORTED_METHODS),
            )
        if not self.method and has_key(self):
            object.__setattr__(self, "method", "private_key_jwt")
        _require_means(self)


@dataclass(frozen=True, slots=True)
class ClientMetadataDocument:
    """A client whose id is the URL of its metadata (draft-ietf-oauth-client-id-metadata-document).

    `url` is https with a path and no fragment, user info or dot segment (§3). `redirect_uris`
    are those in the document. With a key it proves itself by private_key_jwt; `key`, `key_file`
    and `algorithm` are those of `PreRegistered`.
    """

    url: str
    redirect_uris: tuple[str, ...] = ()
    key: SigningKey = None
    key_file: str = ""
    algorithm: str = ""

    def __post_init__(self) -> None:
        _seal_key(self)
        try:
            parts = split(self.url)
        except ValueError as error:
            raise UsageError(f"the client metadata URL is not usable: {error}") from None
        # who fetches it may read an encoded dot as a dot, and come to another place
        dots = {".", ".."} & set(parts.path.lower().replace("%2e", ".").split("/"))
        plain = not ("#" in self.url or "@" in parts.netloc or dots)
        if parts.scheme != "https" or parts.path in ("", "/") or not plain:
            raise UsageError(
                "a client metadata URL is https with a path, and without fragment, user info"
                " or dot segments",
                url=shown(self.url),
            )


def has_key(identity: PreRegistered | ClientMetadataDocument) -> bool:
    return bool(identity.key) or bool(identity.key_file)


def _seal_key(identity: PreRegistered | ClientMetadataDocument) -> None:
    """Wrap a key that is text; `UsageError` for arguments that exclude each other."""
    if isinstance(identity.key, str):
        object.__setattr__(identity, "key", Secret(identity.key))
    if identity.key and identity.key_file:
        raise UsageError("key and key_file exclude each other")
    if identity.algorithm and identity.algorithm not in ALGORITHMS:
        raise UsageError(
            f"the signing algorithm {quoted(identity.algorithm, 20)} is not supported",
            hint="Supported: " + ", ".join(ALGORITHMS),
        )


def _require_means(identity: PreRegistered) -> None:
    """Refuse, before anything is sent, a method whose means the caller does not have."""
    method = identity.method
    lacking = ""
    if method == "private_key_jwt" and not has_key(identity):
        lacking = "a key: key=…, key_file=… (--client-key-file)"
    elif method in WITH_SECRET and not identity.secret:
        lacking = "a secret: secret=… (--client-secret-file)"
    if lacking:
        raise UsageError(f"the client authentication {method} needs {lacking}")
    if has_key(identity) and method != "private_key_jwt":
        raise UsageError(f"the client authentication {method} does not sign with a key")
    if identity.algorithm and identity.algorithm.startswith("HS") != (
        method == "client_secret_jwt"
    ):
        raise UsageError(
            f"the client authentication {method or 'by a secret'} does not sign with"
            f" {identity.algorithm}"
        )


@dataclass(frozen=True, slots=True)
class Client:
    """A client as one authorization server knows it; its secret goes to that issuer only.

    `secret_expires_at` is in seconds since the epoch, 0 for never (RFC 7591 §3.2.1).
    `key_file` is the path of the key that it signs with, no secret; `algorithm` is its `alg`,
    empty for what fits the key.
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
    key_file: str = ""
    algorithm: str = ""
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
        key_file=identity.key_file,
        algorithm=identity.algorithm,
    )


def metadata_document_client(identity: ClientMetadataDocument, server: ServerMetadata) -> Client:
    return Client(
        client_id=identity.url,
        issuer=server.issuer,
        kind="metadata-document",
        # never a shared secret: the document is for everybody to read
        method="private_key_jwt" if has_key(identity) else "none",
        redirect_uris=identity.redirect_uris,
        key_file=identity.key_file,
        algorithm=identity.algorithm,
    )


def registration_request(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, options: Options
) -> HttpRequest:
    """RFC 7591 §3.1: a public native client, so that no secret has to be kept."""
    wanted: dict[str, Any] = {
        "client_name": options.client_name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token", *_device(server)],
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
    if isinstance(options.initial_access_token, Secret):  # RFC 7591 §3: here and nowhere else
        headers["Authorization"] = f"Bearer {options.initial_access_token.reveal()}"
    return HttpRequest("POST", server.registration_endpoint, headers, json.dumps(wanted).encode())


def _device(server: ServerMetadata) -> list[str]:
    """RFC 8628 §3.1: one registration serves both ways to a person, where the server knows both."""
    return [DEVICE_GRANT] if DEVICE_GRANT in (server.grant_types or ()) else []


def read_registration(
    server: ServerMetadata,
    redirect_uri: str,
    scope: Scopes | None,
    response: HttpResponse,
    *,
    token: Secret | str | None = None,
) -> Client:
    """What was answered is what is used, also where it is not what was asked (RFC 7591 §3.2.1).

    `token` is the initial access token that was sent, which no message may repeat.
    """
    initial = token if isinstance(token, Secret) else None
    if response.status not in (200, 201):
        raise refused_registration(server, response, initial)
    document = read_document(response, "registration response")
    secret = document.secret("client_secret")
    management = document.secret("registration_access_token")
    method = document.text("token_endpoint_auth_method") or usable_method(secret, server)
    if method != "none" and secret is None:
        document.broken(f"it demands {quoted(method, 60)} without giving a client secret")
    if method not in ("none", *WITH_SECRET):  # no key and no certificate was registered
        document.broken(f"it demands the client authentication {quoted(method, 60)}")
    return Client(
        client_id=document.need("client_id"),
        issuer=server.issuer,
        kind="dynamic",
        method=method,
        secret=secret,  # beside `none` it is not sent, unless it turns out to be demanded
        redirect_uris=(redirect_uri,),
        scope=parse(document.text("scope")) or tuple(scope or ()),
        secret_expires_at=document.number("client_secret_expires_at") or 0.0 if secret else 0.0,
        management_uri=document.text("registration_client_uri") if management else "",
        management_token=management,
        dpop=document.flag("dpop_bound_access_tokens"),
    )


def register(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, options: Options
) -> Flow[Client]:
    url = shown(server.registration_endpoint)
    yield Event("registration-request", url=url, rule="RFC 7591 §3.1: public native client")
    response = yield from send(registration_request(server, redirect_uri, scope, options))
    token = options.initial_access_token
    client = read_registration(server, redirect_uri, scope, response, token=token)
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
    for method in WITH_SECRET:
        if method in listed:
            return method
    return "client_secret_post"


def proving_by_secret(client: Client, server: ServerMetadata) -> Client | None:
    """A public client with the secret that came with its registration; None where none came.

    RFC 7591 §3.2.1 gives a public client none; Figma's does, and then demands it.
    """
    if client.kind != "dynamic" or client.method != "none" or client.secret is None:
        return None
    return replace(client, method=usable_method(client.secret, server))


def refused_registration(
    server: ServerMetadata, response: HttpResponse, token: Secret | None = None
) -> Exception:
    if server.source == "defaults" and response.status in (404, 405):
        return RegistrationRefused(
            "the server wants a login but does not say where: it has no resource metadata, no"
            f" authorization server metadata, and HTTP {response.status} at /register, the place"
            " that the 2025-03-26 specification assumes",
            url=shown(response.url),
            code="no_authorization_server",
            status=response.status,
            hint=f"The operator must publish the document of RFC 9728; {IF_ELSEWHERE}",
        )
    if response.status == 429 or response.status >= 500:
        return unavailable(response)
    body = parsed(response)
    fields = body if isinstance(body, dict) else {}
    error = fields.get("error")
    code = error_code(masked(error, (token,))) if isinstance(error, str) and error else ""
    text = fields.get("error_description") if code else _plain_text(response)
    text = masked(text, (token,)) if isinstance(text, str) else ""
    if response.status < 400:
        return BadResponse(
            f"the registration endpoint must answer 201 (RFC 7591 §3.2.1), got HTTP"
            f" {response.status} with {described(response)}",
            url=shown(response.url),
        )
    return RegistrationRefused(
        f"the authorization server refused to register this client, HTTP {response.status}"
        + (f" {quoted(code, 60)}" if code else "")
        + (f": {quoted(text)}" if text else ""),
        url=shown(response.url),
        code=code or "registration_refused",
        description=quoted(text)[1:-1],
        status=response.status,
        hint=_what_to_do(response, token),
    )


def _what_to_do(response: HttpResponse, token: Secret | None) -> str:
    if response.status == 401 or (response.status == 403 and token):
        return (
            "The server did not take the initial access token: ask its operator for a new one"
            if token
            else "Its operator may want an initial access token (RFC 7591 §3): ask for one and pass"
            " it (--initial-access-token-file, Options(initial_access_token=…)), or ask for a"
            " client id (--client-id, PreRegistered(…))"
        )
    return (
        "Its operator may only admit clients that he knows: ask for a client id and pass"
        " it (--client-id, PreRegistered(…))"
    )


def _plain_text(response: HttpResponse) -> str:
    if not response.header("content-type").startswith("text/plain"):
        return ""
    return response.body[:400].decode("utf-8", "replace")
