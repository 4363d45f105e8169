"""`MCPAuth` for each HTTP library."""
