"""Streams of Anthropic's Messages as servers send them, and what each says in no dialect.

Written after Anthropic's documentation, "Streaming messages", and after what servers that imitate it leave out.
"""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from triolet.core.conversation import OpaquePart
from triolet.core.events import (
    Batch,
    BlockCompleted,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)


@attrs.frozen
class Recorded:
    """A stream, the events in it, and the error that ends it if one does."""

    body: bytes
    events: Batch
    error: str = ""

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def finish_at(self) -> int | None:
        """How many bytes it takes to know that the answer is whole; a line may end with the CR of its CRLF."""
        reason = max(self.body.rfind(b'"stop_reason":"'), self.body.rfind(b'"stop_reason": "'))
        gap = b"\r\n\r" if b"\r\n" in self.body else b"\n\n"
        return self.body.index(gap, reason) + len(gap) if reason >= 0 else None


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def start(**usage: Any) -> dict[str, Any]:
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude", "content": []}
    return {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage}}


def begin(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def say(index: int, text: str) -> dict[str, Any]:
    return delta(index, "text_delta", text=text)


def args(index: int, partial_json: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=partial_json)


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def finish(stop_reason: str, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": usage}


END: Final = {"type": "message_stop"}
PING: Final = {"type": "ping"}

SIGNATURE: Final = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds/wUag=="

PLAIN: Final = b"""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message",\
"role":"assistant","content":[],"model":"claude-sonnet-4-5","stop_reason":null,"stop_sequence":null,\
"usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Gr\xc3\xbc\xc3\x9fe"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",\
"text":" \xf0\x9f\x91\x8b\\n\\n\\ud83d\\ude00!"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"""
GREETING: Final = (TextDelta("Grüße"), TextDelta(" 👋\n\n😀!"))

THINKING_AND_TOOLS: Final = sse(
    start(input_tokens=400, cache_read_input_tokens=1000, cache_creation_input_tokens=30, output_tokens=2),
    begin(0, "thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="Two cities,"),
    delta(0, "thinking_delta", thinking=" two calls."),
    delta(0, "signature_delta", signature=SIGNATURE),
    stop(0),
    begin(1, "text", text=""),
    PING,
    say(1, "I look at"),
    say(1, " both."),
    stop(1),
    begin(2, "tool_use", id="toolu_01A", name="get_weather", input={}),
    args(2, ""),
    args(2, '{"city": "Z'),
    args(2, 'ürich"}'),
    stop(2),
    begin(3, "tool_use", id="toolu_01B", name="get_weather", input={}),
    args(3, ""),
    args(3, '{"city":'),
    args(3, ' "Bern"}'),
    stop(3),
    finish("tool_use", output_tokens=89),
    END,
)

STREAMS: Final[dict[str, Recorded]] = {
    "plain": Recorded(PLAIN, (UsageReported(25, 1), *GREETING, UsageReported(25, 15), Finished("stop"))),
    "plain with CRLF": Recorded(
        PLAIN.replace(b"\n", b"\r\n"), (UsageReported(25, 1), *GREETING, UsageReported(25, 15), Finished("stop"))
    ),
    "thinking, text and two calls": Recorded(
        THINKING_AND_TOOLS,
        (
            UsageReported(1430, 2, 1000, 30),
            ReasoningDelta("Two cities,"),
            ReasoningDelta(" two calls."),
            BlockCompleted(
                OpaquePart(
                    "anthropic", {"type": "thinking", "thinking": "Two cities, two calls.", "signature": SIGNATURE}
                )
            ),
            TextDelta("I look at"),
            TextDelta(" both."),
            ToolCallDelta(0, "toolu_01A", "get_weather", ""),
            ToolCallDelta(0, "", "", '{"city": "Z'),
            ToolCallDelta(0, "", "", 'ürich"}'),
            ToolCallDelta(1, "toolu_01B", "get_weather", ""),
            ToolCallDelta(1, "", "", '{"city":'),
            ToolCallDelta(1, "", "", ' "Bern"}'),
            UsageReported(1430, 89, 1000, 30),
            Finished("tool_calls"),
        ),
    ),
    "thinking that is redacted or not shown": Recorded(
        sse(
            start(input_tokens=5, output_tokens=1),
            begin(0, "redacted_thinking", data="EmwKAhgBEgy3va3pzix/LafPsn4="),
            stop(0),
            begin(1, "thinking", thinking="", signature=""),
            delta(1, "signature_delta", signature="abc="),
            stop(1),
            begin(2, "text", text=""),
            say(2, "Yes."),
            stop(2),
            finish("stop_sequence", output_tokens=9),
            END,
        ),
        (
            UsageReported(5, 1),
            BlockCompleted(
                OpaquePart("anthropic", {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4="})
            ),
            BlockCompleted(OpaquePart("anthropic", {"type": "thinking", "thinking": "", "signature": "abc="})),
            TextDelta("Yes."),
            UsageReported(5, 9),
            Finished("stop"),
        ),
    ),
    "pings everywhere": Recorded(
        sse(
            PING,
            start(input_tokens=5, output_tokens=1),
            PING,
            begin(0, "text", text=""),
            PING,
            say(0, "a"),
            PING,
            say(0, "b"),
            PING,
            stop(0),
            PING,
            finish("end_turn", output_tokens=2),
            PING,
            END,
        )
        + b": a comment\n\n",
        (UsageReported(5, 1), TextDelta("a"), TextDelta("b"), UsageReported(5, 2), Finished("stop")),
    ),
    "an error in the middle": Recorded(
        sse(
            start(input_tokens=5, output_tokens=1),
            begin(0, "text", text=""),
            say(0, "half"),
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ),
        (UsageReported(5, 1), TextDelta("half")),
        "the provider broke off: Overloaded",
    ),
    "a refusal": Recorded(
        sse(
            start(input_tokens=5, output_tokens=1),
            begin(0, "text", text=""),
            say(0, "First you"),
            stop(0),
            finish("refusal", output_tokens=3),
            END,
        ),
        (UsageReported(5, 1), TextDelta("First you"), UsageReported(5, 3), Finished("content_filter")),
    ),
    "the limit, in thinking": Recorded(
        sse(
            start(input_tokens=5, output_tokens=1),
            begin(0, "thinking", thinking=""),
            delta(0, "thinking_delta", thinking="Long"),
            finish("max_tokens", input_tokens=5, cache_read_input_tokens=0, output_tokens=100),
            END,
        ),
        (
            UsageReported(5, 1),
            ReasoningDelta("Long"),
            BlockCompleted(OpaquePart("anthropic", {"type": "thinking", "thinking": "Long"})),
            UsageReported(5, 100),
            Finished("length"),
        ),
    ),
    "a server that leaves out what it can": Recorded(
        sse(
            {"type": "content_block_start", "content_block": {"type": "text"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
            {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "c", "name": "f"}},
            {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{}"}},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        ),
        (
            TextDelta("a"),
            ToolCallDelta(0, "c", "f", ""),
            ToolCallDelta(0, "", "", "{}"),
            Finished("tool_calls"),
        ),
    ),
    "a server that sends all in the starts, and as block 0": Recorded(
        sse(
            start(input_tokens=0, output_tokens=0),
            begin(0, "thinking", thinking="Hm", signature="s"),
            stop(0),
            begin(0, "text", text="whole"),
            stop(0),
            begin(0, "tool_use", id="c", name="f", input={"a": [1, "ü"]}),
            stop(0),
            begin(0, "tool_use", id="d", name="g", input={"b": {}}),
            finish("end_turn", input_tokens=7, output_tokens=9),
        )
        + b"data: [DONE]\n\n",
        (
            UsageReported(0, 0),
            ReasoningDelta("Hm"),
            BlockCompleted(OpaquePart("anthropic", {"type": "thinking", "thinking": "Hm", "signature": "s"})),
            TextDelta("whole"),
            ToolCallDelta(0, "c", "f", ""),
            ToolCallDelta(0, "", "", '{"a": [1, "\\u00fc"]}'),
            ToolCallDelta(1, "d", "g", ""),
            ToolCallDelta(1, "", "", '{"b": {}}'),
            UsageReported(7, 9),
            Finished("stop"),
        ),
    ),
    "events, blocks and deltas of other times": Recorded(
        sse(
            start(input_tokens=5, output_tokens=1),
            {"type": "message_annotation", "index": "none", "delta": [], "error": "no error"},
            begin(0, "server_tool_use", id="srvtoolu_01", name="web_search", input={}),
            args(0, '{"query": "w'),
            args(0, 'eather"}'),
            stop(0),
            begin(
                1, "web_search_tool_result", tool_use_id="srvtoolu_01", content=[{"title": "Rain", "page_age": None}]
            ),
            stop(1),
            begin(2, "hologram", parts=0),
            delta(2, "hologram_delta", part="?"),
            say(2, "no text"),
            stop(2),
            begin(3, "text", text="", citations=[]),
            say(3, "It rains"),
            delta(3, "citations_delta", citation={"cited_text": "rain", "url": "https://example.com"}),
            delta(3, "sparkle_delta", sparkle=1),
            stop(3),
            begin(4, "server_tool_use", id="srvtoolu_02", name="web_search", input={}),
            args(4, '{"query": "cu'),
            stop(4),
            finish("pause_turn", output_tokens=9, server_tool_use={"web_search_requests": 1}),
            {"type": "message_stop", "metrics": {}},
        ),
        (
            UsageReported(5, 1),
            BlockCompleted(
                OpaquePart(
                    "anthropic",
                    {
                        "type": "server_tool_use",
                        "id": "srvtoolu_01",
                        "name": "web_search",
                        "input": {"query": "weather"},
                    },
                )
            ),
            BlockCompleted(
                OpaquePart(
                    "anthropic",
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "srvtoolu_01",
                        "content": [{"title": "Rain", "page_age": None}],
                    },
                )
            ),
            TextDelta("It rains"),
            UsageReported(5, 9),
            Finished("other"),
        ),
    ),
}
"""By what is remarkable about them."""
