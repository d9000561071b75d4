"""Where a Markdown source may be cut in two, and what the second piece needs to be read as what it was.

Rule 1: a cut falls between blocks, lines, sentences or words, in this order. Rule 2: it goes through no inline
construct, unless nothing else is left: then the first piece closes it and the second opens it again. Rule 3: so it is
with a fence, whose lines stay whole, and with a table, which goes on below an empty header. Rule 4: what stood in a
list goes on at the margin, or it would turn into an indented code block.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import attrs

from triolet.core.markup.syntax import INLINE, Span, clean, parse, spans

_ANY_INDENT: Final = 10_000
"""Columns: as many as the next line has."""

_FENCE: Final = re.compile(r"`{3,}|~{3,}")


# The rest of a source that was cut


@attrs.frozen
class Body:
    """A piece as it is parsed: what it needs ahead, and its text with its container's indentation taken away."""

    text: str
    source: str
    runs: tuple[tuple[int, int], ...]  # (a place in the text, the same place in the source), where they get apart
    indent: int

    def origin(self, place: int) -> int:
        """The place in the source; 0 for what was put ahead of it. A line's begins before its indentation."""
        index = bisect_left(self.runs, (place, 0)) - 1
        if index < 0:
            return 0
        ours, source = self.runs[index]
        following = self.runs[index + 1 :][:1]
        return min([source + place - ours, *(start for _, start in following)])

    def place(self, origin: int) -> int:
        """The first place in the text that has the source up to ``origin`` before it; 0 for nothing of it."""
        index = sum(source < origin for _, source in self.runs)
        if not index:
            return 0
        ours, source = self.runs[index - 1]
        return min([ours + origin - source, *(start for start, _ in self.runs[index : index + 1])])


@attrs.frozen
class Lead:
    """What the rest of a source, after a cut, needs to be read as what it was.

    ``opening`` comes ahead of it; ``indent`` columns are taken from its lines, while they have so many; a ``fence``
    that the opening opens is closed where its container ends.
    """

    opening: str = ""
    indent: int = 0
    fence: str = ""
    is_mid_line: bool = False

    def body(self, rest: str) -> Body:
        if not self.indent:
            return Body(self.opening + rest, rest, ((len(self.opening), 0),), 0)
        return _dedented(self, rest)


def _dedented(lead: Lead, rest: str) -> Body:
    chunks, runs = [lead.opening], []
    length, place, indent, fence = len(lead.opening), 0, lead.indent, lead.fence
    while place < len(rest):
        end = rest.find("\n", place) + 1 or len(rest)
        line = rest[place:end]
        gone = 0
        if place or not lead.is_mid_line:
            columns = _columns(line)
            if line.strip() and columns < indent:
                if fence and columns < lead.indent < _ANY_INDENT:
                    chunks.append(fence + "\n")
                    length, fence = length + len(fence) + 1, ""
                    runs.append((length, place))
                indent = columns
            gone = _width_in_characters(line, indent)
        if fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        runs.append((length, place + gone))
        chunks.append(line[gone:] if indent else rest[place:])
        length += len(chunks[-1])
        if not indent:
            break
        place = end
    return Body("".join(chunks), rest, tuple(runs), indent)


def _columns(line: str) -> int:
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))


def _width_in_characters(line: str, columns: int) -> int:
    """How many characters of white space at the beginning of the line make at most so many columns."""
    blank = len(line) - len(line.lstrip(" \t"))
    while blank and len(line[:blank].expandtabs(4)) > columns:
        blank -= 1
    return blank


# Places


class Rank(IntEnum):
    BLOCK = 0
    LINE = 1
    SENTENCE = 2
    WORD = 3


_PLACES: Final = {
    Rank.BLOCK: re.compile(r"\n(?:[ \t>\r]*\n)+"),
    Rank.LINE: re.compile(r"\n"),
    Rank.SENTENCE: re.compile(r"[.!?…][\"'”’)\]*_]*[ \t]+|[。！？]+"),
    Rank.WORD: re.compile(r"[ \t]+"),
}
_MARKERS: Final = re.compile(r"(?:[ \t]*(?:>|[-*+]|\d{1,9}[.)])(?=[ \t]))*[ \t]*")
_BLOCK_MARK: Final = re.compile(r"[-+*](?:\s|\Z)|[-+*_=]{2,}[ \t]*(?:\n|\Z)|#{1,6}(?:\s|\Z)|>|=|`{3}|~{3}|\|")
_FLAGS: Final = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two make a flag
_REFERENCE: Final = re.compile(r"&#?\w{1,32};|\\[!-/:-@\[-`{-~]")
_FIRST_LINES: Final = {"Table": 2, "Fence": 1, "Indented": 0}
"""How many lines a block of whole lines has ahead of its text."""

_WHOLE_LINES: Final = frozenset(_FIRST_LINES)


