"""The rules of the house: each yields the places where it is broken.

Which rooms and which exceptions there are, `test_architecture` tells; how one sees that a rule is broken, this file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final

from house import PACKAGE, Finding, Function, House, dotted, imported, last_name, places, room_of

# Who visits whom


def stray_visits(house: House, floors: tuple[set[str], ...], guests: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Imports that do not go down the ``floors``, which begin at the top.

    ``guests`` are rooms apart: they import no other room, and each has the modules that may import it.
    """
    floor_of = {room: number for number, rooms in enumerate(floors) for room in rooms}
    known = {*floor_of, *guests}
    for room, path in sorted({room_of(path): path for path in house}.items()):
        if room not in known:
            yield Finding(path, 1, "", f"{room} is a room that no floor has")
    for place in places(house):
        room = room_of(place.path)
        for target in {_room_named(name, house) for name in imported(place.node, place.path)} - {room, ""}:
            goes_down = floor_of.get(room, len(floors)) < floor_of.get(target, -1)
            if not (goes_down or place.path in guests.get(target, ())):
                yield place.finding(f"{room} imports {target}")


def _room_named(name: str, house: House) -> str:
    """The room of an imported name; empty for other packages, and for what stands on the porch itself."""
    package, _, rest = name.partition(".")
    room = rest.partition(".")[0]
    return room if package == PACKAGE and room in {room_of(path) for path in house} else ""


def foreign_imports(house: House, room: str, allowed: frozenset[str]) -> Iterator[Finding]:
    """Imports in a room of top-level packages that are not ``allowed``."""
    for place in places(house):
        for name in imported(place.node, place.path) if room_of(place.path) == room else ():
            if not any(f"{name}.".startswith(f"{package}.") for package in allowed):
                yield place.finding(f"{room} imports {name}")


# Purity

_WAITS: Final = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
_WORLD: Final = {"open", "print", "input", "__import__", "exec", "eval"}
_CLOCKS: Final = {"now", "utcnow", "today", "time", "monotonic", "perf_counter"}


def impurities(house: House, room: str) -> Iterator[Finding]:
    """Whatever waits, touches the world, or asks what time it is."""
    for place in places({path: tree for path, tree in house.items() if room_of(path) == room}):
        node = place.node
        if isinstance(node, _WAITS) or (isinstance(node, ast.comprehension) and node.is_async):
            if not _is_contract(node):
                yield place.finding("waits")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _WORLD:
            yield place.finding(f"calls {node.func.id}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CLOCKS:
            yield place.finding(f"asks {ast.unparse(node.func)}")


def _is_contract(node: ast.AST) -> bool:
    """Whether it is a function without a body, as in a Protocol."""
    body = node.body if isinstance(node, Function) else []
    return bool(body) and all(
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str | type(...))
        for line in body
    )


# Nurseries

_OTHER_WAYS: Final = {"spawn_system_task", "create_task_group", "TaskGroup", "open_service_nursery"}


def opened_nurseries(house: House) -> Iterator[Finding]:
    for place in places(house):
        if last_name(place.node) == "open_nursery":
            yield place.finding("opens a nursery")


def half_open_nurseries(house: House) -> Iterator[Finding]:
    """A nursery that is no ``async with`` item: its tasks would outlive the block, or its end be forgotten."""
    whole = {
        id(item.context_expr.func)
        for place in places(house)
        if isinstance(place.node, ast.AsyncWith)
        for item in place.node.items
        if isinstance(item.context_expr, ast.Call)
    }
    for place in places(house):
        name = last_name(place.node)
        if (name == "open_nursery" and id(place.node) not in whole) or name in _OTHER_WAYS:
            yield place.finding(f"{name} outside of `async with`" if name == "open_nursery" else f"uses {name}")
        elif any(name.endswith(".open_nursery") for name in imported(place.node, place.path)):
            yield place.finding("imports open_nursery by its own name")


def kept_nurseries(house: House) -> Iterator[Finding]:
    """A nursery in an attribute or a container, where it can be used after its block."""
    for place in places(house):
        targets, value = _bound(place.node)
        outlives = any(not isinstance(target, ast.Name) for target in targets)
        if outlives and any(_is_nursery(part) for part in ast.walk(value)):
            yield place.finding("keeps a nursery")


def _bound(node: ast.AST) -> tuple[list[ast.expr], ast.AST]:
    """What a statement gives names to, and the value."""
    if isinstance(node, ast.Assign):
        return node.targets, node.value
    if isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
        return [node.target], node.value
    if isinstance(node, ast.withitem) and node.optional_vars is not None:
        return [node.optional_vars], node.context_expr
    return [], node


def _is_nursery(node: ast.AST) -> bool:
    return last_name(node).lower().endswith("nursery")


