"""A program of somebody else's, whose environment still has trio-typing: it serves the bot with a model of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from triolet.app.bot import serve_bot
from triolet.config import Settings, load
from triolet.core.events import Batch, Finished, TextDelta
from triolet.core.ports import ModelRequest, Provider
from triolet.core.sights import Sentence
from triolet.core.updates import BotIdentity
from triolet.errors import TrioletError
from triolet.observe.turns import View
from triolet.providers.scripted import Pause, Say, ScriptedProvider, constant
from triolet.store import ThreadExecutor
from triolet.tools import tool


class Parrot:
    prefills = False

    async def stream(self, request: ModelRequest, emit: Callable[[Batch], None]) -> None:
        emit((TextDelta(request.messages[-1].text), Finished("stop")))
        await trio.lowlevel.checkpoint()


@tool(has_effects=True)
async def shout(word: str, times: int = 1) -> str:
    """Shout."""
    return word.upper() * times


async def listen(view: View) -> None:
    async for sight in view:
        if isinstance(sight, Sentence):
            sys.stdout.write(sight.text)


async def serve(settings: Settings, provider: Provider) -> BotIdentity:
    shutdown = trio.Event()
    serve_it = partial(
        serve_bot,
        settings,
        [provider],
        executor=ThreadExecutor(),
        tools=[shout],
        observers={"listen": listen},
        shutdown=shutdown,
    )
    async with trio.open_nursery() as nursery:
        identity = await nursery.start(serve_it)
        assert isinstance(identity, BotIdentity)
        await trio.sleep(60)
        shutdown.set()
    return identity


def main() -> None:
    try:
        settings = load(Path("triolet.toml"), environ={})
        trio.run(serve, settings, Parrot())
        trio.run(serve, settings, ScriptedProvider(constant(Pause(1.0), Say.text("Hello"))))
    except TrioletError as error:
        raise SystemExit(str(error)) from error
