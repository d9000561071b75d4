"""How a turn's end reads on the screen: the text that stays, and a mark where it is not a whole answer.

Text that the user has seen is kept, whatever happened; the mark is an italic last line, or stands alone.
"""

from __future__ import annotations

from triolet.core.conversation import Ending

_MARKS = {
    Ending.LENGTH: "✂ cut off: the answer reached its longest",
    Ending.FILTERED: "✂ cut off: the provider withholds the rest",
    Ending.STOPPED: "⏹ stopped",
    Ending.INTERRUPTED: "⏹ interrupted",
    Ending.FAILED: "⚠ broken off",
    Ending.SHUTDOWN: "⏸ interrupted: the bot is restarting",
    Ending.KILLED: "⏸ interrupted: the bot was restarted",
}

NO_ANSWER = "The model gave no answer."


EDITED = "the question was edited"

GOES_ON = "it goes on afterwards"
"""What is told of an answer that the next run takes up again."""


def mark_of(ending: Ending, detail: str = "", *, answered: bool) -> str:
    """The mark of a turn that ended so; ``detail`` is added to it.

    Without any answer there is always one, but where another answer comes instead.
    """
    if ending is Ending.INTERRUPTED and not answered:
        return ""
    mark = " · ".join(part for part in (_MARKS.get(ending, ""), detail.strip()) if part)
    return mark if mark or answered else NO_ANSWER
