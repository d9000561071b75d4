"""What answers use, in tokens and dollars: counted while they are written, added up, and told.

A price may be unknown. Then it is unknown in every sum that holds it, and said so; it never counts as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from triolet.core.events import RoundStarted, TurnBatch, UsageReported

MOST_TOKENS: Final = 10**9
"""No round holds more. A server may say what it likes; years of such rounds fit into a database's integer."""


LEFT_OUT: Final = "Left out: answers that were stopped or broke off before their model said what they took."
"""Nobody counts them: what is not reported is not kept."""


@attrs.frozen
class Spent:
    """What one model used; ``cached_tokens`` and ``cache_write_tokens`` are parts of ``input_tokens``.

    ``cost`` is in US dollars, None if a price is unknown.
    """

    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float | None = None


class Tally:
    """The usage of one answer: round by round, also of attempts that came to nothing.

    A round that was cut off before its provider reported anything is not in it: nobody here knows what it used.
    """

    def __init__(self) -> None:
        self._rounds: list[tuple[str, UsageReported | None]] = []

    def receive(self, batch: TurnBatch) -> None:
        """Note what the events say of usage; a report counts for the round that began last."""
        for event in batch:
            if isinstance(event, RoundStarted):
                self._rounds.append((event.model, None))
            elif isinstance(event, UsageReported) and self._rounds:
                self._rounds[-1] = (self._rounds[-1][0], _bounded(event))

    def spent(self, price: Callable[[str, UsageReported], float | None]) -> tuple[Spent, ...]:
        """One for each model, in order of their first reports; ``price`` is asked for every round."""
        rounds = [
            Spent(model, **attrs.asdict(usage), cost=price(model, usage))
            for model, usage in self._rounds
            if usage is not None
        ]
        models = dict.fromkeys(each.model for each in rounds)
        return tuple(_joined(model, [each for each in rounds if each.model == model]) for model in models)


def _bounded(usage: UsageReported) -> UsageReported:
    return UsageReported(*(min(max(count, 0), MOST_TOKENS) for count in attrs.astuple(usage)))


def _joined(model: str, rounds: Sequence[Spent]) -> Spent:
    totals = Totals.of(rounds)
    written = sum(each.cache_write_tokens for each in rounds)
    cost = None if totals.unpriced else totals.cost
    return Spent(model, totals.input_tokens, totals.output_tokens, totals.cached_tokens, written, cost)


@attrs.frozen
class Totals:
    """A sum over models; ``cost`` is that of all but the ``unpriced`` ones, whose price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    unpriced: tuple[str, ...] = ()

    @classmethod
    def of(cls, spent: Iterable[Spent]) -> Totals:
        every = tuple(spent)
        return cls(
            sum(each.input_tokens for each in every),
            sum(each.output_tokens for each in every),
            sum(each.cached_tokens for each in every),
            sum(each.cost for each in every if each.cost is not None),
            tuple(dict.fromkeys(each.model for each in every if each.cost is None)),
        )


def render_footer(spent: Sequence[Spent]) -> str:
    """``gpt-5 · 1,234 in (1,000 cached) · 56 out · $0.0123``, in one line; nothing for nothing.

    Several models are summed up. There is a cost only if it is the whole one.
    """
    if not spent:
        return ""
    totals = Totals.of(spent)
    cost = [] if totals.unpriced else [_dollars(totals.cost)]
    return " · ".join([_models(spent), *_tokens(totals), *cost])


def render_usage(*, last: Sequence[Spent], today: Sequence[Spent], ever: Sequence[Spent]) -> str:
    """What ``/usage`` tells: the last answer that reported any, today, in all, and what is in none, a line each."""
    if not ever:
        return "No answer here has reported any usage yet."
    answer = f"Last answer: {_models(last)} · {_told(last)}" if last else "Last answer: nothing reported"
    return "\n".join([answer, f"Today: {_told(today)}", f"In all: {_told(ever)}", LEFT_OUT])


def _told(spent: Sequence[Spent]) -> str:
    if not spent:
        return "nothing"
    totals = Totals.of(spent)
    return " · ".join([*_tokens(totals), _cost(spent, totals)])


def _cost(spent: Sequence[Spent], totals: Totals) -> str:
    if not totals.unpriced:
        return _dollars(totals.cost)
    if all(each.cost is None for each in spent):
        return "price unknown"
    return f"{_dollars(totals.cost)} and what {', '.join(totals.unpriced)} cost, whose price is unknown"


def _models(spent: Sequence[Spent]) -> str:
    return ", ".join(dict.fromkeys(each.model for each in spent))


def _tokens(totals: Totals) -> tuple[str, str]:
    cached = f" ({totals.cached_tokens:,} cached)" if totals.cached_tokens else ""
    return f"{totals.input_tokens:,} in{cached}", f"{totals.output_tokens:,} out"


def _dollars(cost: float) -> str:
    """Four decimals below a dollar, where answers are; what is too little to show is still more than nothing."""
    if 0 < cost < 0.0001:
        return "<$0.0001"
    return f"${cost:,.2f}" if cost >= 1 or not cost else f"${cost:.4f}"
