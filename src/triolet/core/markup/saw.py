"""Where a part ends: the best place that fits, and not before what has been shown of it.

Wasted room is measured in messages. Of one message in all, the ``slack``, a cut may waste what a quarter of the rest
is, so that the first cuts choose more freely than the last, and a long answer takes one message more at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice, takewhile
from typing import Final

import attrs

from triolet.core.markup.cutting import Cuts, Rank
from triolet.core.markup.forms import Form
from triolet.core.text import Content

TRIES: Final = 8
"""How many places of a kind are looked at."""

EARLY: Final = {Rank.BLOCK: 0.15, Rank.LINE: 0.1, Rank.SENTENCE: 0.05}
"""How much of a message may be wasted for a good place while an answer grows: it cannot be taken later on."""

CAREFUL_CHARACTERS: Final = 100
"""So close to a message's end only whole words are shown; and only whole lines of code, four times as far from it."""


@attrs.frozen
class Cut:
    place: int
    waste: float


class Saw:
    """Looks for the place: behind the ``opening``, and not before what has been ``shown``; both are places."""

    def __init__(self, form: Form, cuts: Cuts, *, end: int, reserve: int, opening: int, shown: int) -> None:
        self.cuts = cuts
        self.end = end
        self._form = form
        self._reserve = reserve
        self._least = max(opening + 1, shown)
        self._is_shown = shown > opening
        self._fills: dict[int, float] = {}

    def piece(self, place: int) -> Content:
        return self._form.show(self.cuts.first_piece(place))

    def best(self, slack: float) -> Cut | None:
        """Where to cut what does not fit; None if no place fits."""
        furthest = self._furthest()
        full = self._fill(furthest)
        for places, waste in self._choices(min(furthest + 1, self.end), slack):
            for place in islice(takewhile(lambda place: place >= self._least, places), TRIES):
                used = self._fill(place)
                if used <= 1 and full - used <= waste:
                    return Cut(place, max(full - used, 0.0))
        return None

    def early(self, slack: float) -> Cut | None:
        """Where to cut what still fits: at a good place, as a better one may not come."""
        for rank, share in EARLY.items():
            place = next(self.cuts.places(rank, self.end), 0)
            waste = 1 - self._fill(place) if place >= self._least else 1.0
            if 0 <= waste <= min(slack / 4, share):
                return Cut(place, waste)
        return None

    def careful(self) -> int:
        """Up to where it may be shown, so that a cut there is a good one, should the message be full; 0 if nowhere."""
        room = (1 - self._fill(self.end)) * self._form.limit
        in_lines = self.cuts.is_in_lines(self.end)
        if room > CAREFUL_CHARACTERS * (4 if in_lines else 1):
            return self.end
        ranks = [Rank.LINE] if in_lines else list(Rank)
        return next(_last_first(self.cuts.places(rank, self.end) for rank in ranks), 0)

    def _choices(self, end: int, slack: float) -> Iterator[tuple[Iterable[int], float]]:
        """Places before ``end``, the best kind first, and how much of a message each kind may waste."""
        for rank in EARLY:
            yield self.cuts.places(rank, end), min(slack / 4, 0.5)
        yield _last_first(self.cuts.places(rank, end) for rank in Rank), 0.5
        yield (
            _last_first(self.cuts.places(rank, end, inside=True) for rank in (Rank.LINE, Rank.SENTENCE, Rank.WORD)),
            0.5,
        )
        yield self.cuts.characters(end), 0.5
        yield _last_first(self.cuts.places(rank, end) for rank in Rank), 1.0
        yield [self._least] if self._is_shown else [], 1.0

    def _fill(self, place: int) -> float:
        if place not in self._fills:
            self._fills[place] = self._form.filled(self.piece(place), self._reserve)
        return self._fills[place]

    def _furthest(self) -> int:
        """The last place up to which a piece fits, or little before it.

        As long as that holds, a piece is taken to be no longer than its source, which saves most of the steps.
        """
        low, high = self._least - 1, self.end
        little = self._form.limit // 512
        is_short = True
        if self._fill(high) <= 1:
            return high
        while high - low > max(little, 1):
            room = int((1 - self._fill(low)) * self._form.limit)
            place = low + max(room, 1) if is_short and low + room < high else (low + high) // 2
            if self._fill(place) > 1:
                high, is_short = place, False
            elif place - low < little:
                return place
            else:
                low = place
        return low


def _last_first(runs: Iterable[Iterator[int]]) -> Iterator[int]:
    """The places of all runs, each of which begins with its last, with the last of all first."""
    return merge(*runs, reverse=True)
