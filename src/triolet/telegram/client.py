"""The Bot API's client: the one module that knows the token, and what an HTTP answer means.

Source: https://core.telegram.org/bots/api#making-requests. Rules:

1. The token is put into a request when it is made and appears nowhere else: errors hold no address, and a server's
   description that quotes one is masked. No client library is asked, for they log the URL of every request.
2. Every failure is one of three: refused (`TelegramError`), never left (`TelegramUnreachable`), or unknown
   (`TelegramOutcomeUnknown`). A 5xx, and an answer that is no JSON object with ``ok`` and no 4xx either,
   tells nothing about what was done.
3. Of idle connections the warmest is taken, which is the fastest.
4. What a user wrote is carried as it came: a half of a surrogate pair, which no UTF-8 can hold, comes in as it is,
   and goes out as a question mark, since a refusal of the whole text would help nobody.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import trio

from triolet.config import Secret
from triolet.errors import (
    Conflict,
    RemoteProtocolError,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    TooManyRequests,
    Unauthorized,
)
from triolet.net.http1 import Connection, Connections, Origin
from triolet.net.network import Connect, connect_tcp, words_of
from triolet.net.redact import Redactor

CONNECT_TIMEOUT = 10.0
"""Seconds to have a connection, TLS included."""

CALL_TIMEOUT = 40.0
"""Seconds. The server itself may hold a flooded send for 8 s, and says so only afterwards."""

DRAFT_TIMEOUT = 10.0
"""Seconds. A draft is held for 2 s at most; an older one is of no use."""

MAX_CONNECTIONS = 64
"""At once, over all chats; a call that finds none waits for one."""

KEEP_ALIVE = 60.0
"""Seconds that an idle connection is kept; the server would keep it for 500."""

RETRY_AFTER = 1.0
"""Seconds to wait after a 429 that does not say how long."""


@attrs.frozen
class _Address:
    """Where calls go: ``path`` and the method's name at the origin, with these headers."""

    origin: Origin
    path: str = attrs.field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...]


def _address_of(base: str, token: Secret) -> _Address:
    """Raises ValueError if the base is no address of a web server."""
    parts = urlsplit(base)
    ports = {"http": 80, "https": 443}
    if not parts.hostname or parts.scheme not in ports:
        raise ValueError("no address that begins with http:// or https://")
    host = parts.hostname.encode("idna").decode("ascii")
    port = parts.port or ports[parts.scheme]
    named = f"[{host}]" if ":" in host else host
    headers = {
        "Host": named if port == ports[parts.scheme] else f"{named}:{port}",
        "User-Agent": "triolet",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }
    return _Address(
        Origin(host, port, parts.scheme == "https"),
        f"{quote(parts.path.rstrip('/'), safe='/%')}/bot{quote(token.reveal(), safe=':')}/",
        tuple((name.encode(), value.encode()) for name, value in headers.items()),
    )


