"""One look into the Secret Service without `keyring`'s own search, for a record known to be there.

The index names the backend that has passed the trial. It is used only if `keyring` would choose
that one too: no variable and no file of the user says otherwise. Any other case (a lock, a prompt,
no answer) is left to the verb itself: None.
"""

import os
import sys
from contextlib import suppress

TYPE_CHECKING = False  # importing typing takes longer than all that is done here
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
    # a daemon that hangs is left to the verb, which has a message for it
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
    # where `keyring` looks for keyringrc.cfg, and where it refuses an old one
    for variable, usual in (("XDG_CONFIG_HOME", "~/.config"), ("XDG_DATA_HOME", "~/.local/share")):
        root = os.environ.get(variable) or os.path.expanduser(usual)
        if os.path.lexists(os.path.join(root, "python_keyring", "keyringrc.cfg")):
            return False
    return True


def _look(id: str, found: "list[str]") -> None:  # noqa: A002
    """Look as `keyring` does, but without unlocking or creating anything."""
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
