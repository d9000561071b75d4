"""Servers that keep their callers waiting, in a process of their own, and tell the instant at which a caller is gone.

Its first line is its ports, as JSON: ``model`` speaks Chat Completions, ``tls`` takes a handshake's first bytes and is
silent, ``tool`` reads a request and is silent, ``full`` has no place left in its queue, so that whoever calls it stays
in SYN_SENT. What the model does, the last message of a request says: ``headers`` is silent, ``tokens`` and ``flood``
speak for ever, a token each `EVERY` seconds, and ``tool`` calls a tool. Then it prints, and obeys::

    reached              a caller waits, where it was to wait
    closed TIME LEFT     such a caller's socket was closed at that time (CLOCK_MONOTONIC); so many others are left
    > hush, > speak      be silent in the middle of all answers, and go on
    > look PID           wait until that process has one more socket in SYN_SENT: ``reached``
    > watch              say ``watching``, then wait until the oldest of these is gone from its process: ``closed``

Nothing reaches a server of a connection that is not made: so /proc is asked for it, every 0.1 ms or so.

    python benchmarks/silent_servers.py      # until its standard input ends
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs
from canned_server import chat

Door: TypeAlias = Literal["model", "tls", "tool", "full"]

EVERY: Final = 0.05
"""Seconds from one token of an answer to the next."""

PATIENCE: Final = 20.0
"""Seconds for a socket to come or to go, after which nobody can be waiting for it any more."""

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_SYN_SENT: Final = "02"


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _tool_call() -> bytes:
    """A whole answer: the call of a tool named hold."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "hold", "arguments": "{}"}}
    choice = {"index": 0, "delta": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}
    event = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "silent", "choices": [choice]}
    return _chunk(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()) + b"0\r\n\r\n"


_ROLE, _WORD = (_chunk(event) for event, _ in zip(chat(1), range(2), strict=False))
_TOOL_CALL: Final = _tool_call()


def _say(line: str) -> None:
    print(line, flush=True)


@attrs.define(eq=False)
class _Caller:
    """A connection; ``held`` where it was to be held."""

    door: Door
    connection: socket.socket
    received: bytes = b""
    held: bool = False

    def question(self) -> str | None:
        """What the model is asked, as soon as the request is whole."""
        head, separator, body = self.received.partition(b"\r\n\r\n")
        fields = dict(line.partition(": ")[::2] for line in head.decode().lower().split("\r\n")[1:])
        if not separator or len(body) < int(fields.get("content-length", "0")):
            return None
        return str(json.loads(body)["messages"][-1]["content"])


class SilentServers:
    """All the servers, in one loop; ``left`` is how many callers are held."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._speaking = True
        self._spoken_to: deque[tuple[float, _Caller]] = deque()  # (when its next token is due, who); in order
        self._commands = b""
        self._over = False
        self.left = 0
        self._full = _open_full()
        self._diallers = Diallers(self._full.getsockname()[1])
        self._ports = {"full": self._full.getsockname()[1]}
        doors: tuple[Door, ...] = ("model", "tls", "tool")
        for door in doors:
            listener = socket.create_server(("127.0.0.1", 0), backlog=512)
            self._ports[door] = listener.getsockname()[1]
            self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, door, listener))
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._obey)

    def run(self) -> None:
        """Serve until standard input ends."""
        _say(json.dumps(self._ports))
        while not self._over:
            for key, _ in self._selector.select(self._patience()):
                act: Callable[[], None] = key.data
                act()
            self._speak()

    def _patience(self) -> float | None:
        if not (self._speaking and self._spoken_to):
            return None
        return max(0.0, self._spoken_to[0][0] - time.monotonic())

    def _accept(self, door: Door, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller = _Caller(door, connection)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._read, caller))

    def _read(self, caller: _Caller) -> None:
        try:
            data = caller.connection.recv(65536)
        except ConnectionError:
            data = b""
        now = time.monotonic()
        if not data:
            self._forget(caller, now)
        elif not caller.held:
            caller.received += data
            self._receive(caller)

    def _forget(self, caller: _Caller, now: float) -> None:
        self._selector.unregister(caller.connection)
        caller.connection.close()
        if caller.held:
            caller.held = False
            self.left -= 1
            _say(f"closed {now!r} {self.left}")

    def _receive(self, caller: _Caller) -> None:
        question = caller.question() if caller.door == "model" else "headers"
        if question == "tool":
            caller.connection.sendall(_HEAD + _TOOL_CALL)
            caller.received = b""
        elif question is not None:
            if question != "headers":
                caller.connection.sendall(_HEAD + _ROLE + _WORD)
                self._spoken_to.append((time.monotonic() + EVERY, caller))
            caller.held = True
            self.left += 1
            _say("reached")

    def _speak(self) -> None:
        while self._speaking and self._spoken_to and self._spoken_to[0][0] <= time.monotonic():
            due, caller = self._spoken_to.popleft()
            if caller.held:
                try:
                    caller.connection.sendall(_WORD)
                except ConnectionError:  # reading from it tells
                    continue
                self._spoken_to.append((due + EVERY, caller))

    def _obey(self) -> None:
        data = os.read(sys.stdin.fileno(), 4096)
        self._over = not data
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            name, *arguments = line.decode().split()
            if name == "look":
                self._diallers.find(int(arguments[0]))
                _say("reached")
            elif name == "watch":
                _say("watching")
                gone = self._diallers.wait_gone()
                _say(f"closed {gone!r} {len(self._diallers)}")
            else:
                self._let_speak(speaking=name == "speak")

    def _let_speak(self, *, speaking: bool) -> None:
        """Who goes on does so as they began: not all at once."""
        self._speaking = speaking
        now, callers = time.monotonic(), [caller for _, caller in self._spoken_to if caller.held]
        dues = [now + EVERY * number / len(callers) for number in range(len(callers))]
        self._spoken_to = deque(zip(dues, callers, strict=True))


def _open_full() -> socket.socket:
    """A listener with a queue of one, which nobody empties and somebody has filled."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    _QUEUED.append(socket.create_connection(listener.getsockname()))
    return listener


_QUEUED: Final[list[socket.socket]] = []


class Diallers:
    """Sockets of a process that are still connecting to the port, the oldest first."""

    def __init__(self, port: int) -> None:
        self._port = f":{port:04X}"
        self._waiting: deque[tuple[str, str]] = deque()  # (file descriptor in /proc, what it leads to)

    def __len__(self) -> int:
        return len(self._waiting)

    def find(self, pid: int) -> None:
        """Wait for one more of them."""
        for _ in _tries(0.01):  # to look takes half as long
            known = {target for _, target in self._waiting}
            if wanted := self._connecting() - known:
                self._waiting += _descriptors(pid, wanted)
                return

    def wait_gone(self) -> float:
        """When the oldest was gone from its process."""
        path, target = self._waiting.popleft()
        for _ in _tries(0.00005):
            if _target(path) != target:
                break
        return time.monotonic()

    def _connecting(self) -> set[str]:
        lines = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines())
        return {f"socket:[{line[9]}]" for line in lines if line[2].endswith(self._port) and line[3] == _SYN_SENT}


def _tries(pause: float) -> Iterator[None]:
    """One, and another after each pause, until nobody can be waiting any more."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield
        time.sleep(pause)
    raise TimeoutError("no socket came or went")


def _descriptors(pid: int, targets: set[str]) -> list[tuple[str, str]]:
    paths = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]  # noqa: PTH208  # texts are quicker
    return [(path, target) for path in paths if (target := _target(path)) in targets]


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  # texts are quicker
    except OSError:
        return ""


if __name__ == "__main__":
    SilentServers().run()
