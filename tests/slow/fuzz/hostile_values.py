"""Inputs from good ones: documents with hostile values, texts with hostile pieces, bytes cut up.

Everything is drawn from the generator that is handed in, so that a seed gives the same inputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

TEXTS: Final = (
    "",
    " ",
    "\x00",
    "\r\n",
    "\x1b[2J",
    "\ud800",
    "\u202e\u2028",
    "鍵🔑",
    "a" * 5000,
    "=",
    "&",
    "%",
    "%00%zz",
    "../..",
    "//",
    "\\",
    '"',
    "<script>",
    "{Options.issuer}",
    "{}",
    "%s%n",
    "none",
    "null",
    "NaN",
    "1e999",
    "-1",
    "9" * 5000,
    "0x10",
    "http://",
    "https://",
    "https:///path",
    "https://[",
    "https://[::1]:99999/",
    "https://a:b@c/",
    "https://auth.example.com",
    "https://auth.example.com/",
    "https://xn--/",
    "https://" + "a." * 200 + "example/",
    "http://localhost",
    "http://127.0.0.1:0/",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "urn:x",
    "data:text/html,x",
    "eyJhbGciOiJub25lIn0.e30.",
    "Bearer x",
    "invalid_grant",
    "slow_down",
    "insufficient_scope",
    "use_dpop_nonce",
    "authorization_pending",
    "client_secret_basic",
    "private_key_jwt",
    "S256",
    "DPoP",
    "ES256",
    "2026-07-28",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Fri, 31 Dec 9999 23:59:60 +9999",
)
NUMBERS: Final = (
    0,
    1,
    -1,
    0.5,
    -0.0,
    2**31,
    2**63,
    10**30,
    10**400,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    1_800_000_000,
)
DEEP: Final = (60, 330, 480, 900, 950, 990, 3000)  # Python gives up a little below a thousand
UNITS: Final = ("a", " ", "\t", '"', '\\"', ",", ", ", "=", "a=b&", "/", "../", "%2", ";", "<", "{")
UNITS_MORE: Final = ("a.", "a@", "é", "\u200b", "\x00", "[", "(", "eyJaaaaaaaa", "a b ", "\n", "'")


def value(random: Random) -> Any:
    """Any JSON value, and some that only Python writes."""
    match random.randrange(8):
        case 0 | 1 | 2:
            return random.choice(TEXTS)
        case 3:
            return random.choice(NUMBERS)
        case 4:
            return random.choice((None, True, False))
        case 5:
            return [value(random) for _ in range(random.randrange(4))]
        case 6:
            return {random.choice(TEXTS): value(random) for _ in range(random.randrange(4))}
        case _:
            return deep(random.choice(DEEP), random.choice("[{"))


def deep(levels: int, kind: str) -> Any:
    made: Any = "x"
    for _ in range(levels):
        made = [made] if kind == "[" else {"a": made}
    return made


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """Where a value stands in a document, the whole of it first."""
    yield path
    if len(path) > 6:
        return
    if isinstance(document, dict):
        for name in document:
            yield from places(document[name], (*path, name))
    elif isinstance(document, list):
        for number, each in enumerate(document[:20]):
            yield from places(each, (*path, number))


def put(document: Any, path: Path, made: Any) -> Any:
    """A copy with another value there; `...` takes it out."""
    if not path:
        return made
    first, *rest = path
    copy: Any = dict(document) if isinstance(document, dict) else list(document)
    if made is ... and not rest:
        del copy[first]
    else:
        copy[first] = put(copy[first], tuple(rest), made)
    return copy


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def mutated(random: Random, document: Any) -> Any:
    """A document with up to three other values: hostile ones, or those of another place."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        where = list(places(document))
        path = random.choice(where[1:] or where)
        old = at(document, path)
        match random.randrange(6):
            case 0:
                made: Any = ... if path else value(random)
            case 1:
                made = at(document, random.choice(where))
            case 2 if isinstance(old, str):
                made = text(random, old)
            case 3 if isinstance(old, dict):
                made = {**old, random.choice(TEXTS): value(random)}
            case 4 if isinstance(old, list):
                made = [*old, value(random)]
            case _:
                made = value(random)
        document = put(document, path, made)
    return document


def text(random: Random, old: str) -> str:
    """A text with a hostile piece in it, or with one taken out."""
    start = random.randrange(len(old) + 1)
    end = min(len(old), start + random.choice((0, 0, 1, 3, 10)))
    piece = random.choice(TEXTS) if random.randrange(5) else random.choice(UNITS) * 40
    return old[:start] + piece + old[end:]


def spelled(document: Any) -> bytes:
    """As JSON, a document too deep for the library as its innermost part."""
    try:
        return json.dumps(document).encode()
    except RecursionError:
        return b"[" * 100_000


def parsed(data: bytes) -> Any:
    """The document of an input; None for one that is no object and no array."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) else None


def fuzzed(random: Random, data: bytes) -> bytes:
    """Another input, made of this one."""
    document = parsed(data)
    if document is not None and random.randrange(10):
        return spelled(mutated(random, document))
    made = text(random, data.decode("utf-8", "surrogateescape"))
    for _ in range(random.randrange(3)):
        made = text(random, made)
    return made.encode("utf-8", "surrogatepass" if random.randrange(2) else "replace")


def grown(data: bytes, size: int, units: tuple[str, ...] = UNITS) -> Iterator[tuple[str, bytes]]:
    """The same input with one part of it as large as `size`, each with a name."""
    document = parsed(data)
    if document is None:
        whole = data.decode("utf-8", "replace")
        half = len(whole) // 2
        for unit in units:
            long = unit * (size // len(unit))
            yield f"{unit!r} in the middle", (whole[:half] + long + whole[half:]).encode()
            yield f"{unit!r} behind", (whole + long).encode()
        return
    for path in places(document):
        name, old = ".".join(map(str, path)) or "all of it", at(document, path)
        for unit in units if isinstance(old, str) else ():
            long = unit * (size // len(unit.encode()))
            yield f"{name}: {unit!r}", spelled(put(document, path, old + long))
        numbers = range(size // 12)
        if isinstance(old, list):
            texts = [f"s{number}" for number in numbers]
            yield f"{name}: texts", spelled(put(document, path, [*old, *texts]))
            objects = [{"a": 1} for _ in numbers]
            yield f"{name}: objects", spelled(put(document, path, [*old, *objects]))
        elif isinstance(old, dict):
            members = {f"k{number}": number for number in numbers}
            yield f"{name}: members", spelled(put(document, path, {**old, **members}))
