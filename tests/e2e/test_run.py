"""`triolet run` as a process, against the emulator as a process and a model server over TCP, with real signals."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from model_server import KEY, Hang, ModelServer, Until, open_model_server, reply
from processes import CONFIG, Control, Running, clean_environment, start, start_emulator

ADA = 1001
WORDS = [f"word{number} " for number in range(40)]
WHOLE = "".join(WORDS).strip()


@attrs.frozen
class Town:
    emulator: Control
    model: ModelServer
    bot: Running


@asynccontextmanager
async def open_town(folder: Path, **env: str) -> AsyncIterator[Town]:
    """Three programs and the wires between them; ``env`` is the bot's, besides what it needs."""
    async with open_model_server() as model, start_emulator() as emulator, trio.open_nursery() as nursery:
        model_base = await nursery.start(model.serve_tcp)
        config = folder / "triolet.toml"
        config.write_text(CONFIG.format(api_base=emulator.base, model_base=model_base, key=KEY), encoding="utf-8")
        async with start("run", "--config", str(config), cwd=folder, env=clean_environment(**env)) as bot:
            await bot.wait_output("bot.ready")
            yield Town(emulator, model, bot)
        nursery.cancel_scope.cancel()


async def test_message_is_answered_through_real_sockets(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        half_is_read = trio.Event()
        half = len("".join(WORDS[:20]).strip())
        words = reply(*WORDS)
        town.model.answer(*words[:21], Until(half_is_read), *words[21:])
        await town.emulator.post("message", chat_id=ADA, text="Hello")
        assert await town.emulator.wait_draft(half) == WHOLE[:half]
        half_is_read.set()
        assert await town.emulator.wait_messages(1) == [WHOLE]
        frames = [c["text"] for c in await town.emulator.get("transcript", chat_id=ADA) if c["kind"] == "draft"]
        assert frames[0] == ""
        assert all(WHOLE.startswith(frame) for frame in frames)


@pytest.mark.case("T8", "I1")
@pytest.mark.parametrize("by", ["button", "command"])
async def test_stop_closes_the_models_connection_and_ends_the_calls(tmp_path: Path, by: str) -> None:
    async with open_town(tmp_path) as town:
        town.model.answer(*reply(*WORDS, pause=0.02)[:-3], Hang())
        await town.emulator.post("message", chat_id=ADA, text="Hello")
        await town.emulator.wait_draft(30)
        if by == "button":
            await town.emulator.post("stop", chat_id=ADA)
        else:
            await town.emulator.post("message", chat_id=ADA, text="/stop")
        [answer] = await town.emulator.wait_messages(1)
        assert answer.endswith("\n\n⏹ stopped")
        assert WHOLE.startswith(answer.removesuffix("\n\n⏹ stopped"))
        with trio.fail_after(5):
            while town.model.requests[0].how == "open":
                await trio.sleep(0.01)
        assert town.model.requests[0].how == "client_left"
        calls = [call["method"] for call in await town.emulator.get("journal", chat_id=ADA)]
        assert calls[-1] == "sendMessage"
        await town.emulator.post("message", chat_id=ADA, text="again")
        assert len(await town.emulator.wait_messages(2)) == 2


@pytest.mark.case("C1", "X2")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_commits_the_partial_text_and_exits_with_0(tmp_path: Path, number: signal.Signals) -> None:
    async with open_town(tmp_path) as town:
        town.model.answer(*reply(*WORDS, pause=0.02)[:-3], Hang())
        await town.emulator.post("message", chat_id=ADA, text="Hello")
        await town.emulator.wait_draft(30)
        town.bot.process.send_signal(number)
        assert await town.bot.wait_exit() == 0
        [answer] = await town.emulator.wait_messages(1)
        assert answer.endswith("\n\n⏸ interrupted: the bot is restarting · it goes on afterwards")
        assert "Traceback" not in town.bot.output


async def test_history_survives_a_restart(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        await town.emulator.post("message", chat_id=ADA, text="I am Ada")
        await town.emulator.wait_messages(1)
        town.bot.process.send_signal(signal.SIGTERM)
        assert await town.bot.wait_exit() == 0
        async with start("run", "--config", str(tmp_path / "triolet.toml"), cwd=tmp_path) as second:
            await second.wait_output("bot.ready")
            await town.emulator.post("message", chat_id=ADA, text="Who am I?")
            await town.emulator.wait_messages(2)
        assert [m["content"] for m in town.model.requests[-1].body["messages"]] == ["I am Ada", "Hello.", "Who am I?"]


async def test_secrets_stay_out_of_the_output_and_the_database(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        await town.emulator.post("message", chat_id=ADA, text="Hello")
        await town.emulator.wait_messages(1)
        fault = {"method": "sendMessageDraft", "times": 2, "action": {"name": "reset", "carried_out": True}}
        await town.emulator.post("fault", **fault)
        await town.emulator.post("message", chat_id=ADA, text="Hello")
        await town.emulator.wait_messages(2)
        town.bot.process.send_signal(signal.SIGTERM)
        await town.bot.wait_exit()
        written = town.bot.output.encode() + b"".join(path.read_bytes() for path in tmp_path.glob("*.db*"))
        assert b"42:emulator" not in written
        assert KEY.encode() not in written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_before_the_bot_is_ready_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """A Bot API that accepts connections and says nothing must not hold up a Ctrl-C."""
    mute = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = mute[0].socket.getsockname()[1]
    config = CONFIG.format(api_base=f"http://127.0.0.1:{port}", model_base="http://127.0.0.1:9/v1", key=KEY)
    (tmp_path / "triolet.toml").write_text(config, encoding="utf-8")
    async with mute[0], start("run", cwd=tmp_path) as bot:
        connection = await mute[0].accept()
        bot.process.send_signal(number)
        with trio.fail_after(9):  # the request would wait for 40 s
            assert await bot.wait_exit() == 0
        await connection.aclose()


async def test_second_signal_does_not_wait(tmp_path: Path) -> None:
    async with open_town(tmp_path, TRIOLET_SHUTDOWN_GRACE="20") as town:
        fault = {"method": "sendMessage", "action": {"name": "delay", "before": 60.0, "after": 0.0}}
        await town.emulator.post("fault", **fault)
        await town.emulator.post("message", chat_id=ADA, text="Hello")
        await town.emulator.wait_draft(3)
        town.bot.process.send_signal(signal.SIGTERM)
        await town.bot.wait_output("bot.shutting_down")
        town.bot.process.send_signal(signal.SIGTERM)
        with trio.fail_after(15):  # the grace would last for 20 s
            assert await town.bot.wait_exit() == 0
