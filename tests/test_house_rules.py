"""Each rule of `house_rules` is shown houses of a few lines that break it, and one that does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import house_rules as rules
import pytest
from house import read_house
from test_architecture import RULES, oversize

IMPORTS, BLOCKS = "the core imports what is pure", "nurseries are blocks"
CANCEL, SHIELD = "a cancel goes through", "the commit is the shield"


@attrs.frozen
class Bad:
    """A house of a few lines, and what is wrong with it."""

    rule: str
    files: Mapping[str, str]
    findings: list[str]


def bad(rule: str, path: str, source: str, *findings: str) -> Bad:
    return Bad(rule, {path: source}, [f"{path}:{finding}" for finding in findings])


ROOMS: Final = {"errors.py": "", "core/a.py": "", "net/a.py": "", "config/a.py": "", "app/demo.py": "", "app/a.py": ""}


def visit(path: str, source: str, *findings: str) -> Bad:
    rooms = {**ROOMS, "store/a.py": "", "telegram/a.py": "", "emulator/a.py": "", "testing/a.py": ""}
    return Bad("visits go down", rooms | {path: source}, [f"{path}:{finding}" for finding in findings])


BROKEN: Final = [
    visit("core/b.py", "import triolet.app.a", "1: core imports app"),
    visit("core/b.py", "from triolet.net import a", "1: core imports net"),
    visit("core/b.py", "from triolet import net, errors", "1: core imports net"),
    visit("core/b.py", "from ..net import a", "1: core imports net"),
    visit("core/__init__.py", "from ..net import a", "1: core imports net"),
    visit("core/b.py", "from .. import net", "1: core imports net"),
    visit("core/b.py", "def f():\n    from triolet.net import a", "2: core imports net"),
    visit("core/b.py", "if TYPE_CHECKING:\n    import triolet.net.a", "2: core imports net"),
    visit("errors.py", "import triolet.core.a", "1: errors imports core"),
    visit("net/b.py", "import triolet.config.a", "1: net imports config"),
    visit("telegram/b.py", "import triolet.store.a", "1: telegram imports store"),
    visit("telegram/b.py", "import triolet.app.a", "1: telegram imports app"),
    visit("emulator/b.py", "import triolet.errors", "1: emulator imports errors"),
    visit("app/b.py", "import triolet.emulator.a", "1: app imports emulator"),
    visit("app/b.py", "import triolet.testing.a", "1: app imports testing"),
    visit("testing/b.py", "import triolet.core.a", "1: testing imports core"),
    visit("__init__.py", "import triolet.core.a", "1: __init__ imports core"),
    visit("attic/a.py", "", "1: attic is a room that no floor has"),
    bad("visits go down", "observe/log.py", "", " excused for nothing"),
    bad("testing knows Trio alone", "testing/a.py", "import attrs, trio, math", "1: testing imports attrs"),
    bad("testing knows Trio alone", "testing/a.py", "from triolet import core", "1: testing imports triolet.core"),
    bad(IMPORTS, "core/a.py", "import trio", "1: core imports trio"),
    bad(IMPORTS, "core/a.py", "import re, os.path", "1: core imports os.path"),
    bad(IMPORTS, "core/a.py", "from time import time", "1: core imports time.time"),
    bad(IMPORTS, "core/a.py", "from datetime import datetime", "1: core imports datetime.datetime"),
    bad(IMPORTS, "core/a.py", "from urllib import request", "1: core imports urllib.request"),
    bad(IMPORTS, "core/a.py", "def f():\n import random", "2: core imports random"),
    *(
        bad(IMPORTS, "core/a.py", f"import {name}", f"1: core imports {name}")
        for name in ("socket", "logging", "structlog", "secrets", "io", "attr", "sqlite3", "threading")
    ),
    bad("the core is pure", "core/a.py", "async def f(): pass", "1: waits"),
    bad("the core is pure", "core/a.py", "x = [y async for y in z]", "1: waits"),
    bad("the core is pure", "core/a.py", "async def f():\n async with a: await b", "1: waits", "2: waits", "2: waits"),
    bad("the core is pure", "core/a.py", "x = dt.datetime.now()", "1: asks dt.datetime.now"),
    bad("the core is pure", "core/a.py", "print(open('x'))", "1: calls print", "1: calls open"),
    bad("nurseries have their places", "core/a.py", "async with trio.open_nursery(): ...", "1: opens a nursery"),
    bad("nurseries have their places", "app/turn.py", "", " excused for nothing"),
    bad(BLOCKS, "a.py", "n = trio.open_nursery()", "1: open_nursery outside of `async with`"),
    bad(BLOCKS, "a.py", "async with f(trio.open_nursery()): ...", "1: open_nursery outside of `async with`"),
    bad(BLOCKS, "a.py", "async with (g := open_nursery()): ...", "1: open_nursery outside of `async with`"),
    bad(BLOCKS, "a.py", "o = trio.open_nursery", "1: open_nursery outside of `async with`"),
    bad(BLOCKS, "a.py", "from trio import open_nursery", "1: imports open_nursery by its own name"),
    bad(BLOCKS, "a.py", "trio.lowlevel.spawn_system_task(f)", "1: uses spawn_system_task"),
    bad(BLOCKS, "a.py", "async with anyio.create_task_group(): ...", "1: uses create_task_group"),
    bad("nurseries are not kept", "a.py", "self.n = nursery", "1: keeps a nursery"),
    bad("nurseries are not kept", "a.py", "self.n: Any = f(self._nursery)", "1: keeps a nursery"),
    bad("nurseries are not kept", "a.py", "nurseries['x'] = nursery", "1: keeps a nursery"),
    bad("nurseries are not kept", "a.py", "x, y.z = 1, inner_nursery", "1: keeps a nursery"),
    bad("nurseries are not kept", "a.py", "async with trio.open_nursery() as self.n: ...", "1: keeps a nursery"),
    bad("tasks start on nurseries", "a.py", "tasks.start_soon(f)", "1: starts a task on tasks"),
    bad("tasks start on nurseries", "a.py", "begin = self.tasks.start_soon", "1: starts a task on self.tasks"),
    bad(SHIELD, "a.py", "with trio.CancelScope(shield=True): ...", "1: shields"),
    bad(SHIELD, "a.py", "with trio.move_on_after(2, shield=maybe): ...", "1: shields"),
    bad(SHIELD, "a.py", "scope.shield = True", "1: shields"),
    bad(SHIELD, "a.py", "await cancel_shielded_checkpoint()", "1: shields a checkpoint"),
    bad(SHIELD, "app/turn.py", "def f():\n g(shield=True)", "2: shields", "run_turn: excused for nothing"),
    bad(CANCEL, "a.py", "try: f()\nexcept: pass", "2: except does not raise"),
    bad(CANCEL, "a.py", "try: f()\nexcept BaseException: g()", "2: except BaseException does not raise"),
    bad(CANCEL, "a.py", "try: f()\nexcept (A, trio.Cancelled): g()", "2: except Cancelled does not raise"),
    bad(CANCEL, "a.py", "try: f()\nexcept* BaseException: g()", "2: except BaseException does not raise"),
    bad(
        CANCEL,
        "a.py",
        "try: f()\nexcept BaseException as e:\n raise A from e",
        "2: except BaseException does not raise",
    ),
    bad(
        CANCEL,
        "a.py",
        "def f():\n try: f()\n except BaseException:\n  if g(): return\n  raise",
        "3: except BaseException does not raise",
    ),
    bad(
        CANCEL,
        "a.py",
        "try: f()\nexcept BaseExceptionGroup as group:\n g(group)",
        "2: except BaseExceptionGroup does not raise",
    ),
    bad(CANCEL, "a.py", "def f():\n try: g()\n finally: return", "2: leaves a finally block early"),
    bad(CANCEL, "a.py", "with suppress(BaseException): f()", "1: suppresses BaseException"),
    bad("what is caught can be read", "a.py", "try: f()\nexcept tuple(table): pass", "2: except tuple(table)"),
    bad("what is caught can be read", "a.py", "try: f()\nexcept (A, *more): pass", "2: except (A, *more)"),
    bad("one place catches Exception", "a.py", "try: f()\nexcept Exception: pass", "2: catches Exception"),
    bad("one place catches Exception", "a.py", "try: f()\nexcept (A, Exception): pass", "2: catches Exception"),
    bad("one place catches Exception", "a.py", "try: f()\nexcept* Exception: pass", "2: catches Exception"),
    bad("one place catches Exception", "a.py", "with contextlib.suppress(Exception): f()", "1: catches Exception"),
]  # fmt: skip


def build(root: Path, files: Mapping[str, str]) -> Path:
    for path, source in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return root


@pytest.mark.parametrize("bad", BROKEN, ids=[f"{number}-{bad.rule}" for number, bad in enumerate(BROKEN)])
def test_a_broken_rule_is_seen(tmp_path: Path, bad: Bad) -> None:
    """And nothing but the breach."""
    assert RULES[bad.rule](read_house(build(tmp_path, bad.files))) == bad.findings


def test_every_rule_is_shown_a_breach() -> None:
    assert {bad.rule for bad in BROKEN} == set(RULES)


GOOD: Final = {
    "__init__.py": "__version__ = '1'",
    "errors.py": "from pathlib import Path",
    "core/a.py": "import enum, attrs\nfrom urllib.parse import quote\nfrom triolet.errors import A\nfrom . import b",
    "core/ports.py": "class P(Protocol):\n async def f(self):\n  'Waits.'\n  ...\n async def g(self): ...",
    "core/b.py": "def poll(now): return now + min(x for x in y)",
    "telegram/a.py": "from triolet.net import a\nfrom triolet import __version__\nimport triolet.core.a",
    "net/a.py": "try: f()\nexcept BaseException:\n close()\n raise\nwith suppress(OSError): g()",
    "transports/a.py": "from triolet.telegram.a import x",
    "app/demo.py": "import triolet.emulator.a\nasync def f():\n async with x(), trio.open_nursery() as nursery:\n"
    "  nursery.start_soon(g)\n  self._nursery.start_soon(h)\n  base = await nursery.start(g)",
    "emulator/a.py": "from triolet.emulator import b",
    "emulator/b.py": "with trio.CancelScope(shield=False): ...",
    "testing/a.py": "import contextlib, trio",
}


@pytest.mark.parametrize("rule", RULES)
def test_a_house_that_keeps_the_rules_is_left_alone(tmp_path: Path, rule: str) -> None:
    assert RULES[rule](read_house(build(tmp_path, GOOD))) == []


def test_length_is_seen(tmp_path: Path) -> None:
    """A docstring adds nothing to its function's length."""
    lines = "\n    x = 1" * 60
    build(tmp_path, {"a.py": "#\n" * 351, "b.py": "#\n" * 350, "c.py": f"def f():{lines}"})
    build(
        tmp_path,
        {"d.py": f'def f():\n    """One.\n\n    Two."""{lines[:-10]}', "e/f.py": f"if x:{lines}"},
    )
    assert oversize(tmp_path) == ["a.py:1: 351 lines, 350 at most", "c.py:1: f has 61 lines, 60 at most"]


def test_the_maps_lines_are_read(tmp_path: Path) -> None:
    drawing = "    core/      the workshop: see net/ too\\n    errors.py  what breaks\\n               cli.py, later\\n"
    porch = f'"""A house.\\n\\n::\\n\\n{drawing}"""'
    house = read_house(build(tmp_path, {"__init__.py": porch, "core/__init__.py": "", "core/a.py": "", "cli.py": ""}))
    assert rules.mapped_rooms(house) == {"core/", "errors.py"}
    assert rules.built_rooms(house) == {"core/", "cli.py"}


def test_a_module_without_a_test_is_seen(tmp_path: Path) -> None:
    """A name taken from the porch of a room counts for the module that defines it."""
    modules = {f"core/{name}.py": "" for name in "abcdef"}
    porch = "from triolet.core.d import D\nfrom .e import E as Echo"
    house = read_house(build(tmp_path / "src", {**modules, "core/__init__.py": porch, "__main__.py": ""}))
    tests = {
        "test_one.py": "import triolet.core.a\nfrom triolet.core import b, D",
        "deep/test_two.py": "from triolet.core.c import x\nfrom triolet.core import Echo",
    }
    assert rules.untested(house, read_house(build(tmp_path / "tests", tests))) == {"core/f.py"}
