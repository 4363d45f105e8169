"""The sender of a request, for when another thread may end the wait for its answer.

httpx does not name the connection of a request before the response. This imports no HTTP
library: the client of another one ignores the extension.
"""

from __future__ import annotations

from typing import Final, Protocol

# extensions of a request
SENDER: Final = "mcp_client_auth.sender"
FIRST_URL: Final = "mcp_client_auth.first_url"  # the URL whose redirects led here


class Wire(Protocol):
    """A connection, which serves one request after another."""

    def end(self, sender: Sender) -> None:
        """End it, from any thread, if it still serves the request of this sender."""
        ...


class Sender(Protocol):
    """The sender of a request."""

    def writing(self, wire: Wire) -> None:
        """Called before part of the request is written to `wire`; raise to stop that."""
        ...
