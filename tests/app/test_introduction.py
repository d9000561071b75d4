"""The start: who we are is asked of Telegram, which may have no time just now."""

from __future__ import annotations

import pytest
import trio
from scenes import open_scene, open_telegram, tokens

from triolet.emulator import Fault, Flood, Limits, Reset, ServerError
from triolet.emulator.faults import Action
from triolet.errors import ExitCode, StartError

ROUND_TRIPS = 0.15  # two of getMe, one of setMyCommands


@pytest.mark.parametrize(
    ("action", "pause"),
    [(Flood(2), 2.0), (ServerError(), 1.0), (Reset(carried_out=False), 1.0)],
    ids=["flood", "bad gateway", "reset"],
)
async def test_a_moments_trouble_is_waited_for(autojump_clock: object, action: Action, pause: float) -> None:
    telegram = open_telegram(Limits())
    telegram.add_fault(Fault(action=action, method="getMe"))
    async with open_scene(*tokens(3), telegram=telegram) as scene:
        assert trio.current_time() == pytest.approx(pause + ROUND_TRIPS, abs=0.06)
        assert await scene.ask()


@pytest.mark.parametrize(
    ("action", "times", "calls", "told"),
    [
        (Flood(60), 1, 1, "Telegram wants no calls now: getMe: 429"),
        (Flood(2), 9, 3, "Telegram wants no calls now: getMe: 429"),
        (ServerError(), 9, 3, "the Bot API does not answer: getMe: HTTP 502"),
    ],
)
async def test_there_is_an_end_to_it(autojump_clock: object, action: Action, times: int, calls: int, told: str) -> None:
    telegram = open_telegram(Limits())
    telegram.add_fault(Fault(action=action, method="getMe", times=times))
    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=f"^{told}"), flatten_subgroups=True) as caught:
        async with open_scene(telegram=telegram):
            pass
    [error] = caught.value.exceptions
    assert isinstance(error, StartError)
    assert error.exit_code == ExitCode.UNREACHABLE
    assert len([call for call in telegram.journal if call.method == "getMe"]) == calls
