"""The MCP hosts: what each is installed from, and the line that hands it the authorization."""

from __future__ import annotations

from typing import NamedTuple


class Host(NamedTuple):
    """`name` is also that of its file in `libraries`; `quick`: it runs in every submission."""

    name: str
    shown: str
    requirements: tuple[str, ...]
    glue: str
    quick: bool = False


HOSTS = (
    Host(
        "mcp1",
        "the official SDK 1.x",
        ("mcp<2",),
        "streamablehttp_client(url, auth=auth)",
        quick=True,
    ),
    Host(
        "mcp2",
        "the official SDK 2.x",
        ("mcp>=2",),
        "streamable_http_client(url, http_client=httpx2.AsyncClient(auth=auth))",
        quick=True,
    ),
    Host("fastmcp2", "FastMCP 2", ("fastmcp<3",), "fastmcp.Client(url, auth=auth)"),
    Host("fastmcp3", "FastMCP 3", ("fastmcp<4",), "fastmcp.Client(url, auth=auth)"),
    Host("fastmcp4", "FastMCP 4", ("fastmcp>=4",), "fastmcp.Client(url, auth=auth)", quick=True),
    Host(
        "langchain",
        "langchain-mcp-adapters",
        ("langchain-mcp-adapters",),
        'MultiServerMCPClient({"x": {"transport": "streamable_http", "url": url, "auth": auth}})',
        quick=True,
    ),
    Host(
        "langchain_mcp",
        "langchain[mcp]",
        ("langchain[mcp]",),
        "MCPAdapter(fastmcp.Client(url, auth=auth))",
    ),
    Host(
        "openai_agents",
        "openai-agents",
        ("openai-agents",),
        'MCPServerStreamableHttp(params={"url": url, "auth": auth})',
    ),
    Host("pydantic_ai", "pydantic-ai", ("pydantic-ai-slim[mcp]",), "MCPToolset(url, auth=auth)"),
    Host(
        "google_adk",
        "google-adk",
        ("google-adk[mcp]", "mcp>=2", "httpx2"),
        "StreamableHTTPConnectionParams(url=url, httpx_client_factory=…), which makes"
        " httpx2.AsyncClient(auth=auth)",
    ),
    Host(
        "mcp_use",
        "mcp-use",
        ("mcp-use",),
        'MCPClient({"mcpServers": {"x": {"url": url, "auth": auth}}})',
    ),
    Host(
        "strands",
        "strands-agents",
        ("strands-agents",),
        "MCPClient(…) over streamable_http_client(url, http_client=httpx2.AsyncClient(auth=auth))",
    ),
    Host(
        "llama_index",
        "llama-index-tools-mcp",
        ("llama-index-tools-mcp",),
        "BasicMCPClient(url, auth=auth)",
    ),
    Host(
        "agno",
        "agno",
        ("agno", "fastmcp"),
        "MCPTools(session=client), client an entered fastmcp.Client(url, auth=auth)",
    ),
    Host(
        "semantic_kernel",
        "semantic-kernel",
        ("semantic-kernel[mcp]",),
        "MCPStreamableHttpPlugin(name=…, url=url, auth=auth)",
    ),
    Host(
        "agent_framework",
        "agent-framework",
        ("agent-framework-core", "tenacity", "mcp>=2", "httpx2"),
        "MCPStreamableHTTPTool(name=…, url=url, http_client=httpx2.AsyncClient(auth=auth))",
    ),
    Host(
        "autogen",
        "autogen-ext",
        ("autogen-ext[mcp]", "autogen-core", "mcp<2"),
        "mcp_server_tools(params, session=session), session of the official SDK",
    ),
    Host(
        "smolagents",
        "smolagents",
        ("smolagents[mcp]", "mcp<2"),
        'MCPClient({"url": url, "transport": "streamable-http", "auth": auth})',
    ),
    Host(
        "crewai",
        "crewai-tools",
        ("crewai-tools[mcp]", "mcp<2"),
        'MCPServerAdapter({"url": url, "transport": "streamable-http", "auth": auth})',
    ),
    Host(  # no host, but it cannot live beside urllib3, which it replaces
        "niquests",
        "requests, niquests",
        ("niquests",),
        "requests.MCPAuth",
    ),
)
