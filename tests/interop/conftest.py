"""Real servers as processes: AuthKit as oidc-provider plays it, FastMCP, the official SDK."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# The servers are scripts beside their modules: they are not installed, and no package.
sys.path.insert(0, str(Path(__file__).parent))

from person import Person
from processes import HERE, HOST, free_port, install_line, node_modules, server

from mcp_client_auth.testing.secret_service import INSTALL, SecretService

LONG, SHORT = 300, 3


@contextmanager
def behind_authkit(lifetime: int, **more: object) -> Iterator[str]:
    """The address of a FastMCP server whose tokens live for `lifetime` seconds.

    `more` are options of the authorization server.
    """
    node = shutil.which("node")
    if node is None or not (node_modules() / "oidc-provider").exists():
        pytest.skip(f"Node and oidc-provider are needed: {install_line()}")
    pytest.importorskip("fastmcp", reason="pip install 'fastmcp>=4.1'")
    here, there = free_port(), free_port()
    options = {
        "port": there,
        "resource": f"http://{HOST}:{here}/api/mcp",
        "accessTokenTtl": lifetime,
        **more,
    }
    with (
        server([node, str(HERE / "oidc_provider.mjs"), json.dumps(options)]) as issuer,
        server([sys.executable, str(HERE / "authkit_server.py"), str(here), issuer]) as url,
    ):
        yield url


@contextmanager
def by_the_sdk(lifetime: int) -> Iterator[str]:
    pytest.importorskip("mcp.server.mcpserver", reason="pip install 'mcp>=2.3'")
    script = str(HERE / "sdk_server.py")
    arguments = [str(free_port()), "--ttl", str(lifetime), "--consent"]
    with server([sys.executable, script, *arguments]) as url:
        yield url


@pytest.fixture(scope="session")
def authkit() -> Iterator[str]:
    with behind_authkit(LONG) as url:
        yield url


@pytest.fixture(scope="session")
def short_lived_authkit() -> Iterator[str]:
    with behind_authkit(SHORT) as url:
        yield url


@pytest.fixture(
    params=[{"dpop": True}, {"dpop": "nonce"}, {"dpop": "nonce", "par": "required"}],
    ids=["no nonce", "nonce", "nonce and pushed"],
)
def binding_authkit(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its authorization server binds tokens to keys (RFC 9449); FastMCP takes Bearer only."""
    with behind_authkit(LONG, **request.param) as url:
        yield url


@pytest.fixture(scope="session")
def sdk() -> Iterator[str]:
    with by_the_sdk(LONG) as url:
        yield url


@pytest.fixture(scope="session")
def short_lived_sdk() -> Iterator[str]:
    with by_the_sdk(SHORT) as url:
        yield url


@pytest.fixture
def secret_service() -> Iterator[dict[str, str]]:
    """The environment in which an unlocked Secret Service is the OS keyring."""
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with SecretService() as service:
        yield service.environment


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)
