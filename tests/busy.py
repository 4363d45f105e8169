"""The default tests on a machine that has other things to do: `python -m tests.busy`.

Twenty processes that never rest run beside them (`--processes N`), and end with them. More words
go to pytest. What fails here and not alone is judged by a clock.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.python_path import ROOT

# they end with the pipe, however this process ends
BUSY: Final = """
import sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
while True:
    pass
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    command = [sys.executable, "-c", BUSY]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=20, metavar="N")
    asked, words = parser.parse_known_args()
    began = time.monotonic()
    with busy(asked.processes):
        code = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT).returncode
    print(f"{time.monotonic() - began:.0f} s beside {asked.processes} busy processes")
    return code


if __name__ == "__main__":
    sys.exit(main())
