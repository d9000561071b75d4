"""The token shows nowhere: in no error, no log record, no ``repr``, whatever happens to a call."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trio
import trio.testing
from client_troubles import ANSWERS, BASE, CALL, CONNECTS, EXCHANGES, TOKEN, open_api
from odd_servers import (
    Connect,
    Wrapped,
    open_odd_server,
    respond,
    say_half,
)

from triolet.config import Secret
from triolet.emulator import (
    App,
    Response,
)
from triolet.errors import (
    TrioletError,
)
from triolet.net.redact import Redactor
from triolet.telegram.client import open_bot_api

# The token


class Recorder(logging.Handler):
    """Everything of every record: what any formatter could show."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += [record.getMessage(), repr(vars(record)), logging.Formatter().format(record)]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What every library logs, at its most talkative."""
    recorder = Recorder()
    logging.getLogger().addHandler(recorder)
    with ExitStack() as levels:
        for name in ("", "httpx", "httpcore"):  # each by itself: whoever sets up logging holds the libraries back
            levels.enter_context(caplog.at_level(logging.DEBUG, logger=name))
        yield recorder.seen
    logging.getLogger().removeHandler(recorder)


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def everything_told(error: BaseException) -> str:
    """All that could be shown of an error and of those that led to it."""
    parts = [f"{part} {part!r} {part.args!r} {vars(part)!r}" for part in chain(error)]
    return "\n".join([*parts, *traceback.format_exception(error)])


TROUBLE: dict[str, Connect | App] = {
    **{name: connect for name, (connect, _, _) in CONNECTS.items()},
    **{name: app for name, (app, _, _, _) in EXCHANGES.items()},
    **{name: respond(answer) for name, (answer, _) in ANSWERS.items()},
}


ECHOED = {"no HTTP, but the URL"}
"""What httpcore repeats at DEBUG are a server's words, not ours; the log's mask is there for that."""


@pytest.mark.parametrize("case", TROUBLE)
async def test_no_trouble_tells_the_token(
    autojump_clock: trio.testing.MockClock, records: list[str], case: str
) -> None:
    trouble: Any = TROUBLE[case]
    async with open_odd_server(trouble, wrap=EXCHANGES[case][1] if case in EXCHANGES else Wrapped) as server:
        connect = trouble if case in CONNECTS else server.connect
        async with open_bot_api(BASE, Secret(TOKEN), connect=connect) as api:
            with pytest.raises(TrioletError) as caught:
                await api.call("sendMessage", CALL)
            assert "CANARY" not in everything_told(caught.value) + repr(api)
    assert any("connect_tcp.started" in record for record in records), "the libraries did talk"
    logged = "\n".join(records)
    assert "CANARY" not in (Redactor([TOKEN])(logged) if case in ECHOED else logged)


async def test_success_and_cancellation_tell_no_token(
    autojump_clock: trio.testing.MockClock, records: list[str]
) -> None:
    async with open_api(respond(Response.json({"ok": True, "result": True}))) as api:
        await api.call("getMe", {})
    async with open_api(say_half) as api:
        with trio.move_on_after(1):
            await api.call("getMe", {})
    assert "receive_response_body" in "\n".join(records)
    assert "CANARY" not in "\n".join(records)
