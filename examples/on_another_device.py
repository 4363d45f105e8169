"""A machine without a browser: shows a link and a code. python on_another_device.py URL."""

import sys

from mcp_http import tools

from mcp_client_auth import DeviceCode, login

url = sys.argv[1]

me = login(url, grant=DeviceCode())
with me.client() as client:
    print(tools(client, url))
