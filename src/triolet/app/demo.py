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
from triolet.core.conversation import Ending
from triolet.core.ports import Provider
from triolet.core.sights import TurnBegan, TurnEnded
from triolet.core.text import MESSAGE_LIMIT
from triolet.core.updates import BotIdentity
from triolet.emulator import Change, EmulatedTelegram, ScreenMessage, TelegramServer, open_telegram_server
from triolet.errors import ExitCode, StartError
from triolet.observe.turns import View
from triolet.store import ThreadExecutor
from triolet.transports.terminal import Terminal

PERSON = 1001
TOKEN = "42:demo"

ANSWER_SECONDS = 300.0
"""How long a scripted person waits for an answer."""

STOP = "⏹"
"""The button under a message that grows."""

SETTLE_SECONDS = 0.3
"""After a message with nothing under way, how long nothing more must come for the answer to count as whole."""


class Turns:
    """What the bot is answering, and how its last answer ``ended``; it looks on as any observer does."""

    def __init__(self) -> None:
        self._under_way: set[int] = set()
        self.ended: Ending | None = None

    @property
    def are_under_way(self) -> bool:
        return bool(self._under_way)

    async def look_on(self, view: View) -> None:
        async for sight in view:
            if isinstance(sight, TurnBegan):
                self._under_way.add(sight.turn)
            elif isinstance(sight, TurnEnded):
                self._under_way.discard(sight.turn)
                self.ended = sight.ending


Person: TypeAlias = Callable[[TelegramServer, Turns], Awaitable[None]]


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
    shutdown, turns = trio.Event(), Turns()
    async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
        api_base = await nursery.start(server.serve_tcp)
        bot_ended = trio.Event()
        await nursery.start(_serve, demo_settings(settings, api_base), providers, turns, shutdown, bot_ended)
        await person(server, turns)
        shutdown.set()
        await bot_ended.wait()
        nursery.cancel_scope.cancel(reason="the demo ends")


async def _serve(
    settings: Settings,
    providers: Sequence[Provider],
    turns: Turns,
    shutdown: trio.Event,
    ended: trio.Event,
    *,
    task_status: trio.TaskStatus[BotIdentity],
) -> None:
    await serve_bot(
        settings,
        providers,
        executor=ThreadExecutor(),
        observers={"demo": turns.look_on},
        shutdown=shutdown,
        cpu_clock=time.thread_time,
        task_status=task_status,
    )
    ended.set()


class _Watch:
    """The changes of the person's screen, in order, each once."""

    def __init__(self, server: TelegramServer, turns: Turns) -> None:
        self._server = server
        self._turns = turns
        self._seen = len(server.transcript(PERSON))
        self.answered = False

    async def next(self) -> list[Change]:
        """The next changes that the bot made; none when the answer is whole."""
        last = trio.current_time()
        while trio.current_time() < last + ANSWER_SECONDS:
            revision = self._server.telegram.revision
            changes = self._server.transcript(PERSON)[self._seen :]
            self._seen += len(changes)
            self.answered = self.answered or any(change.kind == "message" and change.from_bot for change in changes)
            if changes := [change for change in changes if change.from_bot]:
                return changes
            with trio.move_on_after(SETTLE_SECONDS) as patience:
                await self._server.wait_changed(revision)
            if patience.cancelled_caught and self.answered and not self._grows:
                break
        return []

    @property
    def _grows(self) -> bool:
        screen = self._server.screen(PERSON)
        return self._turns.are_under_way or screen.draft is not None or any(map(_stop_button, screen.messages))


def _stop_button(message: ScreenMessage) -> str | None:
    """What the button sends under a message that grows; None if it is whole, or not there."""
    return next((button.data for row in message.buttons for button in row if button.text == STOP), None)


def problem_with(text: str) -> str:
    """Why Telegram's own apps would not send the text; empty if they would."""
    if not 1 <= len(text.strip()) <= MESSAGE_LIMIT:
        return f"a message has 1 to {MESSAGE_LIMIT} characters"
    if not text.isascii() and text != text.encode("utf-8", "replace").decode():
        return "a message is text in UTF-8"
    return ""


def scripted_person(messages: Sequence[str], terminal: Terminal) -> Person:
    """Sends the messages one after the other, and prints what the screen shows, with times."""

    async def play(server: TelegramServer, turns: Turns) -> None:
        for text in messages:
            await _play(server, turns, text, terminal)

    return play


