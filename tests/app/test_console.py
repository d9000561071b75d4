"""The console: everything that is said can be read there, in its order."""

from __future__ import annotations

import io

import pytest
import trio

from triolet.core.calls import Place
from triolet.core.coalescer import Coalescer
from triolet.core.conversation import ConversationKey
from triolet.core.events import Finished, ReasoningDelta, TextCompleted, TextDelta, TurnBatch
from triolet.transports.console import PROMPT, ConsoleScreen
from triolet.transports.latest import Latest
from triolet.transports.terminal import Terminal

PLACE = Place(ConversationKey(1), True)


@pytest.mark.parametrize(
    ("batches", "written"),
    [
        pytest.param([(TextDelta("Hel"),), (TextDelta("lo"),)], "Hello", id="it grows"),
        pytest.param([(ReasoningDelta("\n"),), (TextDelta("Hello"),)], "Hello", id="a thought of white space"),
        pytest.param([(ReasoningDelta("hm\n"),), (TextDelta("Hello"),)], "│ hm\n\nHello", id="a thought"),
        pytest.param(
            [(TextDelta("One\nTow"),), (TextCompleted("One\nTwo"),)], "One\nTow\nTwo", id="a line that was changed"
        ),
        pytest.param([(TextDelta("Hello!"),), (TextCompleted("Hello"),)], "Hello!\nHello", id="a line that was cut"),
    ],
)
async def test_every_word_is_written(autojump_clock: object, batches: list[TurnBatch], written: str) -> None:
    output = io.StringIO()
    transport = ConsoleScreen(Terminal(0, output)).open_transport(PLACE, mode="auto", button="")
    coalescer = Coalescer(reasoning=True)
    latest = Latest(coalescer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.run, latest)
        for batch in batches:
            await trio.sleep(1.0)
            coalescer.receive(batch)
            latest.announce()
        await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    coalescer.receive((Finished("stop"),))
    transport.commit(coalescer.finish(), "")
    assert output.getvalue() == written + "\n" + PROMPT
