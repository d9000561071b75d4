"""What a model says, in no provider's dialect: the events a provider puts into a turn."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@attrs.frozen
class TextDelta:
    """More of the answer's text; never empty."""

    text: str


@attrs.frozen
class ReasoningDelta:
    """More of what the model thinks before it answers; not part of the answer."""

    text: str


@attrs.frozen
class ToolCallDelta:
    """A fragment of a requested tool call; fragments of one call share ``index``.

    ``call_id`` and ``name`` come with the first fragment and are empty afterwards; ``arguments`` are pieces
    of one JSON text.
    """

    index: int
    call_id: str
    name: str
    arguments: str


@attrs.frozen
class UsageReported:
    """Tokens as the provider counted them; ``cached_tokens`` are part of ``input_tokens``."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@attrs.frozen
class Finished:
    """The model ended its answer by itself. A stream that ends without this one was cut off."""

    reason: FinishReason


@attrs.frozen
class TextCompleted:
    """The whole text since the last tool, as the provider holds it: what counts where a delta was lost or rewritten."""

    text: str


@attrs.frozen
class ToolStarted:
    """A tool runs from now on; what the model said before is a text of its own."""

    call_id: str
    name: str


@attrs.frozen
class ToolEnded:
    """The tool has run, well or not."""

    call_id: str


StreamEvent: TypeAlias = (
    TextDelta | TextCompleted | ReasoningDelta | ToolCallDelta | ToolStarted | ToolEnded | UsageReported | Finished
)

Batch: TypeAlias = tuple[StreamEvent, ...]
"""The events of one read of the provider's socket: what crosses the memory channel as one value."""
