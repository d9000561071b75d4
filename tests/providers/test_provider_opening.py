"""When a provider is opened, by whom, and how often; and what is imported before that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
import trio.testing
from model_server import open_model_server
from provider_scenes import Ear, listen, model_settings, question

from triolet.config import ModelSettings
from triolet.core.ports import Provider
from triolet.providers import open_provider
from triolet.providers.opening import OpenedProvider, run_here
from triolet.providers.scripted import ScriptedProvider, demo_script
from triolet.store.executors import ThreadExecutor, run_inline

T = TypeVar("T")

SDKS = {"openai", "anthropic", "httpx2", "httpcore2"}

PROGRAM = """
import sys
import trio
import triolet.app.service
from triolet.config import ModelSettings, Secret
from triolet.providers import open_provider

async def main():
    async with open_provider(ModelSettings({provider!r}, base_url="http://127.0.0.1:1", api_key=Secret("a"))) as opened:
        print("before", *{{name.partition(".")[0] for name in sys.modules}})
        await opened.warm_up()
        print("after", *{{name.partition(".")[0] for name in sys.modules}})

trio.run(main)
"""


def imported(provider: str) -> list[set[str]]:
    """The SDKs that a process has imported: when the provider is open, and when it is warm."""
    program = PROGRAM.format(provider=provider)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [SDKS & set(line.split()) for line in ran.stdout.splitlines()]


def test_no_sdk_is_imported_before_it_is_needed() -> None:
    assert imported("openai-chat") == [set(), {"openai", "httpx2"}]
    assert imported("anthropic") == [set(), {"anthropic", "httpx2"}]
    assert imported("scripted") == [set(), set()]


class Opener:
    """An executor that counts its jobs, and takes a second for each."""

    def __init__(self) -> None:
        self.began = 0

    async def __call__(self, job: Callable[[], T], /) -> T:
        self.began += 1
        await trio.sleep(1)
        return job()


async def test_it_is_opened_once_for_all_who_wait(autojump_clock: trio.testing.MockClock) -> None:
    executor = Opener()
    async with open_provider(ModelSettings(provider="scripted"), executor=executor) as provider:
        assert executor.began == 0
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(provider.warm_up)
        assert (executor.began, trio.current_time()) == (1, 1.0)
        await provider.warm_up()
        assert (executor.began, trio.current_time()) == (1, 1.0)


async def test_the_first_question_opens_it(autojump_clock: trio.testing.MockClock) -> None:
    executor = Opener()
    async with open_provider(ModelSettings(provider="scripted"), executor=executor) as provider:
        ear = Ear()
        await provider.stream(question(), ear)
        assert ear.times[0] > 1.0
        await provider.stream(question(), Ear())
        assert executor.began == 1


async def test_who_is_cancelled_leaves_it_to_the_next(autojump_clock: trio.testing.MockClock) -> None:
    executor = Opener()
    async with open_provider(ModelSettings(provider="scripted"), executor=executor) as provider:
        with trio.move_on_after(0.5):
            await provider.warm_up()
        assert trio.current_time() == 0.5
        async with trio.open_nursery() as nursery:
            nursery.start_soon(provider.warm_up)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.25) as scope:
                await provider.warm_up()
            assert scope.cancelled_caught
        assert executor.began == 2
        assert (await listen(provider, "Hello")).reasons == ["stop"]


async def test_what_fails_to_open_is_opened_anew() -> None:
    """An import that ran out of descriptors, say."""
    answers: list[Provider] = []

    def open_now() -> Provider:
        if not answers:
            raise OSError("too many open files")
        return answers.pop()

    async with OpenedProvider(open_now, prefills=False, executor=run_here) as provider:
        with pytest.raises(OSError, match="too many"):
            await provider.warm_up()
        answers.append(ScriptedProvider(demo_script))
        await provider.warm_up()


async def test_warming_up_is_a_checkpoint() -> None:
    async with open_provider(ModelSettings(provider="scripted")) as provider:
        for _ in range(2):
            with trio.testing.assert_checkpoints():
                await provider.warm_up()


async def test_leaving_closes_what_was_opened_and_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    async with open_model_server() as server:
        async with open_provider(model_settings(), connect=server.connect):
            pass
        async with open_provider(model_settings(), connect=server.connect, executor=run_inline) as provider:
            assert (await listen(provider)).text == "Hello."
            assert len(server.connections) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert server.connections == {}


async def test_a_thread_may_open_it() -> None:
    async with (
        open_model_server() as server,
        open_provider(model_settings(), connect=server.connect, executor=ThreadExecutor()) as provider,
    ):
        await provider.warm_up()
        assert (await listen(provider)).text == "Hello."
