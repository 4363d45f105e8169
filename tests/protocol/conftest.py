"""The samples beside the tests can be imported: they are not installed, and no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
