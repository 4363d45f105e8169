"""The same without blocking an event loop: python asynchronous.py URL."""

import asyncio
import sys

from mcp_client_auth import alogin

if len(sys.argv) != 2:
    sys.exit(__doc__)


async def main(url: str) -> None:
    async with await alogin(url) as me:
        print((await me.acall("whoami")).text)


asyncio.run(main(sys.argv[1]))
