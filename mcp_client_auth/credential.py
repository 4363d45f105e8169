"""`Credential`, the one durable record: tokens with everything that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import lru_cache
from sys import intern
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, get_args

from .errors import StorageError, shell_command
from .origin import split
from .paths import record_id
from .protocol.client import SUPPORTED_METHODS, Client, Kind
from .protocol.frozen import dataclass, replace
from .protocol.json_text import json_value
from .protocol.token_set import TokenSet
from .protocol.urls import ServerUrl, canonical
from .secret import Secret

VERSION: Final = 1
PERSONAL: Final = "authorization_code"
PROVIDER: Final = "identity_provider"  # the grant of a login at one; no MCP server sees it
MANAGED: Final = "idp"  # among the options of a credential: the provider behind it
STATIC: Final = "static_token"  # among the options of a credential
_WAITING: Final = " (waiting)"
NOTHING: Final[Mapping[str, Any]] = {}  # shared by all that have none
# Left out while empty, so that older programs can still read a record
_LATER: Final = {"key_file", "algorithm", "dpop", "bound", "dpop_key", "final_url", "headers"}
_NEWEST: Final = 1_000_000
LAST_MOMENT: Final = 32_503_680_000.0  # the year 3000, where the calendar of Windows ends
HIGHEST: Final = 1 << 62  # the limit of a counter
Reader: TypeAlias = Callable[[Any], Any]
Readers: TypeAlias = Mapping[str, Reader]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """What a credential is kept under.

    `server` is canonical; `account` is the person's label; `client` is empty for our own
    registration or metadata document, so that the command and a bare `MCPAuth` share a login.
    `grant` is that of a person's login (by browser or device code), or one that needs no person.

    Example:
        ```python
        from mcp_client_auth import Key

        print(Key("https://mcp.example.com/mcp", account="work").id)  # what a login is kept under
        ```
    """

    server: str
    account: str = "default"
    grant: str = PERSONAL
    client: str = ""

    @property
    def id(self) -> str:
        """A file name of 32 hex digits."""
        return _id(self.server, self.account, self.grant, self.client)

    @property
    def beside(self) -> Key:
        """The key under which a new login waits, beside one in use, until the server accepts it."""
        return replace(self, grant=self.grant + _WAITING)

    @property
    def waits(self) -> bool:
        return self.grant.endswith(_WAITING)

    @property
    def place(self) -> Key:
        """The key under which a waiting login will be kept."""
        return replace(self, grant=self.grant.removesuffix(_WAITING))

    def login_command(self, **options: str | bool) -> str:
        """The command that logs in there as that account, with options by their Python names."""
        account = "" if self.account == "default" else self.account
        return shell_command(self.server, account=account, **options)


_id: Final = lru_cache(256)(record_id)  # a refresh asks some thirty times for the same few


class ClientKey(NamedTuple):
    """What a registration is kept under: one issuer, one redirect URI.

    A loopback `redirect_uri` has no port here; the client itself holds the port.

    Example:
        ```python
        from mcp_client_auth.extending import ClientKey

        print(ClientKey("https://auth.example.com", "http://127.0.0.1/callback").id)
        ```
    """

    issuer: str
    redirect_uri: str

    @property
    def id(self) -> str:
        return record_id("client", self.issuer, self.redirect_uri)


class Note(NamedTuple):
    """What a small text without secrets is kept under, beside the login of `key`.

    Example:
        ```python
        from mcp_client_auth.extending import Item, Key, Note

        print(Item.of(Note(Key("https://mcp.example.com/mcp"), "refused")).name)
        ```
    """

    key: Key
    name: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A login to one MCP server: its tokens and the only places that they may be sent to.

    `requested` are the scopes of the request; those granted are `tokens.scope`. `generation` grows
    by one with each write, so that a late writer can see that it is late. `dpop_key` is the
    private JWK that the grant is bound to, even if its access tokens are not (RFC 9449 §5).
    `final_url` is where the server redirects the MCP request to; empty if it does not.
    `headers` are those of gateways, by origin.

    Example:
        ```python
        from mcp_client_auth import login

        me = login("https://mcp.example.com/mcp")
        print(me.credential.issuer, me.credential.client.client_id, me.credential.tokens.scope)
        ```
    """

    key: Key
    issuer: str
    token_endpoint: str
    client: Client
    tokens: TokenSet
    resource: str | None = None
    revocation_endpoint: str = ""
    requested: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    generation: int = 0
    dpop_key: Secret | None = None
    final_url: str = ""
    headers: Mapping[str, Mapping[str, Secret]] = field(default_factory=lambda: NOTHING)

    def endpoint(self, server_url: ServerUrl) -> str:
        """The URL to send the MCP request to: where redirects from `server_url` led, if any."""
        return self.final_url if server_url.covers(self.final_url) else server_url

    def renewed(self, tokens: TokenSet) -> Credential:
        return replace(self, tokens=tokens, generation=self.generation + 1)

    def covers(self, scope: tuple[str, ...] | None) -> bool:
        """Whether all of it was granted, or at least requested: asking again would not help."""
        return set(scope or ()) <= {*(self.tokens.scope or ()), *(self.requested or ())}

    def alive(self, now: float) -> bool:
        """Whether the access token may still be accepted."""
        expires = self.tokens.expires_at
        return expires is None or now < expires

    @property
    def renewable(self) -> bool:
        """Whether there is a refresh token."""
        return self.tokens.refresh_token is not None

    @property
    def renews(self) -> bool:
        """Whether it can be renewed without a person: by a refresh token, or by the login at the
        identity provider."""
        return self.renewable or bool(self.managed)

    @property
    def static(self) -> bool:
        """Whether an operator issued the token by hand: no authorization server knows it."""
        return bool(self.options.get(STATIC))

    @property
    def managed(self) -> Mapping[str, Any]:
        """The identity provider whose login this one is based on; empty if there is none."""
        named = self.options.get(MANAGED)
        return named if isinstance(named, dict) else NOTHING

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
    return json.dumps({"version": VERSION, **_revealed(credential)}, separators=(",", ":"))


