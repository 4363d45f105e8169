"""A service with a client of its own and no person: python service.py URL CLIENT_ID SECRET_FILE.

A new token is requested whenever one expires; no person is ever asked.
"""

import sys
from pathlib import Path

from mcp_client_auth import ClientCredentials, PreRegistered, login

if len(sys.argv) != 4:
    sys.exit(__doc__)

url, client_id, secret_file = sys.argv[1:]
client = PreRegistered(client_id, secret=Path(secret_file).read_text().strip())

with login(url, grant=ClientCredentials(), client=client) as me:
    print(me.call("whoami").text)
