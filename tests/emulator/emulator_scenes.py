"""What the emulator's tests share: one scene of chats, short calls, and a tiny client for memory streams."""

from __future__ import annotations

import json
from typing import Any

import attrs
import h11
import trio

from triolet.emulator import Again, EmulatedTelegram, Limits, Reply

ANN, BEN, STRANGER = 7, 8, 9
GROUP, FORUM, TOPIC = -5, -100500, 11
EPOCH = 1_000_000
ANN_JSON = {"id": ANN, "is_bot": False, "first_name": "Ann", "username": "ann_s", "language_code": "en"}
ANN_CHAT = {"id": ANN, "type": "private", "first_name": "Ann", "username": "ann_s"}
STOP = {"inline_keyboard": [[{"text": "⏹", "callback_data": "stop"}]]}


def scene(limits: Limits | None = None, **options: Any) -> EmulatedTelegram:
    """Ann and Ben talk to the bot, a stranger never did; a basic group, and a forum with one topic."""
    telegram = EmulatedTelegram(limits=limits or Limits.none(), epoch=EPOCH, **options)
    telegram.add_private_chat(ANN, "Ann", username="ann_s", topics={TOPIC: "Recipes"})
    telegram.add_private_chat(BEN, "Ben")
    telegram.add_private_chat(STRANGER, "Sue", started=False)
    telegram.add_group(GROUP, "Family", [ANN, BEN])
    telegram.add_group(FORUM, "Work", [BEN, ANN], supergroup=True, topics={TOPIC: "Plans"})
    return telegram


def reply_to(telegram: EmulatedTelegram, method: str, now: float = 0.0, **params: Any) -> Reply:
    step = telegram.call(method, params, now)
    assert isinstance(step, Reply), step
    return step


def ask(telegram: EmulatedTelegram, method: str, now: float = 0.0, **params: Any) -> Any:
    """The result of a call that must succeed."""
    reply = reply_to(telegram, method, now, **params)
    assert isinstance(reply.body, dict)
    assert reply.body["ok"], reply.body
    return reply.body["result"]


def refusal(telegram: EmulatedTelegram, method: str, now: float = 0.0, **params: Any) -> str:
    """The description of a call that must fail."""
    reply = reply_to(telegram, method, now, **params)
    assert isinstance(reply.body, dict)
    assert not reply.body["ok"]
    assert reply.body["error_code"] == reply.status
    return str(reply.body["description"])


def only(telegram: EmulatedTelegram, kind: str) -> Any:
    """The one update that waits, which is of this kind."""
    (update,) = telegram.updates.pending
    return update[kind]


def waiting(telegram: EmulatedTelegram, method: str, now: float = 0.0, **params: Any) -> Again:
    """The wait that a call must begin."""
    step = telegram.call(method, params, now)
    assert isinstance(step, Again), step
    return step


def staged() -> EmulatedTelegram:
    """The scene with: message 1 of the bot and 2 of Ann in her chat; 3 of Ben in the group, 1 in the forum."""
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text="first")
    telegram.user_sends(ANN, "hello", 0.0)
    telegram.user_sends(GROUP, "in the group", 0.0, user_id=BEN)
    telegram.user_sends(FORUM, "in a topic", 0.0, user_id=BEN, thread_id=TOPIC)
    return telegram


@attrs.define(eq=False)
class Client:
    """One connection of a client that speaks HTTP and nothing else."""

    stream: trio.abc.Stream
    protocol: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, method: str, target: str, body: bytes = b"", kind: str = "application/json") -> None:
        headers = [("Host", "emulator"), ("Content-Type", kind), ("Content-Length", str(len(body)))]
        head = h11.Request(method=method, target=target, headers=headers)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            await self.stream.send_all(self.protocol.send(event) or b"")

    async def event(self) -> Any:
        """The next thing the server says."""
        while (event := self.protocol.next_event()) is h11.NEED_DATA:
            self.protocol.receive_data(bytes(await self.stream.receive_some(4096)))
        return event

    async def receive(self) -> tuple[int, bytes]:
        """Status and body of the answer that comes next."""
        head = await self.event()
        assert isinstance(head, h11.Response), head
        body = b""
        while not isinstance(event := await self.event(), h11.EndOfMessage):
            body += event.data
        if self.protocol.our_state is h11.DONE and self.protocol.their_state is h11.DONE:
            self.protocol.start_next_cycle()
        return head.status_code, body

    async def call(self, token: str, method: str, **params: Any) -> Any:
        """One Bot API call; returns the decoded body."""
        await self.send("POST", f"/bot{token}/{method}", json.dumps(params).encode())
        _, body = await self.receive()
        return json.loads(body)
