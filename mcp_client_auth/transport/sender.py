"""Who sends a request, where another thread may end the wait for its answer.

httpx names the connection of a request no earlier than in the response. This imports no HTTP
library: a client of another one ignores the extension.
"""

from __future__ import annotations

from typing import Final, Protocol

# extensions of a request
SENDER: Final = "mcp_client_auth.sender"
FIRST_URL: Final = "mcp_client_auth.first_url"  # which the server redirects to where it goes


class Wire(Protocol):
    """A connection, which serves one request after the other."""

    def end(self, sender: Sender) -> None:
        """From any thread: end it, if it still serves the request of this sender."""
        ...


class Sender(Protocol):
    """Who sends a request."""

    def writing(self, wire: Wire) -> None:
        """Something of the request goes out there now; raise to keep it back."""
        ...
