"""Other MCP clients: what is known of each, and what each would meet at a server."""
