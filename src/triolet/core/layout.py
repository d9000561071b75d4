from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from triolet.core.text import Content, FormattedText, RichText, split_place

FormatName: TypeAlias = Literal["entities", "rich", "plain"]


@attrs.frozen
class Part:
    content: Content
    upto: int


class Layout:
    def __init__(self, format: FormatName = "entities", *, reserve: int = 0) -> None:
        self._start = 0
        self._reserve = reserve
        self.live = Part(FormattedText(""), 0)

    def advance(self, text: str, *, complete: bool = False) -> list[Part]:
        sealed = []
        while len(text) - self._start > 4096 - (0 if complete else self._reserve):
            place = split_place(text[self._start :], 4096 - (0 if complete else self._reserve))
            sealed.append(Part(FormattedText(text[self._start : self._start + place].strip()), self._start + place))
            self._start += place
        self.live = Part(FormattedText(text[self._start :].strip()), len(text))
        return sealed


def plainer(content: Content) -> list[FormattedText]:
    if isinstance(content, RichText):
        return [FormattedText(content.source)]
    return [content.plain] if content.entities else []
