"""Log in with a client that the server's operator registered for you.

python own_client.py URL CLIENT_ID --secret FILE
python own_client.py URL CLIENT_ID --key FILE       (PEM or JWK; the key itself is never stored)
"""

import sys
from pathlib import Path

from mcp_client_auth import PreRegistered, login

if len(sys.argv) != 5 or sys.argv[3] not in ("--secret", "--key"):
    sys.exit(__doc__)

url, client_id, kind, file = sys.argv[1:]
if kind == "--key":
    client = PreRegistered(client_id, key_file=file)
else:
    client = PreRegistered(client_id, secret=Path(file).read_text().strip())

with login(url, client=client) as me:
    print(me.call("whoami").text)
