"""A message's JSON: whatever went in comes out, and old files stay readable."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
from triolet.store import open_store, run_inline
from triolet.store.parts import parse_parts, render_parts

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
