"""How a turn's end reads: the text stays, the mark is an italic last line, and no message is ever empty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.conversation import Ending
from triolet.core.ending import NO_ANSWER, final_message
from triolet.core.text import Entity, FormattedText, italic, utf16_slice

LENGTH = "✂ cut off: the answer reached its longest"

ENDINGS = [
    ("a", Ending.COMPLETE, "", FormattedText("a")),
    (" a\nb \n", Ending.COMPLETE, "", FormattedText("a\nb")),
    ("", Ending.COMPLETE, "", italic(NO_ANSWER)),
    (" \n ", Ending.COMPLETE, "", italic(NO_ANSWER)),
    ("", Ending.COMPLETE, "why", italic("why")),
    ("a", Ending.COMPLETE, "why", FormattedText("a\n\nwhy", (Entity("italic", 3, 3),))),
    ("a", Ending.LENGTH, "", FormattedText(f"a\n\n{LENGTH}", (Entity("italic", 3, len(LENGTH)),))),
    ("😀", Ending.STOPPED, "", FormattedText("😀\n\n⏹ stopped", (Entity("italic", 4, 9),))),
    ("", Ending.STOPPED, "", italic("⏹ stopped")),
    ("", Ending.STOPPED, "2 dropped", italic("⏹ stopped · 2 dropped")),
    ("a", Ending.FAILED, "why", FormattedText("a\n\n⚠ broken off · why", (Entity("italic", 3, 18),))),
    ("", Ending.FAILED, "", italic("⚠ broken off")),
    ("", Ending.FAILED, " \n", italic("⚠ broken off")),
    ("", Ending.FAILED, "why\n", italic("⚠ broken off · why")),
    ("", Ending.SHUTDOWN, "", italic("⏸ interrupted: the bot is restarting")),
]


@pytest.mark.parametrize(("text", "ending", "detail", "expected"), ENDINGS)
def test_how_an_end_reads(text: str, ending: Ending, detail: str, expected: FormattedText) -> None:
    assert final_message(text, ending, detail) == expected


SHORT = st.text(st.sampled_from("a \n\t😀\u00a0"), max_size=5)


@given(SHORT, st.sampled_from(Ending), SHORT)
def test_no_end_is_empty_and_the_text_begins_it(text: str, ending: Ending, detail: str) -> None:
    message = final_message(text, ending, detail)
    assert message.text.strip()
    assert message.text.startswith(text.strip())
    assert bool(message.entities) == (ending is not Ending.COMPLETE or bool(detail.strip()) or not text.strip())
    for entity in message.entities:
        assert entity.type == "italic"
        assert message.text.endswith(utf16_slice(message.text, entity.offset, entity.length))


def test_an_end_without_detail_is_its_mark() -> None:
    assert final_message("", Ending.STOPPED) == italic("⏹ stopped")
    assert final_message("", Ending.COMPLETE) == italic("The model gave no answer.")
