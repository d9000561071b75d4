"""Real processes on loopback: the program as a user starts it, with its output, its exit code and its signals."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

PROGRAM = [sys.executable, "-m", "triolet"]
PATIENCE = 60.0


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without anything that the program would read."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRIOLET_", "ANTHROPIC_", "OPENAI_", "TELEGRAM_"))
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | extra


@attrs.define(eq=False)
class Running:
    """A process under way; ``output`` is everything that it has said so far, on both channels."""

    process: trio.Process
    output: str = ""
    _news: trio.Event = attrs.Factory(trio.Event)

    async def read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(trio.ClosedResourceError):  # a test may stop reading
            async for data in self.process.stdout:
                self.output += data.decode(errors="replace")
                self._news.set()
                self._news = trio.Event()

    async def wait_output(self, text: str, count: int = 1) -> None:
        """Returns when the process has said that, as often."""
        with trio.fail_after(PATIENCE):
            while self.output.count(text) < count:
                await self._news.wait()

    async def wait_exit(self) -> int:
        with trio.fail_after(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def start(
    *arguments: str, program: Sequence[str] = PROGRAM, env: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[Running]:
    """The program with these arguments, until it ends; it is killed if the body ends first."""
    async with trio.open_nursery() as nursery:
        command = [*program, *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
        process = await trio.lowlevel.open_process(command, env=dict(env or clean_environment()), **pipes)
        running = Running(process)
        if process.stdout is not None:
            nursery.start_soon(running.read)
        try:
            yield running
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
        nursery.cancel_scope.cancel()


async def run_to_end(*arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            [*PROGRAM, *arguments],
            env=dict(env or clean_environment()),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            **options,
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@attrs.frozen
class Control:
    """The control routes of an emulator in its own process."""

    base: str
    client: httpx.AsyncClient

    async def post(self, route: str, **body: Any) -> Any:
        response = await self.client.post(f"{self.base}/control/{route}", json=body)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    async def get(self, route: str, **query: Any) -> Any:
        response = await self.client.get(f"{self.base}/control/{route}", params=query)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    async def wait_messages(self, count: int, chat_id: int = 1001) -> list[str]:
        """The bot's messages, as soon as there are that many."""
        with trio.fail_after(PATIENCE):
            while True:
                screen = await self.get("screen", chat_id=chat_id)
                texts = [message["text"] for message in screen["messages"] if message["from_bot"]]
                if len(texts) >= count:
                    return texts
                await trio.sleep(0.02)

    async def wait_draft(self, length: int, chat_id: int = 1001) -> str:
        """The live draft's text, as soon as it is that long."""
        with trio.fail_after(PATIENCE):
            while True:
                draft = (await self.get("screen", chat_id=chat_id))["draft"]
                if draft and len(draft["text"]) >= length:
                    return str(draft["text"])
                await trio.sleep(0.02)


@asynccontextmanager
async def start_emulator() -> AsyncIterator[Control]:
    async with start("emulator", "--port", "0") as running, httpx.AsyncClient() as client:
        await running.wait_output("control on")
        base = running.output.split("Bot API emulator on ", 1)[1].split(",", 1)[0]
        yield Control(base, client)


CONFIG = """\
[telegram]
token = "42:emulator"
api_base = "{api_base}"
[access]
allow = [1001]
[model]
provider = "openai-chat"
name = "test"
base_url = "{model_base}"
api_key = "{key}"
[shutdown]
grace = 0.5
"""
