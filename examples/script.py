"""A script or notebook cell that logs in first: python script.py URL."""

import sys

from mcp_client_auth import login

url = sys.argv[1]

with login(url) as me:
    print([tool.name for tool in me.tools()])
