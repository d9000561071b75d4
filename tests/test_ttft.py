"""The latency benchmark's servers read what every program says, and time what they should; its goal is the floor's."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package
sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "racers"))

import given
from lean_http import Connection, Loop, Request, take_request
from lean_telegram import LeanTelegram, parameters, shows_text
from meeting import BLOCK, Lap, Row, blocks, nearest_rank
from talker import MOST_WORDS, PATHS, WORD, Talker, question, speech
from ttft import Found, figures

from triolet.core.dialects.anthropic_messages import AnthropicDecoder
from triolet.core.dialects.openai_chat import OpenAIChatDecoder
from triolet.core.dialects.openai_responses import OpenAIResponsesDecoder
from triolet.core.dialects.wire import WireDecoder
from triolet.core.events import TextDelta

DECODERS: dict[str, type[WireDecoder]] = {
    "openai-chat": OpenAIChatDecoder,
    "openai-responses": OpenAIResponsesDecoder,
    "anthropic": AnthropicDecoder,
}
FORM = {"content-type": "application/x-www-form-urlencoded"}
PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n7\r\n'
    b'--x\r\nContent-Disposition: form-data; name="text"\r\nContent-Type: text/plain\r\n\r\nword0\r\n--x--\r\n'
)


@attrs.define
class Client:
    """Two ends of a connection: a program's, and that of a server without a loop."""

    end: socket.socket
    connection: Connection

    def read(self) -> bytes:
        """What is there now."""
        try:
            return self.end.recv(1_000_000)
        except BlockingIOError:
            return b""


@contextmanager
def connected() -> Iterator[Client]:
    end, other = socket.socketpair()
    with end, other:
        end.setblocking(False)
        other.setblocking(False)
        yield Client(end, Connection(other, lambda request, connection: None))


# What is read


def test_a_request_is_taken_when_its_last_byte_is_there() -> None:
    whole = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-LENGTH: 4\r\n\r\nbody"
    received = bytearray()
    for byte in whole[:-1]:
        received.append(byte)
        assert take_request(received, 1.0) is None
    received += whole[-1:] + b"GET / HTTP/1.1\r\n\r\n"
    assert take_request(received, 2.0) == Request("/a?b=c", {"host": "x", "content-length": "4"}, b"body", 2.0)
    assert take_request(received, 3.0) == Request("/", {}, b"", 3.0)
    assert not received


