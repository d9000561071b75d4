"""What a streamed event costs, in CPU time of the reading process: three readers of the same bytes, over TCP.

    raw     httpx2's bytes, split at blank lines, and msgspec that decodes the delta and the end: the least there is for
            servers that send no comment, no carriage return and no error
    ours    the provider, from the request to the last batch that it emits
    SDK     the official SDK's own loop over its own events

A process of its own plays the answers (`canned_server`), back to back and 1.2 ms apart. The readers take turns, and
each must have read the whole text. A time is the median over all rounds of a whole request's CPU time, by its events;
the floor of ours is raw, and that of the SDK's is ours, so that its ratio tells how many times more it takes. Times
depend on the machine, and on what else it does; ratios do so less. The details have each round's ratios.

    python benchmarks/decoding.py [--only chat|responses|messages] [--rounds 3] [--burst 5000] [--paced 500]
                                  [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import anthropic
import attrs
import httpx2
import msgspec
import openai
import report
import trio
from anthropic.types import MessageParam
from canned_server import words
from openai.types.chat import ChatCompletionUserMessageParam
from report import Figure

from triolet.config import ModelSettings, Secret
from triolet.core.conversation import Message
from triolet.core.events import Batch, TextDelta
from triolet.core.ports import ModelRequest
from triolet.providers import open_provider

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Dialect: TypeAlias = Literal["chat", "responses", "messages"]
Reader: TypeAlias = Literal["raw", "ours", "SDK"]
Read: TypeAlias = Callable[[], Awaitable[list[str]]]
"""Asks, and reads to the end; returns the pieces of the text."""

TIMES_RAW: Final = 1.3
TIMES_OURS: Final = 2.0
QUESTION: Final = "Say many words"
MOST: Final = 4096
"""Tokens that a request asks for at most; the server does not mind."""


@attrs.frozen
class Speech:
    """What the server is to play."""

    pace: Literal["burst", "paced"]
    count: int

    @property
    def model(self) -> str:
        return f"{self.pace}-{self.count}"

    @property
    def text(self) -> str:
        return "".join(words(self.count))


# Raw


class _ChatDelta(msgspec.Struct):
    content: str | None = None


class _ChatChoice(msgspec.Struct):
    delta: _ChatDelta
    finish_reason: str | None


class _ChatChunk(msgspec.Struct):
    choices: list[_ChatChoice]

    @property
    def text(self) -> str | None:
        return self.choices[0].delta.content if self.choices else None

    @property
    def is_end(self) -> bool:
        return bool(self.choices) and self.choices[0].finish_reason is not None


class _ResponsesEvent(msgspec.Struct):
    type: str
    delta: str | None = None

    @property
    def text(self) -> str | None:
        return self.delta if self.type == "response.output_text.delta" else None

    @property
    def is_end(self) -> bool:
        return self.type == "response.completed"


class _MessagesDelta(msgspec.Struct):
    text: str | None = None
    stop_reason: str | None = None


class _MessagesEvent(msgspec.Struct):
    delta: _MessagesDelta | None = None

    @property
    def text(self) -> str | None:
        return self.delta.text if self.delta else None

    @property
    def is_end(self) -> bool:
        return self.delta is not None and self.delta.stop_reason is not None


_Event: TypeAlias = _ChatChunk | _ResponsesEvent | _MessagesEvent
_DECODERS: Final[dict[Dialect, msgspec.json.Decoder[Any]]] = {
    "chat": msgspec.json.Decoder(_ChatChunk),
    "responses": msgspec.json.Decoder(_ResponsesEvent),
    "messages": msgspec.json.Decoder(_MessagesEvent),
}
_PATHS: Final[dict[Dialect, str]] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}


@asynccontextmanager
async def open_raw(dialect: Dialect, speech: Speech, base: str) -> AsyncIterator[Read]:
    decode: Callable[[bytes], _Event] = _DECODERS[dialect].decode
    fields = {"Accept-Encoding": "identity"}  # so that there is nothing to unpack
    async with httpx2.AsyncClient(trust_env=False, timeout=60, headers=fields) as client:

        async def read() -> list[str]:
            pieces, tail, ended = list[str](), b"", False
            body = {"model": speech.model, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
            async with client.stream("POST", base + _PATHS[dialect], json=body) as response:
                async for chunk in response.aiter_raw():
                    *events, tail = (tail + chunk).split(b"\n\n")
                    for event in events:
                        data = event[event.index(b"data: ") + 6 :]
                        if data != b"[DONE]":
                            said = decode(data)
                            if piece := said.text:
                                pieces.append(piece)
                            elif said.is_end:
                                ended = True
            return pieces if ended else []  # a text that was cut is none

        yield read


# Ours

_PROVIDERS: Final[dict[Dialect, Literal["openai-chat", "openai-responses", "anthropic"]]] = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic",
}


@asynccontextmanager
async def open_ours(dialect: Dialect, speech: Speech, base: str) -> AsyncIterator[Read]:
    base_url = base if dialect == "messages" else f"{base}/v1"
    settings = ModelSettings(
        provider=_PROVIDERS[dialect], name=speech.model, base_url=base_url, api_key=Secret("bench")
    )
    request = ModelRequest([Message.of("user", QUESTION)], max_tokens=MOST)
    async with open_provider(settings) as provider:

        async def read() -> list[str]:
            pieces: list[str] = []

            def take(batch: Batch) -> None:
                for event in batch:
                    if isinstance(event, TextDelta):
                        pieces.append(event.text)  # noqa: PERF401  # most batches hold one: a list takes longer

            await provider.stream(request, take)
            return pieces

        yield read


# The SDKs


@asynccontextmanager
async def open_sdk(dialect: Dialect, speech: Speech, base: str) -> AsyncIterator[Read]:
    if dialect == "messages":
        async with anthropic.AsyncAnthropic(api_key="bench", base_url=base, max_retries=0) as client:
            yield lambda: _read_messages(client, speech.model)
    else:
        read = _read_chat if dialect == "chat" else _read_responses
        async with openai.AsyncOpenAI(api_key="bench", base_url=f"{base}/v1", max_retries=0) as other:
            yield lambda: read(other, speech.model)


async def _read_chat(client: openai.AsyncOpenAI, model: str) -> list[str]:
    question: ChatCompletionUserMessageParam = {"role": "user", "content": QUESTION}
    async with await client.chat.completions.create(model=model, messages=[question], stream=True) as stream:
        return [text async for chunk in stream for choice in chunk.choices if (text := choice.delta.content)]


async def _read_responses(client: openai.AsyncOpenAI, model: str) -> list[str]:
    async with await client.responses.create(model=model, input=QUESTION, stream=True) as stream:
        return [event.delta async for event in stream if event.type == "response.output_text.delta"]


async def _read_messages(client: anthropic.AsyncAnthropic, model: str) -> list[str]:
    question: MessageParam = {"role": "user", "content": QUESTION}
    async with await client.messages.create(model=model, messages=[question], max_tokens=MOST, stream=True) as stream:
        deltas = [event.delta async for event in stream if event.type == "content_block_delta"]
        return [delta.text for delta in deltas if delta.type == "text_delta"]


# Measuring


@attrs.define(eq=False)
class Row:
    """Microseconds of CPU time an event, of each reader in each round."""

    dialect: Dialect
    speech: Speech
    reads: dict[Reader, Read]
    costs: dict[Reader, list[float]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.costs = {reader: [] for reader in self.reads}

    async def measure(self) -> None:
        """One round."""
        for reader, read in self.reads.items():
            self.costs[reader].append(await self._cost(read))

    async def _cost(self, read: Read) -> float:
        """What one request takes.

        Raises:
            RuntimeError: it did not read what was said.
        """
        gc.collect()
        began = time.process_time()
        pieces = await read()
        used = time.process_time() - began
        if "".join(pieces) != self.speech.text:
            raise RuntimeError(f"{self.dialect}: a reader lost text")
        return used / self.speech.count * 1e6

    def figures(self) -> list[Figure]:
        raw, ours, sdk = (statistics.median(self.costs[reader]) for reader in get_args(Reader))
        is_burst = self.speech.pace == "burst"
        name = f"{self.dialect}, {'back to back' if is_burst else 'one by one'}"
        return [
            Figure(f"{name}: an event", ours, "µs", floor=raw, goal=TIMES_RAW, headline=is_burst),
            Figure(f"{name}: an event in the SDK's loop", sdk, "µs", floor=ours, goal=TIMES_OURS, at_least=True),
        ]

    def details(self) -> dict[str, Any]:
        """With the ratios within each round."""
        ratios = {"ours/raw": self._ratios("ours", "raw"), "SDK/ours": self._ratios("SDK", "ours")}
        return {"dialect": self.dialect, "pace": self.speech.pace, "costs": self.costs, **ratios}

    def _ratios(self, one: Reader, other: Reader) -> list[float]:
        pairs = zip(self.costs[one], self.costs[other], strict=True)
        return [cost / least for cost, least in pairs]


def draw(rows: Sequence[Row], axes: Axes) -> None:
    """Bars, three for each dialect and pace."""
    for number, reader in enumerate(get_args(Reader)):
        medians = [statistics.median(row.costs[reader]) for row in rows]
        places = [place + (number - 1) * 0.27 for place in range(len(rows))]
        axes.bar(places, medians, width=0.25, label=reader)
    axes.set_xticks(range(len(rows)), [f"{row.dialect},\n{row.speech.pace}" for row in rows])
    axes.set(ylabel="µs of CPU an event", yscale="log", title="Decoding")
    axes.legend()


async def open_row(stack: AsyncExitStack, dialect: Dialect, speech: Speech, base: str) -> Row:
    openers = {"raw": open_raw, "ours": open_ours, "SDK": open_sdk}
    reads = {
        reader: await stack.enter_async_context(openers[reader](dialect, speech, base)) for reader in get_args(Reader)
    }
    return Row(dialect, speech, reads)


async def measure(dialects: Iterable[Dialect], speeches: Iterable[Speech], rounds: int, base: str) -> list[Row]:
    async with AsyncExitStack() as stack:
        rows = [await open_row(stack, dialect, speech, base) for dialect in dialects for speech in speeches]
        for number in range(rounds + 1):
            for row in rows:
                await row.measure()
            if number == 0:  # imports, connections, caches
                for row in rows:
                    row.costs = {reader: [] for reader in row.reads}
    return rows


@contextmanager
def play() -> Iterator[str]:
    """The server's address, while it plays."""
    command = [sys.executable, str(Path(__file__).with_name("canned_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None  # noqa: S101  # both are pipes
        assert server.stdout is not None  # noqa: S101
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=get_args(Dialect))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--burst", type=int, default=5_000)
    parser.add_argument("--paced", type=int, default=500)
    report.add_options(parser)
    given = parser.parse_args()
    dialects = [given.only] if given.only else get_args(Dialect)
    speeches = [Speech("burst", given.burst), Speech("paced", given.paced)]
    with play() as base:
        rows = trio.run(measure, dialects, speeches, given.rounds, base)
    told = [figure for row in rows for figure in row.figures()]
    report.tell(given, told, lambda axes: draw(rows, axes), {"rows": [row.details() for row in rows]})


if __name__ == "__main__":
    main()
