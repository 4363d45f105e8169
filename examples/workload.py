"""A workload with a JWT of its platform, rotated by it: python workload.py URL JWT_FILE."""

import sys

import httpx
from mcp_http import tools

from mcp_client_auth import MCPAuth, WorkloadIdentity

url, jwt_file = sys.argv[1:]

with httpx.Client(auth=MCPAuth(url, grant=WorkloadIdentity(assertion_file=jwt_file))) as client:
    print(tools(client, url))
