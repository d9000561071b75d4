"""The outbox closes at any moment: what had come of a call is written down, and what never left is not being sent."""

from __future__ import annotations

import attrs
import pytest
import trio
from odd_servers import Wrapped, open_odd_server
from outbox_scenes import Shelf

from triolet.config import Secret
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText
from triolet.emulator import Exchange, Response
from triolet.net.http1 import Connection, Connections, Origin
from triolet.telegram.client import BotApi
from triolet.telegram.outbox import open_outbox
from triolet.testing import Trial, sweep

ANSWER = Response.json({"ok": True, "result": {"message_id": 5}})
CLOSING = attrs.evolve(ANSWER, headers=(*ANSWER.headers, ("Connection", "close")))


class Counted(Wrapped):
    """Knows how many bytes the bot has given away, which may have left from then on, and received."""

    sent = 0
    received = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += len(data)
        await super().send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await super().receive_some(max_bytes)
        self.received += len(data)
        return data


SERVERS = {"kept": ANSWER, "closed": CLOSING, "one too many": ANSWER}


@pytest.mark.parametrize("connecting", [0.0, 1.0], ids=["at once", "slowly"])
@pytest.mark.parametrize("server", SERVERS)
def test_what_came_of_a_call_is_written_down_whenever_the_outbox_closes(server: str, connecting: float) -> None:
    async def scenario(trial: Trial) -> None:
        lines: list[Counted] = []
        shelf = Shelf()

        async def app(exchange: Exchange) -> None:
            await trio.sleep(0.1)
            await exchange.respond(SERVERS[server])

        async with open_odd_server(app) as odd:

            async def connect(host: str, port: int) -> trio.abc.Stream:
                await trio.sleep(connecting)
                lines.append(Counted(await odd.connect()))
                return lines[-1]

            connections = Connections(connect, keep=1)
            if server == "one too many":  # an idle one to somebody else, which has to go when ours comes back
                other = Connection(await odd.connect(), Origin("other", 80, secure=False))
                connections.idle.append(other)
            api = BotApi("http://telegram", Secret("42:token"), connections)
            with trial.cancels():
                async with open_outbox(api, journal=shelf) as outbox:
                    place = Place(ConversationKey(1), private=True)
                    outbox.commit(outbox.open_bubble(place), FormattedText("hello"))
                    await outbox.wait_idle()
            await trio.sleep(1.0)
            await connections.aclose()
        state = shelf.kept[1].state
        is_answered = any(line.received for line in lines)
        has_left = any(line.sent for line in lines)
        expected = "sent" if is_answered else "sending" if has_left else "pending"
        assert state == expected, f"{state}, and should be {expected}"

    sweep(scenario, failures=1000)
