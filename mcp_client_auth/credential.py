"""`Credential`, the one durable record: tokens with everything that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from sys import intern
from typing import Any, Final

from .errors import StorageError
from .home import record_id
from .protocol.registration import Client
from .protocol.tokens import TokenSet
from .protocol.urls import canonical
from .secret import Secret

VERSION: Final = 1
PERSONAL: Final = "authorization_code"
_NO_OPTIONS: Final[Mapping[str, Any]] = {}
# Left out while empty, so that older programs read on
_LATER: Final = ("key_file", "algorithm", "dpop", "bound", "dpop_key")
_SECRETS: Final = ("access_token", "refresh_token", "secret", "management_token")


@dataclass(frozen=True, slots=True)
class Key:
    """What a credential is kept under.

    `server` is canonical; `account` is the person's label; `client` is empty for our own
    registration or metadata document, so that the command and a bare `MCPAuth` share a login.
    `grant` is that of a person's login, with a browser or a device code; or one without a person.
    """

    server: str
    account: str = "default"
    grant: str = PERSONAL
    client: str = ""

    @property
    def id(self) -> str:
        """A file name of 32 hex digits."""
        return record_id(self.server, self.account, self.grant, self.client)


@dataclass(frozen=True, slots=True)
class ClientKey:
    """What a registration is kept under: one issuer, one redirect URI.

    A loopback `redirect_uri` stands here without its port, which the client itself holds.
    """

    issuer: str
    redirect_uri: str

    @property
    def id(self) -> str:
        return record_id("client", self.issuer, self.redirect_uri)


@dataclass(frozen=True, slots=True)
class Credential:
    """A login to one MCP server: its tokens and the only places that they may go.

    `requested` are the scopes asked for; those granted are `tokens.scope`. `generation` grows
    by one with each write, so that a late writer can see that it is late. `dpop_key` is the
    private JWK that the grant is bound to, also where its access tokens are not (RFC 9449 §5).
    """

    key: Key
    issuer: str
    token_endpoint: str
    client: Client
    tokens: TokenSet
    resource: str | None = None
    revocation_endpoint: str = ""
    requested: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    dpop_key: Secret | None = None

    def renewed(self, tokens: TokenSet) -> Credential:
        return replace(self, tokens=tokens, generation=self.generation + 1)

    def alive(self, now: float) -> bool:
        """Whether the access token may still be accepted."""
        expires = self.tokens.expires_at
        return expires is None or now < expires

    @property
    def renewable(self) -> bool:
        """Whether there is a refresh token."""
        return self.tokens.refresh_token is not None

    def __repr__(self) -> str:
        return (
            f"Credential(server={self.key.server!r}, account={self.key.account!r},"
            f" scope={self.tokens.scope!r}, expires_at={self.tokens.expires_at!r})"
        )


def key_for(
    server_url: str,
    account: str = "default",
    client: str = "",
    grant: str = PERSONAL,
) -> Key:
    return Key(canonical(server_url), account, grant, client)


def dumps(credential: Credential) -> str:
    """Versioned JSON with the secrets in it: for a storage only."""
    return json.dumps({"version": VERSION, **_plain(credential)}, separators=(",", ":"))


def loads(text: str, where: str) -> Credential:
    """Raises `StorageError` for a record that is damaged or of a newer version."""
    raw = record(text, where)
    try:
        _require_types(raw)
        return Credential(
            key=Key(**{name: intern(word) for name, word in raw["key"].items()}),
            issuer=intern(raw["issuer"]),
            token_endpoint=intern(raw["token_endpoint"]),
            client=_client(raw["client"]),
            tokens=_tokens(raw["tokens"]),
            resource=raw["resource"],
            revocation_endpoint=raw["revocation_endpoint"],
            requested=_words(raw["requested"]),
            options=raw["options"] or _NO_OPTIONS,
            generation=raw["generation"],
            dpop_key=_dpop_key(raw.get("dpop_key")),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise damaged(where) from None


def dumps_client(client: Client) -> str:
    return json.dumps({"version": VERSION, **_plain(client)}, separators=(",", ":"))


def loads_client(text: str, where: str) -> Client:
    raw = record(text, where)
    raw.pop("version")
    try:
        return _client(raw)
    except (KeyError, TypeError, AttributeError):
        raise damaged(where) from None


def _require_types(raw: Mapping[str, Any]) -> None:
    """`TypeError` where a value that is sent or reckoned with is of another type."""
    tokens, client = raw["tokens"], raw["client"]
    texts = (raw["issuer"], raw["token_endpoint"], tokens["access_token"], client["client_id"])
    numbers = (tokens["issued_at"], tokens["expires_at"] or 0, raw["generation"])
    secret = tokens["refresh_token"]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError
    if secret is not None and not isinstance(secret, str):
        raise TypeError


def record(text: str, where: str) -> dict[str, Any]:
    """A stored JSON object of a version that this program knows."""
    try:
        raw = json.loads(text)
    except ValueError:
        raise damaged(where) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("version"), int):
        raise damaged(where)
    if raw["version"] > VERSION:
        raise StorageError(
            f"the record in {where} was written by a newer version of this program"
            f" (format {raw['version']}, known up to {VERSION})",
            code="newer_record",
            hint="It was left alone; upgrade mcp-client-auth to use it",
        )
    return raw


def damaged(where: str) -> StorageError:
    return StorageError(
        f"the record in {where} is damaged",
        code="damaged_record",
        hint="Log in again: a new record takes its place, and this one is set aside, not deleted",
    )


def _plain(value: Any) -> dict[str, Any]:
    """Fields as JSON can hold them. `asdict` copies; a Secret copies as itself."""
    return dict(_revealed(asdict(value)))


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {n: _revealed(item) for n, item in value.items() if item or n not in _LATER}
    return value


def _client(raw: Mapping[str, Any]) -> Client:
    fields = {**_with_secrets(raw), "redirect_uris": tuple(raw["redirect_uris"])}
    fields["scope"] = tuple(raw["scope"])
    for name in ("kind", "method", "issuer"):  # a few words, the same in thousands of records
        fields[name] = intern(raw[name])
    return Client(**fields)


def _tokens(raw: Mapping[str, Any]) -> TokenSet:
    bound = raw.get("bound") is True
    return TokenSet(**{**_with_secrets(raw), "scope": _words(raw["scope"]), "bound": bound})


def _dpop_key(value: Any) -> Secret | None:
    """The key itself is read when it is first used; here only that it may be one."""
    if value is not None and not {"kty", "alg", "d"} <= json.loads(value).keys():
        raise KeyError("no private JWK")
    return None if value is None else _secret(value)


def _with_secrets(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _secret(value) if name in _SECRETS and value is not None else value
        for name, value in raw.items()
    }


def _secret(value: Any) -> Secret:
    if not isinstance(value, str):
        raise TypeError("a secret is a string")
    return Secret(value)


def _words(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
