"""The Bot API's client: the one module that knows the token, and what an HTTP answer means.

Source: https://core.telegram.org/bots/api#making-requests. Rules:

1. The token is put into a URL when a request is made and appears nowhere else: errors of the HTTP library, which
   hold the URL, are replaced, never chained.
2. Every failure is one of three: refused (`TelegramError`), never left (`TelegramUnreachable`), or unknown
   (`TelegramOutcomeUnknown`). An answer that is no JSON object with ``ok``, and any 5xx, tells nothing about
   what was done.
3. Calls take clients from a stack, one connection each, the last used first: httpx's own pool gets slow when
   many tasks share it, and the warmest connection is the fastest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpcore
import httpx
import msgspec
import trio

from triolet.config import Secret
from triolet.errors import (
    Conflict,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    TooManyRequests,
    Unauthorized,
)
from triolet.net.network import Connect, connect_tcp, open_transport

CALL_TIMEOUT = 40.0
"""Seconds. The server itself may hold a flooded send for 8 s, and says so only afterwards."""

DRAFT_TIMEOUT = 10.0
"""Seconds. A draft is held for 2 s at most; an older one is of no use."""

MAX_CONNECTIONS = 64
"""At once, over all chats; a call that finds none waits for one."""

KEEP_ALIVE = 60.0
"""Seconds that an idle connection is kept; the server would keep it for 500."""


class BotApi:
    """Made by `open_bot_api`."""

    def __init__(self, api_base: str, token: Secret, connect: Connect, clients: AsyncExitStack) -> None:
        self._base = api_base.rstrip("/")
        self._token = token
        self._connect = connect
        self._clients = clients
        self._idle: list[httpx.AsyncClient] = []
        self._connections = trio.CapacityLimiter(MAX_CONNECTIONS)

    def __repr__(self) -> str:
        return f"<BotApi {self._base}>"

    async def call(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout: float = CALL_TIMEOUT,  # noqa: ASYNC109  # handed to the HTTP client, which tells its kinds apart
    ) -> Any:
        """The ``result`` of one call.

        Raises:
            TelegramError: refused, with the server's own description.
            TelegramUnreachable: no connection; nothing was sent.
            TelegramOutcomeUnknown: it may have been carried out.
        """
        async with self._connections:
            client = self._idle.pop() if self._idle else await self._open_client()
            try:
                response = await self._post(client, method, params, timeout)
            finally:
                self._idle.append(client)
        return parse_answer(method, response.status_code, response.content)

    async def _open_client(self) -> httpx.AsyncClient:
        transport = open_transport(
            httpx,
            httpcore,
            self._connect,
            tls=self._base.startswith("https:"),
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE,
        )
        return await self._clients.enter_async_context(httpx.AsyncClient(transport=transport, trust_env=False))

    async def _post(
        self, client: httpx.AsyncClient, method: str, params: dict[str, Any], seconds: float
    ) -> httpx.Response:
        url = f"{self._base}/bot{self._token.reveal()}/{method}"
        try:
            return await client.post(url, json=params, timeout=httpx.Timeout(seconds, connect=10.0))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL) as error:
            problem: Exception = TelegramUnreachable(f"cannot connect to {self._base} ({_name(error)})")
        except httpx.HTTPError as error:
            problem = TelegramOutcomeUnknown(f"{method}: no answer ({_name(error)})")
        raise problem from None


def _name(error: Exception) -> str:
    return type(error).__name__


@asynccontextmanager
async def open_bot_api(api_base: str, token: Secret, *, connect: Connect = connect_tcp) -> AsyncIterator[BotApi]:
    """The client of one bot; leaving it closes its connections."""
    async with AsyncExitStack() as clients:
        yield BotApi(api_base, token, connect, clients)


class _Parameters(msgspec.Struct):
    retry_after: float = 1.0


class _Answer(msgspec.Struct):
    ok: bool
    result: Any = msgspec.UNSET
    error_code: int = 0
    description: str = ""
    parameters: _Parameters | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def parse_answer(method: str, status: int, body: bytes) -> Any:
    """The ``result`` in an answer's body; raises as `BotApi.call` does."""
    try:
        answer = _decode_answer(body)
    except (msgspec.DecodeError, RecursionError):
        raise TelegramOutcomeUnknown(f"{method}: HTTP {status}, not a Bot API answer") from None
    if answer.ok and answer.result is not msgspec.UNSET:
        return answer.result
    raise _refusal(method, answer.error_code or status, answer)


def _refusal(method: str, code: int, answer: _Answer) -> Exception:
    description = answer.description
    if code >= 500:
        return TelegramOutcomeUnknown(f"{method}: {code} {description}")
    if code == 429:
        parameters = answer.parameters or _Parameters()
        return TooManyRequests(method, description, retry_after=parameters.retry_after)
    if code == 401 or (code == 404 and "method not found" not in description):
        return Unauthorized(method, code, description)
    if code == 409:
        return Conflict(method, code, description)
    return TelegramError(method, code, description)