def loads(text: str, where: str) -> Credential:
    """Raises `StorageError` for a record that is damaged or of a newer version."""
    return _read(text, where, lambda raw: Credential(**fields(raw, _CREDENTIAL)))


def dumps_client(client: Client) -> str:
    return json.dumps({"version": VERSION, **_revealed(client)}, separators=(",", ":"))


def loads_client(text: str, where: str) -> Client:
    """Raises `StorageError` for a registration that is damaged or of a newer version."""
    return _read(text, where, _client)


def record(text: str, where: str) -> dict[str, Any]:
    """A stored JSON object of a version that this program knows."""
    try:
        raw = json_value(text)
    except ValueError:
        raise damaged(where) from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or not 1 <= version <= _NEWEST:
        raise damaged(where)
    if version > VERSION:
        raise StorageError(
            f"the record in {where} was written by a newer version of this program"
            f" (format {version}, known up to {VERSION})",
            code="newer_record",
            hint="It was left alone; upgrade mcp-client-auth to use it",
        )
    return dict(raw)


def damaged(where: str) -> StorageError:
    return StorageError(
        f"the record in {where} is damaged",
        code="damaged_record",
        hint="Log in again: a new record takes its place, and this one is set aside, not deleted",
    )


def _revealed(value: Any) -> Any:
    """The fields as JSON can hold them; `asdict` would also copy their values."""
    if isinstance(value, Secret):
        return value.reveal()
    if names := getattr(value, "__dataclass_fields__", None):
        value = {name: getattr(value, name) for name in names}
    if isinstance(value, dict):
        return {n: _revealed(item) for n, item in value.items() if item or n not in _LATER}
    return value


def _read(text: str, where: str, make: Callable[[Any], T]) -> T:
    raw = record(text, where)
    del raw["version"]
    try:
        return make(raw)
    except ValueError:
        raise damaged(where) from None


def _client(raw: Any) -> Client:
    client = Client(**fields(raw, _CLIENT))
    for uri in client.redirect_uris if client.kind == "dynamic" else ():
        split(uri)  # it is part of what a registration is kept under
    return client


