"""What a turn adds to the history: every round with its calls and their results, what was said between, the answer.

It listens to the same events as the coalescer, so what is stored is what was to be seen. A history is fit to be sent
again whenever the turn ends: every call has a result, if only one that says that it did nothing, or that nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from triolet.core.conversation import Ending, Message, TextPart, ToolCallPart, ToolResultPart
from triolet.core.events import RoundEnded, RoundStarted, Steered, ToolEnded, ToolStarted, TurnBatch, TurnEvent
from triolet.core.rounds import Round

NOT_RUN = "The answer was interrupted before this ran: it did nothing."

NOT_KNOWN = "The answer was interrupted while this ran: nobody knows whether it did anything."


class Transcript:
    """``hide_tags`` are those of `Hidden`."""

    def __init__(self, hide_tags: Sequence[str] = ()) -> None:
        self._hide_tags = hide_tags
        self._round = Round(hide_tags)
        self._rounds: list[Message] = []
        self._started: set[str] = set()
        self._results: dict[str, ToolResultPart] = {}

    def receive(self, batch: TurnBatch) -> None:
        for event in batch:
            self._take(event)

    def _take(self, event: TurnEvent) -> None:
        if isinstance(event, RoundStarted):
            self._round.begin_again()
        elif isinstance(event, RoundEnded):
            self._close_round()
            self._rounds.append(event.message)
            self._round = Round(self._hide_tags)
        elif isinstance(event, Steered):
            self._close_round()
            self._rounds += event.messages
        elif isinstance(event, ToolStarted):
            self._started.add(event.call_id)
        elif isinstance(event, ToolEnded):
            if event.result is not None:
                self._results[event.call_id] = event.result
        else:
            self._round.take(event)

    def _close_round(self) -> None:
        """Give the last round's calls their results."""
        self._rounds += self._last_results()
        self._started, self._results = set(), {}

    def _last_results(self) -> list[Message]:
        calls = self._rounds[-1].calls if self._rounds else ()
        return [Message("tool", tuple(map(self._result, calls)))] if calls else []

    def _result(self, call: ToolCallPart) -> ToolResultPart:
        unknown = NOT_KNOWN if call.call_id in self._started else NOT_RUN
        return self._results.get(call.call_id) or ToolResultPart(call.call_id, unknown, is_error=True)

    def finish(self, ending: Ending) -> list[Message]:
        """The messages that the turn adds behind the question, if it ends here; it may go on all the same."""
        texts = tuple(part for part in self._round.message().parts if isinstance(part, TextPart))
        answer = [Message("assistant", texts, ending)] if texts else []
        return [*self._rounds, *self._last_results(), *answer]
