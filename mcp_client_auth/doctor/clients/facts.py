"""What is known of other MCP clients, read from clients.toml.

This module defines the kinds of facts and the values that they may have. Only the file says which
client has which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from ...errors import UsageError
from ...secret import quoted

Sureness = Literal["source", "vendor", "maintainer", "run", "survey", "report"]
SURENESS: Final[tuple[Sureness, ...]] = get_args(Sureness)
EVERY: Final = "all"
_METADATA_PLACES: Final = ("header", "header-alone", "header-same-origin", "path", "root")
_SERVER_PLACES: Final = ("oauth-inserted", "openid-inserted", "openid-appended")
# The values that a kind of fact allows; () for one that is free text or a table.
KINDS: Final[Mapping[str, tuple[Any, ...]]] = {
    "connects_from": ("machine", "cloud", "server", "page"),
    "addresses": ("all-public-ipv4",),
    "agents": (),  # user agents of its requests
    "challenge": ("must-name-metadata", "optional"),
    "challenge_statuses": (401, 403),
    "metadata_order": _METADATA_PLACES,
    "resource_match": ("exact", "normalised", "without-query", "prefix", "url-or-origin", "none"),
    "resource_mismatch": ("own-origin",),
    "without_metadata": ("own-origin", "fails"),
    "default_endpoints": (True, False),  # /authorize and its like, where there is no metadata
    "servers_tried": ("first", "each"),
    "server_order": _SERVER_PLACES,
    "issuer_match": ("exact", "root-slash", "none"),
    "pkce": ("required", "if-listed", "none"),
    "ways": ("document", "registration"),
    "document": (),  # url, methods of its token requests, requires
    "redirect_uris": (),
    "registration": (),  # the body, without its redirect URIs
    "registration_answer": ("redirect_uris", "refresh_token"),
    "own_client": (),  # where a person enters a client id
    "iss": ("required-if-announced", "for-one-identity"),
    "scopes": ("challenge", "resource", "server", "none"),
    "offline_access": ("if-listed",),
    "seconds": (),
    "cors": ("none", "discovery", "needed"),  # discovery: it sends its other requests elsewhere
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `value` has the shape of its kind. `date`: that of the state it describes."""

    name: str
    value: Any
    sure: Sureness
    date: str
    source: str
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "fact": self.name,
            "value": self.value,
            "sure": self.sure,
            "date": self.date,
            "source": self.source,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """One client. What is not established is not among its facts."""

    id: str
    name: str
    facts: Mapping[str, Fact]

    def get(self, name: str) -> Any:
        """The value of a fact; None where it is not established."""
        fact = self.facts.get(name)
        return fact.value if fact else None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All clients by id, and the day on which the file was last gone through."""

    checked: str
    clients: Mapping[str, ClientFacts]

    def chosen(self, names: Iterable[str]) -> tuple[ClientFacts, ...]:
        """Those that are named, in the file's order. Raises `UsageError` for an unknown one."""
        ids = {name.strip().lower() for name in names} - {""}
        if unknown := sorted(ids - {EVERY, *self.clients}):
            raise UsageError(
                f"no client is known as {quoted(unknown[0], 60)}",
                hint=f"Known: {', '.join(self.clients)}, or {EVERY}",
            )
        every = EVERY in ids
        return tuple(c for c in self.clients.values() if every or c.id in ids)


def chosen(names: Iterable[str]) -> tuple[ClientFacts, ...]:
    """Return the clients of these names; without names, nothing is read."""
    names = tuple(names)
    return catalogue().chosen(names) if names else ()


@cache
def catalogue() -> Catalogue:
    """Return what the package knows. The file is read once, and only if it is needed."""
    text = files(__package__).joinpath("clients.toml").read_text("utf-8")
    return read_catalogue(text)


def read_catalogue(text: str) -> Catalogue:
    """Parse the file's text. Raises `ValueError` with the place of a mistake in it."""
    import tomllib

    tables = tomllib.loads(text)
    bases = {name: _facts(name, table) for name, table in tables.get("base", {}).items()}
    clients = {}
    for name, table in tables["client"].items():
        like = table.get("like", "")
        if like and like not in bases:
            raise ValueError(f"{name}: there is no base {like}")
        clients[name] = ClientFacts(
            name, table["name"], {**bases.get(like, {}), **_facts(name, table)}
        )
    return Catalogue(tables["checked"], clients)


def _facts(owner: str, table: Mapping[str, Any]) -> dict[str, Fact]:
    return {
        name: _fact(f"{owner}.{name}", name, given)
        for name, given in table.items()
        if name not in ("name", "like")
    }


def _fact(place: str, name: str, given: Mapping[str, Any]) -> Fact:
    if name not in KINDS:
        raise ValueError(f"{place}: no such fact")
    try:
        fact = Fact(
            name,
            given["is"],
            given["sure"],
            given["date"],
            given["source"],
            given.get("detail", ""),
        )
    except KeyError as missing:
        raise ValueError(f"{place}: it has no {missing.args[0]}") from None
    if fact.sure not in SURENESS or not fact.date or not fact.source:
        raise ValueError(f"{place}: it needs a source, a date, and one of {', '.join(SURENESS)}")
    values = fact.value if isinstance(fact.value, list) else [fact.value]
    allowed = KINDS[name]
    for value in values:
        word = value.removesuffix("?") if isinstance(value, str) else value
        if allowed and word not in allowed:
            raise ValueError(f"{place}: {value!r} is none of {allowed}")
    return fact
