"""A server that is hardly there: HTTP/1.1 by hand, one thread, one loop, and a time on every request.

It is made to be timed against. Of all connections that have something to read, each is read before anything is made
of it, and what it has sent gets the time of that reading; so a request carries the time at which its last byte was
there, and no other one's answer has come in between. Requests have a length or no body, and come one after the other.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TypeAlias

import attrs

READ_SIZE: Final = 65536
LONGEST_REST: Final = 0.05
"""Seconds of the loop's rest at most, so that whoever runs it can look around."""


@attrs.frozen
class Request:
    """``at`` is when its last byte was read, by `time.monotonic`, which is the same in every process of a machine."""

    path: str
    fields: dict[str, str]
    body: bytes
    at: float


def take_request(received: bytearray, at: float) -> Request | None:
    """The first request, taken from what was received; None while a part of it is missing."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in fields:
        raise ValueError("a request without a length is not read here")
    whole = end + 4 + int(fields.get("content-length", "0"))
    if len(received) < whole:
        return None
    body = bytes(received[end + 4 : whole])
    del received[:whole]
    return Request(first.split(" ")[1], fields, body, at)


def response(body: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    """A whole one."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """A client's, as the loop has accepted it; ``is_open`` until the client has left."""

    def __init__(self, connection: socket.socket, app: App) -> None:
        self.socket = connection
        self.app = app
        self.is_open = True
        self._received = bytearray()
        self._shakes_hands = isinstance(connection, ssl.SSLSocket)

    def read(self) -> None:
        """Take what is there; to be called when there is something, or the client has left."""
        try:
            if self._shakes_hands and isinstance(self.socket, ssl.SSLSocket):
                self.socket.do_handshake()
                self._shakes_hands = False
            while data := self.socket.recv(READ_SIZE):
                self._received += data
                if len(data) < READ_SIZE and not isinstance(self.socket, ssl.SSLSocket):
                    return
            self.is_open = False
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except OSError:
            self.is_open = False

    def requests(self, at: float) -> Iterator[Request]:
        """Those that are whole, taken at that time."""
        while request := take_request(self._received, at):
            yield request

    def send(self, data: bytes) -> None:
        """All of it at once; a client that has no room for it does not read, and is left."""
        if not self.is_open:
            return
        try:
            if self.socket.send(data) != len(data):
                self.is_open = False
        except OSError:
            self.is_open = False


App: TypeAlias = Callable[[Request, Connection], None]


class Loop:
    """All servers of a process, and what is to happen later."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def serve(self, app: App, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections on 127.0.0.1 from now on, and give each request to ``app``; returns the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, (app, tls))
        port: int = listener.getsockname()[1]
        return port

    def call_at(self, due: float, act: Callable[[], None]) -> None:
        """Call it at that time."""
        heapq.heappush(self._later, (due, next(self._number), act))

    def run_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Serve until that holds, or for so many seconds; tells whether it holds."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= end:
                return False
            self._turn(end)
        return True

    def rest(self, seconds: float) -> None:
        """Serve for so long."""
        self.run_until(lambda: False, seconds)

    def _turn(self, end: float) -> None:
        due = min(end, self._later[0][0] if self._later else end)
        ready = self._selector.select(max(0.0, min(due - time.monotonic(), LONGEST_REST)))
        readable = [key.data for key, _ in ready if isinstance(key.data, Connection)]
        times = [_read(connection) for connection in readable]
        for connection, at in zip(readable, times, strict=True):
            for request in connection.requests(at):
                connection.app(request, connection)
            if not connection.is_open:
                self._drop(connection)
        for key, _ in ready:
            if not isinstance(key.data, Connection) and isinstance(key.fileobj, socket.socket):
                self._accept(key.fileobj, *key.data)
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()

    def _accept(self, listener: socket.socket, app: App, tls: ssl.SSLContext | None) -> None:
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            accepted = tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._selector.register(accepted, selectors.EVENT_READ, Connection(accepted, app))

    def _drop(self, connection: Connection) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()


def _read(connection: Connection) -> float:
    connection.read()
    return time.monotonic()
