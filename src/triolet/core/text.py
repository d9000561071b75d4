"""Text as Telegram counts it: entities in UTF-16 units, lengths in code points; the one place that knows both.

Sources: https://core.telegram.org/api/entities (offsets and lengths in UTF-16 code units) and the Bot API's
sendMessage (1 to 4096 characters after entity parsing; the server counts code points).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs

MESSAGE_LIMIT = 4096
"""Code points that one message holds."""


def utf16_length(text: str) -> int:
    """The length of the text in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_slice(text: str, offset: int, length: int) -> str:
    """The part of the text that an entity covers; a range outside the text covers less, or nothing."""
    units = text.encode("utf-16-le", "surrogatepass")
    start, end = max(offset, 0), max(offset + length, 0)  # Python counts what is below zero from the end
    return units[2 * start : 2 * end].decode("utf-16-le", "replace")


def is_blank(text: str) -> bool:
    """Whether nothing of the text can be seen: white space, and characters without a shape."""
    if text[:1].isalnum():  # nearly always, and then there is no need to look at each
        return False
    return not any(character.isprintable() and not character.isspace() for character in text)


@attrs.frozen
class Entity:
    """A formatted range of a text; ``offset`` and ``length`` are in UTF-16 code units.

    ``url`` is for the type text_link, ``language`` for pre.
    """

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"type": self.type, "offset": self.offset, "length": self.length}
        told |= {"url": self.url} if self.url is not None else {}
        return told | ({"language": self.language} if self.language is not None else {})


@attrs.frozen
class FormattedText:
    """A text and the formatting on it, as one message shows them."""

    text: str
    entities: tuple[Entity, ...] = ()

    @property
    def plain(self) -> FormattedText:
        return FormattedText(self.text)


@attrs.frozen
class RichText:
    """A rich message as ``html``, and the Markdown that it was made of, for whoever has to show it more plainly."""

    html: str
    source: str = attrs.field(eq=False)  # two that look the same are the same


Content: TypeAlias = FormattedText | RichText
"""What one message shows."""


def italic(text: str) -> FormattedText:
    return FormattedText(text, (Entity("italic", 0, utf16_length(text)),))


def join(parts: Iterable[FormattedText], separator: str = "\n\n") -> FormattedText:
    """The parts that have text, one after the other, each with its formatting moved to its place."""
    text, entities = "", []
    for part in parts:
        if not part.text:
            continue
        text += separator if text else ""
        start = utf16_length(text)
        entities += [attrs.evolve(entity, offset=entity.offset + start) for entity in part.entities]
        text += part.text
    return FormattedText(text, tuple(entities))


def split_place(text: str, limit: int = MESSAGE_LIMIT) -> int:
    """Where to cut a text that is longer than ``limit`` code points: after a paragraph, a line or a word.

    A cut in the first half would waste the message, so it is made at ``limit`` instead.
    """
    if len(text) <= limit:
        return len(text)
    for separator in ("\n\n", "\n", " "):
        place = text.rfind(separator, limit // 2, limit)
        if place >= 0:
            return place + len(separator)
    return limit


def split_message(message: FormattedText, limit: int = MESSAGE_LIMIT) -> list[FormattedText]:
    """The message in parts of at most ``limit`` code points; together they are the text, character by character.

    An entity that crosses a cut goes on in the next part.
    """
    parts: list[FormattedText] = []
    rest, rest_units = message, utf16_length(message.text)
    while len(rest.text) > limit:
        place = split_place(rest.text, limit)
        units = utf16_length(rest.text[:place])
        parts.append(FormattedText(rest.text[:place], _clip(rest.entities, 0, units)))
        rest = FormattedText(rest.text[place:], _clip(rest.entities, units, rest_units))
        rest_units -= units
    return [*parts, rest]


def _clip(entities: Iterable[Entity], start: int, end: int) -> tuple[Entity, ...]:
    """What of the entities lies between two places, counted from the first of them."""
    clipped = []
    for entity in entities:
        first, last = max(entity.offset, start), min(entity.offset + entity.length, end)
        if first < last:
            clipped.append(attrs.evolve(entity, offset=first - start, length=last - first))
    return tuple(clipped)