class Cuts:
    """The places of a source where it may be cut. Nothing holds a source together that is not marked up."""

    def __init__(self, source: str, *, is_marked: bool = True) -> None:
        self._source = clean(source)
        self._is_marked = is_marked
        self._spans = spans(self._source, parse(self._source)) if is_marked else []

    def places(self, rank: Rank, end: int, *, inside: bool = False) -> Iterator[int]:
        """Places of a rank before ``end``, the last one first; ``inside`` of inline constructs as well, if so told.

        Not ``end`` itself: without anything behind it, it is not known what the place goes through.
        """
        found = [match.end() for match in _PLACES[rank].finditer(self._source, 0, end)]
        return (place for place in reversed(found) if place < end and self._is_fit(rank, place, inside=inside))

    def characters(self, end: int) -> Iterator[int]:
        """All places before ``end`` that keep a character, and its marks, whole; the last one first."""
        whole = {
            place for match in _REFERENCE.finditer(self._source) for place in range(match.start() + 1, match.end())
        }
        for place in range(end - 1, 0, -1):
            is_behind_word = not self._source[place : place + 1].isspace()
            if is_behind_word and place not in whole and not self._is_glued(place) and self._is_reopenable(place):
                yield place

    def is_in_lines(self, place: int) -> bool:
        """Whether the place is in, or at the end of, a block whose lines stay whole."""
        return any(span.name in _WHOLE_LINES and span.start < place <= span.end for span in self._spans)

    def first_piece(self, place: int) -> str:
        """The source up to the place, with what is open there closed."""
        closers = [self._source[span.inner_end : span.end] for span in self._opened(place)]
        piece = self._source[:place]
        return piece.rstrip() + "".join(reversed(closers)) if closers else piece

    def lead(self, place: int) -> Lead:
        """What the rest needs."""
        if not self._is_marked:
            return Lead()
        is_mid_line = self._source[place - 1] != "\n"
        quotes = "> " * len(self._through(place, {"BlockQuote"}))
        for span in self._through(place, _WHOLE_LINES):
            if span.name == "Table":
                return attrs.evolve(self._indented(place), opening=self._header(span, quotes))
            return self._reopened(span, quotes, is_mid_line=is_mid_line)
        openers = "".join(self._source[span.start : span.inner] for span in self._opened(place))
        if not is_mid_line:
            return attrs.evolve(self._indented(place), opening=openers)
        escape = "\\" if not openers and _BLOCK_MARK.match(self._source, place) else ""
        return attrs.evolve(self._indented(place), opening=quotes + openers + escape, is_mid_line=True)

    def _through(self, place: int, names: frozenset[str] | set[str]) -> list[Span]:
        return [span for span in self._spans if span.name in names and span.holds(place)]

    def _opened(self, place: int) -> list[Span]:
        """The inline constructs that a cut goes through, and not only through their marks."""
        return [span for span in self._through(place, INLINE) if span.inner < place < span.inner_end]

    def _indented(self, place: int) -> Lead:
        return Lead(indent=_ANY_INDENT if self._through(place, {"Item", "Paragraph"}) else 0)

    def _header(self, table: Span, quotes: str) -> str:
        first = next(span for span in self._spans if span.name == "TableHead" and span.start >= table.start)
        width = sum(span.name == "TableCell" and first.start <= span.start < first.end for span in self._spans)
        return f"{quotes}|{'  |' * width}\n{quotes}|{'--|' * width}\n"

    def _reopened(self, block: Span, quotes: str, *, is_mid_line: bool) -> Lead:
        column = block.start - self._source.rfind("\n", 0, block.start) - 1
        opener = _FENCE.match(self._source, block.start) if block.name == "Fence" else None
        fence = opener.group() if opener else "~~~~~~"
        language = block.value.strip().partition(" ")[0]
        return Lead(f"{quotes}{fence}{language}\n", 0 if quotes else column, fence, is_mid_line)

    # What makes a place unfit

    def _is_fit(self, rank: Rank, place: int, *, inside: bool) -> bool:
        if self._is_below_heading(place) or self._is_behind_marker(place) or not self._is_reopenable(place):
            return False
        held = INLINE | {"Heading"} if rank == Rank.LINE else INLINE | {"Heading"} | _WHOLE_LINES
        return inside or not self._through(place, held)

    def _is_reopenable(self, place: int) -> bool:
        inline = self._through(place, INLINE | {"Heading"})
        if inline and self._source[place - 1] == "\n" and self._through(place, {"BlockQuote"}):
            return False  # the line's own mark would stand between its opener and its text
        blocks = self._through(place, _WHOLE_LINES)
        return all(span.inner < place < span.inner_end for span in inline) and all(
            self._leaves_code(span, place) for span in blocks
        )

    def _is_below_heading(self, place: int) -> bool:
        return any(
            span.name == "Heading" and span.end <= place and not self._source[span.end : place].strip(" \t>\r\n")
            for span in self._spans
        )

    def _is_behind_marker(self, place: int) -> bool:
        line = self._source[self._source.rfind("\n", 0, place) + 1 : place]
        return bool(line) and bool(_MARKERS.fullmatch(line))

    def _leaves_code(self, block: Span, place: int) -> bool:
        """Whether there is text of the block on both sides, and not only its marks or a table's header."""
        before = self._source[block.start : place].split("\n", _FIRST_LINES[block.name])
        behind = self._source[place : block.end].strip(" \t>\r\n`~")
        return len(before) > _FIRST_LINES[block.name] and not before[-1].isspace() and before[-1] != "" and behind != ""

    def _is_glued(self, place: int) -> bool:
        """Whether the character behind the place changes the one before it."""
        before, after = self._source[place - 1], self._source[place]
        if after in _FLAGS:
            flags = self._source[:place]
            return (len(flags) - len(flags.rstrip(_FLAGS))) % 2 == 1
        is_mark = unicodedata.category(after) in {"Mn", "Me", "Mc"} or "\U0001f3fb" <= after <= "\U0001f3ff"
        return is_mark or "\u200d" in {before, after} or (before, after) == ("\r", "\n")
