"""The modules beside this file are found by their own names; the room is no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
