"""Which values a key takes, beyond its type: addresses above all."""

from __future__ import annotations

import pytest

from triolet.config import checks

HOSTS = [
    *("host", "host.", "a_b", "127.0.0.1", "1.2.3", "[::1]", "[fe80::1%25eth0]", "a" * 63, "xn--bcher-kva.example"),
    "xn--fa-hia.de",  # faß.de, which IDNA of 2003 did not know
]
NO_HOSTS = [
    *("", ".", "..", "a..b", ".a", "a" * 64, "xn--", "a.xn--", "XN--A-", "999.1.1.1", "[::zz]", "[v1.a]", "[1.2.3.4]"),
    *("[::1]x", "[::1", "::1", "a b", "ä.de"),
]


@pytest.mark.parametrize("port", ["", ":1", ":65535"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_may_exist(host: str, port: str) -> None:
    checks.url(None, None, f"http://{host}{port}/v1")


@pytest.mark.parametrize("host", NO_HOSTS)
def test_a_host_that_cannot_exist(host: str) -> None:
    with pytest.raises(ValueError, match="write a URL such as"):
        checks.url(None, None, f"http://{host}/v1")


TOOLS = checks.some_of("time", "fetch")


@pytest.mark.parametrize("value", [(), ("time",), ("fetch", "time")])
def test_some_of_the_choices(value: tuple[str, ...]) -> None:
    TOOLS(None, None, value)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (("time", "fetsch"), "entry 2: write some of time, fetch; did you mean fetch?"),
        (("",), "entry 1: write some of time, fetch"),
        (("time", "time"), "entry 2 is there already; write each once"),
    ],
)
def test_none_of_the_choices(value: tuple[str, ...], advice: str) -> None:
    with pytest.raises(ValueError, match=f"^{advice.replace('?', '[?]')}$"):
        TOOLS(None, None, value)
