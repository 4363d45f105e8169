"""A real MCP server with its own authorization server on loopback, and a scripted browser.

Needs the extra `testing` (starlette, uvicorn, pytest), or `demo` without the fixtures.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .browser import Decision, Page, ScriptedBrowser
    from .identity_provider import IdentityProvider
    from .journal import Held, RequestRecord
    from .secrecy import assert_no_secrets
    from .server import DemoServer
    from .settings import RegisteredClient, Settings, TrustedIssuer

__all__ = [
    "Decision",
    "DemoServer",
    "Held",
    "IdentityProvider",
    "Page",
    "RegisteredClient",
    "RequestRecord",
    "ScriptedBrowser",
    "Settings",
    "TrustedIssuer",
    "assert_no_secrets",
]

_HOMES = {
    "Decision": "browser",
    "DemoServer": "server",
    "Held": "journal",
    "IdentityProvider": "identity_provider",
    "Page": "browser",
    "RegisteredClient": "settings",
    "RequestRecord": "journal",
    "ScriptedBrowser": "browser",
    "Settings": "settings",
    "TrustedIssuer": "settings",
    "assert_no_secrets": "secrecy",
}


if not TYPE_CHECKING:  # to a type checker a misspelled name is an error

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
