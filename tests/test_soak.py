"""A day with faults leaks nothing; and each judge of the soak can tell, if it did."""

from __future__ import annotations

import gc
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from soak import bot_tasks, count_rows, note_mistake, play
from soak_found import Found, Look, Plan, figures, unanswered, unfinished
from soak_town import Asked, Faults, forget

from triolet.emulator import Button, EmulatedTelegram, ScreenMessage

A_DAY = Plan(days=1, seconds=float("inf"), people=3, pause=5400.0, faults=0.05)
LOOK = Look(0, {}, 9, 1, 100_000, 90_000_000, 100_000, 4_000_000, {"outbox": 10, "usage": 500}, {})


@pytest.mark.case("RR13")
async def test_a_day_with_faults_leaks_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    found = await play(A_DAY, tmp_path)
    assert found.questions > 15
    assert found.lives > 1, "it was restarted"
    assert sum(found.faults.values()) > 0.03 * found.calls
    assert set(found.faults) == {"refuse", "flood", "server_error", "delay", "reset"}
    told = figures("a day", attrs.evolve(found, looks=[found.looks[0], found.looks[-1]]))
    assert [each.cells() for each in told if each.met is False and "heap" not in each.name] == []
    before, after = found.looks[0], found.looks[-1]
    assert after.tasks == {}
    assert after.descriptors == before.descriptors
    assert after.objects < before.objects * 1.02
    assert {after.rows["turn"], after.rows["tool_call"]} == {0}
    with closing(sqlite3.connect(tmp_path / "soak.db")) as connection:
        assert connection.execute("SELECT count(*) FROM inbox WHERE body IS NOT NULL").fetchone() == (0,)


# The judges


def a_play(*looks: Look, **changes: Any) -> Found:
    """The looks of one day after the other, behind a first one."""
    numbered = [attrs.evolve(look, day=day) for day, look in enumerate((LOOK, *looks))]
    return attrs.evolve(Found(A_DAY, numbered, questions=50), **changes)


def missed(found: Found) -> set[str]:
    return {each.name.removeprefix("play: ") for each in figures("play", found) if each.met is False}


def test_nothing_is_missed_where_nothing_grows() -> None:
    assert missed(a_play(LOOK, LOOK, LOOK)) == set()


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (a_play(attrs.evolve(LOOK, tasks={"triolet.app.turn.run": 1}), LOOK), "tasks left over"),
        (a_play(attrs.evolve(LOOK, descriptors=10)), "descriptors left over"),
        (a_play(LOOK, untold=["q1"]), "questions without answer or report"),
        (a_play(LOOK, broken=["message 1"]), "cursors, placeholders and drafts left"),
        (a_play(LOOK, mistakes=["turn.not_kept"]), "mistakes logged"),
        (a_play(*(attrs.evolve(LOOK, objects=100_000 + 200 * day) for day in range(5))), "heap, growth a day"),
        (a_play(attrs.evolve(LOOK, rows={"outbox": 1000})), "rows to be forgotten"),
        (a_play(attrs.evolve(LOOK, database=400_000)), "database, each question"),
        (a_play(attrs.evolve(LOOK, log=8_000_000)), "log at most"),
    ],
)
def test_each_judge_can_fail(found: Found, name: str) -> None:
    assert missed(found) == {name}


async def test_a_task_of_the_bots_counts() -> None:
    before = bot_tasks()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever, name="triolet.app.turn.forgotten")
        nursery.start_soon(trio.sleep_forever, name="triolet.emulator.http.serve_connection")
        await trio.lowlevel.checkpoint()
        assert bot_tasks() - before == {"triolet.app.turn.forgotten": 1}
        nursery.cancel_scope.cancel()


def message(number: int, text: str, *buttons: str, from_bot: bool = True) -> ScreenMessage:
    keyboard = (tuple(Button(each, "data") for each in buttons),)
    return ScreenMessage(number, from_bot, "somebody", text, (), keyboard, False, None, False, None)


@pytest.mark.parametrize(
    ("screen", "untold"),
    [
        ([message(3, "a1 yes"), message(4, "a2 no")], []),
        ([message(3, "a2 no")], ["q1 in 7"]),
        ([], ["q1 in 7", "q2 in 7"]),
        ([message(3, "⚠ broken off")], ["q1 in 7"]),
        ([message(3, "⚠ broken off"), message(4, "half an answer", "▶ Continue")], []),
        ([message(3, "⏹ 2 waiting messages dropped")], []),
        ([message(3, "a1 a2", from_bot=False)], ["q1 in 7", "q2 in 7"]),
    ],
)
def test_question_without_answer_is_told(screen: list[ScreenMessage], untold: list[str]) -> None:
    assert sorted(unanswered(screen, [Asked(7, 1, 1), Asked(7, 2, 2)])) == untold


@pytest.mark.parametrize("left", [message(1, "so far ▉"), message(1, "Thinking…"), message(1, "text", "⏹")])
def test_unfinished_message_is_told(left: ScreenMessage) -> None:
    assert len(unfinished([left, message(2, "whole", "▶ Continue")])) == 1


def test_mistakes_are_those_with_a_traceback() -> None:
    mistakes: list[str] = []
    for event in ({"event": "expected"}, {"event": "turn.not_kept", "exc_info": True}):
        with pytest.raises(structlog.DropEvent):
            note_mistake(mistakes, None, "error", event)
    assert mistakes == ["turn.not_kept"]


# What the town is made of


def test_calls_fail_as_often_as_wanted() -> None:
    faults = Faults(random.Random(1), 0.05)
    faults.telegram = EmulatedTelegram(latency=faults)
    for second in range(4000):
        faults.telegram.call("getMe", {}, float(second))
    assert 0.04 < sum(faults.dealt.values()) / faults.calls < 0.06


def test_emulator_forgets() -> None:
    telegram = EmulatedTelegram()
    telegram.add_private_chat(7)

    def a_day(day: int) -> int:
        for number in range(200):
            telegram.user_sends(7, f"message {number}", day + number / 1000)
            telegram.call("sendMessage", {"chat_id": 7, "text": "an answer"}, day + number / 1000)
        telegram.updates.drop_all()
        forget(telegram)
        gc.collect()
        return len(gc.get_objects())

    first = a_day(1)
    assert a_day(5) - first < 100
    assert telegram.screen(7, 6.0).messages == ()
    assert telegram.user_sends(7, "again", 7.0) > 400, "message ids go on"


def test_tables_are_counted() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE spoons (number)")
        connection.execute("INSERT INTO spoons VALUES (1), (2)")
        assert count_rows(connection) == {"spoons": 2}
