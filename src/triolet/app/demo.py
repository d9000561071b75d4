"""The demo: the Bot API's emulator, the bot as `run` serves it, and a person's side in the terminal.

The bot is the real one: same app, outbox and HTTP over TCP. Only the base URL is the emulator's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import trio

from triolet.app.bot import serve_bot
from triolet.app.painter import Painter
from triolet.config import AccessSettings, Secret, Settings, ShutdownSettings, StoreSettings, TelegramSettings
from triolet.core.ports import Provider
from triolet.core.text import MESSAGE_LIMIT
from triolet.core.updates import BotIdentity
from triolet.emulator import Change, EmulatedTelegram, TelegramServer, open_telegram_server
from triolet.errors import ExitCode, StartError
from triolet.store import ThreadExecutor
from triolet.transports.terminal import Terminal

PERSON = 1001
TOKEN = "42:demo"

ANSWER_SECONDS = 300.0
"""How long a scripted person waits for an answer."""

SETTLE_SECONDS = 0.3
"""After a message with no draft in sight, how long nothing more must come for the answer to count as whole."""

Person: TypeAlias = Callable[[TelegramServer], Awaitable[None]]


def demo_settings(settings: Settings, api_base: str) -> Settings:
    """The settings with the emulator's address and its one person; everything else stays what it is."""
    return attrs.evolve(
        settings,
        telegram=TelegramSettings(token=Secret(TOKEN), api_base=api_base),
        access=AccessSettings(allow=(PERSON,)),
        shutdown=ShutdownSettings(grace=0.0),
        store=StoreSettings(path=Path(":memory:")),
    )


async def run_demo(settings: Settings, providers: Sequence[Provider], person: Person) -> None:
    """Serve the bot against an emulator for as long as the person's side runs."""
    telegram = EmulatedTelegram(token=TOKEN, epoch=time.time() - trio.current_time())
    telegram.add_private_chat(PERSON, "You")
    shutdown = trio.Event()
    async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
        api_base = await nursery.start(server.serve_tcp)
        bot_ended = trio.Event()
        await nursery.start(_serve, demo_settings(settings, api_base), providers, shutdown, bot_ended)
        await person(server)
        shutdown.set()
        await bot_ended.wait()
        nursery.cancel_scope.cancel(reason="the demo ends")


async def _serve(
    settings: Settings,
    providers: Sequence[Provider],
    shutdown: trio.Event,
    ended: trio.Event,
    *,
    task_status: trio.TaskStatus[BotIdentity],
) -> None:
    await serve_bot(
        settings,
        providers,
        executor=ThreadExecutor(),
        shutdown=shutdown,
        cpu_clock=time.thread_time,
        task_status=task_status,
    )
    ended.set()


class _Watch:
    """The changes of the person's screen, in order, each once."""

    def __init__(self, server: TelegramServer) -> None:
        self._server = server
        self._seen = len(server.transcript(PERSON))
        self.answered = False

    async def next(self) -> list[Change]:
        """The next changes that the bot made; none when the answer is whole."""
        while True:
            revision = self._server.telegram.revision
            changes = self._server.transcript(PERSON)[self._seen :]
            self._seen += len(changes)
            self.answered = self.answered or any(change.kind == "message" and change.from_bot for change in changes)
            if changes := [change for change in changes if change.from_bot]:
                return changes
            drafting = self._server.screen(PERSON).draft is not None
            with trio.move_on_after(SETTLE_SECONDS if self.answered and not drafting else ANSWER_SECONDS) as patience:
                await self._server.wait_changed(revision)
            if patience.cancelled_caught:
                return []


def problem_with(text: str) -> str:
    """Why Telegram's own apps would not send the text; empty if they would."""
    if not 1 <= len(text.strip()) <= MESSAGE_LIMIT:
        return f"a message has 1 to {MESSAGE_LIMIT} characters"
    if not text.isascii() and text != text.encode("utf-8", "replace").decode():
        return "a message is text in UTF-8"
    return ""


def scripted_person(messages: Sequence[str], terminal: Terminal) -> Person:
    """Sends the messages one after the other, and prints what the screen shows, with times."""

    async def play(server: TelegramServer) -> None:
        for text in messages:
            await _play(server, text, terminal)

    return play


async def _play(server: TelegramServer, text: str, terminal: Terminal) -> None:
    began = trio.current_time()
    watch = _Watch(server)
    server.say(PERSON, text)
    terminal.write(f"\n{0:8.3f} s  you      {text}\n")
    while changes := await watch.next():
        for change in changes:
            terminal.write(_transcript_line(change, change.at - began))
    if not watch.answered:
        raise StartError(f"no answer within {ANSWER_SECONDS:g} s", exit_code=ExitCode.NO_ANSWER)


def _transcript_line(change: Change, seconds: float) -> str:
    if change.kind == "draft":
        return f"{seconds:8.3f} s  draft    {_tail(change.text or 'Thinking…')}\n"
    if change.kind in {"message", "edit"}:
        indented = change.text.replace("\n", "\n" + " " * 21)
        return f"{seconds:8.3f} s  {change.kind:7}  {indented}\n"
    return ""


def _tail(text: str, width: int = 72) -> str:
    text = text.replace("\n", " ⏎ ")
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def person_at(terminal: Terminal) -> Person:
    """Somebody who types messages, watches the answer grow and may stop it."""

    async def converse(server: TelegramServer) -> None:
        terminal.write("A chat with the bot, on an emulated Telegram. /help, /new; /quit or Ctrl-C leaves.\n")
        if terminal.has_keys:
            terminal.write("While it answers, any key presses the Stop button.\n")
        while True:
            terminal.write("\nyou › ")
            line = await terminal.read_line()
            if line is None or line.strip() == "/quit":
                terminal.write("\n")
                return
            if problem := problem_with(line):
                terminal.write(problem)
            else:
                await _ask(server, line, terminal)

    return converse


async def _ask(server: TelegramServer, text: str, terminal: Terminal) -> None:
    watch = _Watch(server)
    server.say(PERSON, text)
    async with trio.open_nursery() as nursery:
        if terminal.has_keys:
            nursery.start_soon(_obey_keys, server, terminal)
        await _show_growing(server, watch, terminal)
        nursery.cancel_scope.cancel(reason="answered")


async def _show_growing(server: TelegramServer, watch: _Watch, terminal: Terminal) -> None:
    painter: Painter | None = None
    while changes := await watch.next():
        for change in changes:
            if change.kind in {"draft", "message", "edit"}:
                painter = painter or Painter(terminal, "bot › ")
                painter.show(change.text or "Thinking…", _entities(server, change))
            if change.kind == "message":
                terminal.write("\n")
                painter = None


def _entities(server: TelegramServer, change: Change) -> Sequence[Mapping[str, Any]]:
    """What is formatted in a change, if it is what the screen still shows."""
    screen = server.screen(PERSON)
    if screen.draft is not None and screen.draft.text == change.text:
        return screen.draft.entities
    return next((message.entities for message in reversed(screen.messages) if message.text == change.text), ())


async def _obey_keys(server: TelegramServer, terminal: Terminal) -> None:
    """Any key stops the answer; a slash begins a command, such as /stop, which goes off with Enter."""
    with terminal.keys():
        while key := await terminal.read_key():
            if key == "/":
                server.say(PERSON, await _read_command(terminal))
            elif server.screen(PERSON).draft is not None:
                server.press_stop(PERSON)


async def _read_command(terminal: Terminal) -> str:
    command = "/"
    while (key := await terminal.read_key()) not in {"", "\n", "\r"}:
        command = command[:-1] if key in {"\x7f", "\b"} else command + key
    return command
