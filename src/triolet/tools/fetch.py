"""A page of the public web, as text: the one place from which a model reaches out to an address of its choice.

Whoever wrote what the model has read may have chosen the address. Rules, for every redirect anew:

1. Only ``http`` and ``https``, to ports 80 and 443, without user and password.
2. A name is resolved once. All of its addresses must be public, and the connection goes to one of these addresses,
   whatever the name means a moment later; for the ``Host`` header and for TLS it remains the name.
3. No cookies, no proxies, no compression: what comes in is as large as what is counted.
4. Only what is text. `MOST_BYTES` are read of it at most, and all takes `SECONDS` at most.
"""

from __future__ import annotations

import codecs
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeAlias

import attrs
import httpx
import trio

from triolet.errors import ToolError
from triolet.net.network import Connect, connect_tcp
from triolet.net.transport import open_transport
from triolet.tools.addresses import is_public
from triolet.tools.readable import ReadablePage

Resolve: TypeAlias = Callable[..., Awaitable[Sequence[tuple[Any, ...]]]]
"""`trio.socket.getaddrinfo`, or what takes a host, a port and ``type=``, and gives the same."""

SECONDS = 20.0

ADDRESS_SECONDS = 5.0
"""To connect to one of several addresses."""

MOST_REDIRECTS = 3

MOST_BYTES = 10 << 20

MOST_HTML = 1 << 20
"""Characters that are parsed: some tens of milliseconds of work for each 100,000."""

LONGEST_TEXT = 20_000
"""Characters of a page that a model gets."""

_PIECE = 1 << 14
"""Characters that are parsed between two pauses."""

