"""`python -m mcp_client_auth` is `mcp-login`."""

import os
import sys
from contextlib import suppress

# Python looks for modules in the working directory first, which may be a cloned repository.
with suppress(OSError):
    if sys.path[:1] in ([""], [os.getcwd()]):
        del sys.path[0]

from .cli import main

if __name__ == "__main__":
    main()
