"""Where the processes of the tests look for modules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# hides what httpx loads if installed, but nothing here needs: half of a short process's time
LEAN: Final = Path(__file__).with_name("lean")


def search_path(*first: Path) -> str:
    """A PYTHONPATH with these places in front, and then this checkout with its tests."""
    return os.pathsep.join(
        [*map(str, first), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
