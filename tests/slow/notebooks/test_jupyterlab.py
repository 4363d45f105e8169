"""JupyterLab in a real browser: one cell, the link, the box, and the line that is left."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from mcp_client_auth.testing import DemoServer
from tests.support.ports import free_port
from tests.support.visiting import signed_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
SHOTS = os.environ.get("MCP_CLIENT_AUTH_SCREENSHOTS", "")
PATIENCE = 120.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium"),
]


@pytest.fixture
def lab(tmp_path: Path, isolated_home: Path, server: DemoServer) -> Iterator[str]:
    """The address of a notebook with one cell that logs in; as on a hub, no callback arrives."""
    cell = f"from mcp_client_auth import login\n\nme = login({server.url!r})\nme"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, tmp_path / "login.ipynb")
    port = free_port()
    settings = {
        "ServerApp.port": port,
        "ServerApp.root_dir": tmp_path,
        "IdentityProvider.token": "",
        "ServerApp.disable_check_xsrf": True,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in settings.items())]
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",
        "MCP_CLIENT_AUTH_STORAGE": "file",
    }
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(f"{url}/api", process)
            yield f"{url}/lab/tree/login.ipynb"
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "JupyterLab has ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("JupyterLab does not answer")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def run_the_first_cell(page: Page) -> None:
    """JupyterLab drops a run that comes before its session with the kernel is there."""
    runs = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first
    end = time.monotonic() + PATIENCE
    while runs.inner_text().strip() != "[*]:" and time.monotonic() < end:
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        page.locator('[data-command="notebook:run-cell-and-select-next"]').first.click()
        page.wait_for_timeout(2000)


def test_the_link_the_box_and_the_line_that_is_left(
    lab: str, server: DemoServer, tmp_path: Path
) -> None:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 700})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(lab)
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
        run_the_first_cell(page)
        link = page.get_by_role("link", name="sign-in page")
        link.wait_for()
        box = page.locator(".jp-Stdin-input")
        box.wait_for()
        shot(page, "jupyterlab-waiting")
        assert box.get_attribute("type") == "password"
        assert "noopener" in (link.get_attribute("rel") or "")  # JupyterLab sets it, too
        sign_in = link.get_attribute("href") or ""
        pasted = signed_in(sign_in)
        box.fill(pasted)
        box.press("Enter")
        page.get_by_text(re.compile("^Logged in to ")).wait_for()
        page.locator(".jp-OutputArea table").wait_for()
        page.locator(".jp-Stdin-input").wait_for(state="detached")
        shot(page, "jupyterlab-logged-in")
        page.keyboard.press("Control+s")
        saved = tmp_path / "login.ipynb"
        end = time.monotonic() + PATIENCE
        while "Logged in to" not in saved.read_text() and time.monotonic() < end:
            page.wait_for_timeout(200)
        browser.close()
    text = saved.read_text()
    assert "Logged in to" in text
    assert pasted.partition("code=")[2].partition("&")[0] not in text
    assert "state=" not in text
