"""Log in and call a tool: python first.py URL.

The browser opens once; from the second run on the stored login is used.
"""

import sys

from mcp_client_auth import login

if len(sys.argv) != 2:
    sys.exit(__doc__)

with login(sys.argv[1]) as me:
    print("tools:", ", ".join(tool.name for tool in me.tools()))
    print(me.call("whoami").text)
