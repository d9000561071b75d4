"""The end of the bot while something hangs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
import trio
from scenes import ADA, BOB, open_scene, scene_settings, tokens
from trio.testing import MockClock

from triolet.config import StoreSettings
from triolet.emulator import Delay, Fault
from triolet.providers.scripted import Hang

T = TypeVar("T")


class HangingDisk:
    """Each job waits for as long as the disk hangs."""

    def __init__(self) -> None:
        self.until = -math.inf

    async def __call__(self, job: Callable[[], T], /) -> T:
        await trio.sleep(0.01)
        await trio.sleep_until(self.until)
        result = job()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return result


async def end_while_the_disk_hangs(folder: Path, said: str, moment: float, grace: float = 0.0) -> float:
    """How long it takes, if the disk begins to hang so long after that was said."""
    disk = HangingDisk()
    settings = attrs.evolve(scene_settings(grace=grace), store=StoreSettings(path=folder / f"{moment:.3f}.db"))
    async with open_scene(*tokens(10), Hang(), settings=settings, executor=disk) as scene:
        scene.server.say(ADA, "first")
        await trio.sleep(3.0)
        scene.server.say(BOB if said == "Hello" else ADA, said)
        await trio.sleep(moment)
        disk.until = trio.current_time() + 100.0
        await trio.sleep(0.5)
        began = trio.current_time()
    return trio.current_time() - began


@pytest.mark.parametrize("said", ["Hello", "/new"])
def test_end_while_the_disk_hangs(tmp_path: Path, said: str) -> None:
    longest = 0.0
    for number in range(3, 12):
        took = trio.run(end_while_the_disk_hangs, tmp_path, said, number / 100, clock=MockClock(autojump_threshold=0.0))
        longest = max(longest, took)
    assert longest <= 3.0


@pytest.mark.parametrize("grace", [0.0, 5.0])
@pytest.mark.parametrize("moment", [0.02, 0.1, 0.6, 1.0, 1.6, 3.0])
async def test_end_while_telegram_hangs(autojump_clock: object, tmp_path: Path, moment: float, grace: float) -> None:
    settings = attrs.evolve(scene_settings(grace=grace), store=StoreSettings(path=tmp_path / "triolet.db"))
    async with open_scene(*tokens(20), settings=settings) as scene:
        scene.telegram.add_fault(Fault(action=Delay(before=1000.0), times=None))
        scene.server.say(ADA, "first")
        await trio.sleep(moment)
        began = trio.current_time()
    assert trio.current_time() - began <= grace + 3.0
