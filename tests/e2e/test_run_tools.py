"""`triolet run` with tools: a server of tools as a process, a person who allows, and nothing imported early."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from mcp_servers import open_watch
from model_server import KEY, chunk, done, finish, open_model_server, refuse, reply
from processes import CONFIG, PATIENCE, Control, clean_environment, start, start_emulator

ADA = 1001


async def wait_prompt(emulator: Control) -> tuple[int, dict[str, str]]:
    """The message that asks, and the data of its buttons by their labels."""
    with trio.fail_after(PATIENCE):
        while True:
            screen = await emulator.get("screen", chat_id=ADA)
            for message in screen["messages"]:
                buttons = {button["text"]: button["data"] for row in message["buttons"] for button in row}
                if "✅ Allow" in buttons:
                    return message["id"], buttons
            await trio.sleep(0.02)


def call(name: str, arguments: str) -> list[Any]:
    function = {"name": name, "arguments": arguments}
    asked = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    return [chunk(asked), finish("tool_calls"), done()]


async def test_server_s_tool_runs_when_a_person_allows_it(tmp_path: Path) -> None:
    async with (
        open_model_server() as model,
        open_watch() as watch,
        start_emulator() as emulator,
        trio.open_nursery() as nursery,
    ):
        model_base = await nursery.start(model.serve_tcp)
        command = json.dumps(watch.stdio("one", "sdk").command)
        config = CONFIG.format(api_base=emulator.base, model_base=model_base, key=KEY)
        config += f'[mcp.one]\ncommand = {command}\nallow = ["add"]\n'
        (tmp_path / "triolet.toml").write_text(config, encoding="utf-8")
        model.answer(*call("one__add", '{"a": 20, "b": 22}'))
        model.answer(*reply("It is 42."))
        async with start("run", cwd=tmp_path) as bot:
            await bot.wait_output("mcp.ready")
            await emulator.post("message", chat_id=ADA, text="Add.")
            message_id, buttons = await wait_prompt(emulator)
            await emulator.post("button", chat_id=ADA, message_id=message_id, data=buttons["✅ Allow"])
            asked, answer = await emulator.wait_messages(2)
            assert asked.startswith("🔐 May I use one__add?\na: 20\nb: 22")
            assert answer == "It is 42."
            [told] = [message for message in model.requests[-1].body["messages"] if message["role"] == "tool"]
            assert told["content"] == "42"
            bot.process.send_signal(signal.SIGTERM)
            assert await bot.wait_exit() == 0
            assert "Traceback" not in bot.output
            await watch.wait_gone(1)
        nursery.cancel_scope.cancel()


OWN = """
import sys

from triolet.cli import serve
from triolet.tools import tool


@tool
async def add(a: int, b: int) -> int:
    'Add.'
    return a + b


sys.exit(serve(tools=[add]))
"""


async def test_program_of_one_s_own_is_as_orderly_as_run(tmp_path: Path) -> None:
    async with open_model_server() as model, start_emulator() as emulator, trio.open_nursery() as nursery:
        model_base = await nursery.start(model.serve_tcp)
        config = CONFIG.format(api_base=emulator.base, model_base=model_base, key=KEY)
        (tmp_path / "triolet.toml").write_text(config, encoding="utf-8")
        model.answer(*call("add", '{"a": 20, "b": 22}'))
        model.answer(refuse(400, "a secret is in here: 42:emulator"))
        async with start(program=[sys.executable, "-c", OWN], cwd=tmp_path) as bot:
            await bot.wait_output("bot.ready")
            await emulator.post("message", chat_id=ADA, text="Add.")
            await bot.wait_output("a secret is in here: •••")
            [told] = [message for message in model.requests[-1].body["messages"] if message["role"] == "tool"]
            assert told["content"] == "42"
            bot.process.send_signal(signal.SIGTERM)
            assert await bot.wait_exit() == 0
            assert "Traceback" not in bot.output
        (tmp_path / "triolet.toml").write_text(config.replace("42:emulator", "43:wrong"), encoding="utf-8")
        async with start(program=[sys.executable, "-c", OWN], cwd=tmp_path) as bot:
            assert await bot.wait_exit() == 3
            assert "Traceback" not in bot.output
        nursery.cancel_scope.cancel()


@pytest.mark.case("RR12")
async def test_no_sdk_is_imported_before_the_first_poll(tmp_path: Path) -> None:
    async with start_emulator() as emulator:
        config = CONFIG.format(api_base=emulator.base, model_base="http://127.0.0.1:9/v1", key=KEY)
        (tmp_path / "triolet.toml").write_text(config, encoding="utf-8")
        env = clean_environment(PYTHONPROFILEIMPORTTIME="1")
        async with start("run", cwd=tmp_path, env=env) as bot:
            with trio.fail_after(PATIENCE):
                while "getUpdates" not in [entry["method"] for entry in await emulator.get("journal")]:
                    await trio.sleep(0.005)
            bot.process.kill()
            await bot.wait_exit()
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in bot.output.splitlines()}
        assert {"trio", "h11"} <= imported
        assert not {"openai", "anthropic", "httpx", "httpx2", "mcp", "genai_prices"} & imported


async def test_sdk_is_imported_soon_after_it(tmp_path: Path) -> None:
    async with start_emulator() as emulator:
        config = CONFIG.format(api_base=emulator.base, model_base="http://127.0.0.1:9/v1", key=KEY)
        (tmp_path / "triolet.toml").write_text(config, encoding="utf-8")
        async with start("run", cwd=tmp_path, env=clean_environment(PYTHONPROFILEIMPORTTIME="1")) as bot:
            await bot.wait_output(" openai\n")
            await bot.wait_output("bot.ready")
