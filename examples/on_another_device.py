"""A machine without a browser: shows a link and a code. python on_another_device.py URL."""

import sys

from mcp_client_auth import DeviceCode, login

url = sys.argv[1]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

me = login(url, grant=DeviceCode())
with me.client() as client:
    answer = client.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
