"""How a turn's end reads on the screen: the text that stays, and a mark where it is not a whole answer.

Text that the user has seen is kept, whatever happened; the mark is an italic last line, or stands alone.
"""

from __future__ import annotations

from triolet.core.conversation import Ending
from triolet.core.text import FormattedText, is_blank, italic, join

_MARKS = {
    Ending.LENGTH: "✂ cut off: the answer reached its longest",
    Ending.FILTERED: "✂ cut off: the provider withholds the rest",
    Ending.STOPPED: "⏹ stopped",
    Ending.FAILED: "⚠ broken off",
    Ending.SHUTDOWN: "⏸ interrupted: the bot is restarting",
}

NO_ANSWER = "The model gave no answer."


def final_message(text: str, ending: Ending, detail: str = "") -> FormattedText:
    """The message that ends a turn; ``detail`` is added to the mark. It is never empty."""
    mark = " · ".join(part for part in (_MARKS.get(ending, ""), detail.strip()) if part)
    text = "" if is_blank(text) else text.strip()
    if not text and not mark:
        mark = NO_ANSWER
    return join([FormattedText(text), italic(mark)])
