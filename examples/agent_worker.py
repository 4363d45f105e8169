"""Work for a user who is not present: python agent_worker.py URL ACCOUNT.

The user has logged in through the web application; all that the worker has is their account, and
the storage that both share.
"""

import sys

from mcp_client_auth import FileStorage, LoginRequired, login

if len(sys.argv) != 3:
    sys.exit(__doc__)

url, account = sys.argv[1:]

try:
    with login(url, account=account, storage=FileStorage(), prompt=None) as me:
        print(me.call("whoami").text)
except LoginRequired:
    sys.exit(f"{account} has to log in first")
