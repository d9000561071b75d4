"""How a turn's end reads: a mark where the text is not a whole answer, and one wherever there is no text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.conversation import Ending
from triolet.core.ending import EDITED, GOES_ON, NO_ANSWER, mark_of

MARKS = [
    (Ending.COMPLETE, "", ""),
    (Ending.COMPLETE, "why", "why"),
    (Ending.LENGTH, "", "✂ cut off: the answer reached its longest"),
    (Ending.FILTERED, "", "✂ cut off: the provider withholds the rest"),
    (Ending.STOPPED, "", "⏹ stopped"),
    (Ending.STOPPED, "2 dropped", "⏹ stopped · 2 dropped"),
    (Ending.FAILED, "", "⚠ broken off"),
    (Ending.FAILED, " \n", "⚠ broken off"),
    (Ending.FAILED, " why\n", "⚠ broken off · why"),
    (Ending.SHUTDOWN, "", "⏸ interrupted: the bot is restarting"),
    (Ending.SHUTDOWN, GOES_ON, "⏸ interrupted: the bot is restarting · it goes on afterwards"),
    (Ending.KILLED, "", "⏸ interrupted: the bot was restarted"),
    (Ending.KILLED, GOES_ON, "⏸ interrupted: the bot was restarted · it goes on afterwards"),
    (Ending.UNSEEN, "", ""),
    (Ending.INTERRUPTED, "", "⏹ interrupted"),
    (Ending.INTERRUPTED, EDITED, "⏹ interrupted · the question was edited"),
]


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize(("ending", "detail", "mark"), MARKS)
def test_how_an_end_is_marked(ending: Ending, detail: str, mark: str, answered: bool) -> None:
    alone = "" if ending is Ending.INTERRUPTED else mark or NO_ANSWER
    assert mark_of(ending, detail, answered=answered) == (mark if answered else alone)


def test_an_end_needs_no_detail() -> None:
    assert mark_of(Ending.STOPPED, answered=False) == "⏹ stopped"
    assert mark_of(Ending.COMPLETE, answered=False) == "The model gave no answer."


@given(st.sampled_from(Ending), st.text(st.sampled_from("a \n\t😀\u00a0"), max_size=5))
def test_only_a_whole_answer_has_no_mark(ending: Ending, detail: str) -> None:
    assert bool(mark_of(ending, detail, answered=False).strip()) == (ending is not Ending.INTERRUPTED)
    unmarked = ending in (Ending.COMPLETE, Ending.UNSEEN) and not detail.strip()
    assert bool(mark_of(ending, detail, answered=True)) != unmarked
    assert mark_of(ending, detail, answered=True).endswith(detail.strip())
