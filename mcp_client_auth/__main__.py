"""`python -m mcp_client_auth` is `mcp-login`."""

from .cli import main

if __name__ == "__main__":
    main()
