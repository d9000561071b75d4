"""The forms that an answer's messages may have, and how full each makes a message."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import attrs

from triolet.core.markup.growing import Growing
from triolet.core.markup.markdown import MAX_ENTITIES, MAX_ENTITY_BYTES, compose, entity_bytes, render_rich
from triolet.core.markup.syntax import clean
from triolet.core.markup.tail import Mended, glyph_end, mended
from triolet.core.text import MESSAGE_LIMIT, Content, Entity, FormattedText, RichText, is_blank, utf16_length

FormatName: TypeAlias = Literal["entities", "rich", "plain", "quotation"]

RICH_LIMIT: Final = 32_768
RICH_BLOCKS: Final = 500
"""What a rich message holds (Bot API, sendRichMessage): characters, counted here with their markup, and blocks."""

_BLOCK: Final = r"(?:p|h\d|li|[uo]l|blockquote|pre|table|hr)\b"
_RICH_BLOCK: Final = re.compile(rf"<(?:tr\b|{_BLOCK})")
_RICH_TEXT: Final = re.compile(
    rf"<(?:li|blockquote)>(?!<{_BLOCK})|</(?:h\d|[uo]l|blockquote|pre|table)>(?!\Z|</|<{_BLOCK})"
)


@attrs.frozen
class Form:
    """How a piece of source is shown, in messages of ``limit`` characters.

    Of ``window`` characters of source one message at least is full. Without marks (``is_marked``) nothing in a source
    holds together.
    """

    show: Callable[[str], Content]
    mend: Callable[[str], Mended]
    limit: int
    window: int
    is_marked: bool = True
    grows: Callable[[], Callable[[str], tuple[Mended, Content]]] | None = None

    def growing(self) -> Callable[[str], tuple[Mended, Content]]:
        """What shows a source that grows: as much of it as ``mend`` leaves, as ``show`` does."""
        return self._anew if self.grows is None else self.grows()

    def _anew(self, source: str) -> tuple[Mended, Content]:
        mended = self.mend(source)
        return mended, self.show(mended.source)

    def filled(self, content: Content, reserve: int = 0) -> float:
        """How full a message is of it, by whatever fills it first; more than 1 does not fit."""
        length = size(content) / (self.limit - reserve)
        if isinstance(content, RichText):
            return max(length, rich_blocks(content.html) / RICH_BLOCKS)
        entities = content.entities
        is_heavy = any(entity.url or entity.language for entity in entities)  # the others weigh less than they count
        weight = entity_bytes(entities) / MAX_ENTITY_BYTES if is_heavy else 0
        return max(length, len(entities) / MAX_ENTITIES, weight)


def size(content: Content) -> int:
    """What counts towards the limit of a message."""
    return utf16_length(content.html) if isinstance(content, RichText) else len(content.text)


def rich_blocks(markup: str) -> int:
    """How many blocks there are; text in an item or a quotation counts as a paragraph, before and behind its blocks."""
    return len(_RICH_BLOCK.findall(markup)) + len(_RICH_TEXT.findall(markup))


def _plain(source: str) -> FormattedText:
    text = clean(source).strip(" \n").rstrip()
    return FormattedText("" if is_blank(text) else text)


def _quotation(source: str) -> FormattedText:
    """All of it in a quotation that is folded up until somebody opens it (Bot API 7.4, MessageEntity)."""
    text = _plain(source).text
    return FormattedText(text, (Entity("expandable_blockquote", 0, utf16_length(text)),) if text else ())


def _whole_glyphs(source: str) -> Mended:
    end = glyph_end(source)
    return Mended(source[:end], end)


FORMS: Final[dict[FormatName, Form]] = {
    "entities": Form(compose, mended, MESSAGE_LIMIT, 4 * MESSAGE_LIMIT, grows=Growing),
    "rich": Form(render_rich, mended, RICH_LIMIT, RICH_LIMIT),
    "quotation": Form(_quotation, _whole_glyphs, MESSAGE_LIMIT, 2 * MESSAGE_LIMIT, is_marked=False),
    "plain": Form(_plain, _whole_glyphs, MESSAGE_LIMIT, 2 * MESSAGE_LIMIT, is_marked=False),
}
