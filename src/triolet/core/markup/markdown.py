"""Markdown as a message shows it: text with entities, or the HTML of a rich message. No word is lost.

The entities are written here and not by `telegramify_markdown.convert`, which was measured first: in a list's item it
joins what stands around a code block to the code, it drops cells beyond a table's width, and it nests entities as
Telegram does not take them. Its `richify` has none of these faults but the second.
"""

from __future__ import annotations

import html
import json
from typing import Final

import attrs

from triolet.core.markup.paper import TRIMMED
from triolet.core.markup.rich import MAX_DEPTH, depth, is_rich, rich_html
from triolet.core.markup.syntax import clean, parse
from triolet.core.markup.writer import Writer
from triolet.core.text import Entity, FormattedText, RichText

MAX_SOURCE: Final = 40_000
"""A longer source is shown as it is: parsing and laying it out would hold up other chats."""

MAX_ENTITIES: Final = 100
MAX_ENTITY_BYTES: Final = 9_000
"""Of JSON. The server's limit is said to be about 9,500 (tdlib/telegram-bot-api, issue 165)."""


def render(source: str) -> FormattedText:
    """The text that a message shows of a Markdown source, and its entities, trimmed as the server trims.

    It takes any text. There are never more entities than a message holds; their styles are lost beyond.
    """
    message = compose(source)
    return attrs.evolve(message, entities=_affordable(message.entities))


def compose(source: str) -> FormattedText:
    """As `render`, with all entities, however many."""
    source = clean(source)
    if len(source) > MAX_SOURCE:
        return FormattedText(source.strip(TRIMMED))
    return Writer(source).write(parse(source)).message()


def entity_bytes(entities: tuple[Entity, ...]) -> int:
    """What the entities weigh in JSON."""
    return len(json.dumps([entity.to_json() for entity in entities]))


def _affordable(entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    kept = entities[:MAX_ENTITIES]
    while entity_bytes(kept) > MAX_ENTITY_BYTES:
        kept = kept[: -1 - len(kept) // 10]
    return kept


def render_rich(source: str) -> RichText:
    """The source as the HTML of a rich message; what Telegram would refuse or drop words of becomes plain text."""
    cleaned = clean(source)
    if len(cleaned) <= MAX_SOURCE:
        events = parse(cleaned)
        if is_rich(cleaned, events) and depth(markup := rich_html(cleaned, events)) <= MAX_DEPTH:
            return RichText(markup, source)
    lines = html.escape(cleaned.strip(TRIMMED), quote=False).splitlines()
    return RichText("<p>" + "<br/>".join(lines) + "</p>" if lines else "", source)
