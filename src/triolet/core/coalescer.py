"""The coalescer's machine: it alone holds the answer's text, and says what of it a screen may show.

Rules:

1. Batches are taken in order; nothing of the answer is ever dropped once taken, and nothing is changed but by the
   provider's own completed text.
2. Taking a frame empties nothing: any number of frames may be skipped, and the newest is always whole.
3. Tool calls are not text, and what `Hidden` takes out of a text was never there. A frame lacks what may still turn
   out to be hidden; the finished one has it, so a frame is a beginning of it.
4. A terminal event without a failure makes the answer complete; a stream that ends without one was cut off.
5. A round that ends in tools ends a segment: what was said before them is a text of its own, above what comes after.
   So is the reasoning, where it is wanted at all, and a question to a person.
6. A segment that only repeats the one before it is said once.
7. Another attempt at a round goes on with the text that can be seen; what cannot was never said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from triolet.core.conversation import Ending
from triolet.core.events import (
    ApprovalAsked,
    ApprovalEnded,
    Finished,
    FinishReason,
    ReasoningDelta,
    RoundEnded,
    RoundStarted,
    Steered,
    TextCompleted,
    TextDelta,
    ToolEnded,
    ToolStarted,
    TurnBatch,
    TurnEvent,
    Verdict,
)
from triolet.core.hidden import Hidden
from triolet.core.text import is_blank

_ENDINGS: dict[FinishReason, Ending] = {"length": Ending.LENGTH, "content_filter": Ending.FILTERED}

READ = "↪ I have read what you wrote"
"""The note of an answer that goes on with what who asked has said meanwhile."""

_RUNS = "⏳ "

TOOLS_SHOWN = 16
"""A status line tells of so many tools, the newest ones: an answer may use more than there is room for."""


@attrs.frozen
class Reasoning:
    """What the model thought, for a person who wants to see it."""

    text: str


@attrs.frozen
class Prompt:
    """A question to a person, with what its two buttons carry; the answer is there when nobody is asked any more."""

    call_id: str
    text: str
    allow: str
    deny: str
    verdict: Verdict | None = None


Segment: TypeAlias = str | Reasoning | Prompt
"""A text of the answer, or what stands between two of them."""


@attrs.frozen
class Frame:
    """The answer as it stands: whole segments ``before``, and the live one, ``text`` or ``reasoning``.

    ``status`` is the line that tells which tools run, and ``note`` what happened besides, for as long as it is news;
    ``revision`` grows with every change that can be seen.
    """

    text: str
    revision: int
    before: tuple[Segment, ...] = ()
    status: str = ""
    reasoning: str = ""
    note: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether the live segment has nothing to show yet."""
        return is_blank(self.text) and is_blank(self.reasoning)

    @property
    def texts(self) -> tuple[str, ...]:
        """The whole segments that are text of the answer."""
        return tuple(segment for segment in self.before if isinstance(segment, str))