_HEADERS = {
    "User-Agent": "triolet",
    "Accept": "text/html, text/*;q=0.9, application/json;q=0.9, application/xml;q=0.8",
    "Accept-Encoding": "identity",
}
_TEXTUAL = re.compile(r"text/[\w.+-]+|application/([\w.-]+\+)?(json|xml)")
_MARKUP = {"text/html", "application/xhtml+xml"}
_CHARSET = re.compile(rb"""charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_KNOWN_CHARSETS = re.compile(r"utf-(8|16|32)|ascii|iso8859|iso2022|cp\d|gb|big5|euc|koi8|shift_jis|mac")
"""Python has codecs that are none for pages, and some whose time grows with the square of the text."""


@attrs.frozen
class _Answer:
    """What one request brought: a place to go on to, or a page."""

    url: httpx.URL
    location: str = ""
    kind: str = ""
    charset: str | None = None
    body: bytes = b""


async def fetch_page(
    url: str,
    *,
    connect: Connect = connect_tcp,
    resolve: Resolve = trio.socket.getaddrinfo,
    tls: ssl.SSLContext | None = None,
) -> str:
    """The title, the address and the text of a page.

    ``connect`` gets numeric addresses alone. ``tls`` is as in `net.transport.open_transport`.

    Raises:
        ToolError: it may not be asked for, or did not come.
    """
    with trio.move_on_after(SECONDS):
        answer = await _follow(url, connect, resolve, tls)
        return await _rendered(answer)
    raise ToolError(f"the page did not come within {SECONDS:g} s")


async def _follow(url: str, connect: Connect, resolve: Resolve, tls: ssl.SSLContext | None) -> _Answer:
    target = _parsed(url)
    for _ in range(MOST_REDIRECTS + 1):
        addresses = await _resolved(target, resolve)
        answer = await _ask(target, _pinned(addresses, connect), tls)
        if not answer.location:
            return answer
        target = _parsed(answer.location, target)
    raise ToolError(f"more than {MOST_REDIRECTS} redirects")


def _parsed(reference: str, base: httpx.URL | None = None) -> httpx.URL:
    """The address, if rule 1 lets it pass."""
    try:
        url = base.join(reference) if base else httpx.URL(reference.strip())
    except (httpx.InvalidURL, ValueError) as problem:
        raise ToolError(f"that is no address of a page: {problem}") from None
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ToolError("only addresses that begin with http:// or https:// can be fetched")
    if url.userinfo:
        raise ToolError("addresses with a user name or a password are not fetched")
    if url.port not in {None, 80, 443}:
        raise ToolError("only the ports 80 and 443 are fetched from")
    return url


def _host(url: httpx.URL) -> str:
    """As it goes over the wire; httpx fails to show some names in letters."""
    return url.raw_host.decode("ascii")


async def _resolved(url: httpx.URL, resolve: Resolve) -> list[str]:
    """The addresses of its host, all of them public (rule 2)."""
    host = _host(url)
    try:
        found = await resolve(host, url.port or 0, type=trio.socket.SOCK_STREAM)
    except (OSError, ValueError):  # ValueError: a label that no name can have
        found = ()
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not addresses:
        raise ToolError(f"{host} has no address")
    if not all(map(is_public, addresses)):
        raise ToolError(f"{host} is not on the public internet, and is not fetched")
    return addresses


def _pinned(addresses: Sequence[str], connect: Connect) -> Connect:
    """Connects to these addresses alone, whatever the host's name."""

    async def connect_pinned(_host: str, port: int) -> trio.abc.Stream:
        for address in addresses:
            with trio.move_on_after(ADDRESS_SECONDS), suppress(OSError):
                return await connect(address, port)
        raise OSError("none of its addresses answers")

    return connect_pinned


async def _ask(url: httpx.URL, connect: Connect, tls: ssl.SSLContext | None) -> _Answer:
    request = httpx.Request("GET", url, headers=_HEADERS)
    try:
        async with (
            aclosing(open_transport(httpx, connect, tls=tls)) as transport,
            aclosing(await transport.handle_async_request(request)) as response,
        ):
            return await _read(url, response)
    except httpx.HTTPError as problem:
        raise ToolError(f"no page from {_host(url)} ({type(problem).__name__})") from None


async def _read(url: httpx.URL, response: httpx.Response) -> _Answer:
    location = response.headers.get("location", "")
    if response.status_code in {301, 302, 303, 307, 308} and location:
        return _Answer(url, location)
    if not response.is_success:
        raise ToolError(f"{_host(url)} answered with status {response.status_code}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _TEXTUAL.fullmatch(kind):
        raise ToolError(f"{_host(url)} sent no text, but {kind or 'something of no type'}")
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ToolError(f"{_host(url)} sent it compressed, which it was asked not to")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk[: MOST_BYTES - len(body)]
        if len(body) == MOST_BYTES:
            break
    return _Answer(url, kind=kind, charset=response.charset_encoding, body=bytes(body))


async def _rendered(answer: _Answer) -> str:
    is_markup = answer.kind in _MARKUP
    text = answer.body.decode(_charset(answer, is_markup), "replace").lstrip("\ufeff")
    title = ""
    if is_markup:
        page = ReadablePage(str(answer.url))
        for start in range(0, min(len(text), MOST_HTML), _PIECE):
            page.feed(text[start : start + _PIECE])
            await trio.lowlevel.checkpoint()
            if page.size > 2 * LONGEST_TEXT:  # some of that is space which is left out
                break
        title, text = page.title, page.text
    rest = "\n[the page goes on]" if len(text) > LONGEST_TEXT else ""
    head = f"{title}\n{answer.url}" if title else str(answer.url)
    return f"{head}\n\n{text[:LONGEST_TEXT]}{rest}"


def _charset(answer: _Answer, is_markup: bool) -> str:
    """What the server, or the page itself, says of its letters, if it is known."""
    stated = _CHARSET.search(answer.body[:1024]) if is_markup else None
    name = answer.charset or (stated[1].decode() if stated else "")
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        return "utf-8"
    return known if _KNOWN_CHARSETS.match(known) else "utf-8"
