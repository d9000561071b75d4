"""A package as a house to look through: modules that are parsed and never imported.

So a rule (`house_rules`) can be tried on a house of three lines. A `Finding` names its place and the function around
it; `judge` compares findings with a table of exceptions, in which each has its reason and none may outlive its use.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import attrs

PACKAGE: Final = "triolet"

House: TypeAlias = Mapping[str, ast.Module]
"""Modules by their path below the package's folder, as in ``core/text.py``."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Finding:
    path: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"

    @property
    def keys(self) -> set[str]:
        """What a table may call it."""
        return {self.path, f"{self.path}:{self.function}"}


Rule: TypeAlias = Callable[[House], Iterable[Finding]]


def read_house(root: Path) -> House:
    return {file.relative_to(root).as_posix(): ast.parse(file.read_bytes()) for file in sorted(root.rglob("*.py"))}


def judge(house: House, rule: Rule, table: Mapping[str, str] | None = None) -> list[str]:
    """The findings that the table does not excuse, and its entries that excuse nothing in a file that exists.

    An entry is a file, or a function in it as ``file:function``, with the reason.
    """
    excuses = table or {}
    findings = list(rule(house))
    used = {key for finding in findings for key in finding.keys}
    broken = [str(finding) for finding in findings if finding.keys.isdisjoint(excuses)]
    stale = [f"{key}: excused for nothing" for key in excuses if key not in used and key.partition(":")[0] in house]
    return broken + stale


# Reading


@attrs.frozen
class Place:
    """A node of a module, and where it stands."""

    path: str
    function: str
    node: ast.AST

    def finding(self, text: str) -> Finding:
        return Finding(self.path, getattr(self.node, "lineno", 1), self.function, text)


def places(house: House) -> Iterator[Place]:
    for path, tree in house.items():
        yield from _within(path, tree, "")


def _within(path: str, parent: ast.AST, function: str) -> Iterator[Place]:
    inner = parent.name if isinstance(parent, Function) else function
    for child in ast.iter_child_nodes(parent):
        yield Place(path, inner, child)
        yield from _within(path, child, inner)


def dotted(path: str) -> str:
    """A module's name: ``core/text.py`` is ``triolet.core.text``."""
    parts = [PACKAGE, *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST, importer: str) -> list[str]:
    """What an import statement names, dotted and absolute: ``from a import b`` is ``a.b``; [] for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    folder = [PACKAGE, *importer.split("/")[:-1]]
    start = folder[: len(folder) - node.level + 1] if node.level else []
    return [".".join([*start, *([node.module] if node.module else []), alias.name]) for alias in node.names]


def last_name(node: ast.AST | None) -> str:
    """``c`` of ``a.b.c`` and of ``c``; empty for every other expression."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def room_of(path: str) -> str:
    """The room that a module lies in; the porch is ``__init__``."""
    return path.partition("/")[0].removesuffix(".py")
