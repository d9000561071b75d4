"""The token shows nowhere: in no error, no log record, no ``repr``, whatever happens to a call."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
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
    """What anybody logs, at the most talkative: a library that is asked one day may tell what it is asked."""
    recorder = Recorder()
    logging.getLogger().addHandler(recorder)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("any").debug("it records")
        yield recorder.seen
    logging.getLogger().removeHandler(recorder)
    assert "it records" in recorder.seen


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
    assert "CANARY" not in "\n".join(records)


async def test_success_and_cancellation_tell_no_token(
    autojump_clock: trio.testing.MockClock, records: list[str]
) -> None:
    async with open_api(respond(Response.json({"ok": True, "result": True}))) as api:
        await api.call("getMe", {})
    async with open_api(say_half) as api:
        with trio.move_on_after(1):
            await api.call("getMe", {})
    assert "CANARY" not in "\n".join(records)