class _Text:
    """A segment of the answer as it streams in."""

    def __init__(self, hide_tags: Sequence[str]) -> None:
        self._hide_tags = hide_tags
        self._hidden = Hidden(hide_tags)
        self._pieces: list[str] = []

    def feed(self, delta: str) -> bool:
        """Take more of it; whether more can be seen."""
        shown = self._hidden.feed(delta)
        if shown:
            self._pieces.append(shown)
        return bool(shown)

    @property
    def shown(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def whole(self) -> str:
        """All of it, if it ends here; empty if nothing of that can be seen."""
        whole = self.shown + self._hidden.rest
        return "" if is_blank(whole) else whole

    @property
    def is_silent(self) -> bool:
        return self._hidden.is_silent

    def begun_again(self) -> _Text:
        """The same for another attempt: what of it can be seen, in no hidden block."""
        text = _Text(self._hide_tags)
        if not is_blank(self.shown):
            text.feed(self.whole)
        return text


class Coalescer:
    """``hide_tags`` are those of `Hidden`; with ``reasoning`` what the model thinks is shown, too."""

    def __init__(self, hide_tags: Sequence[str] = (), *, reasoning: bool = False) -> None:
        self._hide_tags = hide_tags
        self._wants_reasoning = reasoning
        self._before: tuple[Segment, ...] = ()
        self._text = _Text(hide_tags)
        self._reasoning = ""
        self._of_round = ""
        self._tools: dict[str, str] = {}
        self._note = ""
        self._read = ""
        self._revision = 0
        self.finished: Finished | None = None

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def before(self) -> tuple[Segment, ...]:
        """What stands before the live segment: another tuple with every change of it."""
        return self._before

    @property
    def text(self) -> str:
        """The whole answer, segment after segment, if it has ended."""
        frame = self.finish()
        return "\n\n".join(filter(None, (*frame.texts, frame.text)))

    @property
    def is_silent(self) -> bool:
        """Whether the answer, if it has ended, is the model's wish to say nothing; its text is empty then."""
        return self._text.is_silent and not self.finish().texts

    def receive(self, batch: TurnBatch) -> None:
        for event in batch:
            self._take(event)

    def _take(self, event: TurnEvent) -> None:
        if isinstance(event, TextDelta):
            self._end_reasoning()
            self._feed(event.text)
        elif isinstance(event, TextCompleted):
            self._complete(event.text)
        elif isinstance(event, ReasoningDelta):
            self._think(event.text)
        elif isinstance(event, RoundStarted):
            self._begin_round(event.note)
        elif isinstance(event, RoundEnded):
            self._end_round()
        elif isinstance(event, Steered):
            self._read = READ
            self._revision += 1
        elif isinstance(event, ToolStarted | ToolEnded):
            self._follow_tool(event)
        elif isinstance(event, ApprovalAsked | ApprovalEnded):
            self._follow_prompt(event)
        elif isinstance(event, Finished):
            self.finished = event

    def _feed(self, delta: str) -> None:
        if self._text.feed(delta):
            self._change()

    def _change(self) -> None:
        """There is more to see than the notes."""
        self._revision += 1
        self._note = self._read = ""

    def _complete(self, whole: str) -> None:
        """The text of the round is this: the live segment is what of it comes after the earlier ones."""
        self._text = _Text(self._hide_tags)
        self._text.feed(whole)
        if self._of_round:
            live = self._text.whole.removeprefix(self._of_round)
            self._text = _Text(self._hide_tags)
            self._text.feed(live)
        self._change()

    def _think(self, text: str) -> None:
        if self._wants_reasoning:
            self._of_round += self._text.whole
            self._end_text()
            self._reasoning += text
            self._change()

    def _begin_round(self, note: str) -> None:
        self.finished = None
        self._end_reasoning()
        self._text = self._text.begun_again()
        self._revision += bool(note) or bool(self._note)
        self._note = note

    def _end_round(self) -> None:
        self._revision += bool(self._note or self._read)
        self._note = self._read = ""
        self._end_reasoning()
        self._end_text()
        self._of_round = ""

    def _end_text(self) -> None:
        whole = self._text.whole
        if whole:
            self._tools = {}
        if whole and not self._repeats(whole):
            self._before = (*self._before, whole)
        self._text = _Text(self._hide_tags)

    def _end_reasoning(self) -> None:
        if not is_blank(self._reasoning):
            self._before = (*self._before, Reasoning(self._reasoning))
        self._reasoning = ""

    def _follow_tool(self, event: ToolStarted | ToolEnded) -> None:
        if isinstance(event, ToolStarted):
            self._end_round()
            self._tools[event.call_id] = f"{_RUNS}{event.name}"
            self._revision += 1
        elif event.call_id in self._tools:
            done = "✗" if event.result is not None and event.result.is_error else "✓"
            self._tools[event.call_id] = self._tools[event.call_id].replace("⏳", done, 1)
            self._revision += 1

    def _follow_prompt(self, event: ApprovalAsked | ApprovalEnded) -> None:
        if isinstance(event, ApprovalAsked):
            self._end_round()
            self._before = (*self._before, Prompt(event.call_id, event.text, event.allow, event.deny))
        else:
            self._before = tuple(_answered(each, event.verdict, event.call_id) for each in self._before)
        self._revision += 1

    @property
    def _last_text(self) -> str:
        """The text segment before the live one."""
        return next((each.strip() for each in reversed(self._before) if isinstance(each, str)), "")

    def _repeats(self, text: str) -> bool:
        return text.strip() == self._last_text

    @property
    def _status(self) -> str:
        tools = list(self._tools.values())
        return " · ".join((["…"] if len(tools) > TOOLS_SHOWN else []) + tools[-TOOLS_SHOWN:])

    @property
    def awaits(self) -> str:
        """What the answer waits for, for people: a person, or tools; empty for the model."""
        if any(isinstance(each, Prompt) and each.verdict is None for each in self._before):
            return "permission to use a tool"
        return ", ".join(line.removeprefix(_RUNS) for line in self._tools.values() if line.startswith(_RUNS))

    def take_frame(self) -> Frame:
        shown = self._text.shown
        if self._last_text.startswith(shown.strip()):
            shown = ""  # so far it only repeats what is said already
        note = " · ".join(filter(None, (self._read, self._note)))
        return Frame(shown, self._revision, self._before, self._status, self._reasoning, note)

    def finish(self) -> Frame:
        """The answer, if it has ended."""
        whole = self._text.whole
        before = tuple(_answered(each, "unanswered") for each in self._before)
        return Frame("" if self._repeats(whole) else whole, self._revision, before, reasoning=self._reasoning)

    @property
    def ending(self) -> Ending:
        """How the stream ended, if it has ended by itself."""
        if self.finished is None:
            return Ending.FAILED
        return _ENDINGS.get(self.finished.reason, Ending.COMPLETE)


def _answered(segment: Segment, verdict: Verdict, call_id: str = "") -> Segment:
    """A question that is still open, with its answer; of one call, or of any."""
    if isinstance(segment, Prompt) and segment.verdict is None and call_id in {"", segment.call_id}:
        return attrs.evolve(segment, verdict=verdict)
    return segment
