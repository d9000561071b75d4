"""A message that grows, on a terminal: what is new is written behind it, and what changed is drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from triolet.core.text import utf16_length, utf16_slice
from triolet.transports.terminal import Terminal

_STYLES = {
    "bold": "1",
    "italic": "3",
    "underline": "4",
    "strikethrough": "9",
    "code": "36",
    "pre": "36",
    "text_link": "4;34",
    "blockquote": "2",
    "expandable_blockquote": "2",
}
"""How a terminal shows an entity (ECMA-48, SGR)."""


class Painter:
    """``name`` stands before the message."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal = terminal
        self._name = name
        self._drawn = ""

    def show(self, text: str, entities: Iterable[Mapping[str, Any]] = ()) -> None:
        """Let the terminal show this instead of what it shows of the message."""
        whole = self._name + text
        kept = _common(self._drawn, whole)
        if kept < len(self._drawn):
            kept = self._erase(kept)
        offset = utf16_length(self._name)
        moved = [{**entity, "offset": entity["offset"] + offset} for entity in entities]
        self._terminal.write_styled(styled(whole, moved, kept))
        self._drawn = whole

    def _erase(self, kept: int) -> int:
        """Take away what is drawn behind the last line that stays; returns what stays."""
        line = self._drawn.rfind("\n", 0, kept) + 1
        if self._terminal.erase(self._drawn[line:]):
            return line
        self._terminal.write("\n")
        return 0


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def styled(text: str, entities: Iterable[Mapping[str, Any]], start: int) -> Iterator[tuple[str, str]]:
    """The text from ``start`` on in pieces, each with its style: SGR parameters, or nothing."""
    ranges = [_range(text, entity) for entity in entities]
    places = {place for first, last, _ in ranges for place in (first, last) if start < place < len(text)}
    for first, last in pairwise(sorted({start, *places, len(text)})):
        styles = dict.fromkeys(style for begin, end, style in ranges if begin <= first < end and style)
        yield text[first:last], ";".join(styles)


def _range(text: str, entity: Mapping[str, Any]) -> tuple[int, int, str]:
    """Where an entity begins and ends, in characters."""
    first = len(utf16_slice(text, 0, entity["offset"]))
    return first, first + len(utf16_slice(text, entity["offset"], entity["length"])), _STYLES.get(entity["type"], "")
