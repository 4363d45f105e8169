"""The verbs of `mcp-login`, one function each: what is asked, not how it is done."""
