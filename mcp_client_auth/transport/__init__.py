"""How requests are sent: none of it through the caller's own client. No HTTP library is loaded."""

from .http import HttpTransport

__all__ = ["HttpTransport"]
