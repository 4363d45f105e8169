"""A cache as mcp-remote leaves it (recorded from real runs)."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

ACCESS, REFRESH, SECRET = "cached-access", "cached-refresh", "cached-client-secret"
CLIENT = {
    "redirect_uris": ["http://localhost:11894/oauth/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "client_name": "MCP CLI Client",
    "client_id": "cached-client",
}
TOKENS = {
    "access_token": ACCESS,
    "token_type": "Bearer",
    "expires_in": 3600,
    "scope": "notes:read",
    "refresh_token": REFRESH,
}


@dataclass(frozen=True, slots=True)
class CacheDirectory:
    """`root` is what `$MCP_REMOTE_CONFIG_DIR` names."""

    root: Path

    def plant(
        self,
        named: str,
        tokens: dict[str, Any] | bytes,
        client: dict[str, Any] | bytes | None = None,
        *,
        age: float = 60.0,
        client_age: float | None = None,
    ) -> Path:
        """Write the files, named by the MD5 of `named`; return the tokens' file. Ages in s."""
        directory = self.root / "mcp-remote-v1"
        directory.mkdir(parents=True, exist_ok=True)
        name = md5(named.encode(), usedforsecurity=False).hexdigest()
        if client is not None:
            self._write(directory / f"{name}_client_info.json", client, client_age or age)
        return self._write(directory / f"{name}_tokens.json", tokens, age)

    def _write(self, path: Path, content: dict[str, Any] | bytes, age: float) -> Path:
        raw = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
        path.write_bytes(raw)
        path.chmod(0o600)
        written = time.time() - age
        os.utime(path, (written, written))
        return path

    def state(self) -> dict[str, tuple[bytes, int, int]]:
        """Everything that an import must leave as it is: bytes, mode and mtime."""
        files = (path for path in sorted(self.root.rglob("*")) if path.is_file())
        found = {}
        for path in files:
            seen = path.stat()
            found[str(path)] = path.read_bytes(), seen.st_mode, seen.st_mtime_ns
        return found


def without_issuer(**changes: Any) -> dict[str, Any]:
    """Tokens as its early refresh or versions before 0.9 leave them, in a file a minute old."""
    until = int((time.time() - 60 + 3600) * 1000)
    return _changed({**TOKENS, "expires_at": until, "requested_scope": "notes:read"}, changes)


def cached_tokens(issuer: Any, **changes: Any) -> dict[str, Any]:
    """The tokens with their issuer beside them."""
    return without_issuer(issuer=issuer, **changes)


def client(issuer: str | None = None, **changes: Any) -> dict[str, Any]:
    return _changed(CLIENT, {"issuer": issuer, **changes})


def _changed(usual: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The mapping with changes; None removes a key."""
    return {name: v for name, v in {**usual, **changes}.items() if v is not None}
