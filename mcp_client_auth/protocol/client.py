"""The values of a client. Every stored login holds them, so this module imports next to nothing."""

from __future__ import annotations

from typing import Final, Literal

from ..secret import Secret
from .frozen import dataclass

WITH_SECRET: Final = ("client_secret_post", "client_secret_basic", "client_secret_jwt")
ASSERTED: Final = ("private_key_jwt", "client_secret_jwt")
CERTIFIED: Final = ("tls_client_auth", "self_signed_tls_client_auth")  # RFC 8705 §2
SUPPORTED_METHODS: Final = ("none", *WITH_SECRET, "private_key_jwt", *CERTIFIED)
Kind = Literal["pre-registered", "metadata-document", "dynamic"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client as one authorization server knows it; its secret goes to that issuer only.

    `secret_expires_at` is in seconds since the epoch, 0 for never (RFC 7591 §3.2.1).
    `key_file` is the path of the key that it signs with, which is not a secret; `algorithm` is
    its `alg`, empty for whatever fits the key.
    `dpop`: it gets only tokens that are bound to a key (RFC 9449 §5.2).

    Example:
        ```python
        from mcp_client_auth.extending import Client

        client = Client("the-id", "https://auth.example.com", "preregistered", "none")
        print(client.client_id, client.issuer)
        ```
    """

    client_id: str
    issuer: str
    kind: Kind
    method: str
    secret: Secret | None = None
    redirect_uris: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    secret_expires_at: float = 0.0
    management_uri: str = ""
    management_token: Secret | None = None
    key_file: str = ""
    algorithm: str = ""
    dpop: bool = False

    def expired(self, now: float) -> bool:
        return 0 < self.secret_expires_at <= now
