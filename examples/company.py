"""Sign in at the company, once for all of its servers: python company.py URL ISSUER FILE.

FILE has four lines: the id and the secret of the client at the identity provider, then those of
the client at the server.
"""

import sys
from pathlib import Path

from mcp_client_auth import EnterpriseManaged, PreRegistered, login

if len(sys.argv) != 4:
    sys.exit(__doc__)

url, issuer, file = sys.argv[1:]
there, there_secret, here, here_secret = Path(file).read_text().splitlines()

desk = PreRegistered(there, there_secret, redirect_uris=("http://127.0.0.1/callback",))
grant = EnterpriseManaged(idp_client=desk, idp_issuer=issuer)

with login(url, grant=grant, client=PreRegistered(here, here_secret)) as me:
    print(me.call("whoami").text)
