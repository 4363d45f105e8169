"""Log in on a machine without a browser, by a link and a code: python on_another_device.py URL."""

import sys

from mcp_client_auth import DeviceCode, login

if len(sys.argv) != 2:
    sys.exit(__doc__)

with login(sys.argv[1], grant=DeviceCode()) as me:
    print(me.call("whoami").text)
