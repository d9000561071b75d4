"""What becomes of an answer that was being written: the whole table."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey, Ending, Message, ToolCallPart, ToolResultPart
from triolet.core.mailbox import Question
from triolet.core.recovery import ATTEMPTS, OpenTurn, Resume, next_step

KEY = ConversationKey(3)
ASKED = Question((1,), Place(KEY, private=True), 3, "Why?", message_id=9)
TURN = OpenTurn(7, KEY, (ASKED,), (1, 2), began_at=1000.0)
SAID = (Message.of("assistant", "Because", Ending.KILLED),)
HOUR = 3600.0

STATES: dict[str, dict[str, Any]] = {
    "unseen": {},
    "spoken": {"said": SAID},
    "acted": {"has_effects": True},
    "both": {"said": SAID, "has_effects": True},
}
CHANCES: dict[str, tuple[int, float]] = {
    "fresh": (1, 0.0),
    "the last but one": (ATTEMPTS - 1, HOUR),
    "the last": (ATTEMPTS, 0.0),
    "beyond the last": (ATTEMPTS + 1, 0.0),
    "too old": (1, HOUR + 0.5),
    "the clock was set back": (1, -HOUR),
}
AUTO: dict[str, list[str]] = {
    # unseen, spoken, acted, both
    "fresh": ["afresh", "continue", "offer", "offer"],
    "the last but one": ["afresh", "continue", "offer", "offer"],
    "the last": ["offer", "offer", "offer", "offer"],
    "beyond the last": ["offer", "offer", "offer", "offer"],
    "too old": ["offer", "offer", "offer", "offer"],
    "the clock was set back": ["afresh", "continue", "offer", "offer"],
}


def steps(resume: Resume, chance: str) -> list[str]:
    """What becomes of an answer in each state."""
    attempt, age = CHANCES[chance]
    turns = [attrs.evolve(TURN, attempt=attempt, **fields) for fields in STATES.values()]
    return [next_step(turn, resume=resume, now=TURN.began_at + age, max_age=HOUR) for turn in turns]


@pytest.mark.parametrize("chance", CHANCES)
def test_the_next_step(chance: str) -> None:
    assert steps("auto", chance) == AUTO[chance]
    assert steps("ask", chance) == ["offer"] * len(STATES)
    assert steps("off", chance) == ["close"] * len(STATES)


CALL = ToolCallPart("1", "look")
CALLS = Message("assistant", (CALL,))
RESULTS = Message("tool", (ToolResultPart("1", "Here."),))

SPOKEN: list[tuple[str, tuple[Message, ...], bool]] = [
    ("nothing", (), False),
    ("a call alone", (CALLS, RESULTS), False),
    ("white space", (Message.of("assistant", " \n"),), False),
    ("what was said on the way", (CALLS, RESULTS, Message.of("user", "Be short.")), False),
    ("a word before a call", (Message("assistant", (*SAID[0].parts, CALL)), RESULTS), True),
    ("a word behind one", (CALLS, RESULTS, *SAID), True),
]


@pytest.mark.parametrize(("said", "has_spoken"), [pytest.param(*row[1:], id=row[0]) for row in SPOKEN])
def test_what_people_have_seen_of_it(said: tuple[Message, ...], has_spoken: bool) -> None:
    turn = attrs.evolve(TURN, said=said)
    assert (turn.has_spoken, turn.is_begun) == (has_spoken, has_spoken)
    assert attrs.evolve(turn, has_effects=True).is_begun


def test_three_runs_try() -> None:
    assert ATTEMPTS == 3
