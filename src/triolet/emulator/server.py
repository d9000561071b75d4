"""The emulated Telegram on the wire: this loop does what the core decides, on Trio's clock.

A call is ``/bot<token>/<method>``, by GET or POST, with parameters in the query and in a JSON or urlencoded body.
Everything else that begins with ``/control/`` goes to `control`. Waiting calls sleep here, long polls wake at
once when something happened, and connections that are to be dropped are closed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import trio
from trio.testing import memory_stream_pair

from triolet.emulator.answers import Again, Drop, Refused, Reply, objection
from triolet.emulator.control import control
from triolet.emulator.dispatch import Step
from triolet.emulator.http import Exchange, Request, Response, serve_connection
from triolet.emulator.parameters import parse_form
from triolet.emulator.screen import Change, Screen
from triolet.emulator.telegram import EmulatedTelegram

T = TypeVar("T")

CALL_PATH = re.compile(r"/bot([^/]+)/([^/]+)")


class Bell:
    """Wakes everybody who waits for it, each time it rings."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        await self._event.wait()


class TelegramServer:
    """Serves one `EmulatedTelegram` to any number of connections; `open_telegram_server` makes it.

    With ``reachable`` off, new connections are refused.
    """

    def __init__(self, telegram: EmulatedTelegram, nursery: trio.Nursery) -> None:
        self.telegram = telegram
        self.reachable = True
        self._nursery = nursery
        self._bell = Bell()

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """A connection in memory; the address is ignored."""
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise ConnectionRefusedError("the emulator is not reachable")
        client, server = memory_stream_pair()
        self._nursery.start_soon(self._serve, server)
        return client

    async def serve_tcp(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Accept TCP connections until cancelled; reports the base URL when it listens."""
        listeners = await trio.open_tcp_listeners(port, host=host)
        task_status.started(f"http://{host}:{listeners[0].socket.getsockname()[1]}")
        await trio.serve_listeners(self._serve, listeners)

    async def wait_until(self, predicate: Callable[[], bool]) -> None:
        """Return when ``predicate`` holds; it is asked again after every call and every act."""
        await trio.lowlevel.checkpoint()
        while not predicate():
            with trio.move_on_at(self.telegram.due):
                await self._bell.wait()
            self.telegram.settle(trio.current_time())

    async def wait_changed(self, revision: int) -> int:
        """Return the visible revision as soon as it is past ``revision``."""
        await self.wait_until(lambda: self.telegram.revision > revision)
        return self.telegram.revision

    def act(self, act: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Let a person (or a test) do something now: any method of the telegram that takes ``now``."""
        result = act(*args, **kwargs, now=trio.current_time())
        self._bell.ring()
        return result

    def say(
        self,
        chat_id: int,
        text: str,
        *,
        user_id: int | None = None,
        reply_to: int | None = None,
        thread_id: int | None = None,
    ) -> int:
        """A person writes; returns the message's id."""
        where = {"user_id": user_id, "reply_to": reply_to, "thread_id": thread_id}
        return self.act(self.telegram.user_sends, chat_id, text, **where)

    def edit(self, chat_id: int, message_id: int, text: str) -> None:
        self.act(self.telegram.user_edits, chat_id, message_id, text)

    def delete(self, chat_id: int, message_id: int) -> None:
        self.act(self.telegram.user_deletes_message, chat_id, message_id)

    def press_stop(self, chat_id: int, thread_id: int | None = None) -> int:
        """Press the live draft's Stop button; returns the draft's id."""
        return self.act(self.telegram.user_presses_stop, chat_id, thread_id=thread_id)

    def press_button(self, chat_id: int, message_id: int, data: str, user_id: int | None = None) -> str:
        """Press a button under a message; returns the callback query's id."""
        return self.act(self.telegram.user_presses_button, chat_id, message_id, data, user_id=user_id)

    def block(self, user_id: int) -> None:
        self.act(self.telegram.user_blocks_bot, user_id)

    def unblock(self, user_id: int) -> None:
        self.act(self.telegram.user_unblocks_bot, user_id)

    def remove_bot(self, chat_id: int, user_id: int | None = None) -> None:
        """A member removes the bot from a group."""
        self.act(self.telegram.group_removes_bot, chat_id, user_id=user_id)

    def add_bot(self, chat_id: int, user_id: int | None = None) -> None:
        self.act(self.telegram.group_adds_bot, chat_id, user_id=user_id)

    def migrate(self, chat_id: int, new_chat_id: int, user_id: int | None = None) -> None:
        """A member makes a basic group a supergroup."""
        self.act(self.telegram.group_migrates, chat_id, new_chat_id, user_id=user_id)

    def close_topic(self, chat_id: int, thread_id: int, user_id: int | None = None) -> None:
        self.act(self.telegram.close_topic, chat_id, thread_id, user_id=user_id)

    def reopen_topic(self, chat_id: int, thread_id: int, user_id: int | None = None) -> None:
        self.act(self.telegram.reopen_topic, chat_id, thread_id, user_id=user_id)

    def delete_topic(self, chat_id: int, thread_id: int) -> None:
        self.act(self.telegram.delete_topic, chat_id, thread_id)

    def screen(self, chat_id: int, thread_id: int | None = None) -> Screen:
        """What a person sees now."""
        return self.telegram.screen(chat_id, trio.current_time(), thread_id)

    def visible(self, chat_id: int, thread_id: int | None = None) -> list[str]:
        return self.screen(chat_id, thread_id).texts

    def rings(self, chat_id: int) -> list[float]:
        """When the person's phone rang for this chat."""
        return self.telegram.rings(chat_id, trio.current_time())

    def transcript(self, chat_id: int) -> list[Change]:
        return self.telegram.transcript(chat_id, trio.current_time())

    async def _serve(self, stream: trio.abc.Stream) -> None:
        """Answer this connection, unless nothing is reachable: then Trio closes what it had accepted."""
        if self.reachable:
            await serve_connection(stream, self._app)

    async def _app(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path.startswith("/control/"):
            response = control(self.telegram, request, trio.current_time())
            self._bell.ring()
            await exchange.respond(response)
        else:
            await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            token, method, params = parse_call(exchange.request)
        except Refused as refused:
            await exchange.respond(Response.json(refused.body(), refused.code))
            return
        step = self.telegram.call(method, params, trio.current_time(), token)
        outcome = await self._wait_outcome(step)
        if outcome.delay > 0:
            await trio.sleep(outcome.delay)
        if isinstance(outcome, Drop):
            await exchange.drop()
        else:
            await exchange.respond(_response(outcome))
            self.telegram.answered(outcome, trio.current_time())
        self._bell.ring()

    async def _wait_outcome(self, step: Step) -> Reply | Drop:
        """Sleep and ask again as the core wants it, until it knows; tell it if the client leaves meanwhile."""
        self._bell.ring()
        try:
            while isinstance(step, Again):
                await self._wait(step)
                step = self.telegram.resume(step, trio.current_time())
        finally:
            if isinstance(step, Again):
                self.telegram.abandon(step, trio.current_time())
            self._bell.ring()
        return step

    async def _wait(self, again: Again) -> None:
        with trio.move_on_at(again.at):
            if again.on_update:
                await self._bell.wait()
            else:
                await trio.sleep_forever()


def parse_call(request: Request) -> tuple[str, str, dict[str, Any]]:
    """The token, the method and the parameters that a request names."""
    found = CALL_PATH.fullmatch(request.path)
    if found is None:
        raise Refused(404, "Not Found")
    if request.method not in {"GET", "POST"}:
        raise Refused(405, "Method Not Allowed")
    token, method = found.groups()
    return token, method, {**parse_form(method, request.query), **_body_parameters(method, request)}


def _body_parameters(method: str, request: Request) -> dict[str, Any]:
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if not request.body:
        return {}
    if kind == "application/json":
        return _json_parameters(request.body)
    if kind == "application/x-www-form-urlencoded":
        return parse_form(method, parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    raise objection(f"bodies of the type {kind!r} are not modelled")


def _json_parameters(body: bytes) -> dict[str, Any]:
    try:
        params = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise objection("the body is not JSON") from None
    if not isinstance(params, dict):
        raise objection("the body is not a JSON object")
    return params


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _response(reply: Reply) -> Response:
    kind = "text/html" if isinstance(reply.body, str) else "application/json"
    return Response(reply.status, reply.encode(), (("Content-Type", kind), *reply.headers))


@asynccontextmanager
async def open_telegram_server(telegram: EmulatedTelegram) -> AsyncIterator[TelegramServer]:
    """Serve ``telegram`` while the block runs; leaving it closes every connection at once."""
    try:
        async with trio.open_nursery() as nursery:
            yield TelegramServer(telegram, nursery)
            nursery.cancel_scope.cancel(reason="the emulator closes")
    except BaseExceptionGroup as group:
        # what the block raised comes out as it was: that a nursery runs here is nobody's business
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise


async def serve(
    telegram: EmulatedTelegram,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``telegram`` over TCP until cancelled, as a process of its own does."""
    async with open_telegram_server(telegram) as server:
        await server.serve_tcp(port, host=host, task_status=task_status)
