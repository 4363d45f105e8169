"""The part of SARIF 2.1.0 that is written here, as its schema has it (OASIS, §3).

Every object is closed, as there: a name that SARIF does not know is an error.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_LEVELS = {"enum": ["none", "note", "warning", "error"]}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": {**properties, "properties": {"type": "object"}},
    }


def _list(of: Any, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": least}


_MESSAGE = _closed(["text"], text={"type": "string", "minLength": 1}, markdown=_TEXT)
_ADDRESS = {"type": "string", "format": "uri-reference", "pattern": r"^[^\s]+$"}
_PLACE = _closed(
    ["artifactLocation"],
    artifactLocation=_closed([], uri=_ADDRESS, index={"type": "integer", "minimum": -1}),
    region=_closed([], startLine={"type": "integer", "minimum": 1}),
)
_LOCATION = _closed(
    [], physicalLocation=_PLACE, logicalLocations=_list(_closed([], fullyQualifiedName=_TEXT))
)
_RULE = _closed(
    ["id"], id=_TEXT, shortDescription=_MESSAGE, fullDescription=_MESSAGE, help=_MESSAGE
)
_RESULT = _closed(
    ["message"],
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": -1},
    level=_LEVELS,
    message=_MESSAGE,
    locations=_list(_LOCATION),
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
)
_RUN = _closed(
    ["tool"],
    tool=_closed(
        ["driver"],
        driver=_closed(
            ["name"],
            name=_TEXT,
            version=_TEXT,
            semanticVersion=_TEXT,
            informationUri={"type": "string", "format": "uri"},
            rules=_list(_RULE),
        ),
    ),
    automationDetails=_closed([], id=_TEXT),
    invocations=_list(
        _closed(
            ["executionSuccessful"],
            executionSuccessful={"type": "boolean"},
            exitCode={"type": "integer"},
        )
    ),
    results=_list(_RESULT),
)
SARIF: dict[str, Any] = {
    **_closed(["version", "runs"], version={"const": "2.1.0"}, runs=_list(_RUN)),
}
SARIF["properties"]["$schema"] = {"type": "string", "format": "uri"}
