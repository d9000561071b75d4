"""The console chat: the same supervisor, conversation and turn, on the terminal instead of Telegram.

A line is a message. Ctrl-C stops the answer; when there is none, it leaves, as /quit and the input's end do. At a
terminal /quit stops the answer, too; what a pipe asks is answered before.
"""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Sequence
from typing import Any

import trio

from triolet.app.bench import open_agent, open_bench, price_list
from triolet.app.conversation import Services
from triolet.app.help import HELP
from triolet.app.supervisor import Supervisor
from triolet.config import Settings
from triolet.core.commands import UNSWITCHED, Access
from triolet.core.ports import Provider
from triolet.core.updates import BotIdentity
from triolet.store import open_store, run_inline
from triolet.transports.console import PROMPT, ConsoleScreen
from triolet.transports.terminal import Terminal

_PERSON = 1


async def run_chat(settings: Settings, providers: Sequence[Provider], terminal: Terminal) -> None:
    """Chat until the person leaves; nothing is kept."""
    async with open_store(":memory:", executor=run_inline) as store, trio.open_nursery() as outer:
        services = Services(
            agent=open_agent(settings, providers, open_bench(settings)),
            store=store,
            screen=ConsoleScreen(terminal),
            turns=trio.CapacityLimiter(1),
            queue_limit=sys.maxsize,  # a pipe may say all at once
            model=settings.model.name,
            preferences=UNSWITCHED | {"busy": settings.streaming.busy},
            approval_seconds=settings.tools.approval_timeout,
            hide_tags=settings.streaming.hide_tags,
            footer=settings.streaming.footer,
            price=price_list(settings.model),
        )
        async with trio.open_nursery() as conversations:
            supervisor = Supervisor(conversations, services, Access({_PERSON}, "all"), BotIdentity(0, ""))
            reading = trio.CancelScope()
            await outer.start(_obey_interrupts, supervisor, reading)
            with reading:
                await _read(terminal, supervisor)
        outer.cancel_scope.cancel(reason="the person left")
    terminal.write("\n")


async def _read(terminal: Terminal, supervisor: Supervisor) -> None:
    terminal.write("Write a message. /new begins again, /quit leaves, Ctrl-C stops an answer.\n" + PROMPT)
    for number in itertools.count(1):
        line = await terminal.read_line()
        if line is None:
            return
        if line.strip() == "/quit":
            if terminal.is_interactive:
                supervisor.shut_down()
            return
        if line.strip() == "/help":
            terminal.write(f"{HELP}\n/quit  leave\n{PROMPT}")
        elif line.strip():
            supervisor.dispatch(_update(number, line))
        else:
            terminal.write("› ")


async def _obey_interrupts(
    supervisor: Supervisor,
    reading: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        task_status.started()
        async for _ in interrupts:
            if supervisor.is_idle:
                reading.cancel(reason="interrupt")
            else:
                supervisor.dispatch(_update(0, "/stop"))


def _update(number: int, text: str) -> dict[str, Any]:
    """The line as Telegram would hand it over."""
    person = {"id": _PERSON, "is_bot": False}
    message = {"message_id": number, "chat": {"id": _PERSON, "type": "private"}, "from": person, "text": text}
    return {"update_id": number, "message": message}
