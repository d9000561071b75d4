"""What is known of a message."""

from __future__ import annotations

import pytest

from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.letters import Letter
from triolet.core.text import FormattedText

HERE = Place(ConversationKey(1), private=True)
HELLO = FormattedText("hello")


@pytest.mark.parametrize(
    ("letter", "is_preview"),
    [
        (Letter(1, HERE, growing=True), True),
        (Letter(1, HERE, growing=True, content=HELLO), False),
        (Letter(1, HERE, content=HELLO), False),
        (Letter(1, HERE, "sent"), False),
    ],
)
def test_what_grows_is_a_preview_until_something_is_to_stay(letter: Letter, *, is_preview: bool) -> None:
    assert letter.is_preview == is_preview


def test_a_message_is_behind_all_that_were_before_it() -> None:
    assert Letter(7, HERE).position == 7.0
    assert Letter(7, HERE, position=3.5).position == 3.5
