"""`login()` in real kernels: what a person sees, what is kept in the file, and how it ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import pytest

from mcp_client_auth import login
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.kernels import Cell, Kernel, kernel
from tests.support.visiting import signed_in

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX")]
LINE = r"Logged in to http://127\.0\.0\.1:\d+/mcp: notes:read offline_access; valid until .*"
FREE = """
import socket
with socket.socket() as one:
    one.bind(("127.0.0.1", {port}))
"""


@pytest.fixture
def home(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As on a hub: no browser to open, and no callback that arrives."""
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "file")
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://hub.example.com/hub/api")
    monkeypatch.setenv("NO_COLOR", "1")
    return isolated_home


@pytest.fixture
def cells(home: Path) -> Iterator[Kernel]:
    with kernel() as running:
        running.run("from mcp_client_auth import MCPAuth, alogin, login")
        yield running


def log_in(server: DemoServer, more: str = "") -> str:
    return f"me = login({server.url!r}{more})"


def port_of(page: str) -> int:
    return int(re.findall(r"redirect_uri=http%3A%2F%2F127.0.0.1%3A(\d+)", page)[0])


def test_a_callback_that_arrives_after_all_closes_the_box_and_the_next_cell_runs(
    cells: Kernel, server: DemoServer
) -> None:
    browser = ScriptedBrowser()
    cell = cells.run(log_in(server), on_box=lambda cell: browser(cell.page))
    assert not cell.error
    assert [box["password"] for box in cell.boxes] == [True]
    text, html = cell.shown[-1]
    assert re.fullmatch(LINE, text)
    assert re.fullmatch(f"<p>{LINE}</p>", html)
    assert cells.run("1 + 1").result == "2"


def test_an_address_is_pasted_into_the_box_and_a_wrong_one_is_explained_beside_it(
    cells: Kernel, server: DemoServer
) -> None:
    def answer(cell: object) -> None:
        pasted = "wrong" if len(boxes) == 0 else signed_in(pages[0])
        boxes.append(pasted)
        cells.client.input(pasted)

    pages: list[str] = []
    boxes: list[str] = []
    cell = cells.run(log_in(server), on_page=pages.append, on_box=answer)
    assert not cell.error
    assert len(boxes) == 2
    assert any("Received 5 characters, not the answer" in text for text, _ in cell.shown)
    assert re.fullmatch(LINE, cell.shown[-1][0])


def test_an_empty_box_is_opened_again(cells: Kernel, server: DemoServer) -> None:
    def answer(cell: object) -> None:
        boxes.append("" if not boxes else signed_in(pages[0]))
        cells.client.input(boxes[-1])

    pages: list[str] = []
    boxes: list[str] = []
    assert not cells.run(log_in(server), on_page=pages.append, on_box=answer).error
    assert len(boxes) == 2


def test_the_link_is_escaped_and_opened_apart(cells: Kernel, server: DemoServer) -> None:
    browser = ScriptedBrowser()
    cell = cells.run(log_in(server), on_box=lambda cell: browser(cell.page))
    html = cell.shown[0][1]
    assert 'target="_blank" rel="noopener noreferrer"' in html
    assert "&amp;state=" in html
    assert "terminal" not in "".join(text for text, _ in cell.shown)


def test_a_stored_login_is_one_line_also_after_a_restart_of_the_kernel(
    cells: Kernel, server: DemoServer
) -> None:
    browser = ScriptedBrowser()
    cells.run(log_in(server), on_box=lambda cell: browser(cell.page))
    for _ in range(2):
        cell = cells.run(f"from mcp_client_auth import login; {log_in(server)}")
        assert re.fullmatch(LINE, cell.shown[0][0])
        assert (cell.boxes, cell.printed, cell.shown[1:]) == ([], "", [])
        cells.manager.restart_kernel(now=True)
        cells.client.wait_for_ready(timeout=60)


def test_an_interrupt_ends_with_one_line_and_frees_the_port(
    cells: Kernel, server: DemoServer
) -> None:
    cell = cells.run(log_in(server), on_box=lambda cell: cells.manager.interrupt_kernel())
    assert cell.error == "KeyboardInterrupt"
    assert cell.trace == ["The login was interrupted; nothing was changed."]
    assert not cells.run(FREE.format(port=port_of(cell.page))).error
    browser = ScriptedBrowser()
    assert not cells.run(log_in(server), on_box=lambda cell: browser(cell.page)).error


def test_an_interrupted_await_ends_at_once_and_frees_port_and_lease(
    cells: Kernel, server: DemoServer
) -> None:
    code = f"me = await alogin({server.url!r})"
    cell = cells.run(code, on_page=lambda page: cells.manager.interrupt_kernel())
    assert cell.error
    assert cell.trace == ["The login was interrupted; nothing was changed."]
    assert not cells.run(FREE.format(port=port_of(cell.page))).error
    browser = ScriptedBrowser()
    again = cells.run(code, on_page=browser)
    assert (again.error, again.boxes) == ("", [])
    assert re.fullmatch(LINE, again.shown[-1][0])


