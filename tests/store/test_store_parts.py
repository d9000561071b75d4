"""A message's JSON: whatever went in comes out, and old files stay readable."""

from __future__ import annotations

from typing import Any

import attrs
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from triolet.core.calls import Place
from triolet.core.conversation import (
    ConversationKey,
    Ending,
    Message,
    OpaquePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from triolet.core.mailbox import Question
from triolet.core.text import Content, Entity, FormattedText, RichText
from triolet.store import open_store, run_inline
from triolet.store.parts import (
    parse_content,
    parse_keyboard,
    parse_messages,
    parse_parts,
    parse_place,
    parse_questions,
    render_content,
    render_json,
    render_messages,
    render_parts,
    render_place,
    render_questions,
)

KEY = ConversationKey(1)


def joined(text: str) -> str:
    """The text as UTF-16 reads it: JSON cannot tell two halves of a pair in a row from the character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


texts = st.text(st.characters(codec=None)).map(joined)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)
opaque_parts = st.builds(OpaquePart, dialect=texts, data=st.dictionaries(texts, json_values))
calls = st.builds(ToolCallPart, texts, texts, texts)
results = st.builds(ToolResultPart, texts, texts, st.booleans())
parts = st.lists(st.builds(TextPart, texts) | opaque_parts | calls | results, max_size=4).map(tuple)
messages = st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), parts, st.sampled_from(Ending))


@given(parts)
@example((TextPart("\ud800"), TextPart("\x00"), OpaquePart("d", {"text": "\udc00\ud800"})))
def test_parts_come_back(given_parts: tuple[Part, ...]) -> None:
    rendered = render_parts(given_parts)
    assert rendered.isascii()
    assert parse_parts(rendered) == given_parts


@settings(deadline=None, max_examples=50)
@given(st.lists(messages, max_size=5))
def test_messages_come_back_from_the_store(given_messages: list[Message]) -> None:
    async def record_and_load() -> list[Message]:
        async with open_store(":memory:", executor=run_inline) as store:
            await store.record(KEY, given_messages)
            return await store.load(KEY)

    assert trio.run(record_and_load) == given_messages


def test_halves_of_a_pair_are_joined() -> None:
    """The one difference, and a repair: a provider's deltas may cut a character in two."""
    assert parse_parts(render_parts((TextPart("\ud83d" + "\ude00"),))) == (TextPart("😀"),)


def test_the_form_on_disk_is_fixed() -> None:
    """Changing this text needs a migration: files that hold it exist."""
    given_parts: tuple[Any, ...] = (
        TextPart("ы"),
        OpaquePart("anthropic", {"a": 1}),
        ToolCallPart("id", "name", "{}"),
        ToolResultPart("id", "text", is_error=True),
    )
    stored = (
        '[{"text":"\\u044b"},{"dialect":"anthropic","data":{"a":1}},'
        '{"call":"id","name":"name","arguments":"{}"},{"result":"id","content":"text","error":true}]'
    )
    assert render_parts(given_parts) == stored
    assert parse_parts(stored) == given_parts


def test_the_forms_of_what_a_restart_finds_are_fixed() -> None:
    """The same: what one release has kept, the next one reads."""
    place = Place(ConversationKey(7, 3), private=False, asked=11, forum=True, asker=1001)
    stored = '{"chat":7,"thread":3,"private":false,"asked":11,"forum":true,"asker":1001}'
    assert render_place(place) == stored
    assert attrs.asdict(parse_place(stored)) == attrs.asdict(place)

    question = Question((5, 6), place, 1001, "ы?", message_id=11)
    stored = '[{"updates":[5,6],"place":' + stored + ',"user":1001,"text":"\\u044b?","message":11}]'
    assert render_questions([question]) == stored
    [parsed] = parse_questions(stored)
    assert attrs.asdict(parsed) == attrs.asdict(question)

    message = Message("assistant", (TextPart("a"), ToolResultPart("id", "b")), Ending.STOPPED)
    stored = (
        '[{"role":"assistant","parts":[{"text":"a"},{"result":"id","content":"b","error":false}],"ending":"stopped"}]'
    )
    assert render_messages([message]) == stored
    assert parse_messages(stored) == (message,)

    content = FormattedText(
        "abc", (Entity("bold", 0, 1), Entity("text_link", 1, 1, url="u"), Entity("pre", 2, 1, None, "c"))
    )
    stored = (
        '{"text":"abc","entities":[{"type":"bold","offset":0,"length":1},'
        '{"type":"text_link","offset":1,"length":1,"url":"u"},{"type":"pre","offset":2,"length":1,"language":"c"}]}'
    )
    assert render_content(content) == stored
    assert parse_content(stored) == content

    rich = RichText("<b>a</b>", "**a**")
    stored = '{"html":"<b>a</b>","source":"**a**"}'
    assert render_content(rich) == stored
    assert attrs.asdict(parse_content(stored)) == attrs.asdict(rich)  # type: ignore[arg-type]  # there is one

    assert (render_content(None), parse_content(None)) == (None, None)
    assert parse_keyboard(render_json((("a", "b"), ("c", "d")))) == (("a", "b"), ("c", "d"))


entities = st.builds(Entity, texts, st.integers(0, 9), st.integers(0, 9), st.none() | texts, st.none() | texts)
contents = st.builds(FormattedText, texts, st.lists(entities, max_size=3).map(tuple)) | st.builds(
    RichText, texts, texts
)


@given(contents)
def test_contents_come_back(content: Content) -> None:
    rendered = render_content(content)
    assert rendered is not None
    assert rendered.isascii()
    parsed = parse_content(rendered)
    assert parsed == content
    assert isinstance(parsed, FormattedText) or parsed.source == content.source  # type: ignore[union-attr]  # equal
