"""The three kinds of `Client`: pre-registered, client ID metadata document, registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..errors import IssuerMismatch, Remedy, UsageError
from ..origin import shown, split
from ..secret import Secret, quoted
from .client import ASSERTED as ASSERTED
from .client import CERTIFIED as CERTIFIED
from .client import SUPPORTED_METHODS as SUPPORTED_METHODS
from .client import WITH_SECRET as WITH_SECRET
from .client import Client as Client
from .client import Kind as Kind
from .jose import ALGORITHMS
from .options import Options
from .urls import same_issuer

if TYPE_CHECKING:
    from .metadata import ServerMetadata

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SigningKey = Secret | str | Callable[[str], str] | None


@dataclass(frozen=True, slots=True)
class PreRegistered:
    """A client that was registered by hand (MCP "Pre-registration").

    `method` is how it authenticates at the token endpoint: by default private_key_jwt if it has
    a key, otherwise what the server lists. `redirect_uris` are those registered; the port of a
    loopback one may vary (RFC 8252 §7.3).

    `key` signs its assertions (RFC 7523): a private key as PEM or JWK text, or a callable that
    is given the audience and returns a finished assertion. It is not stored, so each program
    has to pass it again; of a `key_file` only the path is stored, and the file is read at each
    use. `algorithm` is its JWS `alg` (default: one that fits the key and is listed), for servers
    whose list is wrong.

    With tls_client_auth or self_signed_tls_client_auth (RFC 8705) the certificate is passed to
    the transport: `HttpTransport(url, cert=…)`.

    Example:
        ```python
        from mcp_client_auth import PreRegistered

        public = PreRegistered("my-client")
        confidential = PreRegistered("my-client", secret="from your secret store")
        signing = PreRegistered("my-client", key_file="client-key.pem")  # private_key_jwt
        ```
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
        method = self.method
        if method == "private_key_jwt" and not has_key(self):
            raise UsageError(
                f"the client authentication {method} needs a key",
                hint=Remedy("Pass it: {PreRegistered.key_file}"),
            )
        if method in WITH_SECRET and not self.secret:
            raise UsageError(
                f"the client authentication {method} needs a secret",
                hint=Remedy("Pass it: {PreRegistered.secret}"),
            )
        if has_key(self) and method != "private_key_jwt":
            raise UsageError(f"the client authentication {method} does not sign with a key")
        if self.algorithm and self.algorithm.startswith("HS") != (method == "client_secret_jwt"):
            raise UsageError(
                f"the client authentication {method or 'by a secret'} does not sign with"
                f" {self.algorithm}"
            )

    @property
    def registered_id(self) -> str:
        """The id that an operator gave to this client, at one issuer."""
        return self.client_id

    def client(self, server: ServerMetadata, options: Options) -> Client:
        """The client, bound to one issuer: the pinned one, or the one that was discovered."""
        if options.issuer and not same_issuer(options.issuer, server.issuer):
            raise IssuerMismatch(
                f"the client belongs to {shown(options.issuer)}, but the server uses another"
                " issuer",
                url=server.issuer,
            )
        secret = self.secret if isinstance(self.secret, Secret) else None
        return Client(
            client_id=self.client_id,
            issuer=server.issuer,
            kind="pre-registered",
            method=self.method or usable_method(secret, server),
            secret=secret,
            redirect_uris=self.redirect_uris,
            key_file=self.key_file,
            algorithm=self.algorithm,
        )

    def completed(self, client: Client) -> Client:
        """A client that was stored without its secret, with the secret added."""
        if client.secret or client.client_id != self.client_id:
            return client
        return replace(client, secret=self.secret if isinstance(self.secret, Secret) else None)


@dataclass(frozen=True, slots=True)
class ClientMetadataDocument:
    """A client whose id is the URL of its metadata (draft-ietf-oauth-client-id-metadata-document).

    `url` is https with a path and no fragment, user info or dot segment (§3). `redirect_uris`
    are those in the document. With a key it authenticates by private_key_jwt; `key`, `key_file`
    and `algorithm` are those of `PreRegistered`.

    Example:
        ```python
        from mcp_client_auth import ClientMetadataDocument, MCPAuth

        client = ClientMetadataDocument("https://app.example.com/client.json")
        auth = MCPAuth("https://mcp.example.com/mcp", client=client)
        ```
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
        # a server that fetches it may decode an encoded dot, and so fetch another place
        dots = {".", ".."} & set(parts.path.lower().replace("%2e", ".").split("/"))
        plain = not ("#" in self.url or "@" in parts.netloc or dots)
        if parts.scheme != "https" or parts.path in ("", "/") or not plain:
            raise UsageError(
                "a client metadata URL is https with a path, and without fragment, user info"
                " or dot segments",
                url=self.url,
            )

    @property
    def client_id(self) -> str:
        return self.url

    @property
    def registered_id(self) -> str:
        """Empty: every server may read the document."""
        return ""

    def client(self, server: ServerMetadata, options: Options) -> Client:
        return Client(
            client_id=self.url,
            issuer=server.issuer,
            kind="metadata-document",
            # never a shared secret: the document is public
            method="private_key_jwt" if has_key(self) else "none",
            redirect_uris=self.redirect_uris,
            key_file=self.key_file,
            algorithm=self.algorithm,
        )

    def completed(self, client: Client) -> Client:
        return client


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


Identity = PreRegistered | ClientMetadataDocument | None


def usable_method(secret: Secret | None, server: ServerMetadata) -> str:
    """The method to use if none was named: from the metadata's list, post before basic."""
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
    """A public client that authenticates with the secret of its registration; None without one.

    By RFC 7591 §3.2.1 a public client gets no secret; Figma's server issues one and demands it.
    """
    if client.kind != "dynamic" or client.method != "none" or client.secret is None:
        return None
    return replace(client, method=usable_method(client.secret, server))
