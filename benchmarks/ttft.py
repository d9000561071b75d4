"""Latency to the first token, on loopback: what Triolet adds between Telegram, the model and the screen.

For each question, over real TCP: the emulator hands out the update; the provider is asked; it says its first word at
once; the first draft with that word arrives at the emulator. Beside it, in the same run, a floor: the same library's
bare request with the same draft, over a warm connection. Absolute times depend on the machine; the ratio does not.

    python benchmarks/ttft.py [--turns 100] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import httpx
import trio

from triolet.app.bot import serve_bot
from triolet.config import AccessSettings, ModelSettings, Secret, Settings, StoreSettings, TelegramSettings
from triolet.core.events import Batch, Finished, TextDelta
from triolet.core.ports import ModelRequest
from triolet.emulator import EmulatedTelegram, Limits, TelegramServer, open_telegram_server
from triolet.store import ThreadExecutor

TOKEN = "42:bench"
FIRST_PERSON = 1001
"""Each question comes from another person, for every chat has a budget of its own."""


class StopwatchProvider:
    """Speaks a word at once, and ends when it is told; ``asked`` is when."""

    prefills = False

    def __init__(self) -> None:
        self.asked = 0.0
        self.end = trio.Event()

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        self.asked = trio.current_time()
        self.end = trio.Event()
        emit((TextDelta("Hello"),))
        await self.end.wait()
        emit((Finished("stop"),))


@attrs.frozen
class Sample:
    """Seconds from the message to the request, and from the first word to its draft."""

    update_to_request: float
    token_to_draft: float


async def measure_turn(server: TelegramServer, provider: StopwatchProvider, person: int) -> Sample:
    telegram = server.telegram
    seen = len(telegram.journal)
    said = trio.current_time()
    server.say(person, "Hello")

    def drafts() -> list[float]:
        return [c.received for c in telegram.journal[seen:] if c.method == "sendMessageDraft" and c.params["text"]]

    def messages() -> list[str]:
        return [call.method for call in telegram.journal[seen:] if call.method == "sendMessage" and call.answered]

    await server.wait_until(lambda: bool(drafts()))
    sample = Sample(provider.asked - said, drafts()[0] - provider.asked)
    provider.end.set()
    await server.wait_until(lambda: bool(messages()))
    return sample


async def measure_floor(base: str, turns: int) -> list[float]:
    """Seconds of a bare draft call, sent to answered, which is more than sent to received."""
    draft = {"chat_id": FIRST_PERSON, "draft_id": 1, "text": "Hello", "can_stop": True, "keep_on_stop": True}
    times = []
    async with httpx.AsyncClient() as client:
        for _ in range(turns + 1):
            began = trio.current_time()
            (await client.post(f"{base}/bot{TOKEN}/sendMessageDraft", json=draft)).raise_for_status()
            times.append(trio.current_time() - began)
    return times[1:]


async def measure(turns: int) -> tuple[list[Sample], list[float]]:
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits.none(), epoch=time.time() - trio.current_time())
    people = range(FIRST_PERSON, FIRST_PERSON + turns + 1)
    for person in people:
        telegram.add_private_chat(person)
    provider = StopwatchProvider()
    async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
        base = await nursery.start(server.serve_tcp)
        settings = Settings(
            telegram=TelegramSettings(token=Secret(TOKEN), api_base=base),
            access=AccessSettings(allow=tuple(people)),
            model=ModelSettings(provider="scripted"),
            store=StoreSettings(path=Path(":memory:")),
        )
        shutdown = trio.Event()
        serve = partial(serve_bot, settings, [provider], executor=ThreadExecutor(), shutdown=shutdown)
        await nursery.start(serve)
        samples = [await measure_turn(server, provider, person) for person in people][1:]
        floor = await measure_floor(base, turns)
        nursery.cancel_scope.cancel()
    return samples, floor


def row(name: str, times: list[float], floor: float) -> dict[str, float | str]:
    median, worst = statistics.median(times), max(times)
    return {"figure": name, "p50_ms": median * 1e3, "max_ms": worst * 1e3, "over_floor": median / floor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    samples, floor_times = trio.run(measure, options.turns)
    floor = statistics.median(floor_times)
    rows = [
        row("floor: a bare httpx call", floor_times, floor),
        row("message to model request", [sample.update_to_request for sample in samples], floor),
        row("first word to its draft", [sample.token_to_draft for sample in samples], floor),
    ]
    print(f"{'figure':28} {'p50 ms':>8} {'max ms':>8} {'x floor':>8}")
    for line in rows:
        print(f"{line['figure']:28} {line['p50_ms']:8.2f} {line['max_ms']:8.2f} {line['over_floor']:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