class BotApi:
    """Made by `open_bot_api`."""

    def __init__(self, api_base: str, token: Secret, connections: Connections) -> None:
        self._base = api_base.rstrip("/")
        self._token = token
        self._redact = Redactor([token.reveal()])
        self._connections = connections
        self._places = trio.CapacityLimiter(MAX_CONNECTIONS)

    def __repr__(self) -> str:
        return f"<BotApi {self._base}>"

    async def call(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout: float = CALL_TIMEOUT,  # noqa: ASYNC109  # of the exchange alone; a connection has its own
        leaving: Callable[[], object] = lambda: None,
    ) -> Any:
        """The ``result`` of one call. ``leaving`` is called before its first byte goes; cancelled before, none has.

        Raises:
            TelegramError: refused, with the server's own description.
            TelegramUnreachable: no connection; nothing was sent.
            TelegramOutcomeUnknown: it may have been carried out.
        """
        body = _encode(params)
        await self._wait_place()
        try:
            connection = await self._obtain()
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
                leaving()
                status, answer = await self._exchange(connection, method, body, timeout)
            finally:
                await self._connections.give_back(connection)
        finally:
            self._places.release()
        return parse_answer(method, status, answer, redact=self._redact)

    async def _wait_place(self) -> None:
        try:
            self._places.acquire_nowait()  # without a checkpoint, which costs as much as the request's head
        except trio.WouldBlock:
            await self._places.acquire()

    @cached_property
    def _address(self) -> _Address:
        return _address_of(self._base, self._token)

    async def _obtain(self) -> Connection:
        try:
            if (idle := self._connections.obtain_nowait(self._address.origin)) is not None:
                return idle
            with trio.fail_after(CONNECT_TIMEOUT):
                return await self._connections.obtain(self._address.origin)
        except (OSError, ValueError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as error:
            problem = TelegramUnreachable(f"cannot connect to {self._base} ({self._told(error)})")
        raise problem

    async def _exchange(self, connection: Connection, method: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        headers = (*self._address.headers, (b"Content-Length", b"%d" % len(body)))
        try:
            with trio.fail_after(seconds):
                await connection.send("POST", self._address.path + method, headers, body)
                status = (await connection.receive_head()).status
                return status, await connection.receive_rest()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, RemoteProtocolError) as error:
            problem = TelegramOutcomeUnknown(f"{method}: no answer ({self._told(error)})")
        raise problem

    def _told(self, error: Exception) -> str:
        if isinstance(error, trio.TooSlowError):
            return "it takes too long"
        return self._redact(words_of(error))


def _encode(params: dict[str, Any]) -> bytes:
    return json.dumps(params, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


@asynccontextmanager
async def open_bot_api(api_base: str, token: Secret, *, connect: Connect = connect_tcp) -> AsyncIterator[BotApi]:
    """The client of one bot; leaving it closes its connections."""
    async with aclosing(Connections(connect, keep=MAX_CONNECTIONS, keep_seconds=KEEP_ALIVE)) as connections:
        yield BotApi(api_base, token, connections)


def _unchanged(text: str) -> str:
    return text


def parse_answer(method: str, status: int, body: bytes, *, redact: Callable[[str], str] = _unchanged) -> Any:
    """The ``result`` in an answer's body; raises as `BotApi.call` does. ``redact`` masks the server's own words."""
    answer = _decode(body)
    if isinstance(answer, dict):
        if answer.get("ok") is True and "result" in answer:
            return answer["result"]
        if answer.get("ok") is False:
            raise _refusal(method, status, answer, redact)
    if status == 429:
        raise TooManyRequests(method, "not a Bot API answer", retry_after=RETRY_AFTER)
    if 400 <= status < 500:  # a front end's refusal: whatever it says, it has passed nothing on
        raise TelegramError(method, status, "not a Bot API answer")
    raise TelegramOutcomeUnknown(f"{method}: HTTP {status}, not a Bot API answer")


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested beyond reason
        return None


def _refusal(method: str, status: int, answer: dict[str, Any], redact: Callable[[str], str]) -> Exception:
    given = answer.get("error_code")
    code = given if type(given) is int else status
    description = redact(str(answer.get("description", "")))
    if code >= 500:
        return TelegramOutcomeUnknown(f"{method}: {code} {description}")
    if code == 429:
        return TooManyRequests(method, description, retry_after=_retry_after(answer.get("parameters")))
    if code == 401 or (code == 404 and "method not found" not in description):
        return Unauthorized(method, code, description)
    if code == 409:
        return Conflict(method, code, description)
    return TelegramError(method, code, description, migrate_to=_migrate_to(answer.get("parameters")))


def _migrate_to(parameters: Any) -> int | None:
    chat_id = parameters.get("migrate_to_chat_id") if isinstance(parameters, dict) else None
    return chat_id if type(chat_id) is int else None


def _retry_after(parameters: Any) -> float:
    """Seconds; the refusal stands, whatever is wrong with the number."""
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 2**31:
        return float(seconds)
    return RETRY_AFTER
