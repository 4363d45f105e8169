"""The tools of a server behind a login, and their arguments as words of a command line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError
from ..secret import quoted
from .arguments import AboutLogin

if TYPE_CHECKING:
    from ..mcp import Tool, Tools

_WORD: Final = re.compile(r"(.+?)(:=|=)(.*)", re.DOTALL)
_MOST: Final = 1000  # schemas that one of them stands for
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


@contextmanager
def tools_of(url: str, login: AboutLogin, timeout: float) -> Iterator[Tools]:
    """With the stored login; what the server tells meanwhile is shown with `--verbose`."""
    from ..mcp import Connection, Tools
    from .client import authorized

    verbose = login.output.verbose
    with (
        authorized(url, login, timeout) as (client, where, fault_of),
        Connection(
            client,
            where,
            timeout=timeout,
            on_message=_tell if verbose else lambda message: None,
            fault_of=fault_of,
        ) as connection,
    ):
        yield Tools(connection)


def _tell(message: Mapping[str, Any]) -> None:
    from ..prompt.screen import screen
    from .describe import plain

    params = json.dumps(message.get("params", {}), ensure_ascii=False)
    screen.say(f"  {plain(str(message.get('method')), 80)} {plain(params)}")


def read_object(word: str | None) -> dict[str, Any]:
    """What `--arguments` says: JSON, `@FILE` or `-`."""
    if word is None:
        return {}
    try:
        if word == "-":
            word = sys.stdin.buffer.read().decode("utf-8-sig")
        elif word.startswith("@"):
            with open(os.path.expanduser(word[1:]), encoding="utf-8-sig") as file:
                word = file.read()
    except OSError as error:
        raise UsageError(f"{quoted(word, 120)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("--arguments is not text in UTF-8") from None
    value = _json(word, "--arguments")
    if not isinstance(value, dict):
        raise UsageError("--arguments must be a JSON object", hint='For example: {"text": "hello"}')
    return value


def read_arguments(tool: Tool, words: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call: `given`, overridden by those of the words.

    Raises `UsageError` for a word that is not an argument, a value of another type, and an
    argument that is missing or that the tool does not have.
    """
    typed: dict[str, list[Any]] = {}
    for word in words:
        found = _WORD.fullmatch(word)
        if not found:
            raise UsageError(
                f"{quoted(word, 80)} is not an argument of a tool",
                hint="Pass NAME=VALUE, or NAME:=JSON for a JSON value",
            )
        name, sign, text = found.groups()
        schema, what = tool.properties.get(name), f"the argument {quoted(name, 80)}"
        value = _json(text, what) if sign == ":=" else _value(text, schema, tool, what)
        typed.setdefault(name, []).append(value)
    arguments = dict(given)
    for name, values in typed.items():
        allowed = kinds(tool, tool.properties.get(name))
        if len(values) > 1 and "array" not in allowed:
            raise UsageError(f"the argument {quoted(name, 80)} is given twice")
        alone = "array" not in allowed or "string" in allowed or isinstance(values[0], list)
        arguments[name] = values[0] if alone and len(values) == 1 else values
    _require_known(tool, arguments)
    return arguments


def _require_known(tool: Tool, arguments: Mapping[str, Any]) -> None:
    named, hint = quoted(tool.name, 80), ""
    missing = [quoted(name, 80) for name in tool.required if name not in arguments]
    unknown = next((name for name in arguments if name not in tool.properties), None)
    if unknown is not None:
        near = get_close_matches(unknown, tool.properties, n=1)
        hint = f"Did you mean {quoted(near[0], 80)}?" if near else ""
        if tool.input_schema.get("additionalProperties") is False:
            raise UsageError(f"the tool {named} has no argument {quoted(unknown, 80)}", hint=hint)
        hint = f"It names no argument {quoted(unknown, 80)}. {hint}".strip()
    if missing:
        raise UsageError(f"the tool {named} needs {', '.join(missing)}", hint=hint)


def kinds(tool: Tool, schema: Any) -> set[str]:
    """The JSON types that a schema of the tool allows, as far as it says so; empty for any."""
    return {kind for each in _alternatives(tool, schema) for kind in _listed(each.get("type"))}


def _alternatives(tool: Tool, schema: Any) -> list[dict[str, Any]]:
    """A schema, those that it refers to within the tool's own, and those that it combines."""
    found: list[dict[str, Any]] = []
    left, seen = [schema], set[int]()  # it may lead to itself
    while left and len(found) < _MOST:
        here = left.pop()
        if not isinstance(here, dict) or id(here) in seen:
            continue
        seen.add(id(here))
        found.append(here)
        reference = here.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: Any = tool.input_schema
            for step in reference[2:].split("/"):
                target = target.get(step) if isinstance(target, dict) else None
            left.append(target)
        for name in ("anyOf", "oneOf", "allOf"):
            listed = here.get(name)
            left += listed if isinstance(listed, list) else []
    return found


def _listed(kind: Any) -> list[str]:
    """Only those of JSON Schema: they are shown, and any other word is a server's own text."""
    listed = kind if isinstance(kind, list) else [kind]
    return [each for each in listed if isinstance(each, str) and each in _TYPES]


def _value(text: str, schema: Any, tool: Tool, what: str) -> Any:
    """Return a text as the type that the schema names."""
    allowed, schemas = kinds(tool, schema), _alternatives(tool, schema)
    if "string" in allowed:
        return text
    if "array" in allowed and not text.lstrip().startswith("["):
        of_items = [each.get("items") for each in schemas]
        schemas = [found for each in of_items for found in _alternatives(tool, each)]
        allowed = {kind for each in schemas for kind in _listed(each.get("type"))}
        what = f"{what} is an array, and each of its values"
        if "string" in allowed:
            return text
    if not allowed:
        listed = [each["enum"] for each in schemas if isinstance(each.get("enum"), list)]
        fixed = [one for each in listed for one in each]
        fixed += [each["const"] for each in schemas if "const" in each]
        return text if text in fixed else next((v for v in fixed if json.dumps(v) == text), text)
    try:
        value = _json(text, what)
    except UsageError:
        value = text
    if not any(isinstance(value, _TYPES.get(kind, object)) for kind in allowed) or (
        isinstance(value, bool) and "boolean" not in allowed
    ):
        named = " or ".join(sorted(allowed - {"null"} or allowed))
        raise UsageError(f"{what} must be of the type {named}")
    return value


def _json(text: str, what: str) -> Any:
    from ..protocol.document import json_value

    try:
        return json_value(text)
    except ValueError:
        raise UsageError(f"{what} is not JSON") from None
