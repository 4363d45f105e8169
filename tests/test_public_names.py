from __future__ import annotations

import subprocess
import sys

import pytest

import mcp_client_auth

HEAVY = ("httpx", "httpx2", "authlib", "keyring", "joserfc", "click", "filelock", "platformdirs")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after the statement."""
    code = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import mcp_client_auth") == set()


def test_a_name_loads_only_what_it_needs() -> None:
    assert loaded_by("from mcp_client_auth import Options, AuthError, PreRegistered") == set()
    later = {"authlib", "joserfc", "keyring", "filelock"}
    assert loaded_by("from mcp_client_auth import MCPAuth, login") & later == set()


@pytest.mark.parametrize("name", mcp_client_auth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mcp_client_auth, name) is not None
    assert name in dir(mcp_client_auth)


def test_every_public_name_is_declared_for_type_checkers() -> None:
    import ast
    from pathlib import Path

    tree = ast.parse(Path(mcp_client_auth.__file__).read_text("utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.asname
        for block in guarded
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared | {"__version__"} == set(mcp_client_auth.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        mcp_client_auth.nonsense  # noqa: B018


def test_a_function_is_not_shadowed_by_a_module() -> None:
    for name in ("login", "alogin", "logout"):
        assert callable(getattr(mcp_client_auth, name))
