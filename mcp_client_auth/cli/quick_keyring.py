"""One look into the Secret Service past `keyring`'s own search, for a record known to lie there.

The index names the backend that has passed the trial. It is looked into only where `keyring`
would take that one: no variable and no file of the user says otherwise. Whatever is not plain
(a lock, a prompt, no answer) is left to the verb itself: None.
"""

import os
import sys
from contextlib import suppress

TYPE_CHECKING = False  # typing costs more than all that is done here
if TYPE_CHECKING:
    from typing import Final

BACKEND: "Final" = "keyring.backends.SecretService"
_USER: "Final" = "mcp-client-auth"
_NAMED: "Final" = "PYTHON_KEYRING_BACKEND"
_PATIENCE: "Final" = 2.0


def secret_of(id: str) -> "str | None":  # noqa: A002
    """The text of an item."""
    import threading

    if not _is_keyrings_choice():
        return None
    found: list[str] = []
    # a daemon that hangs is the verb's affair, which has the words for it
    thread = threading.Thread(target=_look, args=(id, found), daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return found[0] if found else None


def _is_keyrings_choice() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    if os.environ.get(_NAMED, f"{BACKEND}.Keyring") != f"{BACKEND}.Keyring":
        return False
    if any(name.startswith("KEYRING_PROPERTY_") for name in os.environ):
        return False
    # where `keyring` looks for keyringrc.cfg, and where it refuses one of old
    for variable, usual in (("XDG_CONFIG_HOME", "~/.config"), ("XDG_DATA_HOME", "~/.local/share")):
        root = os.environ.get(variable) or os.path.expanduser(usual)
        if os.path.lexists(os.path.join(root, "python_keyring", "keyringrc.cfg")):
            return False
    return True


def _look(id: str, found: "list[str]") -> None:  # noqa: A002
    """As `keyring` does it, but that it unlocks and makes nothing."""
    with suppress(Exception):
        import secretstorage

        bus = secretstorage.dbus_init()
        try:
            collection = secretstorage.get_collection_by_alias(bus, "default")
            if collection.is_locked():
                return
            query = {"service": f"mcp-client-auth:{id}", "username": _USER}
            for item in collection.search_items(query):
                if not item.is_locked():
                    found.append(item.get_secret().decode())
                return
        finally:
            bus.close()
