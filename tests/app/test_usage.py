"""What answers took: a last line under each, and what /usage tells."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from scenes import ADA, BOB, Scene, calls, open_scene, rest, rounds, scene_settings, slow_tool

from triolet.app.bench import price_list
from triolet.app.reports import tell_usage
from triolet.config import FallbackSettings, ModelSettings, StreamingSettings
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.events import UsageReported
from triolet.core.text import FormattedText
from triolet.errors import ProviderUnavailable
from triolet.providers.scripted import Cut, End, Fail, Hang, Say, Script, Step
from triolet.store import open_store, run_inline

FOOTER = StreamingSettings(footer=True)
ANSWER: list[Step] = [Say.text("Yes."), Say.usage(1000, 20), End()]


async def command(scene: Scene, text: str = "/usage", chat_id: int = ADA) -> str:
    scene.server.say(chat_id, text)
    await rest(2)
    return scene.bot_messages(chat_id)[-1]


async def test_nothing_was_used_yet(autojump_clock: object) -> None:
    async with open_scene(*ANSWER) as scene:
        assert await command(scene) == "No answer here has reported any usage yet."


async def test_sums_of_a_chat(autojump_clock: object) -> None:
    async with open_scene(*ANSWER, settings=scene_settings(name="m1")) as scene:
        await scene.ask()
        await scene.ask()
        expected = "Last answer: m1 · 1,000 in · 20 out · price unknown"
        assert (await command(scene)).splitlines()[0] == expected
        assert (await command(scene)).splitlines()[2] == "In all: 2,000 in · 40 out · price unknown"
        await command(scene, "/new")
        assert (await command(scene)).splitlines()[2] == "In all: 2,000 in · 40 out · price unknown"
        assert await command(scene, chat_id=BOB) == "No answer here has reported any usage yet."


async def test_it_is_told_while_an_answer_is_written(autojump_clock: object) -> None:
    async with open_scene(Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await rest(2)
        assert await command(scene) == "No answer here has reported any usage yet."


async def test_every_round_counts_and_every_attempt(autojump_clock: object) -> None:
    story = rounds(Say.usage(100, 1), calls("search"), Say.usage(200, 2), Say.text("Yes."), End())
    failures = iter([True])

    script: Script = lambda request: [Say.usage(10, 0), Cut()] if next(failures, False) else story(request)  # noqa: E731
    settings = scene_settings(name="m1", streaming=FOOTER)
    async with open_scene(script=script, tools=[slow_tool("search")], settings=settings) as scene:
        assert await scene.ask() == "Yes.\n\nm1 · 310 in · 3 out"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([Say.text("Yes."), Say.usage(5, 2), End()], "Yes.\n\nm1 · 5 in · 2 out"),
        ([Say.text("Yes."), End()], "Yes."),
        ([Say.text("NO_REPLY"), Say.usage(5, 2), End()], None),
        ([Say.usage(5, 2), End()], "The model gave no answer."),
        (
            [Say.text("Yes"), Say.usage(5, 2), End("length")],
            "Yes\n\n✂ cut off: the answer reached its longest\nm1 · 5 in · 2 out",
        ),
        ([Say.usage(5, 2), Fail(ProviderUnavailable("down"))], "⚠ broken off · down"),
    ],
)
async def test_footer_stands_under_answers(autojump_clock: object, steps: list[Say], text: str | None) -> None:
    async with open_scene(*steps, settings=scene_settings(name="m1", streaming=FOOTER)) as scene:
        scene.server.say(ADA, "Hello")
        await rest(60)
        assert scene.bot_messages() == ([] if text is None else [text])
        await scene.ask("/help")
        scene.server.say(ADA, "again")
        await rest(60)
        assert all("m1" not in message.text for message in scene.provider.requests[-1].messages)


def test_prices_are_those_of_the_providers_themselves() -> None:
    usage = UsageReported(1_000_000, 0)
    official = price_list(ModelSettings(provider="openai-chat", name="gpt-5-mini"))
    assert (official("gpt-5-mini", usage) or 0) > 0
    assert official("another", usage) is None
    elsewhere = price_list(ModelSettings(provider="openai-chat", name="gpt-5-mini", base_url="http://localhost/v1"))
    assert elsewhere("gpt-5-mini", usage) is None
    both = ModelSettings(
        provider="openai-chat",
        name="gpt-5-mini",
        fallback=(FallbackSettings(name="gpt-5-mini", base_url="http://localhost/v1"),),
    )
    assert price_list(both)("gpt-5-mini", usage) is None, "nobody knows which of the two it was"


@attrs.define(eq=False)
class _Noted:
    """A screen that remembers what it was told."""

    notices: list[str] = attrs.Factory(list)

    def notify(self, place: Place, message: FormattedText) -> None:
        self.notices.append(message.text)


async def test_database_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    screen: Any = _Noted()
    async with open_store(tmp_path / "test.db", executor=run_inline) as store:
        with closing(sqlite3.connect(tmp_path / "test.db")) as other:
            other.execute("DROP TABLE usage")
        await tell_usage(store, screen, Place(ConversationKey(ADA), private=True), update_id=1)
    assert screen.notices == ["⚠ Nobody knows: the bot's database cannot be used now."]
