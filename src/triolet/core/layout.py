"""An answer as the messages that show it: what is sealed never changes, and the last one is live.

Rule 1: every part fits its message. Rule 2: together the parts show every word of the source once, in order. Rule 3:
the places of the cuts waste less than one message over the whole answer, so there is one more message at most than
it takes; that is why the first cuts may choose more freely than the last. Rule 4: the live part never takes back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import Final, Literal, TypeAlias

import attrs

from triolet.core.cutting import Cuts, Lead, Rank
from triolet.core.markdown import MAX_ENTITIES, MAX_ENTITY_BYTES, compose, entity_bytes, render_rich
from triolet.core.syntax import clean
from triolet.core.tail import Mended, glyph_end, mended
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText, RichText, is_blank, utf16_length

FormatName: TypeAlias = Literal["entities", "rich", "plain"]

RICH_LIMIT: Final = 32_768
RICH_BLOCKS: Final = 500
"""What a rich message holds (Bot API, sendRichMessage): characters, counted here with their markup, and blocks."""

TRIES: Final = 8
"""How many places of a kind are looked at."""

_RICH_BLOCK: Final = re.compile(r"<(?:p|h\d|li|[uo]l|blockquote|pre|table|tr|hr)\b")


@attrs.frozen
class Part:
    """What one message shows of the source, which it shows up to a place: so many characters of it."""

    content: Content
    upto: int


@attrs.frozen
class Form:
    """How a piece of source is shown. Of ``window`` characters at least one message is full, whatever they are."""

    show: Callable[[str], Content]
    mend: Callable[[str], Mended]
    limit: int
    window: int

    def fits(self, content: Content, reserve: int = 0) -> bool:
        if size(content) > self.limit - reserve:
            return False
        if isinstance(content, RichText):
            return len(_RICH_BLOCK.findall(content.html)) <= RICH_BLOCKS
        return len(content.entities) <= MAX_ENTITIES and entity_bytes(content.entities) <= MAX_ENTITY_BYTES


def size(content: Content) -> int:
    """What counts towards the limit of a message."""
    return utf16_length(content.html) if isinstance(content, RichText) else len(content.text)


def _plain(source: str) -> FormattedText:
    text = clean(source).strip(" \n").rstrip()
    return FormattedText("" if is_blank(text) else text)


def _whole_glyphs(source: str) -> Mended:
    end = glyph_end(source)
    return Mended(source[:end], end)


FORMS: Final[dict[FormatName, Form]] = {
    "entities": Form(compose, mended, MESSAGE_LIMIT, 4 * MESSAGE_LIMIT),
    "rich": Form(render_rich, mended, RICH_LIMIT, RICH_LIMIT),
    "plain": Form(_plain, _whole_glyphs, MESSAGE_LIMIT, 2 * MESSAGE_LIMIT),
}


class Layout:
    """The parts of one growing answer. ``reserve`` characters stay free in the live part, for a cursor."""

    def __init__(self, format: FormatName = "entities", *, reserve: int = 0) -> None:  # noqa: A002  # the setting's name
        self._form = FORMS[format]
        self._is_plain = format == "plain"
        self._reserve = reserve
        self._start = 0
        self._lead = Lead()
        self._slack = self._form.limit
        self._live = Part(self._form.show(""), 0)
        self._live_start = 0

    @property
    def live(self) -> Part:
        """The part that is not sealed; its content may be blank."""
        return self._live

    def advance(self, text: str, *, complete: bool = False) -> list[Part]:
        """Take the answer as it stands, which only grows, and return the parts that are sealed by it, in order.

        With ``complete`` nothing is held back or closed any more, and the last part is `live`.
        """
        reserve = 0 if complete else self._reserve
        sealed: list[Part] = []
        while (live := self._shown(text, complete=complete)) is None or not self._form.fits(live.content, reserve):
            sealed.append(self._seal(text, reserve, complete=complete))
        self._live, self._live_start = live, self._start
        return [part for part in sealed if not _is_blank(part.content)]

    def _shown(self, text: str, *, complete: bool) -> Part | None:
        """The rest as it can be shown now; None if it is longer than any message."""
        if len(text) - self._start > self._form.window:
            return None
        body = self._lead.body(text[self._start :])
        if complete:
            return Part(self._form.show(body.text), len(text))
        shown = self._form.mend(body.text)
        upto = self._start + body.origin(shown.upto)
        if upto >= self._live.upto:
            return Part(self._form.show(shown.source), upto)
        if self._start == self._live_start:
            return self._live
        return Part(self._form.show(self._lead.body(text[self._start : self._live.upto]).text), self._live.upto)

    def _seal(self, text: str, reserve: int, *, complete: bool) -> Part:
        """Cut the rest in two, make the first piece a part, and go on behind it."""
        rest = text[self._start : self._start + self._form.window]
        body = self._lead.body(rest)
        is_whole = complete and self._start + len(rest) == len(text)
        shown = Mended(body.text, len(body.text)) if is_whole else self._form.mend(body.text)
        cuts = Cuts(shown.source, is_marked=not self._is_plain)
        place = self._place(cuts, min(shown.upto, len(shown.source)), reserve)
        if place is None:
            return self._seal_raw(rest[: MESSAGE_LIMIT - reserve])
        through = body.origin(place)
        lead, indent = cuts.lead(place), self._lead.body(rest[:through]).indent
        self._start += through
        self._lead = attrs.evolve(lead, indent=lead.indent + indent)
        return Part(self._form.show(cuts.first_piece(place)), self._start)

    def _seal_raw(self, piece: str) -> Part:
        """What cannot be cut anywhere is shown as it was written, and cut where the message is full."""
        self._start, self._lead = self._start + len(piece), Lead()
        return Part(FormattedText(clean(piece)), self._start)

    def _place(self, cuts: Cuts, end: int, reserve: int) -> int | None:
        """The best place for a cut; None if there is none that fits."""
        least = len(self._lead.opening)
        sizes: dict[int, int | None] = {}

        def measured(place: int) -> int | None:
            """The size of the piece up to the place; None if it does not fit."""
            if place not in sizes:
                content = self._form.show(cuts.first_piece(place))
                sizes[place] = size(content) if self._form.fits(content, reserve) else None
            return sizes[place]

        furthest = _furthest(measured, least, end, self._form.limit // 128)
        full = measured(furthest) or 0
        for places, waste in self._choices(cuts, furthest):
            for place in islice(places, TRIES):
                used = measured(place) if place > least else None
                if used is not None and full - used <= waste:
                    self._slack -= min(max(full - used, 0), self._slack)
                    return place
        return None

    def _choices(self, cuts: Cuts, end: int) -> Iterator[tuple[Iterable[int], int]]:
        """Places up to ``end``, the best kind first, and how much of a message each kind may waste."""
        half = self._form.limit // 2
        for rank in (Rank.BLOCK, Rank.LINE, Rank.SENTENCE):
            yield cuts.places(rank, end), min(self._slack // 4, half)
        yield _last_first(cuts.places(rank, end) for rank in Rank), half
        yield _last_first(cuts.places(rank, end, inside=True) for rank in (Rank.SENTENCE, Rank.WORD)), half
        yield cuts.characters(end), half
        yield _last_first(cuts.places(rank, end) for rank in Rank), self._form.limit


def _furthest(measured: Callable[[int], int | None], low: int, high: int, precision: int) -> int:
    """The last place up to which a piece fits, within ``precision``."""
    if measured(high) is not None:
        return high
    while high - low > precision:
        middle = (low + high) // 2
        if measured(middle) is None:
            high = middle
        else:
            low = middle
    return low


def _last_first(runs: Iterable[Iterator[int]]) -> Iterator[int]:
    """The places of all runs, each of which begins with its last, with the last of all first."""
    return merge(*runs, reverse=True)


def _is_blank(content: Content) -> bool:
    return is_blank(content.html if isinstance(content, RichText) else content.text)


def plainer(content: Content) -> list[FormattedText]:
    """The next plainer form of a message that was refused; nothing, if there is none."""
    if isinstance(content, FormattedText):
        return [content.plain] if content.entities else []
    layout = Layout()
    parts = [*layout.advance(content.source, complete=True), layout.live]
    shown = [part.content for part in parts if not _is_blank(part.content)]
    return [content for content in shown if isinstance(content, FormattedText)]
