"""Signs with a client's key: it has the key, the clock and the random numbers that the protocol
does not have.

The caller's key comes first, then the file that the credential names. Nothing is remembered, so a
new key is used at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Remedy, UsageError
from ..paths import read_named
from ..protocol.assertions import key_assertion, secret_assertion
from ..protocol.client_auth import RequestSigner
from ..protocol.jose import algorithm_for, fitting_algorithms, secret_algorithm, signing_key
from ..protocol.registration import CERTIFIED, Client, Identity
from ..secret import Secret, quoted

if TYPE_CHECKING:
    from ..protocol.jose import Key
    from ..protocol.metadata import ServerMetadata


@dataclass(frozen=True, slots=True)
class ClientSigner(RequestSigner):
    """Signs client assertions for the client of `identity`, or for one that a credential names."""

    identity: Identity
    clock: Callable[[], float]
    random: Callable[[], str]

    def assertion(self, client: Client) -> str:
        """Return a client assertion (RFC 7523 §2.2); `UsageError` if no key can be read."""
        name, audience, now, jti = client.client_id, client.issuer, self.clock(), self.random()
        if client.method == "client_secret_jwt":
            secret, algorithm = client.secret or Secret(""), client.algorithm or "HS256"
            return secret_assertion(name, audience, secret, algorithm, now=now, jti=jti)
        key = _key(client, self.identity)
        if not callable(key):
            # what the login chose holds for a key of that type; a new key may be of another
            chosen = client.algorithm if client.algorithm in fitting_algorithms(key) else ""
            algorithm = algorithm_for(key, chosen)
            return key_assertion(name, audience, key, algorithm, now=now, jti=jti)
        made: object = key(audience)
        if isinstance(made, str) and made.isascii() and made.count(".") == 2:
            return made
        raise UsageError(
            "the client's callable returned no assertion",
            hint="It is given the audience and returns a signed JWT as a string (RFC 7523 §3)",
        )


def _key(client: Client, identity: Identity) -> Key | Callable[[str], str]:
    ours = identity if identity is not None and identity.client_id == client.client_id else None
    key = ours.key if ours is not None else None
    if callable(key):
        return key
    if key:
        return signing_key(key if isinstance(key, Secret) else Secret(key))
    if path := (ours.key_file if ours is not None else "") or client.key_file:
        return read_key(path)
    raise UsageError(
        f"the client {quoted(client.client_id, 60)} is authenticated by a key, which this program"
        " was not given",
        code="no_client_key",
        hint=Remedy(
            "Pass it as the login did, or log in with {PreRegistered.key_file}, which is remembered"
        ),
    )


def prepare(client: Client, identity: Identity, server: ServerMetadata) -> Client:
    """Return the client with what a later process needs to sign for it; the key is tried first.

    Raises `UsageError` for a key that cannot be read, or that does not fit the algorithm.
    """
    if client.key_file:
        client = replace(client, key_file=str(Path(os.path.expanduser(client.key_file)).absolute()))
    listed = server.signing_algorithms
    if client.method == "client_secret_jwt" and not client.algorithm:
        return replace(client, algorithm=secret_algorithm(listed))
    if client.method != "private_key_jwt":
        return client
    key = _key(client, identity)
    if callable(key):
        return client
    return replace(client, algorithm=algorithm_for(key, client.algorithm, listed))


def require_certificate(client: Client, transport: object) -> None:
    """Raise `UsageError` for a method of RFC 8705 over a transport without a client certificate."""
    if client.method in CERTIFIED and not getattr(transport, "has_certificate", True):
        raise UsageError(
            f"the client authentication {client.method} needs a client certificate",
            hint=Remedy("Pass it, with its key: {HttpTransport.cert}"),
        )


def read_key(path: str) -> Key:
    """The private key in a file; `UsageError` if it cannot be read."""
    where = f"the key file {quoted(path, 200)}"
    try:
        return signing_key(Secret(read_named(path)), where)
    except OSError as error:
        raise UsageError(
            f"{where} cannot be read: {error.strerror}",
            code="no_client_key",
            hint="It is read at each use of the client: put it back, or log in again with another",
        ) from None
