"""The benchmark's servers keep whom they should waiting, and tell when that one is gone, and nobody else."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from cancellation import Cell, Figures, groups

from triolet.core.dialects.openai_chat import OpenAIChatDecoder
from triolet.core.events import Batch, TextDelta, ToolCallDelta

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a socket that is still connecting is found in /proc")


@attrs.frozen
class Servers:
    process: subprocess.Popen[str]
    ports: dict[str, int]

    def line(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def has_said_more(self) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], 0.05)[0])

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def call(self, door: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[door]), timeout=20)

    def ask(self, question: str) -> socket.socket:
        """A connection with a whole request on it, in two pieces."""
        body = json.dumps({"messages": [{"role": "user", "content": question}]}).encode()
        request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        connection = self.call("model")
        connection.sendall(request[:30])
        connection.sendall(request[30:])
        return connection


@pytest.fixture
def servers() -> Iterator[Servers]:
    command = [sys.executable, str(BENCHMARKS / "silent_servers.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Servers(process, json.loads(process.stdout.readline()))
        process.kill()


def heard(connection: socket.socket, decoder: OpenAIChatDecoder, wanted: type) -> Batch:
    """What is said up to the first of the wanted kind; the lines of HTTP mean nothing to the decoder."""
    events: Batch = ()
    while not any(isinstance(event, wanted) for event in events):
        data = connection.recv(4096)
        assert data
        events += decoder.receive_data(data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP/") else data)
    return events


@pytest.mark.parametrize("question", ["headers", "tokens", "flood"])
def test_whoever_leaves_an_answer_is_told_of_with_the_time(servers: Servers, question: str) -> None:
    with servers.ask(question) as other:
        assert servers.line() == ["reached"]
        connection = servers.ask(question)
        assert servers.line() == ["reached"]
        before = time.monotonic()
        connection.close()
        word, closed, left = servers.line()
        assert (word, left) == ("closed", "1")
        assert before <= float(closed) <= time.monotonic()
        assert other.fileno() > 0


def test_the_model_speaks_unless_it_is_hushed(servers: Servers) -> None:
    with servers.ask("tokens") as connection:
        decoder = OpenAIChatDecoder()
        for _ in range(3):
            heard(connection, decoder, TextDelta)
        servers.tell("hush")
        connection.settimeout(0.3)
        with suppress(TimeoutError):
            for _ in range(20):
                connection.recv(4096)
            pytest.fail("it goes on")
        connection.settimeout(20)
        servers.tell("speak")
        assert connection.recv(4096)


def test_a_tool_is_called_and_only_its_own_server_tells_who_leaves(servers: Servers) -> None:
    with servers.ask("tool") as connection:
        events = heard(connection, OpenAIChatDecoder(), ToolCallDelta)
        assert [event.name for event in events if isinstance(event, ToolCallDelta)] == ["hold"]
    with servers.call("tool") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert servers.line() == ["reached"]
    assert servers.line()[::2] == ["closed", "0"]


def test_a_handshake_is_held(servers: Servers) -> None:
    with servers.call("tls") as connection:
        connection.sendall(b"\x16\x03\x01")
        assert servers.line() == ["reached"]
    assert servers.line()[::2] == ["closed", "0"]


def test_a_socket_that_cannot_connect_is_found_and_missed(servers: Servers) -> None:
    sockets = []
    for _ in range(2):
        sockets.append(socket.socket())
        sockets[-1].setblocking(False)
        sockets[-1].connect_ex(("127.0.0.1", servers.ports["full"]))
        servers.tell(f"look {os.getpid()}")
        assert servers.line() == ["reached"]
    for left, each in reversed(list(enumerate(sockets[::-1]))):  # the oldest first
        servers.tell("watch")
        assert servers.line() == ["watching"]
        assert not servers.has_said_more()
        before = time.monotonic()
        each.close()
        word, closed, count = servers.line()
        assert (word, count) == ("closed", str(left))
        assert before <= float(closed) <= time.monotonic()


def test_figures_are_of_the_nearest_rank() -> None:
    times = [number / 1000 for number in range(200, 0, -1)]
    assert Figures.of(times) == Figures(p50=0.100, p99=0.198, most=0.200)
    assert Figures.of([0.5]) == Figures(0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("floor", "ours", "verdicts"),
    [
        (0.004, 0.0119, (True, True)),
        (0.004, 0.0121, (True, False)),
        (0.020, 0.0299, (True, True)),
        (0.020, 0.0301, (False, True)),
    ],
)
def test_either_figure_misses_its_goal(floor: float, ours: float, verdicts: tuple[bool, bool]) -> None:
    told = Cell("tokens", 1, {"floor": [floor], "triolet": [ours]}).figures_told()
    assert tuple(figure.met for figure in told if figure.goal is not None) == verdicts


def test_moments_share_a_model_only_where_they_can() -> None:
    assert groups(["connecting", "tls", "headers", "tool"]) == [["connecting"], ["tls"], ["headers", "tool"]]
