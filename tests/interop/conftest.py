"""Real servers as processes, and a person who logs in there. The forms are in `forms.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The servers are scripts beside their modules: they are not installed, and no package.
sys.path.insert(0, str(Path(__file__).parent))

from forms import Place, missing
from life import Life
from person import Person

from mcp_client_auth.testing.secret_service import INSTALL, SecretService


@pytest.fixture(scope="session")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """The running server of the form that is the parameter."""
    if lack := missing():
        pytest.skip(lack)
    with request.param.start(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def life(request: pytest.FixtureRequest, place: Place, person: Person) -> Life:
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
