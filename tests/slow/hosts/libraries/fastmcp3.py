from tests.slow.hosts.libraries.fastmcp4 import connect as connect
