"""A keyring backend as small as that of Windows, which stores items in the file `SMALL_VAULT`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class Vault(KeyringBackend):
    """Holds 2,560 bytes of UTF-16 per item, and raises an error of its own kind for more."""

    priority = 5

    def get_password(self, service: str, username: str) -> str | None:
        return self._items().get(service)

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > 2560:
            raise RuntimeError(1783, "CredWrite", "The stub received bad data")
        self._keep({**self._items(), service: password})

    def delete_password(self, service: str, username: str) -> None:
        items = self._items()
        del items[service]
        self._keep(items)

    def _items(self) -> dict[str, str]:
        file = Path(os.environ["SMALL_VAULT"])
        found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def _keep(self, items: dict[str, str]) -> None:
        file = Path(os.environ["SMALL_VAULT"])
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(items))
        os.rename(part, file)
