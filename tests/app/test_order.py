"""First in, first out: whatever the schedule, the people, the model's moods and a crash between.

`ORDER_SCHEDULES` are played, 60 if nothing else is said: ten thousand take some minutes.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
import trio
from scenes import ADA, BOB, GROUP, Scene, crashed, open_scene, open_telegram, rest, scene_settings
from trio.testing import MockClock

from triolet.config import StoreSettings
from triolet.core.delivery import SENT_AGAIN
from triolet.core.ports import ModelRequest
from triolet.emulator import Limits
from triolet.providers.scripted import Pause, Say, Step
from triolet.testing.scheduler import seeded

SCHEDULES = int(os.environ.get("ORDER_SCHEDULES", "60"))
CHUNK = 20

Plan: TypeAlias = list[tuple[float, int, str]]
"""When something is said, in which chat, and what."""


@attrs.frozen
class Schedule:
    plan: Plan
    moods: Callable[[ModelRequest], Sequence[Step]]
    crash_at: float


def schedule_of(seed: int) -> Schedule:
    dice = random.Random(seed)  # a plan, no secret
    plan = sorted(
        (round(dice.uniform(0.0, 4.0), 3), chat_id, f"question {number} of {chat_id}")
        for chat_id in (ADA, BOB, GROUP)
        for number in range(dice.randint(1, 5))
    )

    def answer(request: ModelRequest) -> list[Step]:
        asked = request.messages[-1].text
        return [Pause(random.Random(f"{seed}{asked}").choice((0.0, 0.1, 1.5))), Say.text(f"re: {asked}")]

    return Schedule(plan, answer, dice.choice((dice.uniform(0.0, 6.0), 60.0)))


async def play(schedule: Schedule, folder: Path) -> Scene:
    settings = attrs.evolve(
        scene_settings(uncertain="resend"), store=StoreSettings(path=folder / f"{time.monotonic_ns()}.db")
    )
    telegram, said = open_telegram(Limits()), 0
    async with open_scene(script=schedule.moods, settings=settings, telegram=telegram) as scene:
        with trio.move_on_at(schedule.crash_at):
            for when, chat_id, text in schedule.plan:
                await trio.sleep_until(when)
                scene.server.say(chat_id, f"@triolet_bot {text}" if chat_id == GROUP else text, user_id=ASKERS[chat_id])
                said += 1
            await trio.sleep_until(schedule.crash_at)
        telegram, settings = crashed(scene, settings)
    async with open_scene(script=schedule.moods, settings=settings, telegram=telegram) as scene:
        for _, chat_id, text in schedule.plan[said:]:
            scene.server.say(chat_id, f"@triolet_bot {text}" if chat_id == GROUP else text, user_id=ASKERS[chat_id])
        await rest(120)
        return scene


ASKERS = {ADA: ADA, BOB: BOB, GROUP: ADA}


@pytest.mark.case("RR6")
@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_answers_come_in_the_order_of_the_questions(tmp_path: Path, first: int) -> None:
    for seed in range(first, min(first + CHUNK, SCHEDULES)):
        schedule = schedule_of(seed)
        with seeded(seed):
            scene = trio.run(play, schedule, tmp_path, clock=MockClock(autojump_threshold=0.0))
        for chat_id in ASKERS:
            expected = [f"re: {text}" for _, chat, text in schedule.plan if chat == chat_id]
            screen = scene.telegram.screen(chat_id, 1000.0)
            # What was on its way in the crash may be a copy of what nobody has found.
            shown = [message.text.removesuffix(f"\n\n{SENT_AGAIN}") for message in screen.messages if message.from_bot]
            assert shown == expected, f"seed {seed}"
