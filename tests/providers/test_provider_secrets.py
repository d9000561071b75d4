"""The API key leaves its provider in one place only: the header of a request to the configured server.

The server repeats the key wherever it can; whatever a provider raises, logs or prints is searched for it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from model_dialects import DIALECTS, Dialect
from model_server import Hang, Head, Reset, Respond, Step, Write, data, refuse, reply, say, stream_error
from provider_scenes import Ear, listen, open_scene

from triolet.config import Secret
from triolet.errors import ProviderError

CANARY = "canary+0123456789/shapeless=="
"""Nothing in its shape gives it away: it is known by its value alone."""
ECHO = f"Incorrect API key provided: {CANARY}."

ECHOES: dict[str, list[Step]] = {
    **{str(status): [refuse(status, ECHO, code="invalid_api_key")] for status in (400, 401, 403, 404, 429, 500)},
    "at the cut": [refuse(400, "x" * 180 + CANARY)],
    "plain text": [Respond(500, ECHO.encode())],
    "flat": [Respond(400, {"message": ECHO, "error": ECHO, "detail": ECHO})],
    "too long": [refuse(400, ECHO, code="context_length_exceeded")],
    "a page": [Respond(200, ECHO.encode(), (("Content-Type", "text/html"),))],
    "in the stream": [say("a"), stream_error(ECHO)],
    "in the stream, plain": [say("a"), data({"error": ECHO})],
    "in a broken event": [say("a"), data('{"' + CANARY)],
    "in packed nonsense": [Head(200, (("Content-Encoding", "gzip"),)), Write(CANARY.encode())],
    "silence": [Hang()],
    "a reset": [say("a"), Reset()],
}


def everything_about(error: BaseException) -> Iterator[str]:
    """What anybody could print of an error and all that hangs on it."""
    yield from traceback.format_exception(error)
    pending: list[BaseException | None] = [error]
    while pending:
        if (one := pending.pop()) is not None:
            yield from (str(one), repr(one), repr(vars(one)))
            pending += [one.__cause__, one.__context__]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def everything_in(log: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{record.getMessage()} {record.args} {record.exc_info}" for record in log.records)


@pytest.mark.parametrize("case", ECHOES)
async def test_no_error_and_no_log_holds_the_key(
    case: str, log: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene(key=CANARY, api_key=Secret(CANARY)) as scene:
        with pytest.raises(ProviderError) as caught:
            await scene.ask(*ECHOES[case])
        assert scene.server.requests[0].with_key
    for text in everything_about(caught.value):
        assert CANARY[:12] not in text
    assert caught.value.__context__ is None
    assert CANARY[:12] not in everything_in(log)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
async def test_no_log_of_a_good_answer_holds_the_key(
    dialect: Dialect, log: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_scene(dialect, key=CANARY, api_key=Secret(CANARY)) as scene:
        assert (await listen(scene.provider)).text == "Hello."
        assert log.records, "nothing was logged: this test looks at nothing"
        assert CANARY not in everything_in(log)
        assert CANARY not in repr(scene.provider) + repr(vars(scene.provider)) + repr(scene.provider._settings)


async def test_text_with_the_key_is_the_model_s_own(autojump_clock: trio.testing.MockClock) -> None:
    """Only errors are searched: an answer is not changed."""
    async with open_scene(key=CANARY, api_key=Secret(CANARY)) as scene:
        assert (await scene.ask(*reply(CANARY))).text == CANARY


async def test_an_error_without_a_key_is_as_good(autojump_clock: trio.testing.MockClock) -> None:
    async with open_scene(key="", api_key=Secret("")) as scene:
        ear = Ear()
        with pytest.raises(ProviderError, match="no model"):
            await scene.ask(refuse(404, "no model"), ear=ear)
        assert (await listen(scene.provider)).text == "Hello."
