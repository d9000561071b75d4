"""Telegram's ways of measuring and trimming text.

A message's length limit counts Unicode code points; entity positions count UTF-16 code units. Python's strings
count code points, so only the second needs work.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from triolet.emulator.answers import bad_request

Entity: TypeAlias = dict[str, Any]

MAX_MESSAGE = 4096
"""Code points of one message, after trimming."""

MAX_RAW_BYTES = 32_768
"""UTF-8 bytes of a ``text`` parameter, checked before anything else."""

WHITESPACE = " \t\n\v\f\r\0"
"""What the server trims at the end of a text; at the start it trims spaces and newlines only."""


@attrs.frozen
class FormattedText:
    """A text with its entities; offsets and lengths are in UTF-16 code units."""

    text: str
    entities: tuple[Entity, ...] = ()

    def trimmed(self) -> FormattedText:
        """Without whitespace at the end, nor spaces and newlines before the first entity."""
        kept = self.text.rstrip(WHITESPACE)
        first = min((entity["offset"] for entity in self.entities), default=len(kept))
        lead = min(len(kept) - len(kept.lstrip(" \n")), first)
        return FormattedText(kept[lead:], tuple(_shifted(self.entities, lead, utf16_length(kept))))


def _shifted(entities: tuple[Entity, ...], lead: int, end: int) -> list[Entity]:
    """The entities after ``lead`` units went from the front and the text now ends at ``end``."""
    cut = [(entity, min(entity["length"], end - entity["offset"])) for entity in entities]
    return [{**entity, "offset": entity["offset"] - lead, "length": length} for entity, length in cut if length > 0]


def utf16_length(text: str) -> int:
    return len(text) + sum(char > "\uffff" for char in text)


def cuts_pair(utf16: bytes, position: int) -> bool:
    """Whether a position of little-endian UTF-16 lies inside a surrogate pair: before its second half."""
    return position * 2 < len(utf16) and 0xDC <= utf16[position * 2 + 1] <= 0xDF


def check_raw(text: str) -> None:
    """What the server checks before it parses."""
    if len(text.encode()) > MAX_RAW_BYTES:
        raise bad_request("text is too long")
