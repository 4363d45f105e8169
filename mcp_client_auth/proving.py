"""Proves a client by its key: reads the key, the clock and chance, which the protocol has not.

The caller's key comes first, then the file that the credential names; nothing is remembered,
so that a key that was replaced is used at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from .errors import UsageError, quoted
from .protocol.assertions import (
    algorithm_for,
    fitting_algorithms,
    key_assertion,
    secret_algorithm,
    secret_assertion,
    signing_key,
)
from .protocol.client_auth import Plain
from .protocol.metadata import ServerMetadata
from .protocol.registration import (
    CERTIFIED,
    Client,
    ClientMetadataDocument,
    Identity,
    PreRegistered,
    SigningKey,
)
from .secret import Secret

_LARGEST: Final = 65_536


@dataclass(frozen=True, slots=True)
class Proving(Plain):
    """A `Prover` for the client of `identity`, or for one that a credential holds."""

    identity: Identity
    clock: Callable[[], float]
    random: Callable[[], str]

    def assertion(self, client: Client) -> str:
        """RFC 7523 §2.2. Raises `UsageError` where the key is not to be had, or is none."""
        audience, now, jti = client.issuer, self.clock(), self.random()
        if client.method == "client_secret_jwt":
            secret, algorithm = client.secret or Secret(""), client.algorithm or "HS256"
            name = client.client_id
            return secret_assertion(name, audience, secret, algorithm, now=now, jti=jti)
        key, where = self._key(client)
        if not isinstance(key, Secret):
            return _made(key(audience))
        signing = signing_key(key, where)
        # what the login chose holds as long as the key is of that type: it may have been replaced
        chosen = client.algorithm if client.algorithm in fitting_algorithms(signing) else ""
        algorithm = algorithm_for(signing, chosen)
        return key_assertion(client.client_id, audience, signing, algorithm, now=now, jti=jti)

    def _key(self, client: Client) -> tuple[Secret | Callable[[str], str], str]:
        """The key, and what to call it in a message."""
        ours = self.identity if _is_of(self.identity, client) else None
        if ours is not None and ours.key:
            return _wrapped(ours.key), "the client's key"
        path = (ours.key_file if ours is not None else "") or client.key_file
        if path:
            return read_key_file(path), f"the key file {quoted(path, 200)}"
        name = quoted(client.client_id, 60)
        raise UsageError(
            f"the client {name} proves itself with a key, which this program was not given",
            code="no_client_key",
            hint="Pass it as the login did: client=PreRegistered(…, key=… or key_file=…). Log in"
            " with --client-key-file to let mcp-login find it by itself",
        )


def prepared(client: Client, identity: Identity, server: ServerMetadata) -> Client:
    """The client with what a later process needs to prove it, once the key has been tried.

    Raises `UsageError` for a key that cannot be read, or that does not fit the algorithm.
    """
    if client.key_file:
        client = replace(client, key_file=str(Path(client.key_file).expanduser().absolute()))
    if client.method == "client_secret_jwt" and not client.algorithm:
        return replace(client, algorithm=secret_algorithm(server.signing_algorithms))
    if client.method != "private_key_jwt":
        return client
    key, where = Proving(identity, lambda: 0.0, lambda: "")._key(client)
    if not isinstance(key, Secret):
        return client
    signing = signing_key(key, where)
    listed = server.signing_algorithms
    return replace(client, algorithm=algorithm_for(signing, client.algorithm, listed))


def require_certificate(client: Client, transport: object) -> None:
    """`UsageError` for a method of RFC 8705 over a transport that says it has no certificate."""
    if client.method in CERTIFIED and not getattr(transport, "has_certificate", True):
        raise UsageError(
            f"the client authentication {client.method} needs a client certificate",
            hint="Pass it with the transport: transport=HttpTransport(url, cert=(certificate,"
            " key)) (--cert, --cert-key)",
        )


def read_key_file(path: str) -> Secret:
    """What the file holds; `UsageError` where it is not to be read."""
    where = f"the key file {quoted(path, 200)}"
    try:
        found = Path(path).expanduser()
        if found.exists() and not found.is_file():  # a pipe gives its content once
            raise OSError(0, "it is no regular file")
        with found.open(encoding="utf-8") as file:
            text = file.read(_LARGEST)
    except (OSError, RuntimeError) as error:  # RuntimeError: a home that is not there
        raise UsageError(
            f"{where} cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}",
            code="no_client_key",
            hint="It is read at each use of the client: put it back, or log in again with another",
        ) from None
    except ValueError:
        raise UsageError(
            f"{where} is no text, so it holds no PEM or JWK", hint="Expected a private key"
        ) from None
    return Secret(text)


def _is_of(identity: Identity, client: Client) -> bool:
    if isinstance(identity, PreRegistered):
        return identity.client_id == client.client_id
    return isinstance(identity, ClientMetadataDocument) and identity.url == client.client_id


def _made(assertion: object) -> str:
    if isinstance(assertion, str) and assertion.isascii() and assertion.count(".") == 2:
        return assertion
    raise UsageError(
        "the client's callable returned no assertion",
        hint="It is given the audience and returns a signed JWT as a string (RFC 7523 §3)",
    )


def _wrapped(key: SigningKey) -> Secret | Callable[[str], str]:
    return Secret(key) if isinstance(key, str) else key or Secret("")
