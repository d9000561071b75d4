"""Entities: what is refused, as a table; what nests, as a property."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, ask, refusal, scene
from hypothesis import given
from hypothesis import strategies as st

from triolet.emulator.entities import STYLES, check_entities, detect_entities
from triolet.emulator.text import Entity, utf16_length

TEXT = "one 👋 two three"  # the hand takes UTF-16 units 4 and 5


def at(kind: str, offset: int, length: int, **fields: Any) -> Entity:
    return {"type": kind, "offset": offset, "length": length, **fields}


ONE = at("bold", 0, 3)


@pytest.mark.parametrize(
    ("entities", "problem"),
    [
        ([at("bold", 0, 0)], "entities[0] (bold, offset 0, length 0) has no extent inside the text"),
        ([at("bold", 0, -1)], "entities[0] (bold, offset 0, length -1) has no extent inside the text"),
        ([at("bold", -1, 2)], "entities[0] (bold, offset -1, length 2) has no extent inside the text"),
        (
            [ONE, at("code", 10, 9)],
            "entities[1] (code, offset 10, length 9) ends after the text, which has 16 UTF-16 units",
        ),
        ([at("bold", 5, 1)], "entities[0] (bold, offset 5, length 1) cuts a surrogate pair"),
        ([at("bold", 4, 1)], "entities[0] (bold, offset 4, length 1) cuts a surrogate pair"),
        ([at("blink", 0, 3)], "entities[0] has the unknown type 'blink'"),
        ([{"offset": 0, "length": 3}], "entities[0] has the unknown type None"),
        ([at("text_link", 0, 3)], "entities[0] (text_link) lacks 'url'"),
        ([at("custom_emoji", 0, 3)], "entities[0] (custom_emoji) lacks 'custom_emoji_id'"),
        ([at("text_mention", 0, 3)], "entities[0] (text_mention) lacks 'user'"),
        ([at("date_time", 0, 3)], "entities[0] (date_time) lacks 'unix_time'"),
        ([at("bold", 0, 3, url="x")], "entities[0] (bold) has no field 'url'"),
        ([at("pre", 0, 3, language=3)], "entities[0] (pre) has a wrong language: 3"),
        ([{"type": "bold", "offset": 0}], "entities[0] (bold) lacks 'length'"),
        ([{"type": "bold", "offset": True, "length": 1}], "entities[0] (bold) has a wrong offset: True"),
        ([{"type": "bold", "offset": 0.0, "length": 1}], "entities[0] (bold) has a wrong offset: 0.0"),
        (["bold"], "entities[0] is not an object"),
        ([at("bold", 0, 6), at("italic", 4, 6)], "entities: bold@0+6 and italic@4+6 overlap without nesting"),
        ([at("bold", 0, 6), at("code", 0, 3)], "entities: bold@0+6 can't contain code@0+3"),
        ([at("code", 0, 6), at("bold", 0, 3)], "entities: code@0+6 can't contain bold@0+3"),
        ([at("pre", 0, 6), at("code", 0, 6)], "entities: pre@0+6 can't contain code@0+6"),
        ([at("url", 0, 6), at("mention", 0, 3)], "entities: url@0+6 can't contain mention@0+3"),
        (
            [at("text_link", 0, 6, url="x"), at("blockquote", 0, 3)],
            "entities: text_link@0+6 can't contain blockquote@0+3",
        ),
        (
            [at("blockquote", 0, 6), at("expandable_blockquote", 0, 3)],
            "entities: blockquote@0+6 can't contain expandable_blockquote@0+3",
        ),
        ([ONE] * 101, "entities: 101 given, at most 100 are allowed"),
    ],
)
def test_a_wrong_entity_is_refused_by_name(entities: list[Any], problem: str) -> None:
    said = refusal(scene(), "sendMessage", chat_id=ANN, text=TEXT, entities=entities)
    assert said == f"Bad Request: emulator: {problem}"


@pytest.mark.parametrize(
    "entities",
    [
        [],
        [ONE, at("italic", 3, 3)],
        [at("bold", 0, 6), at("italic", 0, 6)],
        [at("bold", 0, 6), at("bold", 0, 3)],
        [at("italic", 0, 3), at("blockquote", 0, 16)],
        [at("blockquote", 0, 16), at("pre", 0, 6, language="python"), at("text_link", 7, 3, url="https://x.y")],
        [at("blockquote", 0, 16), at("code", 0, 16)],
        [at("code", 0, 16), at("blockquote", 0, 16)],  # the same extent: either may be the outer one
        [at("spoiler", 0, 16), at("text_link", 7, 3, url="tg://user?id=7"), at("underline", 8, 1)],
        [at("text_mention", 0, 3, user={"id": 7}), at("date_time", 7, 3, unix_time=1, date_time_format="d")],
        [at("custom_emoji", 4, 2, custom_emoji_id="5")],
        [ONE] * 100,
    ],
)
def test_a_right_list_is_kept_as_it_is(entities: list[Entity]) -> None:
    assert ask(scene(), "sendMessage", chat_id=ANN, text=TEXT, entities=entities).get("entities", []) == entities


@given(st.data())
def test_any_nesting_of_styles_between_characters_is_accepted(data: st.DataObject) -> None:
    text = data.draw(st.text(min_size=1, max_size=30), label="text")
    positions = [utf16_length(text[:index]) for index in range(len(text) + 1)]

    def nest(first: int, last: int, depth: int) -> list[Entity]:
        if depth == 0 or first >= last:
            return []
        begin = data.draw(st.integers(first, last - 1))
        end = data.draw(st.integers(begin + 1, last))
        kind = data.draw(st.sampled_from(sorted(STYLES)))
        own = at(kind, positions[begin], positions[end] - positions[begin])
        return [own, *nest(begin, end, depth - 1), *nest(end, last, depth - 1)]

    entities = data.draw(st.permutations(nest(0, len(text), 4)))
    assert list(check_entities(text, entities)) == entities


@given(st.text(max_size=10), st.characters(min_codepoint=0x10000), st.text(max_size=10))
def test_no_entity_may_begin_or_end_inside_a_pair(before: str, char: str, after: str) -> None:
    telegram, text = scene(), before + char + after
    inside = utf16_length(before) + 1
    for entity in (at("bold", inside, 1), at("bold", inside - 1, 1)):
        said = refusal(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1, text=text, entities=[entity])
        assert said.endswith("cuts a surrogate pair")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/start", [at("bot_command", 0, 6)]),
        ("👋 /stop@triolet_bot now", [at("bot_command", 3, 17)]),
        ("ask @ann_s and @ben", [at("mention", 4, 6), at("mention", 15, 4)]),
        ("a/b ann@example.org http://x/start", []),
        ("@ann_s /new", [at("mention", 0, 6), at("bot_command", 7, 4)]),
    ],
)
def test_commands_and_mentions_are_found_in_what_people_type(text: str, found: list[Entity]) -> None:
    assert list(detect_entities(text)) == found
