"""A JSON text of ours or of anyone, read strictly."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def json_value(text: str) -> Any:
    """The value of a JSON text; `ValueError` for any other, and for one that is too deep."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        # RFC 7493 §2.1: half a surrogate pair is no character, and could not be sent on
        text.encode()
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
