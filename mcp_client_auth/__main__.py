"""`python -m mcp_client_auth` is `mcp-login`."""

import os
import sys

# Python looks for modules in the working directory first, which may be a cloned repository. Until
# then nothing may be imported but what Python has loaded itself, in all of its versions.
try:
    if sys.path[:1] in ([""], [os.getcwd()]):
        del sys.path[0]
except OSError:
    pass

from .cli import main

if __name__ == "__main__":
    main()
