"""What happens in a turn: what a model says, in no provider's dialect, and what the agent loop does about it.

A provider emits `StreamEvent`s, in this order and no other::

    (TextDelta | TextCompleted | ReasoningDelta | ToolCallDelta | ToolCallCompleted | BlockCompleted
     | UsageReported)*  Finished  UsageReported*

The agent loop passes them on within what it adds, the events of a round and of its tools.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from triolet.core.conversation import Message, OpaquePart, ToolResultPart

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@attrs.frozen
class TextDelta:
    """More of the answer's text; never empty."""

    text: str


@attrs.frozen
class TextCompleted:
    """The whole text of the round, as the provider holds it: what counts where a delta was lost or rewritten."""

    text: str


@attrs.frozen
class ReasoningDelta:
    """More of what the model thinks before it answers; not part of the answer."""

    text: str


@attrs.frozen
class ToolCallDelta:
    """A fragment of a requested tool call; fragments of one call, and no others, share ``index``.

    ``call_id`` and ``name`` come with the first fragment and are empty afterwards; ``arguments`` are pieces
    of one JSON text.
    """

    index: int
    call_id: str
    name: str
    arguments: str


@attrs.frozen
class ToolCallCompleted:
    """A tool call as the provider holds it: what counts for its ``index``, whatever fragments came."""

    index: int
    call_id: str
    name: str
    arguments: str


@attrs.frozen
class BlockCompleted:
    """A block that is nobody's to read, and must go back as it came with the rest of its round."""

    block: OpaquePart


@attrs.frozen
class UsageReported:
    """Tokens of the round as the provider counted them; the newest report of a round replaces the ones before.

    ``cached_tokens``, read from a cache, and ``cache_write_tokens``, put into one, are parts of ``input_tokens``.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@attrs.frozen
class Finished:
    """The model ended its answer by itself. A stream that ends without this one was cut off."""

    reason: FinishReason


StreamEvent: TypeAlias = (
    TextDelta
    | TextCompleted
    | ReasoningDelta
    | ToolCallDelta
    | ToolCallCompleted
    | BlockCompleted
    | UsageReported
    | Finished
)

Batch: TypeAlias = tuple[StreamEvent, ...]
"""The events of one read of the provider's socket: what crosses the memory channel as one value."""


@attrs.frozen
class RoundStarted:
    """A model is asked, by the name that the settings give it.

    If the attempt before it came to nothing, or broke off, ``note`` says so, for people.
    """

    model: str
    note: str = ""


@attrs.frozen
class RoundEnded:
    """The model has said all of a round, and wants tools: ``message`` is what it said, calls and all."""

    message: Message


@attrs.frozen
class ToolStarted:
    """A tool runs from now on; what the model said before is a text of its own."""

    call_id: str
    name: str


@attrs.frozen
class ToolEnded:
    """The tool has run, well or not, or could not."""

    call_id: str
    result: ToolResultPart | None = None


@attrs.frozen
class Steered:
    """Who asked has said more meanwhile, and the next round is asked with it, behind what the tools gave."""

    messages: tuple[Message, ...]


Verdict: TypeAlias = Literal["allowed", "denied", "unanswered"]


@attrs.frozen
class ApprovalAsked:
    """A person is asked whether the tool may run; ``allow`` and ``deny`` are what the buttons carry."""

    call_id: str
    text: str
    allow: str
    deny: str


@attrs.frozen
class ApprovalEnded:
    """Nobody is asked any more."""

    call_id: str
    verdict: Verdict


TurnEvent: TypeAlias = (
    StreamEvent | RoundStarted | RoundEnded | ToolStarted | ToolEnded | Steered | ApprovalAsked | ApprovalEnded
)

TurnBatch: TypeAlias = tuple[TurnEvent, ...]


def joined(batch: Batch) -> Batch:
    """The batch with deltas of text that follow each other as one: readers need not see where they met."""
    events: list[StreamEvent] = []
    pieces: list[str] = []
    for event in batch:
        if isinstance(event, TextDelta):
            pieces.append(event.text)
            continue
        if pieces:
            events.append(TextDelta("".join(pieces)))
            pieces = []
        events.append(event)
    if pieces:
        events.append(TextDelta("".join(pieces)))
    return tuple(events)
