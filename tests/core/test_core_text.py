"""Text as Telegram counts it: Python's own codec is the second opinion on UTF-16."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from triolet.core.text import (
    MESSAGE_LIMIT,
    Entity,
    FormattedText,
    italic,
    join,
    split_message,
    split_place,
    utf16_length,
    utf16_slice,
)

TEXT = st.text(st.sampled_from("ab \n€é😀\u200d\ud83d\uffff\U00010000"), max_size=60)


def units(text: str) -> list[bytes]:
    """The UTF-16 code units, as Python's codec makes them."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [encoded[i : i + 2] for i in range(0, len(encoded), 2)]


@pytest.mark.parametrize(("text", "length"), [("", 0), ("a€", 2), ("\uffff", 1), ("\U00010000", 2), ("👩\u200d🚀", 5)])
def test_length_in_utf16(text: str, length: int) -> None:
    assert utf16_length(text) == length


@given(TEXT | st.text())
def test_length_is_the_codec_s(text: str) -> None:
    assert utf16_length(text) == len(units(text))


SLICES = [
    ("a😀b", 0, 4, "a😀b"),
    ("a😀b", 1, 2, "😀"),
    ("a😀b", 3, 1, "b"),
    ("a😀b", 0, 0, ""),
    ("a😀b", 3, 9, "b"),
    ("a😀b", 9, 1, ""),
    ("abc", -1, 2, "a"),
    ("abc", -2, 1, ""),
    ("abc", 0, -1, ""),
    ("abc", 2, -1, ""),
    ("abc", 1, -9, ""),
    ("abc", -9, 99, "abc"),
    ("abc", 1, 10**30, "bc"),
    ("a😀b", 0, 2, "a\ufffd"),
]


@pytest.mark.parametrize(("text", "offset", "length", "covered"), SLICES)
def test_what_an_entity_covers(text: str, offset: int, length: int, covered: str) -> None:
    assert utf16_slice(text, offset, length) == covered


@given(TEXT, st.integers(-5, 70), st.integers(-5, 70))
def test_a_slice_is_the_units_in_its_range(text: str, offset: int, length: int) -> None:
    covered = [unit for place, unit in enumerate(units(text)) if offset <= place < offset + length]
    assert utf16_slice(text, offset, length) == b"".join(covered).decode("utf-16-le", "replace")


@given(TEXT, TEXT, TEXT)
def test_a_slice_between_two_texts_is_the_text(before: str, text: str, after: str) -> None:
    assume("\ud83d" not in text)
    assert utf16_slice(before + text + after, utf16_length(before), utf16_length(text)) == text


def test_an_entity_as_the_api_takes_it() -> None:
    assert Entity("bold", 1, 2).to_json() == {"type": "bold", "offset": 1, "length": 2}


def test_plain_text_has_lost_only_its_entities() -> None:
    assert italic("a😀") == FormattedText("a😀", (Entity("italic", 0, 3),))
    assert italic("a").plain == FormattedText("a")


JOINS = [
    ([], FormattedText("")),
    ([FormattedText("a")], FormattedText("a")),
    ([FormattedText("a"), FormattedText("b")], FormattedText("a\n\nb")),
    ([FormattedText(""), FormattedText("b"), FormattedText("")], FormattedText("b")),
    ([italic("😀"), italic("b")], FormattedText("😀\n\nb", (Entity("italic", 0, 2), Entity("italic", 4, 1)))),
    ([FormattedText(""), italic("b")], italic("b")),
    ([italic(""), FormattedText("b")], FormattedText("b")),
]


@pytest.mark.parametrize(("parts", "joined"), JOINS)
def test_parts_are_joined_with_their_formatting_in_place(parts: list[FormattedText], joined: FormattedText) -> None:
    assert join(parts) == joined


def test_parts_are_joined_by_any_separator() -> None:
    assert join([FormattedText("a"), italic("b")], "😀") == FormattedText("a😀b", (Entity("italic", 3, 1),))


