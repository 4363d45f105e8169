"""One small change each to the source: what could be written wrong, at each place where it could.

A mutant is named by its file, its function, and what was changed into what, so that it keeps its
name while lines move. Which of them are drawn depends on these names and the seed alone.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tests.support.python_path import ROOT

PACKAGE: Final = ROOT / "mcp_client_auth"
# The rooms, the files of each, and the tests that are run for it, those of the room first.
ROOMS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "protocol": (
        ("protocol/*.py",),
        (
            *("unit/protocol", "unit/grants/test_identity_provider.py", "docs/test_extending.py"),
            *(f"flows/test_{name}.py" for name in ("signin", "auth", "logout")),
            *("attacks/test_gateway_headers.py", "attacks/test_split_login.py"),
        ),
    ),
    "grants": (
        ("grants/*.py",),
        (
            "unit/grants",
            *(f"unit/session/test_{name}.py" for name in ("steps", "session_logout", "step_up")),
            "unit/session/test_session_refused_login.py",
            *(f"flows/test_{name}.py" for name in ("signin", "auth", "unattended", "own_grant")),
            *(f"flows/test_{name}.py" for name in ("client_identity", "device_code", "logout")),
            *(f"flows/test_{name}.py" for name in ("enterprise_sign_in", "redirected")),
            *(f"flows/test_{name}.py" for name in ("split_login", "step_up")),
            *("attacks/test_split_login.py", "providers/test_life.py"),
        ),
    ),
    "session": (
        ("session/*.py",),
        (
            "unit/session",
            *(f"flows/test_{name}.py" for name in ("auth", "logout", "late_answer", "step_up")),
            *(f"flows/test_{name}.py" for name in ("static_token", "split_login")),
            *(f"flows/test_{name}.py" for name in ("enterprise_sign_in", "bound_tokens")),
            *("flows/test_connect_ahead.py", "flows/test_unattended.py"),
            *("attacks/test_split_login.py", "attacks/test_web_users.py"),
        ),
    ),
    "storage": (
        ("storage/*.py",),
        ("unit/storage", "flows/test_static_token.py", "flows/test_earlier_versions.py"),
    ),
    "transport": (
        ("transport/*.py",),
        (
            "unit/transport",
            "attacks",
            *(f"flows/test_{name}.py" for name in ("mutual_tls", "proxies", "connect_ahead")),
        ),
    ),
    "keys": (
        ("keys/*.py", "storage/keys.py", "storage/sealed.py", "protocol/jose.py"),
        (
            *("unit/keys", "unit/storage/test_keys.py", "unit/storage/test_sealed.py"),
            *("unit/protocol/test_jose.py", "unit/protocol/test_assertions.py"),
            "unit/grants/test_pending.py",
            *(f"flows/test_{name}.py" for name in ("bound_tokens", "unattended")),
        ),
    ),
    "listener": (
        ("prompt/loopback.py", "prompt/short_address.py", "prompt/race.py"),
        (
            *("unit/prompt", "attacks/test_hostile_callback.py", "attacks/test_pages_inside.py"),
            *(f"attacks/test_callback_{name}.py" for name in ("forged", "prefetch", "rebinding")),
            *(f"attacks/test_callback_{name}.py" for name in ("reflection", "exhaustion")),
            "attacks/test_short_address.py",
            "flows/test_signin.py",
        ),
    ),
}
_NAMED: Final = {file for files, _ in ROOMS.values() for file in files if "*" not in file}

_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_EVEN: Final = (
    "min",
    "max",
    "same_origin",
    "same_issuer",
    "compare_digest",
    "suppress",
)  # whose order is free


@dataclass(frozen=True, slots=True)
class Mutant:
    """`at`: the number of the node in the walk of its file."""

    room: str
    file: str
    line: int
    what: str
    at: int
    kind: str

    @property
    def name(self) -> str:
        return f"{self.file}: {self.what}"

    @property
    def key(self) -> str:
        return sha256(self.name.encode()).hexdigest()[:12]

    def source(self) -> ast.Module:
        tree = ast.parse((PACKAGE / self.file).read_text("utf-8"))
        node = next(each for each in _changes(tree) if (each.at, each.kind) == (self.at, self.kind))
        node.apply()
        return ast.fix_missing_locations(tree)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of one node of a tree, which `apply` carries out in it."""

    at: int
    kind: str
    line: int
    before: str
    after: str
    apply: Callable[[], None]


def mutants(room: str) -> Iterator[Mutant]:
    """All of a room, in the order of its source."""
    for pattern in ROOMS[room][0]:
        for path in sorted(PACKAGE.glob(pattern)):
            file = path.relative_to(PACKAGE).as_posix()
            if file in _NAMED and file != pattern:
                continue  # it is of another room
            tree = ast.parse(path.read_text("utf-8"))
            owners = dict(_owners(tree))
            times: Counter[str] = Counter()
            for change in _changes(tree):
                what = f"{owners.get(change.line, '')} {change.kind}: {change.before}"
                what = f"{what} -> {change.after}".strip()
                times[what] += 1
                what += f" #{times[what]}" if times[what] > 1 else ""
                yield Mutant(room, file, change.line, what, change.at, change.kind)


