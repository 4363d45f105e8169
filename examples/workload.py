"""A workload with a JWT that its platform issues and rotates: python workload.py URL JWT_FILE."""

import sys

from mcp_client_auth import WorkloadIdentity, login

if len(sys.argv) != 3:
    sys.exit(__doc__)

url, jwt_file = sys.argv[1:]

with login(url, grant=WorkloadIdentity(assertion_file=jwt_file)) as me:
    print(me.call("whoami").text)