def test_a_request_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        take_request(bytearray(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 1.0)


@pytest.mark.parametrize(
    "request_",
    [
        Request("/", {"content-type": "application/json"}, b'{"chat_id": "7", "text": "word0"}', 0.0),
        Request("/", FORM, b"chat_id=7&text=word0", 0.0),
        Request("/?chat_id=7", FORM, b"text=word0", 0.0),
        Request("/", {"content-type": 'multipart/form-data; boundary="x"'}, PARTS, 0.0),
    ],
)
def test_parameters_come_in_any_form(request_: Request) -> None:
    assert parameters(request_) == {"chat_id": "7", "text": "word0"}


@pytest.mark.parametrize(
    ("method", "text", "shows"),
    [("sendMessageDraft", "word0", True), ("sendMessageDraft", "", False), ("sendChatAction", "word0", False)],
)
def test_only_the_models_own_words_in_a_message_or_draft_are_text(method: str, text: str, shows: bool) -> None:
    assert shows_text(method, Request("/", {}, json.dumps({"text": text}).encode(), 0.0)) is shows


# What is timed


def test_an_update_is_handed_out_once_and_again_until_it_is_confirmed() -> None:
    loop = Loop()
    bot = LeanTelegram(loop).bot("42:a")
    with connected() as client:
        bot.poll(loop, client.connection, {"timeout": 50})
        assert client.read() == b""
        seen = bot.ask(7)
        assert b"Question 7" in client.read()
        assert seen.handed_at > 0
        first = seen.handed_at
        bot.poll(loop, client.connection, {"timeout": 50})
        assert b"Question 7" in client.read()
        assert seen.handed_at == first
        bot.poll(loop, client.connection, {"timeout": 50, "offset": bot.newest_id + 1})
        assert client.read() == b""


def test_the_first_call_with_text_is_when_a_chat_is_shown_it() -> None:
    telegram = LeanTelegram(Loop())
    seen = telegram.bot("42:a").ask(-7)
    with connected() as client:
        for at, text in ((1.0, ""), (2.0, " word0"), (3.0, " word0 word1")):
            body = json.dumps({"chat_id": -7, "text": text}).encode()
            request = Request("/bot42:a/sendMessage", {"content-type": "application/json"}, body, at)
            telegram.answer(request, client.connection)
            assert b'"ok": true' in client.read()
    assert (seen.shown_at, seen.calls) == (2.0, 3)


@pytest.mark.parametrize("dialect", PATHS)
def test_an_answers_text_begins_with_its_first_word(dialect: str) -> None:
    whole = speech(PATHS[dialect], 3)  # type: ignore[index]
    assert WORD not in whole.opening
    body = whole.opening + b"".join(whole.words) + whole.closing
    events = DECODERS[dialect]().receive_data(
        b"\n\n".join(re.findall(rb"(?:event|data): [^\r]*(?=\n\n)", body)) + b"\n\n"
    )
    assert [event.text for event in events if isinstance(event, TextDelta)] == [" word0", " word1", " word2"]


@pytest.mark.parametrize("wait", [0.0, 0.001])
def test_a_talker_tells_when_it_is_asked_and_when_it_speaks_and_ends_when_told(wait: float) -> None:
    loop = Loop()
    talker = Talker(loop)
    talker.wait, talker.every = wait, 0.001
    body = json.dumps({"messages": [{"content": question(-7)}]}).encode()
    with connected() as client:
        talker.answer(Request(PATHS["openai-chat"], {}, body, 5.0), client.connection)
        asked = talker.asked[7]
        assert asked.at == 5.0
        assert (WORD in client.read()) is (wait == 0.0)
        loop.run_until(lambda: asked.said > 1, 1.0)
        assert asked.spoken_at > 0
        asked.is_enough = True
        loop.run_until(lambda: asked.is_over, 1.0)
        assert client.read().endswith(b"0\r\n\r\n")
    assert asked.said < MOST_WORDS


def test_racers_look_for_the_word_that_is_said() -> None:
    assert given.WORD.encode() == WORD


# What is told


def test_the_nearest_rank_is_a_value_that_was_measured() -> None:
    assert nearest_rank([3.0, 1.0, 2.0], 0.99) == 3.0
    assert nearest_rank(map(float, range(1, 201)), 0.99) == 198.0


@pytest.mark.parametrize("turns", [1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_blocks_hold_every_turn(turns: int) -> None:
    assert sum(blocks(turns)) == turns
    assert all(0 < size <= BLOCK for size in blocks(turns))


def test_the_goal_is_told_against_the_plain_floor_of_the_same_case() -> None:
    floor, ours = Lap(0.002, 0.001), Lap(0.004, 0.003)
    rows = [Row("drafts", "floor", [floor]), Row("drafts", "floor + commit", [ours]), Row("drafts", "Triolet", [ours])]
    told = {figure.name: figure for figure in figures(Found([*rows, Row("TLS", "Triolet", [ours])]))}
    asked, shown = told["drafts, Triolet: asked, p50"], told["drafts, Triolet: shown, p50"]
    assert (asked.ratio, asked.met, asked.headline) == (2.0, True, True)
    assert (shown.ratio, shown.met) == (3.0, False)
    assert told["drafts, Triolet: asked, p50, over floor + commit"].ratio == 1.0
    assert told["TLS, Triolet: asked, p50"].goal is None
