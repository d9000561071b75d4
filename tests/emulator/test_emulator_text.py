"""Trimming and measuring, as tables."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.emulator.text import Entity, FormattedText, cuts_pair, utf16_length

WAVE = "👋"


def bold(offset: int, length: int) -> Entity:
    return {"type": "bold", "offset": offset, "length": length}


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("plain", "plain"),
        ("end \t\r\n", "end"),
        ("  \n start", "start"),
        ("\tstart", "\tstart"),  # only spaces and newlines go at the start
        (" \n\t ", ""),
        ("", ""),
        ("a  b", "a  b"),
    ],
)
def test_whitespace_goes_from_both_ends(raw: str, kept: str) -> None:
    assert FormattedText(raw).trimmed() == FormattedText(kept)


@pytest.mark.parametrize(
    ("raw", "entities", "expected"),
    [
        ("  hello", (bold(2, 5),), FormattedText("hello", (bold(0, 5),))),
        ("  hello", (bold(1, 6),), FormattedText(" hello", (bold(0, 6),))),  # an entity keeps what it covers
        ("hello  ", (bold(0, 7),), FormattedText("hello", (bold(0, 5),))),
        ("hello  ", (bold(5, 2),), FormattedText("hello")),
        (f" {WAVE} x ", (bold(4, 2),), FormattedText(f"{WAVE} x", (bold(3, 1),))),
    ],
)
def test_entities_move_with_the_text(raw: str, entities: tuple[Entity, ...], expected: FormattedText) -> None:
    assert FormattedText(raw, entities).trimmed() == expected


@given(st.text())
@example("\uffff\U00010000")
def test_lengths_and_cuts_agree_with_the_codec(text: str) -> None:
    encoded = text.encode("utf-16-le")
    assert utf16_length(text) == len(encoded) // 2
    boundaries = {utf16_length(text[:index]) for index in range(len(text) + 1)}
    assert boundaries == {at for at in range(utf16_length(text) + 1) if not cuts_pair(encoded, at)}
