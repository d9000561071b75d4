"""Pages of the public web, and of it alone: whatever an address looks like, none leads to a private place.

The canary listens on 127.0.0.1: it is what any connection reaches here, so that a bypass is a connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from odd_servers import HOST, Certificates, OddServer, Wrapped, make_certificates, never, open_odd_server, say_nothing

from triolet.emulator import App, Exchange, Response
from triolet.errors import ToolError
from triolet.tools import open_builtin
from triolet.tools.fetch import LONGEST_TEXT, MOST_BYTES, fetch_page

PUBLIC = "93.184.215.14"
HTML = (("Content-Type", "text/html; charset=utf-8"),)
PAGE = Response(200, "<title>Title</title><p>Grüße <a href='/b'>there</a></p>".encode(), HTML)


@attrs.frozen
class Names:
    """A resolver with a table of what each query for a name gives; other names are asked for in earnest."""

    table: dict[str, list[list[str]]] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)

    async def resolve(self, host: str, port: int, **options: Any) -> Sequence[tuple[Any, ...]]:
        self.asked.append(host)
        if host not in self.table:
            return await trio.socket.getaddrinfo(host, port, **options)
        await trio.lowlevel.checkpoint()
        answers = self.table[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, port)) for address in addresses]


@attrs.frozen
class Net:
    """What ``connect`` was asked for; all of it leads to the one server."""

    server: OddServer
    reached: list[tuple[str, int]] = attrs.field(factory=list)

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.reached.append((host, port))
        return await self.server.connect()


def app_of(routes: dict[str, Response]) -> App:
    async def app(exchange: Exchange) -> None:
        await exchange.respond(routes.get(exchange.request.path, PAGE))

    return app


async def fetch(url: str, app: App | None = None, names: Names | None = None) -> tuple[str, Net]:
    names = names or Names({"web.test": [[PUBLIC]]})
    async with open_odd_server(app or app_of({})) as server:
        net = Net(server)
        return await fetch_page(url, connect=net.connect, resolve=names.resolve), net


async def refusal(url: str, app: App | None = None, names: Names | None = None) -> str:
    with pytest.RaisesGroup(ToolError) as caught:
        await fetch(url, app, names)
    (problem,) = caught.value.exceptions
    return str(problem)


@attrs.define
class Canary:
    port: int
    caught: int = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.caught += 1
        await stream.aclose()


@pytest.fixture
async def canary(nursery: trio.Nursery) -> Canary:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    canary = Canary(listener.socket.getsockname()[1])
    nursery.start_soon(trio.serve_listeners, canary.serve, [listener])
    return canary


EVASIVE_HOSTS = [
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
    ),
    *("0", "0.0.0.0", "0x0", "127.255.255.254", "127.0.0.1.", "localhost", "localhost.", "LOCALHOST"),
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "3232235521", "0xc0a80001", "169.254.169.254", "2852039166"),
    *("0xa9fea9fe", "0251.0376.0251.0376", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("198.18.0.1", "224.0.0.1", "255.255.255.255", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::ffff:0:127.0.0.1]", "[fd00::1]"),
    *("[fc00::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[2002:7f00:1::1]", "[2002:a9fe:a9fe::]"),
    *("[2001:0:808:808::80ff:fffe]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::127.0.0.1]"),
    *("[2a00::5efe:127.0.0.1]", "[2a00::200:5efe:127.0.0.1]", "[fd00:ec2::254]", "[::ffff:0a00:0001]"),
    *("127。0。0。1", "127．0．0．1", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "ⓛocalhost"),
    *("private.test", "mixed.test", "wrapped.test", "nowhere.test", "a..b", "x" * 64 + ".test", "xn--.test"),
]
TRICKS: dict[str, list[list[str]]] = {
    "private.test": [["127.0.0.1"]],
    "mixed.test": [[PUBLIC, "10.0.0.1"]],
    "wrapped.test": [["::ffff:127.0.0.1"]],
    "nowhere.test": [[]],
}


@pytest.mark.parametrize("host", EVASIVE_HOSTS)
async def test_no_host_leads_to_a_private_place(canary: Canary, host: str) -> None:
    assert len(EVASIVE_HOSTS) >= 60
    for url in (f"http://{host}/", f"https://{host}:443/"):
        with trio.fail_after(20), pytest.raises(ToolError):
            await fetch_page(url, connect=canary.connect, resolve=Names(dict(TRICKS)).resolve)
    await trio.testing.wait_all_tasks_blocked()
    assert canary.caught == 0


async def test_the_canary_would_sing(canary: Canary) -> None:
    with pytest.raises(ToolError, match=r"no page from web.test"):
        await fetch_page("http://web.test", connect=canary.connect, resolve=Names({"web.test": [[PUBLIC]]}).resolve)
    assert canary.caught == 1


ADDRESSES = {
    "": "only addresses that begin with http",
    "web.test": "only addresses that begin with http",
    "file:///etc/passwd": "only addresses that begin with http",
    "gopher://web.test/": "only addresses that begin with http",
    "ftp://web.test/": "only addresses that begin with http",
    "data:text/html,x": "only addresses that begin with http",
    "http://": "only addresses that begin with http",
    "http://me@web.test/": "addresses with a user name",
    "http://me:you@web.test/": "addresses with a user name",
    "http://web.test@127.0.0.1/": "addresses with a user name",
    "http://web.test:22/": "only the ports 80 and 443",
    "http://web.test:8080/": "only the ports 80 and 443",
    "http://web.test:99999/": "only the ports 80 and 443",
    "http://[::1/": "that is no address of a page",
    "http://a\0b/": "that is no address of a page",
}


@pytest.mark.parametrize("url", ADDRESSES)
async def test_what_is_not_asked_for(autojump_clock: object, url: str) -> None:
    names = Names({"web.test": [[PUBLIC]]})
    assert (await refusal(url, names=names)).startswith(ADDRESSES[url])
    assert names.asked == []


async def test_a_page_has_title_address_text_and_links(autojump_clock: object) -> None:
    text, net = await fetch(" http://web.test/a ")
    assert text == "Title\nhttp://web.test/a\n\nGrüße there (http://web.test/b)"
    assert net.reached == [(PUBLIC, 80)]
    (request,) = net.server.requests
    assert (request.method, request.header("host"), request.header("cookie")) == ("GET", "web.test", None)
    assert request.header("accept-encoding") == "identity"
    assert net.server.open == 0


async def test_tls_is_with_the_name_and_the_connection_with_the_address(autojump_clock: object) -> None:
    certificates: Certificates = make_certificates()
    async with open_odd_server(app_of({}), tls=certificates.server) as server:
        net, names = Net(server), Names({HOST: [[PUBLIC]]})
        url = f"https://{HOST}/"
        text = await fetch_page(url, connect=net.connect, resolve=names.resolve, tls=certificates.client)
        assert text.startswith("Title")
        assert net.reached == [(PUBLIC, 443)]
        other = Names({"other.test": [[PUBLIC]]})
        with pytest.raises(ToolError, match=r"no page from other.test"):
            await fetch_page("https://other.test/", connect=net.connect, resolve=other.resolve, tls=certificates.client)


async def test_a_name_that_changes_its_mind_is_asked_once(autojump_clock: object) -> None:
    names = Names({"web.test": [[PUBLIC], ["127.0.0.1"]]})
    _, net = await fetch("http://web.test/", names=names)
    assert (names.asked, net.reached) == (["web.test"], [(PUBLIC, 80)])


def moved(location: str) -> Response:
    return Response(302, b"", (("Location", location),))


REDIRECTS = {
    "file:///etc/passwd": "only addresses that begin with http",
    "gopher://web.test/": "only addresses that begin with http",
    "http://127.0.0.1/": "127.0.0.1 is not on the public internet",
    "//127.0.0.1/": "127.0.0.1 is not on the public internet",
    "http://web.test/again": "web.test is not on the public internet",
    "http://me@web.test/": "addresses with a user name",
    "http://web.test:6379/": "only the ports 80 and 443",
    "http://[::1": "that is no address of a page",
}


@pytest.mark.parametrize("location", REDIRECTS)
async def test_a_redirect_is_checked_anew(autojump_clock: object, location: str) -> None:
    names = Names({"web.test": [[PUBLIC], ["10.0.0.1"]]})
    assert (await refusal("http://web.test/", app_of({"/": moved(location)}), names)).startswith(REDIRECTS[location])


@pytest.mark.parametrize(("hops", "arrives"), [(3, True), (4, False)])
async def test_so_many_redirects_and_no_more(autojump_clock: object, hops: int, arrives: bool) -> None:
    app = app_of({f"/{n}": moved(f"{n - 1}") for n in range(1, hops + 1)})
    if arrives:
        assert (await fetch(f"http://web.test/{hops}", app))[0].startswith("Title\nhttp://web.test/0\n")
    else:
        assert await refusal(f"http://web.test/{hops}", app) == "more than 3 redirects"


def typed(kind: str, body: bytes = b"x", *more: tuple[str, str]) -> Response:
    return Response(200, body, (("Content-Type", kind), *more))


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (Response(404), "web.test answered with status 404"),
        (Response(304), "web.test answered with status 304"),
        (Response(200, b"x"), "web.test sent no text, but something of no type"),
        (typed("image/png"), "web.test sent no text, but image/png"),
        (typed("application/pdf; x=text/html"), "web.test sent no text, but application/pdf"),
        (typed("application/xml-dtd"), "web.test sent no text, but application/xml-dtd"),
        (typed("text/html", b"x", ("Content-Encoding", "gzip")), "web.test sent it compressed"),
    ],
)
async def test_an_answer_that_is_no_text(autojump_clock: object, response: Response, text: str) -> None:
    assert (await refusal("http://web.test/", app_of({"/": response}))).startswith(text)


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (typed("application/json", b'{"a": 1}'), '{"a": 1}'),
        (typed("application/ld+json", b"{}"), "{}"),
        (typed("TEXT/plain; charset=latin-1", b"gr\xfc\xdfe <p>"), "grüße <p>"),
        (typed("text/html", b"<meta charset=windows-1251>\xcf<i>"), "П"),
        (typed("text/html; charset=punycode", "ä<i>".encode()), "ä"),
        (typed("text/plain; charset=nonsense", b"\xff"), "\ufffd"),
    ],
)
async def test_text_of_any_kind(autojump_clock: object, response: Response, text: str) -> None:
    assert (await fetch("http://web.test/", app_of({"/": response})))[0] == f"http://web.test/\n\n{text}"


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
async def test_of_an_endless_page_there_is_the_beginning(autojump_clock: object, kind: str) -> None:
    received = 0

    class Counted(Wrapped):
        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            nonlocal received
            data = await super().receive_some(max_bytes)
            received += len(data)
            return data

    async def endless(exchange: Exchange) -> None:
        await exchange.start(200, (("Content-Type", kind),))
        while True:
            await exchange.send_chunk(b"word " * 20_000)

    names = Names({"web.test": [[PUBLIC]]})
    async with open_odd_server(endless, wrap=Counted) as server:
        text = await fetch_page("http://web.test/", connect=Net(server).connect, resolve=names.resolve)
    assert MOST_BYTES <= received <= MOST_BYTES + 200_000
    assert text.endswith("\n[the page goes on]")
    assert len(text) <= LONGEST_TEXT + 100


async def trickle(exchange: Exchange) -> None:
    await exchange.start(200, HTML)
    while True:
        await exchange.send_chunk(b"x")
        await trio.sleep(1)


@pytest.mark.parametrize("app", [say_nothing, trickle])
async def test_a_slow_page_does_not_come(autojump_clock: object, app: App) -> None:
    assert await refusal("http://web.test/", app) == "the page did not come within 20 s"
    assert trio.current_time() == 20.0


async def test_of_several_addresses_one_is_enough(autojump_clock: object) -> None:
    async with open_odd_server(app_of({})) as server:
        tries: dict[str, Callable[[str, int], Awaitable[trio.abc.Stream]]] = {"1.0.0.1": never}

        async def connect(host: str, port: int) -> trio.abc.Stream:
            if host == "8.8.4.4":
                raise ConnectionRefusedError
            return await tries.get(host, server.connect)(host, port)

        names = Names({"web.test": [["8.8.4.4", "1.0.0.1", PUBLIC]]})
        assert (await fetch_page("http://web.test/", connect=connect, resolve=names.resolve)).startswith("Title")
        assert trio.current_time() == 5.0


async def test_the_tool_fetches_over_tcp() -> None:
    async with open_odd_server(app_of({})) as server:
        port = await server.listen()

        async def connect(host: str, _port: int) -> trio.abc.Stream:
            return await trio.open_tcp_stream("127.0.0.1", port)

        (tool,) = open_builtin(["fetch"], connect=connect, resolve=Names({"web.test": [[PUBLIC]]}).resolve)
        with trio.fail_after(10):
            assert (await tool.call({"url": "http://web.test/"})).startswith("Title")