def drawn(number: int, seed: int = 19) -> list[Mutant]:
    """So many, equally over the rooms, and in turns, so that the first of them are, too."""

    def rank(mutant: Mutant) -> str:
        return sha256(f"{seed} {mutant.name}".encode()).hexdigest()

    each = -(-number // len(ROOMS))
    rooms = [sorted(mutants(room), key=rank)[:each] for room in ROOMS]
    turns = [mutant for turn in zip(*rooms, strict=False) for mutant in turn]
    return turns[:number]


def _owners(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The function or class of each line, the innermost last."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                yield line, node.name


def _changes(tree: ast.Module) -> Iterator[_Change]:
    """Every change of a tree; one that is carried out spoils the tree for the others."""
    skipped = _skipped(tree)
    for at, (node, parent, name, number) in enumerate(_places(tree)):
        if id(node) in skipped:
            continue
        for kind, made in _made(node, parent):
            yield _Change(
                at,
                kind,
                getattr(node, "lineno", 0),
                _spelled(node),
                _spelled(made),
                _putting(parent, name, number, made),
            )


def _putting(parent: ast.AST, name: str, number: int | None, made: ast.AST) -> Callable[[], None]:
    def put() -> None:
        if number is None:
            setattr(parent, name, made)
        else:
            getattr(parent, name)[number] = made

    return put


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST, str, int | None]]:
    """Each node with its parent and where it stands in it."""
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST):
                yield value, parent, name, None
            elif isinstance(value, list):
                for number, each in enumerate(value):
                    if isinstance(each, ast.AST):
                        yield each, parent, name, number


def _skipped(tree: ast.Module) -> set[int]:
    """What is not run, or only says something: types, docstrings, imports for types, messages."""
    found: set[int] = set()

    def skip(node: ast.AST | None) -> None:
        for each in ast.walk(node) if node else ():
            found.add(id(each))

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skip(node.returns)
            for argument in (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs):
                skip(argument.annotation)
            for decorator in node.decorator_list:
                skip(decorator)
        elif isinstance(node, ast.AnnAssign):
            skip(node.annotation)
        elif isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                skip(decorator)
        elif _says_only(node):
            skip(node)
    return found


def _says_only(node: ast.AST) -> bool:
    match node:
        case ast.If(test=test) | ast.Assign(targets=[test, *_]):
            return "TYPE_CHECKING" in ast.unparse(test)
        case ast.Expr(value=ast.Constant()) | ast.Subscript(value=ast.Name(id="Literal")):
            return True
        case ast.Expr():
            return _spelled(node).startswith("logger.")
        case ast.Call():
            return _spelled(node.func) in ("TypeVar", "Event", "Remedy")
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _made(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What could stand in the place of a node, each with its kind."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if other := _COMPARED.get(type(operator)):
                made = deepcopy(node)
                made.ops[number] = other()
                yield f"comparison {number}", made
    elif isinstance(node, ast.BoolOp):
        made_bool = deepcopy(node)
        made_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and, or", made_bool
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED:
        made_number = deepcopy(node)
        made_number.op = _COMPUTED[type(node.op)]()
        yield "computed", made_number
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "returned", ast.copy_location(ast.Return(ast.Constant(None)), node)
    elif isinstance(node, ast.Raise | ast.Expr | ast.AugAssign | ast.Delete):
        if not isinstance(getattr(node, "value", None), ast.Yield | ast.YieldFrom | ast.Await):
            yield "left out", ast.copy_location(ast.Pass(), node)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        made_if = deepcopy(node)
        made_if.test = ast.UnaryOp(ast.Not(), made_if.test)
        yield "negated", made_if
    elif isinstance(node, ast.Call) and len(node.args) >= 2 and not _is_even(node):
        made_call = deepcopy(node)
        made_call.args[:2] = made_call.args[1::-1]
        yield "swapped", made_call


def _is_even(call: ast.Call) -> bool:
    return _spelled(call.func).rpartition(".")[2] in _EVEN and len(call.args) == 2


def _constants(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.copy_location(ast.Constant(not value), node)
    elif isinstance(value, int | float):
        yield "constant", ast.copy_location(ast.Constant(value + 1), node)
    elif isinstance(value, str) and value and value.isascii() and " " not in value:
        yield "constant", ast.copy_location(ast.Constant(value + "X"), node)


def _spelled(node: ast.AST) -> str:
    """The source of a node on one line; of a block its first line."""
    return ast.unparse(ast.fix_missing_locations(deepcopy(node))).splitlines()[0][:160]