def test_a_tool_that_needs_more_scope_shows_its_link_in_the_cell_that_calls_it(
    cells: Kernel, server: DemoServer
) -> None:
    browser = ScriptedBrowser()
    cells.run(log_in(server), on_box=lambda cell: browser(cell.page))
    call = cells.run("me.call('add_note', text='a').text", on_page=browser)
    assert (call.error, call.boxes) == ("", [])
    assert "Buy milk" in call.result
    assert call.shown[-1][0] == ""


def test_an_interrupted_call_lets_the_box_ask_for_more_scope(
    cells: Kernel, server: DemoServer
) -> None:
    browser = ScriptedBrowser()
    cells.run(log_in(server), on_box=lambda cell: browser(cell.page))
    interrupt = cells.manager.interrupt_kernel
    call = cells.run("me.call('add_note', text='a')", on_page=lambda page: interrupt())
    assert call.error == "KeyboardInterrupt"
    words = re.findall(r"interrupt this cell and use login\(…(.*)\): ", call.shown[0][0])
    again = cells.run(log_in(server, words[0]), on_box=lambda cell: browser(cell.page))
    assert (again.error, len(again.boxes)) == ("", 1)
    assert "Buy milk" in cells.run("me.call('add_note', text='a').text").result


def test_a_device_code_is_shown_where_no_callback_arrives(cells: Kernel) -> None:
    with DemoServer(Settings(device_authorization=True, device_interval=1)) as server:
        browser = ScriptedBrowser()

        def approve(cell: Cell) -> None:
            shown = re.findall(r"code (\S+):\n(http://\S+/device)$", cell.shown[-1][0])
            for code, page in () if browser.visits else shown:
                browser(f"{page}?user_code={code}")

        cell = cells.run(log_in(server), on_show=approve)
        assert not cell.error
        assert any("Or on any device, code " in text for text, _ in cell.shown)


def test_what_a_cell_ends_with_shows_no_token(cells: Kernel, server: DemoServer) -> None:
    browser = ScriptedBrowser()
    cells.run(log_in(server), on_box=lambda cell: browser(cell.page))
    for ending in ("me.token()", "me.headers()['Authorization']"):
        assert cells.run(ending).result == "'****'"
    assert cells.run("me.headers()").result == "{'Authorization': '****'}"
    sent = "me.headers()['Authorization'] == f'Bearer {me.token()}' and len(me.token()) > 20"
    assert cells.run(sent).result == "True"
    shown = cells.run("me")
    assert shown.html.startswith("<table>")
    assert server.url in shown.html


@pytest.mark.parametrize("call", ["login({!r})", "await alogin({!r})"])
def test_without_stdin_a_login_is_required_at_once(
    cells: Kernel, server: DemoServer, call: str
) -> None:
    cell = cells.run(call.format(server.url), stdin=False)
    assert cell.error == "LoginRequired"
    assert not cell.shown
    assert server.requests == []


def test_a_missing_keyring_is_one_short_line(
    home: Path, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCP_CLIENT_AUTH_STORAGE")
    with kernel(PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring") as running:
        browser = ScriptedBrowser()
        code = f"from mcp_client_auth import login; {log_in(server)}"
        cell = running.run(code, on_box=lambda cell: browser(cell.page))
    assert not cell.error
    assert cell.printed.count("\n") == 1
    assert 'storage="file"' in cell.printed
    assert str(Path(__file__).parents[3]) not in cell.printed


def test_a_saved_notebook_holds_no_secret(home: Path, server: DemoServer) -> None:
    """As papermill and nbconvert run one: a login that was made before is used."""
    with kernel() as running:
        browser = ScriptedBrowser()
        code = f"from mcp_client_auth import login; {log_in(server)}"
        running.run(code, on_box=lambda cell: browser(cell.page))
    source = [f"from mcp_client_auth import login\n{log_in(server)}\nme", "me.headers()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in source])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    saved = nbformat.writes(notebook)
    assert "Logged in to" in saved
    assert "{'Authorization': '****'}" in saved
    tokens = login(server.url, prompt=None).credential.tokens
    assert tokens.refresh_token
    for secret in (tokens.access_token, tokens.refresh_token):
        assert secret.reveal() not in saved


def test_papermill_and_nbconvert_end_at_once_where_a_person_would_be_needed(
    home: Path, server: DemoServer
) -> None:
    source = f"from mcp_client_auth import login\n{log_in(server)}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    with pytest.raises(nbclient.exceptions.CellExecutionError) as caught:
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert caught.value.ename == "LoginRequired"
    assert server.requests == []
