"""What the dialects have in common on the wire: a stream of server-sent events that says when it is whole.

Each dialect has a module of its own with three things: a decoder of streams (a `WireDecoder`), ``decode_answer`` for
an answer that came in one piece, and ``render_request`` for the other direction. Rules that hold for all of them:

1. Servers that imitate a dialect leave fields out and add their own: every field has a default, an unknown field or
   event is ignored, and ``null`` is the same as a field left out.
2. What stood before an error in the same chunk was said, so it counts.
3. Nothing but usage counts after `Finished`, and nothing at all after the event that ends the transport.
4. Whatever the bytes are, nothing is raised but the two errors of `WireDecoder.receive_data`.
5. No event holds half of a surrogate pair, which JSON may bring in and UTF-8 cannot carry. A server that streams
   UTF-16 may cut one in two: the first half waits for the second, at the latest until `Finished`.
6. A request holds no call without its result, and no result without its call: servers refuse both.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import attrs
import msgspec

from triolet.core.conversation import Message, Part, ToolCallPart, ToolResultPart
from triolet.core.dialects.sse import ServerSentEvent, SSEDecoder
from triolet.core.events import (
    Batch,
    BlockCompleted,
    Finished,
    ReasoningDelta,
    StreamEvent,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
)
from triolet.core.text import is_blank
from triolet.errors import ProviderUnavailable, RemoteProtocolError

T = TypeVar("T")


class WireDecoder(ABC):
    """The bytes of a streamed response body, a chunk at a time, to stream events."""

    def __init__(self) -> None:
        self._sse = SSEDecoder()
        self._characters = _Characters()
        self._said: list[StreamEvent] = []
        self.began = False
        """A server-sent event came: this is a stream."""
        self.finished = False
        """The model ended its answer."""
        self.done = False
        """The server said that nothing more comes."""
        self.before_error: Batch = ()
        """What stood before the error in the chunk that raised it."""

    def receive_data(self, chunk: bytes) -> Batch:
        """The events that the chunk completes.

        Raises:
            ProviderUnavailable: the server reported an error inside the stream.
            RemoteProtocolError: an event is not what the dialect allows.
        """
        self._said = []
        try:
            for event in self._sse.receive_data(chunk):
                self.began = True
                if event.data and not self.done:
                    self._receive(event)
        except (ProviderUnavailable, RemoteProtocolError):
            self.before_error = tuple(self._said)
            raise
        return tuple(self._said)

    @abstractmethod
    def _receive(self, event: ServerSentEvent) -> None:
        """Say what one event with data says; note in ``finished`` and ``done`` when all is said."""

    def _say(self, event: StreamEvent) -> None:
        self._said += self._characters.receive(event)


def whole_batch(events: Iterable[StreamEvent]) -> Batch:
    """The events of an answer that came in one piece, by rule 5."""
    characters = _Characters()
    return tuple(whole for event in events for whole in characters.receive(event))


_HALF = re.compile("[\ud800-\udfff]")


class _Characters:
    """Puts the halves of surrogate pairs together (rule 5)."""

    def __init__(self) -> None:
        self._held: dict[int | str, str] = {}
        """The first half that ended the last delta of a kind: of text, of reasoning, of the call of a number."""

    def receive(self, event: StreamEvent) -> Iterable[StreamEvent]:
        """The events that it makes whole; a delta of text nearly always is, and then spared the rest."""
        text = event.text if isinstance(event, TextDelta) and not self._held else ""
        return (event,) if text and (text.isascii() or not _HALF.search(text)) else self._whole(event)

    def _whole(self, event: StreamEvent) -> Iterator[StreamEvent]:
        if isinstance(event, TextDelta | ReasoningDelta):
            kind = "text" if isinstance(event, TextDelta) else "reasoning"
            if text := self._joined(kind, event.text):
                yield attrs.evolve(event, text=text)
        elif isinstance(event, ToolCallDelta):
            arguments = self._joined(event.index, event.arguments)
            if event.call_id or event.name or arguments:
                yield ToolCallDelta(event.index, sendable(event.call_id), sendable(event.name), arguments)
        elif isinstance(event, TextCompleted):
            self._held.pop("text", None)
            yield TextCompleted(sendable(event.text))
        elif isinstance(event, ToolCallCompleted):
            self._held.pop(event.index, None)
            yield ToolCallCompleted(event.index, *map(sendable, (event.call_id, event.name, event.arguments)))
        elif isinstance(event, BlockCompleted):
            yield BlockCompleted(attrs.evolve(event.block, data=_plain(event.block.data)))
        else:
            if isinstance(event, Finished):
                yield from self._flushed()
            yield event

    def _joined(self, kind: int | str, text: str) -> str:
        text = self._held.pop(kind, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._held[kind], text = text[-1], text[:-1]
        return sendable(text)

    def _flushed(self) -> Iterator[StreamEvent]:
        held, self._held = self._held, {}
        for kind, half in held.items():
            if isinstance(kind, int):
                yield ToolCallDelta(kind, "", "", sendable(half))
            else:
                yield TextDelta(sendable(half)) if kind == "text" else ReasoningDelta(sendable(half))


def sendable(text: str) -> str:
    """Half of a surrogate pair, which JSON may bring in and UTF-8 cannot carry, becomes a replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# From JSON, and back