PLACES = [
    ("short", "abc", 10, 3),
    ("of the limit", "0123456789", 10, 10),
    ("of the limit, with a place", "01234 6789", 10, 10),
    ("no place: at the limit", "0123456789x", 10, 10),
    ("after a word", "01234 6789x", 10, 6),
    ("after the last word", "01234 6 89x", 10, 8),
    ("after a line rather than a word", "01234\n6 89x", 10, 6),
    ("after a paragraph rather than a line", "01234\n\n7\n9x", 10, 7),
    ("at the beginning of the second half", "01234 6789x", 10, 6),
    ("not in the first half", "0123 56789x", 10, 10),
    ("a place that ends at the limit", "012345678 x", 10, 10),
    ("a paragraph that ends at the limit", "01234567\n\nx", 10, 10),
    ("a paragraph across the limit is a line", "012345678\n\nx", 10, 10),
    ("a space behind the limit", "0123456789 x", 10, 10),
    ("a limit of one", " x", 1, 1),
]


@pytest.mark.parametrize(("text", "limit", "place"), [pytest.param(*row[1:], id=row[0]) for row in PLACES])
def test_where_a_text_is_cut(text: str, limit: int, place: int) -> None:
    assert split_place(text, limit) == place


def test_a_message_holds_4096_code_points() -> None:
    """Not UTF-16 units: an emoji counts once."""
    assert MESSAGE_LIMIT == 4096
    assert split_place("😀" * 4096) == 4096
    assert split_place("😀" * 4097) == 4096
    assert split_message(FormattedText("😀" * 4096)) == [FormattedText("😀" * 4096)]
    assert split_message(FormattedText("😀" * 4097)) == [FormattedText("😀" * 4096), FormattedText("😀")]


def test_an_entity_across_a_cut_goes_on_in_the_next_part() -> None:
    message = FormattedText("😀😀 😀😀", (Entity("bold", 2, 5), Entity("code", 0, 4), Entity("code", 7, 2)))
    assert split_message(message, 3) == [
        FormattedText("😀😀 ", (Entity("bold", 2, 3), Entity("code", 0, 4))),
        FormattedText("😀😀", (Entity("bold", 0, 2), Entity("code", 2, 2))),
    ]


def test_an_entity_over_many_parts_is_in_each() -> None:
    parts = split_message(italic("a" * 25), 10)
    assert parts == [italic("a" * 10), italic("a" * 10), italic("a" * 5)]


def test_an_entity_too_long_for_its_text_ends_with_it() -> None:
    parts = split_message(FormattedText("a" * 25, (Entity("italic", 0, 99),)), 10)
    assert parts == [italic("a" * 10), italic("a" * 10), italic("a" * 5)]


def test_a_message_that_fits_is_not_touched() -> None:
    assert split_message(FormattedText(""), 10) == [FormattedText("")]
    assert split_message(italic("a" * 10), 10) == [italic("a" * 10)]


@st.composite
def formatted_texts(draw: st.DrawFn) -> FormattedText:
    """Any text, and entities anywhere on it, with their ends between characters."""
    text = draw(TEXT)
    places = st.integers(0, len(text))
    entities = []
    for kind in draw(st.lists(st.sampled_from(["bold", "code"]), max_size=4)):
        start, end = sorted((draw(places), draw(places)))
        entities.append(Entity(kind, utf16_length(text[:start]), utf16_length(text[start:end])))
    return FormattedText(text, tuple(entities))


def covered(message: FormattedText) -> list[set[str]]:
    """For each code point, the kinds of entities on it; each must begin and end between two of them."""
    kinds: list[set[str]] = [set() for _ in message.text]
    starts = {utf16_length(message.text[:i]): i for i in range(len(message.text) + 1)}
    for entity in message.entities:
        for i in range(starts[entity.offset], starts[entity.offset + entity.length]):
            kinds[i].add(entity.type)
    return kinds


@given(formatted_texts(), st.integers(1, 20))
@example(FormattedText("\n" * 41), 20)
def test_the_parts_of_a_message_are_the_message(message: FormattedText, limit: int) -> None:
    parts = split_message(message, limit)
    assert "".join(part.text for part in parts) == message.text
    assert all(0 < len(part.text) <= limit for part in parts) or message == parts[0]
    assert [kinds for part in parts for kinds in covered(part)] == covered(message)
    assert all(entity.length > 0 for part in parts for entity in part.entities) or len(parts) == 1
    assert len(parts) <= max(1, -(-len(message.text) // max(1, limit // 2)))


@given(TEXT, st.integers(1, 20))
def test_what_is_cut_off_for_good_stays_as_the_text_grows(text: str, limit: int) -> None:
    """A draft that has reached its limit is the beginning of the final message."""
    first = split_message(FormattedText(text), limit)[0].text
    if len(text) > limit:
        assert all(split_place(text + more, limit) == len(first) for more in ("x", " ", "\n\n"))
