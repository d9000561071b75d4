"""`triolet run` as a user starts it, killed while it starts for the first time, and started again."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Final

import pytest
import trio
from kill_files import integrity, read_letters, read_unfinished
from kill_judges import Asked, Evidence, Exit, judge
from kill_scenarios import DATABASE
from processes import clean_environment, start
from scenes import ADA, TOKEN

from triolet.emulator import EmulatedTelegram, open_telegram_server

CONFIG: Final = """\
[telegram]
token = "{token}"
api_base = "{api_base}"
[access]
allow = [{user}]
[model]
provider = "scripted"
"""
MOMENTS: Final = [round(0.15 + 0.15 * number, 2) for number in range(10)]
"""Seconds after the start: from the first imports until the first answer is being written."""

QUESTION: Final = "What time is it?"
ANSWER: Final = ("Let me look at the clock.", "The clock says:")


def is_done(folder: Path) -> bool:
    """Whether an answer has begun, and nothing is left to be done for it."""
    if not (folder / DATABASE).exists() or read_unfinished(folder):
        return False
    letters = read_letters(folder)
    return bool(letters) and all(letter.state == "sent" for letter in letters)


@pytest.mark.case("RR1", "RR17")
@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_its_first_start_it_answers_after_the_second(tmp_path: Path, moment: float) -> None:
    telegram = EmulatedTelegram(token=TOKEN, epoch=time.time() - trio.current_time())
    telegram.add_private_chat(ADA, "Ada")
    async with open_telegram_server(telegram) as wire, trio.open_nursery() as nursery:
        base = await nursery.start(wire.serve_tcp)
        config = tmp_path / "triolet.toml"
        config.write_text(CONFIG.format(token=TOKEN, api_base=base, user=ADA), encoding="utf-8")
        message_id = wire.say(ADA, QUESTION)
        async with start("run", env=clean_environment(), cwd=tmp_path) as first:
            await trio.sleep(moment)
            first.process.kill()
            died, exits = trio.current_time(), [Exit(await first.wait_exit(), -signal.SIGKILL)]
        async with start("run", env=clean_environment(), cwd=tmp_path) as second:
            with trio.fail_after(30):
                while not is_done(tmp_path) or wire.screen(ADA).draft is not None:
                    await trio.sleep(0.05)
            second.process.send_signal(signal.SIGTERM)
            exits.append(Exit(await second.wait_exit(), 0))
        screen = wire.screen(ADA)
        nursery.cancel_scope.cancel()
    evidence = Evidence(
        asked=(Asked(ADA, message_id, ANSWER),),
        messages={ADA: screen.messages},
        drafts=(ADA,) if screen.draft else (),
        deaths=(died,),
        letters=tuple(read_letters(tmp_path)),
        integrity=integrity(tmp_path),
        exits=tuple(exits),
        output=first.output + second.output,
    )
    assert judge(evidence) == {}
