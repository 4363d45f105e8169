"""The published schema of the doctor's reports, with every object closed.

A key that the schema does not name is an error here, but not for programs that read a report.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import fastjsonschema

from mcp_client_auth.cli.examination import schema


@cache
def published() -> dict[str, Any]:
    shape: dict[str, Any] = json.loads(schema())
    return shape


@cache
def _closed() -> Any:
    return fastjsonschema.compile(closed(published()))


def closed(shape: Any) -> Any:
    if isinstance(shape, list):
        return [closed(each) for each in shape]
    if not isinstance(shape, dict):
        return shape
    shape = {name: closed(each) for name, each in shape.items()}
    return {**shape, "additionalProperties": False} if shape.get("type") == "object" else shape


def require_published_shape(told: dict[str, Any]) -> None:
    """Raises `JsonSchemaException` for a report that does not conform to the schema."""
    _closed()(told)
