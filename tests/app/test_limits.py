"""The documented limits, and harsher ones: whatever a call takes, no window is exceeded, and what is learnt is kept."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import ADA, EXAMPLES, GROUP, TOKEN, Scene, open_scene, open_telegram, scene_settings, tokens

from triolet.config import StreamingSettings
from triolet.emulator import Delay, EmulatedTelegram, Limits
from triolet.providers.scripted import Step

TRANSPORTS = st.sampled_from(["auto", "edit"])
NOTIFY = st.sampled_from(["final", "first"])


def open_crowd(people: int, groups: int, topics: int) -> EmulatedTelegram:
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits())
    for user in range(1, people + 1):
        telegram.add_private_chat(user, topics={topic: str(topic) for topic in range(2, 2 + topics)})
    for number in range(1, groups + 1):
        telegram.add_group(-number, "Group", [1], supergroup=True)
    return telegram


def ask_everywhere(scene: Scene, people: int, groups: int, topics: int) -> None:
    for user in range(1, people + 1):
        scene.server.say(user, "Hello")
        for topic in range(2, 2 + topics):
            scene.server.say(user, "Hello", thread_id=topic)
    for number in range(1, groups + 1):
        scene.server.say(-number, "@triolet_bot hello", user_id=1)


@pytest.mark.case("P2", "P3", "P8")
@settings(max_examples=EXAMPLES)
@given(
    people=st.integers(1, 6),
    groups=st.integers(0, 3),
    topics=st.integers(0, 2),
    seed=st.integers(0, 2**32),
    slowest=st.floats(0.005, 2.0),
    transport=TRANSPORTS,
    notify=NOTIFY,
    seconds=st.sampled_from([2.0, 20.0, 70.0]),
)
async def test_no_window_is_exceeded_whatever_a_call_takes(
    autojump_clock: object,
    people: int,
    groups: int,
    topics: int,
    seed: int,
    slowest: float,
    transport: str,
    notify: str,
    seconds: float,
) -> None:
    """Nobody knows when within its time a call is counted: not one is refused, in any number of chats."""
    luck = random.Random(seed)

    def latency(method: str) -> Delay:
        whole = luck.uniform(0.005, slowest)
        before = luck.uniform(0.0, whole)
        return Delay(before, whole - before)

    streaming = StreamingSettings(transport=transport, notify=notify)  # type: ignore[arg-type]  # their own values
    configured = scene_settings(streaming=streaming, allow=tuple(range(1, people + 1)))
    telegram = open_crowd(people, groups, topics)
    steps: list[Step] = tokens(round(seconds * 5), every=0.2)
    async with open_scene(*steps, settings=configured, telegram=telegram) as scene:
        telegram.latency = latency
        for _ in range(2):
            ask_everywhere(scene, people, groups, topics)
            await trio.sleep(seconds + 10)
        await trio.sleep(200)
        counts = Counter(call.status for call in telegram.journal if call.method != "getUpdates")
        assert set(counts) == {200}, counts


async def floods_by_hour(limits: Limits, transport: str, hours: int) -> list[int]:
    """How many 429s each hour brings to somebody who keeps asking, for answers of a minute."""
    streaming = StreamingSettings(transport=transport)  # type: ignore[arg-type]  # its own values
    found = [0] * hours
    configured = scene_settings(streaming=streaming)
    async with open_scene(*tokens(300, every=0.2), settings=configured, telegram=open_telegram(limits)) as scene:
        for hour in range(hours):
            while trio.current_time() < 3600.0 * (hour + 1):
                scene.server.say(ADA, "Hello")
                await trio.sleep(90.0)
                scene.server.say(ADA, "/new")
                await trio.sleep(10.0)
        for call in scene.telegram.journal:
            if call.status == 429:
                found[int(call.received // 3600.0)] += 1
    return found


@pytest.mark.case("P4")
async def test_stricter_edits_are_learnt(autojump_clock: object) -> None:
    """Twenty edits a minute in a private chat, of which nothing is published."""
    first, second = await floods_by_hour(Limits.strict_edits(), "edit", 2)
    assert first <= 6
    assert second <= 3


@pytest.mark.case("P4")
@pytest.mark.parametrize(("transport", "seed"), [("auto", 1), ("edit", 2)])
async def test_random_cool_downs_are_learnt(autojump_clock: object, transport: str, seed: int) -> None:
    """Cool-downs of up to three seconds that hasty calls set off now and then."""
    first, second = await floods_by_hour(Limits.cooldowns(seed), transport, 2)
    assert first <= 10
    assert second <= 3


async def test_a_group_is_unhurried_even_when_its_calls_are_slow(autojump_clock: object) -> None:
    async with open_scene(*tokens(600), latency=Delay(before=0.9, after=0.9)) as scene:
        scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(120)
        assert {call.status for call in scene.calls(chat_id=GROUP)} == {200}
