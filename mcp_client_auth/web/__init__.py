"""For web applications, whose users sign in to MCP servers, each to their own account."""
