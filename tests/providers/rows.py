"""Every provider of docs/providers.md: what it does, what to pass, and what is refused there.

The facts are reporters' claims about real servers, condensed; each shape holds what has made
a client fail, and nothing that the standards say anyway.
"""

from __future__ import annotations

from typing import Final

from tests.providers import bare_logins, identity_providers, own_clients
from tests.providers.row import Row

ROWS: Final = tuple(
    value
    for module in (identity_providers, own_clients, bare_logins)
    for value in vars(module).values()
    if isinstance(value, Row)
)