def fields(raw: Any, readers: Readers) -> dict[str, Any]:
    """The fields of a stored object, each checked; `ValueError` for an unknown or missing one."""
    known = readers.keys()
    if not isinstance(raw, dict) or not known - _LATER <= raw.keys() <= known:
        raise ValueError
    return {name: readers[name](value) for name, value in raw.items()}


def string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def moment(value: Any) -> float:
    """Seconds since the epoch, within every platform's calendar."""
    return _number(value, 0, LAST_MOMENT)


def strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    try:
        return _words(tuple(value))
    except TypeError:  # a value that cannot be hashed is not a text
        raise ValueError from None


@lru_cache(256)
def _words(values: tuple[Any, ...]) -> tuple[str, ...]:
    """Scopes and callbacks that many records share: checked once, and in memory once."""
    return tuple(map(_word, values))


def count(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError
    return int(_number(value, 0, HIGHEST))


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def optional(reader: Reader) -> Reader:
    """The same reader, which also accepts None."""
    return lambda value: None if value is None else reader(value)


def _number(value: Any, least: float, most: float) -> float:
    # nan is in no range
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError
    return value


def _word(value: Any) -> str:
    """A text that many records share: in memory once."""
    return intern(string(value))


def _endpoint(value: Any) -> str:
    split(string(value))
    return intern(value)


def _endpoint_or_none(value: Any) -> str:
    return _endpoint(value) if value else string(value)


def _secret(value: Any) -> Secret:
    return Secret(string(value))


def _access_token(value: Any) -> Secret:
    """As it was accepted from the server, so that it can be sent and printed (RFC 6749 §A.12)."""
    if not string(value).isascii() or not value.isprintable():
        raise ValueError
    return Secret(value)


def _dpop_key(value: Any) -> Secret:
    """Check only that it may be a key; the key itself is read when it is first used."""
    members = json_value(string(value))
    if not isinstance(members, dict) or not {"kty", "alg", "d"} <= members.keys():
        raise ValueError
    return Secret(value)


def _headers(value: Any) -> Mapping[str, Mapping[str, Secret]]:
    if not isinstance(value, dict):
        raise ValueError
    made = {}
    for url, headers in value.items():
        split(url)
        if not isinstance(headers, dict):
            raise ValueError
        made[url] = {name: _access_token(each) for name, each in headers.items()}
    return made


def one_of(*known: str) -> Reader:
    def reader(value: Any) -> str:
        if value not in known:
            raise ValueError
        return intern(value)

    return reader


def _options(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError
    json.dumps(value, allow_nan=False)  # 1e999 is read as infinity, which JSON has no word for
    return value or NOTHING


KEY: Final[Readers] = dict.fromkeys(("server", "account", "grant", "client"), _word)
_CLIENT: Final[Readers] = {
    "client_id": string,
    "issuer": _word,
    "kind": one_of(*get_args(Kind)),
    "method": one_of(*SUPPORTED_METHODS),
    "secret": optional(_secret),
    "redirect_uris": strings,
    "scope": strings,
    "secret_expires_at": lambda value: _number(value, -1e18, 1e18),
    "management_uri": _endpoint_or_none,
    "management_token": optional(_secret),
    "key_file": string,
    "algorithm": string,
    "dpop": flag,
}
_TOKENS: Final[Readers] = {
    "access_token": _access_token,
    "issued_at": moment,
    "expires_at": optional(moment),
    "refresh_token": optional(_secret),
    "scope": optional(strings),
    "bound": flag,
}
_CREDENTIAL: Final[Readers] = {
    "key": lambda value: Key(**fields(value, KEY)),
    "issuer": _word,
    "token_endpoint": _endpoint,
    "client": _client,
    "tokens": lambda value: TokenSet(**fields(value, _TOKENS)),
    "resource": optional(_word),
    "revocation_endpoint": _endpoint_or_none,
    "requested": optional(strings),
    "options": _options,
    "generation": count,
    "dpop_key": optional(_dpop_key),
    "final_url": _endpoint_or_none,
    "headers": _headers,
}
