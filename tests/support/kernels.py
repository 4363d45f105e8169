"""A real Jupyter kernel, and a scripted frontend for it."""

from __future__ import annotations

import os
import queue
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

PATIENCE = 90.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class Cell:
    """The result of one cell. `shown`: each state of each output, as its text and its HTML."""

    shown: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[Mapping[str, Any]] = field(default_factory=list)
    printed: str = ""
    result: str = ""
    html: str = ""
    error: str = ""
    trace: list[str] = field(default_factory=list)

    @property
    def page(self) -> str:
        """The sign-in page that it links to."""
        return str(re.findall(r"^(http://\S+authorize\?\S+)$", self.shown[0][0], re.MULTILINE)[0])


class Kernel:
    """`on_box` is called with each request for a password, once the cell shows something (they come
    over two connections, in any order), `on_page` with the first link, `on_show` with everything
    that the cell shows."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(
        self,
        code: str,
        *,
        stdin: bool = True,
        on_page: Callable[[str], object] = str,
        on_box: Callable[[Cell], object] = str,
        on_show: Callable[[Cell], object] = str,
    ) -> Cell:
        cell, identity = Cell(), self.client.execute(code, allow_stdin=stdin)
        end, told = time.monotonic() + PATIENCE, 0
        while time.monotonic() < end:
            with suppress(queue.Empty):
                cell.boxes.append(self.client.get_stdin_msg(timeout=0)["content"])
            if cell.shown and told < len(cell.boxes):
                told += 1
                on_box(cell)
            try:
                message = self.client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != identity:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return cell
            self._note(cell, kind, content)
            if kind == "display_data" and "authorize?" in str(content):
                on_page(cell.page)
            if "display_data" in kind:
                on_show(cell)
        raise AssertionError(f"the cell did not end: {cell}")

    def _note(self, cell: Cell, kind: str, content: Mapping[str, Any]) -> None:
        data = content.get("data", {})
        if kind in ("display_data", "update_display_data"):
            cell.shown.append((data["text/plain"], data["text/html"]))
        elif kind == "stream":
            cell.printed += content["text"]
        elif kind == "execute_result":
            cell.result, cell.html = data["text/plain"], data.get("text/html", "")
        elif kind == "error":
            cell.error = content["ename"]
            cell.trace = [_COLOUR.sub("", line) for line in content["traceback"]]


@contextmanager
def kernel(**environ: str) -> Iterator[Kernel]:
    """A kernel with this process's environment and `environ`."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, **environ})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
