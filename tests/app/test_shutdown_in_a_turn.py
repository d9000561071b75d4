"""What a model or a tool gave in the instant of a shutdown is part of the answer, as it is in that of a stop."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import trio
from test_turn import Stage

from triolet.core.conversation import Ending
from triolet.core.events import Batch, TextDelta
from triolet.testing import Trial, sweep


@pytest.mark.parametrize("ending", [Ending.STOPPED, Ending.SHUTDOWN])
def test_all_that_was_emitted_is_recorded(ending: Ending) -> None:
    async def scenario(trial: Trial) -> None:
        stage, emitted, program = Stage(writing=0.0), list[str](), trio.CancelScope()
        to_ask, from_model = trio.open_memory_channel[str](math.inf)

        async def speak() -> None:
            for word in ("one", " two", " three"):
                await trio.sleep(1.0)
                to_ask.send_nowait(word)

        async def ask(emit: Callable[[Batch], None]) -> None:
            async for word in from_model:
                emitted.append(word)
                emit((TextDelta(word),))

        def strike() -> None:
            stage.turn.stop(ending)
            if ending is Ending.SHUTDOWN:  # as the bot does it: `Supervisor.shut_down`, and then the nursery's scope
                program.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            with program, trial.strikes(strike), trio.move_on_after(5.0):
                await stage.run(ask)
        assert stage.turn.coalescer.text == "".join(emitted)

    sweep(scenario, failures=1000)
