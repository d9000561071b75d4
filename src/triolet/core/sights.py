"""What those see who look on at a turn, and what of it is new: a machine between the answer's text and its sights.

Rules:

1. A turn's sights come in this order and no other, and what can be seen first is announced once::

    TurnBegan  [FirstDelta]  (Delta* Sentence* [SegmentEnded])*  TurnEnded

2. The deltas of a segment make its text. Where a completed text took the place of what was seen, they go on from the
   beginning that both have, sentences too, and what counts is the text of the `SegmentEnded`.
3. Sentences are those of `Sentences`, for each segment; they come after the deltas that they are made of.
4. A text in which nothing can be seen yet is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import attrs

from triolet.core.conversation import ConversationKey, Ending
from triolet.core.sentences import Sentences
from triolet.core.text import is_blank


@attrs.frozen
class TurnBegan:
    """Somebody is to be answered. ``turn`` is the same number in all sights of a turn; ``at`` is Trio's time."""

    turn: int
    key: ConversationKey
    at: float


@attrs.frozen
class FirstDelta:
    """Now something of the answer can be seen."""

    turn: int
    at: float


@attrs.frozen
class Delta:
    """More of the live segment's text; never empty."""

    turn: int
    text: str
    at: float


@attrs.frozen
class Sentence:
    """A sentence of the live segment is whole."""

    turn: int
    text: str
    at: float


@attrs.frozen
class SegmentEnded:
    """What was said before a tool ran, or the answer ended: ``text`` is all of it, whatever the deltas were."""

    turn: int
    text: str
    at: float


@attrs.frozen
class TurnEnded:
    """The turn is over, and ``text`` is all that was said: what ended segments had."""

    turn: int
    ending: Ending
    text: str
    at: float


Sight: TypeAlias = TurnBegan | FirstDelta | Delta | Sentence | SegmentEnded | TurnEnded


class TurnSights:
    """Finds what is new in one turn, by its number.

    ``before`` are the texts of its whole segments, which only get more, and ``text`` is that of the live one.
    """

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._ended = 0
        """How many segments have ended."""
        self._is_seen = False
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._text = ""
        """What was seen of it."""
        self._sentences = Sentences()
        self._heard: list[str] = []
        self._again = 0
        """How many of the sentences that were heard are still what the text begins with."""

    def grow(self, before: tuple[str, ...], text: str, now: float) -> Iterator[Sight]:
        for whole in before[self._ended :]:
            yield from self._end_segment(whole, now)
        yield from self._advance("" if is_blank(text) else text, now)

    def end(self, ending: Ending, before: tuple[str, ...], text: str, now: float) -> Iterator[Sight]:
        segments = before if is_blank(text) else (*before, text)
        yield from self.grow(segments, "", now)
        yield TurnEnded(self._turn, ending, "\n\n".join(segments), now)

    def _end_segment(self, text: str, now: float) -> Iterator[Sight]:
        yield from self._advance(text, now)
        yield from self._hear(self._sentences.end(), now)
        yield SegmentEnded(self._turn, text, now)
        self._ended += 1
        self._begin_segment()

    def _advance(self, text: str, now: float) -> Iterator[Sight]:
        seen = _common(self._text, text)
        read = seen
        if seen < len(self._text):
            self._sentences, self._again, read = Sentences(), 0, 0
        self._text = text
        if text[seen:] and not self._is_seen:
            self._is_seen = True
            yield FirstDelta(self._turn, now)
        if text[seen:]:
            yield Delta(self._turn, text[seen:], now)
        yield from self._hear(self._sentences.feed(text[read:]), now)

    def _hear(self, sentences: list[str], now: float) -> Iterator[Sentence]:
        for sentence in sentences:
            if self._heard[self._again : self._again + 1] != [sentence]:
                self._heard[self._again :] = [sentence]
                yield Sentence(self._turn, sentence, now)
            self._again += 1


def _common(old: str, new: str) -> int:
    """How many characters both begin with."""
    if new.startswith(old):
        return len(old)
    pairs = enumerate(zip(old, new, strict=False))
    return next((place for place, (one, other) in pairs if one != other), len(new))
