"""A process that has nothing to spare shows answers less often, and none of them late."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import attrs
import pytest
import structlog
import trio
from scenes import open_scene, tokens

from triolet.app.load import LOOK_SECONDS, watch_load
from triolet.core.load import BUSY, Load
from triolet.core.pace import LONGEST


@attrs.define
class Processor:
    """How much of the time is computed, from now on."""

    share: float = 0.0
    _used: float = 0.0
    _since: float = attrs.Factory(trio.current_time)

    def work(self, share: float) -> None:
        self._used, self._since, self.share = self(), trio.current_time(), share

    def __call__(self) -> float:
        return self._used + (trio.current_time() - self._since) * self.share


def gaps(times: list[float]) -> Iterator[float]:
    return (after - before for before, after in pairwise(times))


@pytest.mark.case("RR14")
async def test_frames_get_rarer_while_the_loop_is_busy_and_the_end_is_on_time(autojump_clock: object) -> None:
    processor = Processor()
    async with open_scene(*tokens(4000, every=0.05), cpu_clock=processor) as scene:
        scene.server.say(1001, "Hello")
        await trio.sleep(60.0)
        calm = trio.current_time()
        processor.work(BUSY + 0.1)
        await trio.sleep(60.0)
        busy = trio.current_time()
        processor.work(0.0)
        await trio.sleep(60.0)
        drafts = [call.received for call in scene.calls("sendMessageDraft") if call.params["text"]]
    assert max(gaps([time for time in drafts if time < calm])) <= 1.1
    settled = [time for time in drafts if calm + 10 < time < busy]
    assert 2.5 <= min(gaps(settled)) <= max(gaps(settled)) <= LONGEST + 0.1
    assert max(gaps([time for time in drafts if time > busy + 20])) <= 1.1, "as dense as before"


async def test_it_is_told_once_when_it_begins_and_when_it_ends(autojump_clock: object) -> None:
    processor, load = Processor(), Load()
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_load, load, processor)
            for share in (0.0, 1.0, 0.0):
                processor.work(share)
                await trio.sleep(20 * LOOK_SECONDS)
            nursery.cancel_scope.cancel()
    assert [each["event"] for each in logs] == ["load.busy", "load.calm"]
