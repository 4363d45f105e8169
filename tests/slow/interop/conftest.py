"""Real servers as processes, and a person who logs in there. The forms are in `forms.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.testing.secret_service import INSTALL, SecretService
from tests.slow.interop import forms
from tests.slow.interop.life import Life
from tests.slow.interop.person import Person

LONG, SHORT = 300, 3


@contextmanager
def behind_authkit(lifetime: int, **more: Any) -> Iterator[str]:
    """The address of a FastMCP server whose tokens live for `lifetime` seconds.

    `more` are options of the authorization server.
    """
    if lack := forms.missing():
        pytest.skip(lack)
    options = {"scopes": (), "lifetime": lifetime, **more}
    with (
        tempfile.TemporaryDirectory() as scratch,
        forms.behind_authkit(Path(scratch), **options) as place,
    ):
        yield place.url


@pytest.fixture(scope="session")
def authkit() -> Iterator[str]:
    with behind_authkit(LONG) as url:
        yield url


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with forms.sdk(tmp_path_factory.mktemp("server"), lifetime=LONG) as place:
        yield place.url


@pytest.fixture(
    params=[{"dpop": True}, {"dpop": "nonce"}, {"dpop": "nonce", "par": "required"}],
    ids=["no nonce", "nonce", "nonce and pushed"],
)
def binding_authkit(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its authorization server binds tokens to keys (RFC 9449); FastMCP takes Bearer only."""
    with behind_authkit(LONG, **request.param) as url:
        yield url


@pytest.fixture(scope="session")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[forms.Place]:
    """The running server of the form that is the parameter."""
    if lack := forms.missing():
        pytest.skip(lack)
    with request.param.start(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def life(request: pytest.FixtureRequest, place: forms.Place, person: Person) -> Life:
    return Life.at(request.node.callspec.params["place"], place, person)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


@pytest.fixture
def secret_service() -> Iterator[dict[str, str]]:
    """The environment in which an unlocked Secret Service is the OS keyring."""
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with SecretService() as service:
        yield service.environment
