"""Write the recording of README.md: `python -m tests.docs.record_login`, on Linux or macOS.

A real login and a real call at the demo server, each in a pseudo-terminal, drawn as a terminal
shows them; one picture for light pages and one for dark ones.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import Final

from mcp_client_auth.testing import DemoServer
from tests.support.python_path import ROOT

PICTURES: Final = ROOT / "docs" / "pictures"
WIDTH: Final = 80
_TOKEN: Final = re.compile(
    r"\x1b\[([\d;?]*)([A-Za-z])|\x1b\]8;[^\x1b\x07]*(?:\x1b\\|\x07)|(.)", re.S
)
_LINE, _CHAR, _PAD = 19, 8.4, 16
_LONGEST: Final = 1.5  # seconds between two lines of the picture, however long the wait was
_NAMES: Final = {31: "red", 32: "green", 33: "yellow", 36: "cyan", 2: "dim", 1: "bold"}
_STYLES: Final = {
    "light": {
        "page": "#f6f8fa", "edge": "#d0d7de", "text": "#1f2328", "red": "#cf222e",
        "green": "#1a7f37", "yellow": "#9a6700", "cyan": "#1b7c83", "dim": "#656d76",
    },
    "dark": {
        "page": "#161b22", "edge": "#30363d", "text": "#e6edf3", "red": "#ff7b72",
        "green": "#3fb950", "yellow": "#d29922", "cyan": "#39c5cf", "dim": "#8b949e",
    },
}  # fmt: skip


@dataclass
class Screen:
    """What a terminal shows of what is written to it: cells of a character and its colour."""

    rows: list[list[tuple[str, str]]] = field(default_factory=lambda: [[]])
    times: list[float] = field(default_factory=lambda: [0.0])
    _column: int = 0
    _colour: str = ""

    def write(self, text: str, moment: float) -> None:
        for found in _TOKEN.finditer(text):
            numbers, final, character = found.groups()
            if final == "m":
                codes = [int(number or 0) for number in numbers.split(";")]
                self._colour = next((_NAMES[code] for code in codes if code in _NAMES), "")
            elif character == "\r":
                self._column = 0
            elif character == "\b":
                self._column -= 1
            elif character == "\n":
                self._end_line(moment)
            elif character:
                self._put(character, moment)

    def _put(self, character: str, moment: float) -> None:
        row = self.rows[-1]
        if self._column == WIDTH:
            self._next_row(moment)
            row = self.rows[-1]
        row += [(" ", "")] * (self._column + 1 - len(row))
        row[self._column] = (character, self._colour)
        self._column += 1

    def _end_line(self, moment: float) -> None:
        self.times[-1] = moment
        self._next_row(moment)

    def _next_row(self, moment: float) -> None:
        self.times[-1] = moment
        self.rows.append([])
        self.times.append(moment)
        self._column = 0


def main() -> None:
    shown = recorded()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, colours in _STYLES.items():
        (PICTURES / f"login-{name}.svg").write_text(picture(shown, colours), "utf-8")


def recorded() -> Screen:
    screen = Screen()
    with DemoServer() as server, tempfile.TemporaryDirectory() as home:
        for words in (["login", server.url, "--name", "notes"], ["call", "notes", "whoami"]):
            typed = " ".join(["mcp-login", *words]).replace("mcp-login login", "mcp-login")
            screen.write(f"\x1b[2m$\x1b[0m \x1b[1m{typed}\x1b[0m\r\n", time.monotonic())
            _run(words, home, screen)
    return screen


def _run(words: list[str], home: str, screen: Screen) -> None:
    environment = {
        "BROWSER": f"{sys.executable} -m mcp_client_auth.testing.browser --delay 2",
        "COLUMNS": str(WIDTH),
        "HOME": home,
        "LANG": "C.UTF-8",
        "MCP_CLIENT_AUTH_STORAGE": "file",
        "PATH": os.environ["PATH"],
        "TERM": "xterm-256color",
    }
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "mcp_client_auth", *words]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    while data := _read(master):
        screen.write(data.decode("utf-8", "replace").replace(home, "~"), time.monotonic())
    os.close(master)
    if process.wait() != 0:
        raise SystemExit("\n".join("".join(c for c, _ in row) for row in screen.rows))


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # Linux's way to say that the other side is closed
        return b""


def picture(screen: Screen, colours: dict[str, str]) -> str:
    """Lines that appear as they were written; still for readers who prefer no motion."""
    rows = [row for row in screen.rows if row or row is not screen.rows[-1]]
    width, height = WIDTH * _CHAR + 2 * _PAD, len(rows) * _LINE + 2 * _PAD + 18
    moment, last, parts = 0.3, screen.times[0], []
    for number, row in enumerate(rows):
        moment += min(max(screen.times[number] - last, 0.02), _LONGEST)
        last = screen.times[number]
        y = _PAD + 30 + number * _LINE
        parts.append(
            f'<text x="{_PAD}" y="{y}" style="animation-delay:{moment:.2f}s">{_spans(row)}</text>'
        )
    classes = "".join(f".{name}{{fill:{colour}}}" for name, colour in colours.items())
    dots = "".join(
        f'<circle cx="{_PAD + 6 + 18 * n}" cy="{_PAD}" r="5" fill="{colours["edge"]}"/>'
        for n in range(3)
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">
<title>mcp-login logs in to a server, then calls one of its tools</title>
<style>
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:{colours["text"]};
white-space:pre;opacity:0;animation:shown 0s forwards}}
{classes}.bold{{font-weight:600}}
@keyframes shown{{to{{opacity:1}}}}
@media (prefers-reduced-motion:reduce){{text{{opacity:1;animation:none}}}}
</style>
<rect width="100%" height="100%" rx="8" class="page" stroke="{colours["edge"]}"/>
{dots}
{chr(10).join(parts)}
</svg>
"""


def _spans(row: list[tuple[str, str]]) -> str:
    spans = []
    for colour, cells in groupby(row, key=lambda cell: cell[1]):
        text = escape("".join(character for character, _ in cells))
        spans.append(f'<tspan class="{colour}">{text}</tspan>' if colour else text)
    return "".join(spans).rstrip()


if __name__ == "__main__":
    main()
