"""How requests are sent: never by the caller's own client. Importing it loads no HTTP library."""

from .http import HttpTransport

__all__ = ["HttpTransport"]