async def _play(server: TelegramServer, turns: Turns, text: str, terminal: Terminal) -> None:
    began = trio.current_time()
    watch = _Watch(server, turns)
    server.say(PERSON, text)
    terminal.write(f"\n{0:8.3f} s  you      {text}\n")
    while changes := await watch.next():
        for change in changes:
            terminal.write(_transcript_line(change, change.at - began))
    if not watch.answered:
        raise StartError(f"the demo got no answer within {ANSWER_SECONDS:g} s", exit_code=ExitCode.NO_ANSWER)
    if turns.ended is Ending.FAILED:
        raise StartError("the demo got no answer, or half of one: see above", exit_code=ExitCode.NO_ANSWER)


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

    async def converse(server: TelegramServer, turns: Turns) -> None:
        terminal.write("A chat with the bot, on an emulated Telegram.\n")
        terminal.write("/help tells its commands, /quit or Ctrl-C leaves.\n")
        if terminal.has_keys:
            terminal.write("While it answers, any key presses the Stop button.\n")
        while True:
            terminal.write("\nyou › " + (terminal.typed_ahead if terminal.has_keys else ""))
            line = await terminal.read_line()
            if line is None or line.strip() == "/quit":
                terminal.write("\n")
                return
            if problem := problem_with(line):
                terminal.write(problem)
            else:
                await _ask(server, turns, line, terminal)

    return converse


async def _ask(server: TelegramServer, turns: Turns, text: str, terminal: Terminal) -> None:
    watch = _Watch(server, turns)
    server.say(PERSON, text)
    async with trio.open_nursery() as nursery:
        if terminal.has_keys:
            nursery.start_soon(_obey_keys, server, turns, terminal)
        glass = _Glass(server, terminal)
        while changes := await watch.next():
            for change in changes:
                glass.show(change)
        glass.end_line()
        nursery.cancel_scope.cancel(reason="answered")


class _Glass:
    """The person's screen in the terminal: what grows is drawn in its place until something else comes below it."""

    def __init__(self, server: TelegramServer, terminal: Terminal) -> None:
        self._server = server
        self._terminal = terminal
        self._painter: Painter | None = None
        self._message_id: int | None = None
        """Of what is drawn, if it is a message."""

    def show(self, change: Change) -> None:
        if change.kind == "typing":
            if self._painter is None and self._terminal.has_keys:  # elsewhere nothing can be drawn over it
                self._draw("typing…")
        elif change.kind in {"draft", "message", "edit"}:
            if change.message_id != self._message_id and not self._is_replaced:
                self.end_line()
            self._message_id = change.message_id
            self._draw(change.text or "Thinking…", _entities(self._server, change))

    def _draw(self, text: str, entities: Sequence[Mapping[str, Any]] = ()) -> None:
        self._painter = self._painter or Painter(self._terminal, "bot › ")
        self._painter.show(text, entities)

    @property
    def _is_replaced(self) -> bool:
        """Whether what comes next takes the place of what is drawn: a draft, or a message that was never whole."""
        shown = [each for each in self._server.screen(PERSON).messages if each.id == self._message_id]
        return not shown or _stop_button(shown[0]) is not None

    def end_line(self) -> None:
        if self._painter is not None:
            self._terminal.write("\n")
        self._painter = None


def _entities(server: TelegramServer, change: Change) -> Sequence[Mapping[str, Any]]:
    """What is formatted in a change, if it is what the screen still shows."""
    screen = server.screen(PERSON)
    if screen.draft is not None and screen.draft.text == change.text:
        return screen.draft.entities
    return next((message.entities for message in reversed(screen.messages) if message.text == change.text), ())


async def _obey_keys(server: TelegramServer, turns: Turns, terminal: Terminal) -> None:
    """Any key stops the answer, once: some keys send several characters, and who is in doubt presses again.

    A slash begins a command, such as /stop, which goes off with Enter.
    """
    stopped = False
    with terminal.keys():
        while key := await terminal.read_key():
            if key == "/":
                server.say(PERSON, await _read_command(terminal))
            elif turns.are_under_way and not stopped:
                stopped = True
                _press_stop(server)


def _press_stop(server: TelegramServer) -> None:
    """Press the Stop button, under the draft or the message that grows; where there is none, a person writes /stop."""
    screen = server.screen(PERSON)
    buttons = {message.id: data for message in screen.messages if (data := _stop_button(message))}
    if screen.draft is not None and screen.draft.stop_button:
        server.press_stop(PERSON)
    elif buttons:
        server.press_button(PERSON, *buttons.popitem())
    else:
        server.say(PERSON, "/stop")


async def _read_command(terminal: Terminal) -> str:
    command = "/"
    while (key := await terminal.read_key()) not in {"", "\n", "\r"}:
        command = command[:-1] if key in {"\x7f", "\b"} else command + key
    return command
