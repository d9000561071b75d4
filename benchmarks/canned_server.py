"""Canned answers in three dialects, played over TCP by a process of its own, so that they cost the reader nothing.

The model that a request names says what is played: ``burst-10000`` is an answer of so many words, back to back, and
``paced-1000`` one whose events come 1.2 ms apart, each in a TCP segment of its own. Each event is a chunk of HTTP, as
servers flush them. What the events hold beside the words is what the official servers put there.

    python benchmarks/canned_server.py      # prints its port, and plays until its standard input ends
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

EVERY: Final = 0.0012
"""Seconds from one paced event to the next."""

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def words(count: int) -> Iterator[str]:
    """What is said."""
    return (f" word{number}" for number in range(count))


def _render(event: Mapping[str, Any], name: str = "") -> bytes:
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def chat(count: int) -> Iterator[bytes]:
    """Chat Completions, an event each."""
    envelope = {
        "id": "chatcmpl-CfUvQwERTYuiopASDFghjklZXCVbn",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": None,
    }

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _render({**envelope, "choices": [choice], "usage": None, "obfuscation": "Zk3pQ9x"})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    yield from (chunk({"content": word}) for word in words(count))
    yield chunk({}, "stop")
    usage = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": count + 9}
    yield _render({**envelope, "choices": [], "usage": usage, "obfuscation": ""})
    yield b"data: [DONE]\n\n"


def responses(count: int) -> Iterator[bytes]:
    """Responses, an event each."""
    sequence = iter(range(count + 9))
    text = "".join(words(count))
    place = {"item_id": "msg_68b5f0c8a1d0819cb2a4d1f0a3c7e8b9", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    item = {"id": place["item_id"], "type": "message", "status": "completed", "content": [part], "role": "assistant"}
    response = {
        "id": "resp_68b5f0c7b7c8819c9d0e1f2a3b4c5d6e",
        "object": "response",
        "created_at": 1764000000,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": count,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count + 9,
    }

    def event(kind: str, **fields: Any) -> bytes:
        name = f"response.{kind}"
        return _render({"type": name, "sequence_number": next(sequence), **fields}, name)

    yield event("created", response=response)
    yield event("in_progress", response=response)
    yield event("output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
    yield event("content_part.added", **place, part={**part, "text": ""})
    yield from (
        event("output_text.delta", **place, delta=each, logprobs=[], obfuscation="Zk3p") for each in words(count)
    )
    yield event("output_text.done", **place, text=text, logprobs=[])
    yield event("content_part.done", **place, part=part)
    yield event("output_item.done", output_index=0, item=item)
    yield event("completed", response={**response, "status": "completed", "output": [item], "usage": usage})


def messages(count: int) -> Iterator[bytes]:
    """Anthropic's Messages, an event each."""

    def event(kind: str, **fields: Any) -> bytes:
        return _render({"type": kind, **fields}, kind)

    message: dict[str, Any] = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    yield event("message_start", message=message)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    yield from (
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words(count)
    )
    yield event("content_block_stop", index=0)
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": count})
    yield event("message_stop")


STREAMS: Final[Mapping[str, Callable[[int], Iterator[bytes]]]] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/messages": messages,
}
"""The dialects, by the path that a request asks for."""


@cache
def _chunks(path: str, count: int) -> tuple[bytes, ...]:
    """The response's body, chunk by chunk."""
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in STREAMS[path](count)]
    return (*chunks[:-1], chunks[-1] + b"0\r\n\r\n")


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            path = line.split()[1].decode()
            fields = dict(iter(lambda: requests.readline().decode().lower().rstrip().partition(": ")[::2], ("", "")))
            pace, _, count = json.loads(requests.read(int(fields["content-length"])))["model"].partition("-")
            chunks = _chunks(path, int(count))
            connection.sendall(_HEAD)
            if pace == "burst":
                connection.sendall(b"".join(chunks))
            else:
                _send_paced(connection, chunks)


def _send_paced(connection: socket.socket, chunks: tuple[bytes, ...]) -> None:
    due = time.monotonic()
    for chunk in chunks:
        due += EVERY
        time.sleep(max(0.0, due - time.monotonic()))
        connection.sendall(chunk)


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
