"""What the dialects have in common on the wire: a stream of server-sent events that says when it is whole.

Each dialect has a module of its own with three things: a decoder of streams (a `WireDecoder`), ``decode_answer`` for
an answer that came in one piece, and ``render_request`` for the other direction. Rules that hold for all of them:

1. Servers that imitate a dialect leave fields out and add their own: every field has a default, an unknown field or
   event is ignored, and ``null`` is the same as a field left out.
2. What stood before an error in the same chunk was said, so it counts.
3. Nothing but usage counts after `Finished`, and nothing at all after the event that ends the transport.
4. Whatever the bytes are, nothing is raised but the two errors of `WireDecoder.receive_data`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

import msgspec

from triolet.core.events import Batch, StreamEvent
from triolet.core.sse import ServerSentEvent, SSEDecoder
from triolet.errors import ProviderUnavailable, RemoteProtocolError

T = TypeVar("T")


class WireDecoder(ABC):
    """The bytes of a streamed response body, a chunk at a time, to stream events."""

    def __init__(self) -> None:
        self._sse = SSEDecoder()
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
        events: list[StreamEvent] = []
        try:
            for event in self._sse.receive_data(chunk):
                self.began = True
                if event.data and not self.done:
                    events += self._receive(event)
        except (ProviderUnavailable, RemoteProtocolError):
            self.before_error = tuple(events)
            raise
        return tuple(events)

    @abstractmethod
    def _receive(self, event: ServerSentEvent) -> list[StreamEvent]:
        """What one event with data says; notes in ``finished`` and ``done`` when all is said."""


def decode_json(decoder: msgspec.json.Decoder[T], data: str | bytes) -> T:
    """The value; raises RemoteProtocolError for anything else."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the provider sent a chunk that makes no sense: {error}") from None


def broken_off(error: object) -> ProviderUnavailable:
    """The error that a server reports in the middle of an answer, in any of the shapes that servers use."""
    text = (error.get("message") or error.get("code") or error.get("type")) if isinstance(error, dict) else error
    # A nested value is nobody's message, and may be too deep to print.
    reason = str(text)[:300] if text and isinstance(text, str | int) else "it gave no reason"
    return ProviderUnavailable(f"the provider broke off: {reason}")


def sendable(text: str) -> str:
    """Half of a surrogate pair, which JSON may bring in and UTF-8 cannot carry, becomes a replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