def decode_json(decoder: msgspec.json.Decoder[T], data: str | bytes) -> T:
    """The value, in which texts may hold halves of surrogate pairs; raises RemoteProtocolError for anything else."""
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        problem: Exception = error
    text = data if isinstance(data, str) else data.decode("utf-8-sig", "replace")
    try:
        if "\\ud" in text.lower():  # msgspec takes no halves
            return msgspec.convert(json.loads(text, parse_constant=_refuse), decoder.type)
        if isinstance(data, bytes):  # nor what is no UTF-8
            return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        problem = error
    raise RemoteProtocolError(f"the provider sent a chunk that makes no sense: {problem}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def json_text(value: object) -> str:
    """The JSON text of what came as JSON; raises RemoteProtocolError where it is too deep, or a number too large."""
    try:
        return sendable(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"the provider sent a value that cannot be kept: {error}") from None


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json_text(data))
    return plain


def broken_off(error: object) -> ProviderUnavailable:
    """The error that a server reports in the middle of an answer, in any of the shapes that servers use."""
    text = (error.get("message") or error.get("code") or error.get("type")) if isinstance(error, dict) else error
    # A nested value is nobody's message, and may be too deep to print.
    reason = sendable(str(text)[:300]) if text and isinstance(text, str | int) else "it gave no reason"
    return ProviderUnavailable(f"the provider broke off: {reason}")


# Towards a request


def paired(messages: Sequence[Message]) -> list[Message]:
    """The messages without those calls that no result follows, and those results that follow no call (rule 6).

    An id counts once in a message; what is left of a message may be nothing.
    """
    kept: list[Message] = []
    for place, message in enumerate(messages):
        if message.role == "tool":
            continue
        results = _results(messages, place + 1) if message.role == "assistant" else {}
        asked = list(dict.fromkeys(call.call_id for call in message.calls if call.call_id in results and call.name))
        kept.append(attrs.evolve(message, parts=tuple(_kept(message.parts, asked))))
        if asked:
            kept.append(Message("tool", tuple(results[call_id] for call_id in asked)))
    return kept


def _results(messages: Sequence[Message], start: int) -> dict[str, ToolResultPart]:
    """The results in the tool messages from ``start`` on, up to the first message of another kind."""
    results: dict[str, ToolResultPart] = {}
    for place in range(start, len(messages)):
        if messages[place].role != "tool":
            break
        for part in messages[place].parts:
            if isinstance(part, ToolResultPart) and part.call_id:
                results.setdefault(part.call_id, part)
    return results


def _kept(parts: Iterable[Part], asked: Iterable[str]) -> Iterator[Part]:
    missing = set(asked)
    for part in parts:
        if not isinstance(part, ToolCallPart):
            yield part
        elif part.name and part.call_id in missing:
            missing.remove(part.call_id)
            yield part


_ANY_OBJECT = msgspec.json.Decoder(dict[str, Any])


def arguments_text(call: ToolCallPart) -> str:
    """The call's arguments as servers take them: the JSON text of an object, whatever the model wrote."""
    try:
        for text in (call.arguments, json.dumps(call.input or {}, ensure_ascii=False)):
            if _is_object(sendable(text)):
                return sendable(text)
    except RecursionError:
        pass
    return "{}"


def _is_object(text: str) -> bool:
    try:
        _ANY_OBJECT.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def result_text(result: ToolResultPart) -> str:
    """What the call gave, for a dialect that has no other place for a failure; never empty."""
    text = "(nothing)" if is_blank(result.content) else sendable(result.content)
    return f"Error: {text}" if result.is_error else text
