"""Every judge of the kills is shown what it is there for: a fault that it finds, and what is no fault."""

from __future__ import annotations

from typing import Any, Final

import pytest
from kill_judges import JUDGES, Asked, Evidence, Exit, Letter, judge

from triolet.emulator import Button, Change, ScreenMessage

CHAT: Final = 7
WORDS: Final = ("tea0", "tea1", "tea2")
OTHER: Final = ("ink0", "ink1")
WHOLE: Final = "tea0 tea1 tea2"
MARK: Final = "⏸ interrupted by a restart"


def bot(number: int, text: str, *buttons: str) -> ScreenMessage:
    row = (tuple(Button(each, each) for each in buttons),) if buttons else ()
    return ScreenMessage(number, True, "Bot", text, (), row, False, None, False, None)


def seen(at: float, text: str, number: int = 2, kind: Any = "message") -> Change:
    return Change(at, kind, CHAT, text=text, message_id=number)


def left(*messages: ScreenMessage, **facts: Any) -> Evidence:
    """What a person asked in message 1, and what there is in the end."""
    return Evidence(**{"asked": (Asked(CHAT, 1, WORDS),), "messages": {CHAT: messages}, **facts})


TWO: Final = (Asked(CHAT, 1, WORDS), Asked(CHAT, 2, OTHER))
DIED: Final[dict[str, Any]] = {"deaths": (9.0,)}
COPY: Final = f"{WHOLE}\n\n↻ sent again"

FAULTY: Final = {
    "unanswered": [
        left(),
        left(bot(2, "hello"), asked=(Asked(CHAT, 1, WORDS),)),
        left(bot(2, MARK), asked=(Asked(CHAT, 3, WORDS),)),
        left(bot(3, MARK), asked=TWO),
        left(bot(2, "tea0 tea1 tea20")),
    ],
    "torn": [
        left(bot(2, "tea2")),
        left(bot(2, f"tea0\n\n{MARK}"), bot(3, "tea2"), **DIED),
    ],
    "doubled": [
        left(bot(2, WHOLE), bot(3, WHOLE)),
        left(bot(2, WHOLE), bot(3, COPY)),
        left(bot(2, COPY), bot(3, COPY), **DIED),
        left(bot(2, WHOLE), bot(3, COPY), bot(4, WHOLE), **DIED),
        left(bot(2, f"tea0\n\n{MARK}"), bot(3, f"tea0\n\n{MARK}"), bot(4, WHOLE), **DIED),
        left(bot(2, WHOLE), bot(3, "tea2")),
    ],
    "orphaned": [
        left(bot(2, "tea0 ▉"), bot(3, WHOLE)),
        left(bot(2, ""), bot(3, WHOLE)),
        left(bot(2, "Thinking…"), bot(3, WHOLE)),
        left(bot(2, "⏳ look"), bot(3, WHOLE)),
        left(bot(2, WHOLE, "⏹")),
        left(bot(2, "🔐 May I use act?", "✅ Allow", "🚫 Deny"), bot(3, WHOLE)),
        left(bot(2, "↻ Telegram did not confirm a message. Here it comes again…")),
        left(bot(2, "tea0 tea1")),
        left(bot(3, "tea0 tea1"), bot(4, "ink0 ink1"), bot(5, MARK), asked=TWO),
    ],
    "disordered": [
        left(bot(3, "ink0 ink1"), bot(4, WHOLE), asked=TWO),
        left(bot(2, "tea0 tea2 tea1")),
        left(bot(2, "tea1 tea2"), bot(3, "tea0")),
    ],
    "draft left": [left(bot(2, WHOLE), drafts=(CHAT,))],
    "unseen": [
        left(bot(3, "tea0"), changes={CHAT: (seen(1.0, "tea0 tea1"),)}, deaths=(5.0,)),
        left(changes={CHAT: (seen(1.0, "tea0"), seen(2.0, "tea0 tea1", kind="edit"))}, deaths=(0.5, 5.0)),
        left(changes={CHAT: (seen(4.9, "tea0"),)}, stops=(5.0,)),
    ],
    "effects repeated": [left(bot(2, WHOLE), effects={"act": 2})],
    "unfinished": [left(bot(2, WHOLE), unfinished=("update 4",))],
    "uncertain": [left(bot(2, WHOLE), letters=(Letter(CHAT, "uncertain"),))],
    "undelivered": [
        left(bot(2, WHOLE), letters=(Letter(CHAT, "pending"),)),
        left(bot(2, WHOLE), letters=(Letter(CHAT, "sending"),)),
        left(bot(2, MARK), letters=(Letter(CHAT, "dead"), Letter(CHAT, "dead"))),
    ],
    "crashed": [
        left(exits=(Exit(1, 0),)),
        left(exits=(Exit(-14, -9),)),
        left(exits=(Exit(0, 0, seconds=4.5, most=4.0),)),
        left(output="[error] turn.failed\nTraceback (most recent call last):\n  ..."),
    ],
    "corrupt": [left(integrity="row 3 missing from index inbox_unfinished")],
}

FAULTLESS: Final = [
    left(bot(2, WHOLE)),
    left(bot(2, "tea0 tea1"), bot(3, "tea2")),
    left(bot(2, f"tea0\n\n{MARK}"), **DIED),
    left(bot(2, "tea0 tea1"), bot(3, MARK), **DIED),
    left(bot(2, "tea0", "▶ Continue"), **DIED),
    left(bot(2, "tea0 tea1"), bot(3, "🔐 May I use act?"), bot(4, MARK), **DIED),
    left(bot(2, f"tea0\n\n{MARK}"), bot(3, WHOLE), **DIED),
    left(bot(2, WHOLE), bot(3, COPY), **DIED),
    left(bot(2, COPY), **DIED),
    left(bot(2, "↻ Is it missing?", "↻ Send again"), bot(3, "tea2"), **DIED),
    left(bot(2, WHOLE), changes={CHAT: (seen(4.0, "tea9"),)}, deaths=(5.0, 9.0)),
    left(bot(3, MARK), bot(4, MARK), asked=TWO),
    left(bot(3, WHOLE), bot(4, "ink0 ink1"), asked=TWO),
    left(bot(3, "ink0 ink1"), bot(4, WHOLE), asked=(Asked(CHAT, 1, WORDS, in_order=False), TWO[1])),
    left(bot(2, MARK), bot(4, MARK), asked=(Asked(CHAT, 1, WORDS), Asked(CHAT, 3, OTHER))),
    left(bot(2, WHOLE), bot(3, "⚠ not delivered"), letters=(Letter(CHAT, "dead"), Letter(CHAT, "sent"))),
    left(bot(2, WHOLE), letters=(Letter(CHAT, "sent", growing=True),)),
    left(bot(2, WHOLE), changes={CHAT: (seen(4.9, "tea0 tea9"),)}, deaths=(5.0,)),
    left(bot(2, WHOLE), changes={CHAT: (seen(1.0, WHOLE, kind="draft"),)}, deaths=(5.0,)),
    left(bot(2, WHOLE), exits=(Exit(-9, -9), Exit(0, 0, seconds=3.9, most=4.0)), effects={"act": 1}),
]


@pytest.mark.parametrize("name", JUDGES)
def test_each_fault_is_found(name: str) -> None:
    for number, evidence in enumerate(FAULTY[name]):
        assert name in judge(evidence), number


@pytest.mark.parametrize("number", range(len(FAULTLESS)))
def test_what_is_right_is_no_fault(number: int) -> None:
    assert judge(FAULTLESS[number]) == {}
