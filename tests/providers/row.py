"""A row of the providers' table: a shape, what to pass there, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_client_auth import (
    AuthError,
    PreRegistered,
    RegistrationRefused,
)
from tests.providers.provider_shapes import Known, Shape
from tests.providers.visitor import Wrong

Places = Mapping[str, str]
Passes = Callable[[Places], dict[str, Any]]


@dataclass(frozen=True)
class Without:
    """A login without an option: the error that it ends in, and what that error names."""

    error: type[AuthError]
    names: tuple[str, ...]
    passes: Passes = lambda at: {}
    refreshed: bool = False  # it is the refresh that fails
    logged_in: bool = False  # it is the server that refuses the fresh token


@dataclass(frozen=True)
class Refused:
    """What another client gets wrong, and the error that the provider's answer becomes here."""

    wrong: Wrong
    error: type[AuthError]


@dataclass(frozen=True)
class Row:
    """`options`: what the table's row has to name. `case`: several shapes of one provider.

    `logs_in`: whether `login()` finds out by itself where to log in. `renews`: whether there is
    a refresh.
    """

    name: str
    shape: Shape
    passes: Passes = lambda at: {}
    case: str = ""
    options: tuple[str, ...] = ()
    without: tuple[Without, ...] = ()
    refuses: tuple[Refused, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    logs_in: bool = True
    renews: bool = True

    def __str__(self) -> str:
        return f"{self.name}, {self.case}" if self.case else self.name


NO_REGISTRATION: Final = {"registration_endpoint": None}
CLIENT_ID: Final = ("--client-id ID", "PreRegistered(client_id=…)")
UNKNOWN_CLIENT: Final = Without(RegistrationRefused, CLIENT_ID)
APP: Final = PreRegistered("app")
CONFIDENTIAL: Final = PreRegistered("app", "s3cret")
PUBLIC: Final = {"app": Known()}
POSTS: Final = {"app": Known("client_secret_post", "s3cret")}
PROVES_BASIC: Final = {"app": Known("client_secret_basic", "s3cret")}
POST_LISTED: Final = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
NO_PKCE: Final = {"code_challenge_methods_supported": None}
OTHER_RESOURCE: Final = {"resource": "https://elsewhere.example"}
LOCALHOST: Final = ("http://localhost:{port}/callback",)


def pinned(at: Places) -> str:
    return f"http://localhost:{at['port']}/callback"
