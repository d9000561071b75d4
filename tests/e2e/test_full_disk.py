"""A process whose disk is full for a while: it may write no file longer than its write-ahead log is just then."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest
import trio
from model_server import KEY, open_model_server, reply
from processes import CONFIG, PATIENCE, Control, start, start_emulator


async def offsets(emulator: Control) -> list[int | None]:
    """What each poll has confirmed."""
    calls = await emulator.get("journal")
    return [call["params"].get("offset") for call in calls if call["method"] == "getUpdates"]


@pytest.mark.case("RR15")
async def test_full_disk_leaves_messages_with_telegram_until_there_is_room(tmp_path: Path) -> None:
    async with open_model_server() as model, start_emulator() as emulator, trio.open_nursery() as nursery:
        model_base = await nursery.start(model.serve_tcp)
        config = CONFIG.format(api_base=emulator.base, model_base=model_base, key=KEY)
        (tmp_path / "triolet.toml").write_text(config, encoding="utf-8")
        async with start("run", cwd=tmp_path) as bot:
            await bot.wait_output("bot.ready")
            await emulator.post("message", chat_id=1001, text="one")
            await emulator.wait_messages(1)
            size = (tmp_path / "triolet.db-wal").stat().st_size
            _, most = resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (size, most))
            model.answer(*reply("Here ", "again."))
            for text in ("two", "three"):
                await emulator.post("message", chat_id=1001, text=text)
            await bot.wait_output("store.failing")
            asked, polls = len(model.requests), await offsets(emulator)
            with trio.fail_after(PATIENCE):  # it asks again, and confirms nothing
                while len(await offsets(emulator)) < len(polls) + 2:
                    await trio.sleep(0.05)
            assert len(set((await offsets(emulator))[len(polls) - 1 :])) == 1
            assert len(await emulator.wait_messages(1)) == 1
            assert len(model.requests) == asked
            resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (most, most))
            assert len(await emulator.wait_messages(3)) == 3
            await bot.wait_output("store.works_again")
            assert bot.output.count("store.failing") == 1
            assert "Traceback" not in bot.output
            bot.process.send_signal(signal.SIGTERM)
            assert await bot.wait_exit() == 0
        nursery.cancel_scope.cancel()
