"""A Bot API that is hardly there: it hands out questions, and tells when a program's first text was there.

The emulator (`triolet.emulator`) checks what a program says as strictly as Telegram, and takes a millisecond for a
call. Here that would be in the figures of whoever waits for an answer before the next call; so this one only reads
what it must, and agrees to all. It keeps no chats: what the programs do is tested with the emulator.

Source: https://core.telegram.org/bots/api. Parameters come as JSON, in a query, as a form or in parts, as programs
like it; a poll is held until there is an update, or for as long as it asks.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs
from lean_http import Connection, Loop, Request, response
from talker import WORD, question

TEXT_METHODS: Final = {"sendMessage", "sendMessageDraft", "sendRichMessage", "sendRichMessageDraft", "editMessageText"}
_MESSAGES: Final = {"sendMessage", "sendRichMessage", "editMessageText"}
"""Methods whose result is a message."""

_PATH: Final = re.compile(r"/bot([^/]+)/(\w+)")
_PART: Final = re.compile(rb'name="(\w+)"[^\r\n]*(?:\r\n[^\r\n]+)*\r\n\r\n(.*?)\r\n--', re.DOTALL)
_TRUE: Final = response(b'{"ok":true,"result":true}')
_NOTHING: Final = response(b'{"ok":true,"result":[]}')


def parameters(request: Request) -> dict[str, Any]:
    """All that the request names, in the query or in its body."""
    found: dict[str, Any] = dict(parse_qsl(request.path.partition("?")[2], keep_blank_values=True))
    kind = request.fields.get("content-type", "")
    if kind.startswith("application/json"):
        found.update(json.loads(request.body or b"{}"))
        return found
    if kind.startswith("multipart/"):
        return found | {name.decode(): value.decode() for name, value in _PART.findall(request.body)}
    return found | dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def shows_text(method: str, request: Request) -> bool:
    """Whether a person sees the model's first word by that call."""
    return method in TEXT_METHODS and WORD in request.body


@attrs.define(eq=False)
class Seen:
    """What a chat got: when its question was handed out, its first text and its newest call came; 0.0: not yet."""

    handed_at: float = 0.0
    shown_at: float = 0.0
    newest_at: float = 0.0
    calls: int = 0


@attrs.define(eq=False)
class _Poll:
    connection: Connection
    ends: float


@attrs.define(eq=False)
class Bot:
    """One program's Telegram; ``polls`` counts its polls."""

    updates: list[dict[str, Any]] = attrs.Factory(list)
    seen: dict[int, Seen] = attrs.Factory(dict)
    polls: int = 0
    newest_id: int = 0
    _poll: _Poll | None = None

    def ask(self, chat_id: int) -> Seen:
        """Let the person of that chat ask, who has not asked before; the bot may have it at once."""
        self.newest_id += 1
        self.updates.append(
            {"update_id": self.newest_id, "message": message(chat_id, 1, question(chat_id), person=True)}
        )
        seen = self.seen[abs(chat_id)] = Seen()
        self._hand_out()
        return seen

    def poll(self, loop: Loop, connection: Connection, given: Mapping[str, Any]) -> None:
        offset = int(given.get("offset") or 0)
        self.polls += 1
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        poll = self._poll = _Poll(connection, time.monotonic() + float(given.get("timeout") or 0))
        self._hand_out()
        if self._poll is poll:
            loop.call_at(poll.ends, lambda: self._end(poll))

    def _end(self, poll: _Poll) -> None:
        if self._poll is poll:
            self._poll = None
            poll.connection.send(_NOTHING)

    def _hand_out(self) -> None:
        if self._poll is None or not self.updates:
            return
        poll, self._poll = self._poll, None
        if not poll.connection.is_open:
            return
        body = json.dumps({"ok": True, "result": self.updates}).encode()
        chats = {abs(update["message"]["chat"]["id"]) for update in self.updates}
        now = time.monotonic()
        poll.connection.send(response(body))
        for chat_id in chats:
            self.seen[chat_id].handed_at = self.seen[chat_id].handed_at or now


class LeanTelegram:
    """``bots`` are there as soon as somebody speaks of them, by their tokens."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.bots: dict[str, Bot] = {}
        self._message_id = 1000

    def bot(self, token: str) -> Bot:
        return self.bots.setdefault(token, Bot())

    def answer(self, request: Request, connection: Connection) -> None:
        """An `lean_http.App`."""
        found = _PATH.match(request.path)
        if found is None:
            connection.send(
                response(b'{"ok":false,"error_code":404,"description":"Not Found"}', status="404 Not Found")
            )
            return
        token, method = found.groups()
        bot, given = self.bot(token), parameters(request)
        if method.lower() == "getupdates":
            bot.poll(self._loop, connection, given)
            return
        connection.send(self._result(method, given, token))
        seen = bot.seen.get(abs(int(given.get("chat_id") or 0)))
        if seen is not None:
            seen.calls += 1
            seen.newest_at = time.monotonic()
            if not seen.shown_at and shows_text(method, request):
                seen.shown_at = request.at

    def _result(self, method: str, given: Mapping[str, Any], token: str) -> bytes:
        if method == "getMe":
            return _ok(me(token))
        if method in _MESSAGES:
            self._message_id += 1
            number = int(given.get("message_id") or self._message_id)
            return _ok(message(int(given["chat_id"]), number, str(given.get("text") or "…")))
        if method == "getWebhookInfo":
            return _ok({"url": "", "has_custom_certificate": False, "pending_update_count": 0})
        return _TRUE


def _ok(result: Any) -> bytes:
    return response(json.dumps({"ok": True, "result": result}).encode())


def me(token: str) -> dict[str, Any]:
    names = {"is_bot": True, "first_name": "Racer", "username": "racer_bot"}
    can = {"can_join_groups": True, "can_read_all_group_messages": True, "supports_inline_queries": False}
    return {"id": int(token.partition(":")[0]), **names, **can}


def message(chat_id: int, number: int, text: str, *, person: bool = False) -> dict[str, Any]:
    """In a group if the chat's id is negative."""
    who = {"id": abs(chat_id), "is_bot": False, "first_name": "Ada"} if person else me("42:")
    kind = {"type": "private", "first_name": "Ada"} if chat_id > 0 else {"type": "supergroup", "title": "Ada's"}
    return {"message_id": number, "date": int(time.time()), "chat": {"id": chat_id, **kind}, "from": who, "text": text}
