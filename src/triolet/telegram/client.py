"""The Bot API's client: the one module that knows the token, and what an HTTP answer means.

Source: https://core.telegram.org/bots/api#making-requests. Rules:

1. The token is put into a URL when a request is made and appears nowhere else: errors of the HTTP library, which
   hold the URL, are replaced, never chained; ``httpx.AsyncClient``, which logs the URL of every request, is left
   out; and a server's description that quotes the URL is masked.
2. Every failure is one of three: refused (`TelegramError`), never left (`TelegramUnreachable`), or unknown
   (`TelegramOutcomeUnknown`). A 5xx, and an answer that is no JSON object with ``ok`` and no 4xx either,
   tells nothing about what was done.
3. Calls take transports from a stack, one connection each, the last used first: httpx's own pool gets slow when
   many tasks share it, and the warmest connection is the fastest.
4. What a user wrote is carried as it came: a half of a surrogate pair, which no UTF-8 can hold, comes in as it is,
   and goes out as a question mark, since a refusal of the whole text would help nobody.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpcore
import httpx
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

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "gzip", "User-Agent": "triolet"}


class BotApi:
    """Made by `open_bot_api`."""

    def __init__(self, api_base: str, token: Secret, connect: Connect, clients: AsyncExitStack) -> None:
        self._base = api_base.rstrip("/")
        self._token = token
        self._connect = connect
        self._clients = clients
        self._redact = Redactor([token.reveal()])
        self._idle: list[httpx.AsyncBaseTransport] = []
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
        return parse_answer(method, response.status_code, response.content, redact=self._redact)

    async def _open_client(self) -> httpx.AsyncBaseTransport:
        transport: httpx.AsyncBaseTransport = open_transport(
            httpx,
            httpcore,
            self._connect,
            tls=self._base.startswith("https:"),
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE,
        )
        return await self._clients.enter_async_context(transport)

    async def _post(
        self, client: httpx.AsyncBaseTransport, method: str, params: dict[str, Any], seconds: float
    ) -> httpx.Response:
        body = _encode(params)
        try:
            # The library's time-outs are for each read: over all, a server that dribbles has no longer either.
            with trio.fail_after(CONNECT_TIMEOUT + seconds):
                return await _exchange(client, self._request(method, body, seconds))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            problem: Exception = TelegramUnreachable(f"cannot connect to {self._base} ({self._told(error)})")
        except (httpx.HTTPError, trio.TooSlowError) as error:
            problem = TelegramOutcomeUnknown(f"{method}: no answer ({self._told(error)})")
        raise problem from None

    def _request(self, method: str, body: bytes, seconds: float) -> httpx.Request:
        url = f"{self._base}/bot{self._token.reveal()}/{method}"
        timeout = httpx.Timeout(seconds, connect=CONNECT_TIMEOUT).as_dict()
        return httpx.Request("POST", url, content=body, headers=_HEADERS, extensions={"timeout": timeout})

    def _told(self, error: Exception) -> str:
        return ": ".join(filter(None, [type(error).__name__, self._redact(str(error))]))


def _encode(params: dict[str, Any]) -> bytes:
    return json.dumps(params, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


async def _exchange(client: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    """The whole answer, body included."""
    response = await client.handle_async_request(request)
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


@asynccontextmanager
async def open_bot_api(api_base: str, token: Secret, *, connect: Connect = connect_tcp) -> AsyncIterator[BotApi]:
    """The client of one bot; leaving it closes its connections."""
    async with AsyncExitStack() as clients:
        yield BotApi(api_base, token, connect, clients)


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
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf:
        return float(seconds)
    return RETRY_AFTER
