"""Strict reading of JSON, our own or anyone's."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

_DEEPEST: Final = 200


def json_value(text: str) -> Any:
    """The value of a JSON text; `ValueError` for any other text, or if it is nested too deep."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        # RFC 7493 §2.1: half a surrogate pair is not a character, and could not be sent on
        text.encode()
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    # the code that later writes or shows it may have less stack left than there is here
    if text.count("[") + text.count("{") > _DEEPEST and _is_deep(value):
        raise ValueError("nested too deep")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for values in inside for each in values if isinstance(each, dict | list)]
        if not level:
            return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
