"""What an examination has seen of a server, as far as the rules of other clients ask for it.

Values only: the rules read these, and tests make them without a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ...origin import origin_url, split
from ...protocol.urls import Issuer, well_known

Document: TypeAlias = Mapping[str, Any]  # a metadata document, as it was read
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_RESOURCE: Final = "oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Page:
    """What a GET returned: a JSON object, or in `came` what was there instead."""

    came: str
    document: Mapping[str, Any] | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """The answer to a registration with a client's own body. `refused`: why it was refused, if it
    was; `code`: that of the error. `passing`: it was the server's trouble, not the body's.

    `redirect_uris` and `grant_types` are None where the answer leaves them out. `page`: why the
    authorization endpoint refuses the client afterwards.
    """

    refused: str = ""
    code: str = ""
    passing: bool = False
    redirect_uris: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None
    page: str = ""
    left_over: str = ""  # the client that could not be deleted, and why


@dataclass(frozen=True, slots=True)
class Seen:
    """`url` is the one that people are given. `status`, `challenged` and `named` describe its
    answer to a request without a token: the 401, whether it has a Bearer challenge, and the place
    of the resource metadata in that.

    By URL: `pages`, and `closed` what keeps a page in a browser from reading it. `addresses` by
    host. `agents`: the status that a user agent got. `trials` by client. `untrusted`: origins
    whose certificate is not trusted. `client_id`: of a client that the operator has registered.
    """

    url: str
    status: int = 401
    challenged: bool = True
    named: str = ""
    scopes: tuple[str, ...] = ()
    pages: Mapping[str, Page] = field(default_factory=lambda: _NOTHING)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    agents: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    trials: Mapping[str, Trial] = field(default_factory=lambda: _NOTHING)
    closed: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    untrusted: frozenset[str] = frozenset()
    client_id: str = ""

    @property
    def origin(self) -> str:
        return origin_url(self.url)

    @property
    def resource_scopes(self) -> tuple[str, ...]:
        """The scopes listed in the first resource metadata that was found."""
        places = resource_places(self.url, self.named).values()
        found = (self.document(url) for urls in places for url in urls)
        document = next((each for each in found if each is not None), {})
        return strings(document.get("scopes_supported")) or ()

    def document(self, url: str) -> Mapping[str, Any] | None:
        page = self.pages.get(url)
        return page.document if page else None

    def came(self, url: str) -> str:
        page = self.pages.get(url)
        return page.came if page else "nothing that could be looked at"


def resource_places(url: str, named: str) -> dict[str, tuple[str, ...]]:
    """Return where resource metadata may be, by the facts' name for the place (RFC 9728 §3.1).

    The path's own slash is kept by some clients and dropped by others.
    """
    path = tuple(dict.fromkeys(well_known(url, _RESOURCE, slash=slash) for slash in (False, True)))
    header = (named,) if named else ()
    return {"header": header, "path": path, "root": (well_known(origin_url(url), _RESOURCE),)}


def server_places(issuer: str) -> dict[str, str]:
    """Return where an authorization server's metadata may be, by name; empty for a broken URL."""
    try:
        split(issuer)
        places = Issuer(issuer).metadata_places()
    except ValueError:
        return {}
    # without a path the two OpenID places are one
    return {
        "oauth-inserted": places[0],
        "openid-inserted": places[1],
        "openid-appended": places[-1],
    }


def strings(value: object) -> tuple[str, ...] | None:
    """A list of strings of a document; None for anything else."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return None