def foreign_starts(house: House) -> Iterator[Finding]:
    """Tasks started on something that does not say that it is a nursery."""
    for place in places(house):
        node = place.node
        if isinstance(node, ast.Attribute) and node.attr == "start_soon" and not _is_nursery(node.value):
            yield place.finding(f"starts a task on {ast.unparse(node.value)}")


# Cancellation


def shields(house: House) -> Iterator[Finding]:
    """Every place where a cancel would have to wait."""
    for place in places(house):
        node = place.node
        if isinstance(node, ast.keyword) and node.arg == "shield":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield place.finding("shields")
        elif isinstance(node, ast.Attribute) and node.attr == "shield" and isinstance(node.ctx, ast.Store):
            yield place.finding("shields")
        elif last_name(node) == "cancel_shielded_checkpoint":
            yield place.finding("shields a checkpoint")


_CATCHES_CANCELLED: Final = {"BaseException", "BaseExceptionGroup", "Cancelled"}


def swallowed_cancels(house: House) -> Iterator[Finding]:
    """Handlers and finally blocks after which a cancel may be forgotten."""
    for place in places(house):
        node = place.node
        kinds = sorted(_CATCHES_CANCELLED & {*_caught(node), *_suppressed(node)})
        if isinstance(node, ast.ExceptHandler) and (node.type is None or kinds) and not _reraises(node.body):
            yield place.finding(f"except {', '.join(kinds)}".strip() + " does not raise")
        elif isinstance(node, ast.Call) and kinds:
            yield place.finding(f"suppresses {', '.join(kinds)}")
        elif isinstance(node, ast.Try | ast.TryStar) and _leaves_early(node.finalbody):
            yield place.finding("leaves a finally block early")


def unreadable_handlers(house: House) -> Iterator[Finding]:
    """Handlers whose exceptions are computed, so that nobody can read what they catch."""
    for place in places(house):
        if "" in _caught(place.node):
            yield place.finding(ast.unparse(place.node).partition(":")[0])


def broad_handlers(house: House) -> Iterator[Finding]:
    """``except Exception``, also as a part of a group or as ``suppress``."""
    for place in places(house):
        if "Exception" in _caught(place.node) or "Exception" in _suppressed(place.node):
            yield place.finding("catches Exception")


def _caught(node: ast.AST) -> list[str]:
    """The names in an ``except``, with an empty one for each that is computed."""
    if not isinstance(node, ast.ExceptHandler) or node.type is None:
        return []
    return [last_name(kind) for kind in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])]


def _suppressed(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call) and last_name(node.func) == "suppress":
        return [last_name(kind) for kind in node.args]
    return []


def _reraises(body: list[ast.stmt]) -> bool:
    """Whether a handler ends with a bare ``raise``, and nothing leaves it before."""
    ends_bare = isinstance(body[-1], ast.Raise) and body[-1].exc is None
    return ends_bare and not _leaves_early(body)


def _leaves_early(body: list[ast.stmt]) -> bool:
    """Whether a return, break or continue could leave; those of a loop or a function within are suspected too."""
    return any(
        isinstance(node, ast.Return | ast.Break | ast.Continue) for statement in body for node in ast.walk(statement)
    )


# Sizes, maps, tests


def oversize(house: House, longest_module: int, longest_function: int, lengths: Mapping[str, int]) -> Iterator[Finding]:
    """``lengths``: lines by module. A function is as long as it is without its docstring."""
    for path, lines in lengths.items():
        if lines > longest_module:
            yield Finding(path, 1, "", f"{lines} lines, {longest_module} at most")
    for place in places(house):
        if isinstance(place.node, Function) and (lines := _length(place.node)) > longest_function:
            yield place.finding(f"{place.node.name} has {lines} lines, {longest_function} at most")


def _length(function: Function) -> int:
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def mapped_rooms(house: House) -> set[str]:
    """The names that the porch's docstring has at the beginnings of lines of its map: ``core/``, ``errors.py``."""
    drawing = ast.get_docstring(house["__init__.py"]) or ""
    return set(re.findall(r"^ +(\w+(?:/|\.py))(?= {2,}\S)", drawing, re.MULTILINE))


def built_rooms(house: House) -> set[str]:
    return {path.partition("/")[0] + "/" * ("/" in path) for path in house} - {"__init__.py"}


def untested(house: House, tests: House) -> set[str]:
    """The modules that no test imports; a name that a room's porch hands on counts for the module it comes from."""
    origin = {
        f"{dotted(path)}.{alias.asname or alias.name}": name.rpartition(".")[0]
        for path, tree in house.items()
        if path.endswith("__init__.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias, name in zip(node.names, imported(node, path), strict=True)
    }
    names = {name for place in places(tests) for name in imported(place.node, place.path)}
    named = names | {name.rpartition(".")[0] for name in names} | {origin[name] for name in names & origin.keys()}
    return {path for path in house if not path.endswith("__.py") and dotted(path) not in named}
