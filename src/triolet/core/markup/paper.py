"""Text on paper: what is written in order, with the entities on it, as Telegram takes them.

Rule 1: entities nest. A style within itself adds nothing; code takes no style and stands in no link. Rule 2: the text
is trimmed as the server trims it. Rule 3: what covers only white space is no entity.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

import attrs

from triolet.core.text import Entity, FormattedText, is_blank

TRIMMED: Final = " \t\n\v\f\r\0"
"""What the server takes from a text's end; from its beginning it takes spaces and newlines."""


@attrs.define
class _Span:
    """A range under way; places are code points."""

    kind: str
    start: int
    end: int = 0
    url: str | None = None
    language: str | None = None


class Paper:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._spans: list[_Span] = []
        self._open: list[_Span | None] = []  # None stands for what adds nothing

    def copied(self) -> Paper:
        """The same again, with nothing open."""
        paper = Paper()
        paper._parts, paper._length, paper._spans = ["".join(self._parts)], self._length, [*self._spans]
        return paper

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def mark(self) -> int:
        """A place for `since`."""
        return len(self._parts)

    def since(self, mark: int) -> str:
        return "".join(self._parts[mark:])

    def open(self, kind: str | None, url: str | None = None) -> None:
        """Begin an entity, or what is none; `close` ends the last one."""
        known = any(span and span.kind == kind for span in self._open)
        self._open.append(_Span(kind, self._length, url=url) if kind and not known else None)

    def close(self) -> bool:
        """Whether it was an entity."""
        span = self._open.pop()
        if span is None:
            return False
        span.end = self._length
        self._spans.append(span)
        return True

    def write_code(self, text: str) -> None:
        """Styles end before the code and go on after it; in a link it is text."""
        styles = [span for span in self._open if span and span.kind != "blockquote"]
        if any(span.kind == "text_link" for span in styles):
            self.write(text)
            return
        self._spans += [attrs.evolve(span, end=self._length) for span in styles]
        self._spans.append(_Span("code", self._length, self._length + len(text)))
        self.write(text)
        for span in styles:
            span.start = self._length

    def write_block(self, text: str, language: str | None = None) -> None:
        if not is_blank(text):
            self._spans.append(_Span("pre", self._length, self._length + len(text), language=language))
        self.write(text)

    def message(self) -> FormattedText:
        whole = self.text
        end = len(whole.rstrip(TRIMMED))
        blocks = [span.start for span in self._spans if span.kind == "pre"]  # their indentation is kept
        lead = min([len(whole) - len(whole.lstrip(" \n")), end, *blocks])
        text = whole[lead:end]
        units = _unit_places(text)
        entities = []
        outer_first = self._spans[::-1]  # the outer one of two on the same range was closed later
        outer_first.sort(key=lambda span: (span.start, -span.end))
        for span in outer_first:
            start = max(span.start - lead, 0)
            covered = text[start : max(span.end - lead, start)].rstrip()
            if span.kind not in {"pre", "code", "blockquote"}:
                start, covered = start + len(covered) - len(covered.lstrip()), covered.lstrip()
            if not is_blank(covered):
                length = units(start + len(covered)) - units(start)
                entities.append(Entity(span.kind, units(start), length, span.url, span.language))
        return FormattedText("" if is_blank(text) else text, tuple(entities))


def _unit_places(text: str) -> Callable[[int], int]:
    """What tells the UTF-16 place of a code point."""
    if text.isascii() or len(text.encode("utf-16-le", "surrogatepass")) == 2 * len(text):
        return lambda place: place
    astral = [place for place, character in enumerate(text) if character > "\uffff"]
    return lambda place: place + bisect_left(astral, place)
