"""Which scopes to ask for, first and after a 403 (MCP 2026-07-28 "Scope Selection Strategy")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .discovery import Discovery

Scopes = tuple[str, ...]
OFFLINE: Final = "offline_access"


def choose_scope(discovery: Discovery, named: Scopes | None) -> Scopes | None:
    """The caller's scopes, otherwise the challenge's, the resource's, or None (no parameter).

    `offline_access` is added if the authorization server lists it and there is scope
    information at all: without it most servers issue no refresh token (OIDC Core §11).
    """
    if named is not None:
        return named
    chosen = suggested(discovery)
    if chosen is not None and OFFLINE in (discovery.server.scopes_supported or ()):
        return union(chosen, (OFFLINE,))
    return chosen or None


def suggested(discovery: Discovery) -> Scopes | None:
    """The challenge's scopes, otherwise the resource's; None if neither names any."""
    challenged = discovery.challenge.scope if discovery.challenge else None
    offered = discovery.metadata.scopes_supported if discovery.metadata else None
    return challenged if challenged is not None else offered


def step_up(requested: Iterable[str], granted: Iterable[str], challenged: Iterable[str]) -> Scopes:
    """All scopes that were requested, were granted or are now missing (SEP-2350)."""
    return union(requested, granted, challenged)


def union(*sets: Iterable[str]) -> Scopes:
    return tuple(dict.fromkeys(scope for scopes in sets for scope in scopes))


def parse(scope: str) -> Scopes:
    """RFC 6749 §3.3; some servers separate by commas."""
    return tuple(dict.fromkeys(scope.replace(",", " ").split()))
