"""`python -m mcp_client_auth` is `mcp-login`."""

import os
import sys

# Python looks for modules in the working directory first, which may be a cloned repository. Until
# that entry is gone, import only modules that every version of Python has loaded by itself.
try:
    if sys.path[:1] in ([""], [os.getcwd()]):
        del sys.path[0]
except OSError:
    pass

from .cli import main

if __name__ == "__main__":
    main()
