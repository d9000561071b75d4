"""The emulator is a second opinion only while it shares nothing with the program it judges."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import triolet.emulator

FOLDER = Path(triolet.emulator.__file__).parent
PURE = {
    "answers", "chats", "dispatch", "drafts", "entities", "faults", "journal", "limits", "markup", "methods",
    "parameters", "people", "places", "rich", "rich_html", "screen", "sending", "telegram", "text", "updates", "world",
}  # fmt: skip
THIRD_PARTY = {"attrs", "h11", "trio"}


def imported(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return modules


def test_it_imports_nothing_of_the_other_rooms() -> None:
    for path in FOLDER.glob("*.py"):
        for module in imported(path):
            root = module.partition(".")[0]
            own = module == "triolet.emulator" or module.startswith("triolet.emulator.")
            assert own or root in THIRD_PARTY or root in sys.stdlib_module_names, (path.name, module)


def test_the_core_has_neither_clock_nor_wire() -> None:
    for name in PURE:
        assert not imported(FOLDER / f"{name}.py") & {"trio", "h11", "time", "socket", "random", "datetime"}, name


def test_its_docstring_maps_every_module() -> None:
    docstring = triolet.emulator.__doc__ or ""
    for path in FOLDER.glob("*.py"):
        assert path.stem == "__init__" or path.stem in docstring, path.stem


def test_no_module_is_too_long_to_read() -> None:
    for path in FOLDER.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path.name
