"""The demo and the benchmarks are the bot that `run` serves; only the address, the people and the model differ."""

from __future__ import annotations

import ast
from itertools import chain
from pathlib import Path

import attrs
import pytest

from triolet.app.book import CONTINUE
from triolet.app.demo import demo_settings, problem_with
from triolet.app.model import GO_ON
from triolet.config import Secret, Settings, StreamingSettings, TelegramSettings
from triolet.core.conversation import Message
from triolet.core.events import Batch, TextDelta
from triolet.core.ports import ModelRequest
from triolet.providers.scripted import STORY, ScriptedProvider, demo_script

ROOT = Path(__file__).parents[2]
SERVERS = [
    ROOT / "src/triolet/app/service.py",
    ROOT / "src/triolet/app/demo.py",
    *sorted(path for path in (ROOT / "benchmarks").glob("*.py") if "serve_bot" in path.read_text(encoding="utf-8")),
]
IN_MEMORY = {"stage.py", "soak.py"}
"""Whoever needs a virtual clock: the streams are in memory, and the emulator's day is the bot's."""


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.name)
def test_whoever_serves_serves_the_bot_over_its_own_network(path: Path) -> None:
    """`serve_bot` is what they call, with no connection, outbox or screen of their own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(isinstance(n, ast.Name) and n.id == "serve_bot" for n in [node.func, *node.args])
    ]
    assert len(calls) == 1
    allowed = {"executor", "shutdown", "hurry", "cpu_clock", "task_status", "tools", "observers"}
    allowed |= {"connect", "wall_clock"} if path.name in IN_MEMORY else set()
    assert {keyword.arg for keyword in calls[0].keywords} <= allowed
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert not imported & {"Outbox", "open_outbox", "TelegramScreen", "Supervisor", "run_turn", "open_bot_api"}


def test_demo_changes_nothing_but_where_and_who() -> None:
    given = Settings(
        telegram=TelegramSettings(token=Secret("1:TEST")),
        streaming=StreamingSettings(transport="edit", edit_interval=2.0),
    )
    changed = demo_settings(given, "http://127.0.0.1:1")
    differs = {
        field.name for field in attrs.fields(Settings) if getattr(given, field.name) != getattr(changed, field.name)
    }
    assert differs == {"telegram", "access", "shutdown", "store"}


@pytest.mark.parametrize("text", ["", " \n", "x" * 4097, "half \ud83d"])
def test_text_that_no_app_would_send_is_refused(text: str) -> None:
    assert problem_with(text).startswith("a message ")


@pytest.mark.parametrize("text", ["x", "😀" * 4096, "/stop", " padded "])
def test_text_that_an_app_would_send_is_taken(text: str) -> None:
    assert problem_with(text) == ""


@pytest.mark.parametrize("plea", [CONTINUE, GO_ON])
async def test_what_the_bot_asks_for_after_a_break_makes_the_script_go_on(plea: str, autojump_clock: object) -> None:
    heard: list[Batch] = []
    said = [Message.of("user", "A story!"), Message.of("assistant", STORY[:200]), Message.of("user", plea)]
    request = ModelRequest(said)
    await ScriptedProvider(demo_script).stream(request, heard.append)
    assert STORY[:200] + "".join(each.text for each in chain(*heard) if isinstance(each, TextDelta)) == STORY
