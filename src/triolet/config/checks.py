"""Which values of its type a key takes: each check raises ValueError with what to write instead.

It leaves the value itself to whoever may show it.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from triolet.config.secret import Secret
from triolet.core.hidden import parse_tag

PSEUDO_USERS: Final = {777000, 1087968824, 136817688}
"""Whom Telegram names as the author for channels and anonymous administrators: anybody may be behind them."""


def did_you_mean(names: list[str]) -> str:
    return f"; did you mean {names[0]}?" if names else ""


def nearest(name: str, choices: Iterable[str], cutoff: float) -> str:
    return did_you_mean(difflib.get_close_matches(name, list(choices), n=1, cutoff=cutoff))


def at_least(minimum: int) -> Callable[[object, object, int], None]:
    def check(_instance: object, _attribute: object, value: int) -> None:
        if value < minimum:
            raise ValueError(f"write a whole number, {minimum} or more")

    return check


def seconds(_instance: object, _attribute: object, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError("write a number of seconds above 0")


def seconds_or_none(_instance: object, _attribute: object, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError("write a number of seconds, 0 or more")


def filled(_instance: object, _attribute: object, value: str) -> None:
    if not value.strip():
        raise ValueError("write a name")


def short(_instance: object, _attribute: object, value: str) -> None:
    if len(value) > 16:
        raise ValueError("write 16 characters or fewer")


def token(_instance: object, _attribute: object, value: Secret) -> None:
    if not re.fullmatch(r"\d+:[\w-]+", value.reveal(), re.ASCII):
        raise ValueError("a bot's token looks like 123456:ABC-DEF; get yours from @BotFather")


def header_text(_instance: object, _attribute: object, value: Secret) -> None:
    if not re.fullmatch(r"[!-~]*", value.reveal()):
        raise ValueError("a key holds no space, line end or letter outside ASCII; copy it again")


def url(_instance: object, _attribute: object, value: str) -> None:
    if re.search(r"[@?#]", value):
        raise ValueError("write the URL without user, password, query and fragment")
    if not _is_web_address(value):
        raise ValueError("write a URL such as https://host or http://127.0.0.1:8081")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
        _check_host(parts.hostname or "", in_brackets=parts.netloc.startswith("["))
    except ValueError:  # a port beyond 65535, half of an IPv6 address, a host that cannot exist
        return False
    whole = re.fullmatch(r"(?:\[[^]]*\]|[^][:]+)(?::\d*)?", parts.netloc) is not None
    return whole and parts.scheme in {"http", "https"} and re.fullmatch(r"[!-~]+", text) is not None and port != 0


def _check_host(host: str, *, in_brackets: bool) -> None:
    """Refuse what passes for a URL and would be another exception of an HTTP library with every request."""
    if in_brackets:
        ipaddress.IPv6Address(host)
    elif re.fullmatch(r"\d+(?:\.\d+){3}", host):
        ipaddress.IPv4Address(host)
    host.encode("idna")  # as the look-up of its address will
    for label in host.split("."):
        # Not decoded as IDNA of 2003, which is all that Python knows: it would refuse the ß of today's names.
        if label.startswith("xn--") and label[4:].encode().decode("punycode").isascii():
            raise ValueError("no letters are encoded here")


def url_or_empty(instance: object, attribute: object, value: str | None) -> None:
    if value:
        url(instance, attribute, value)


def user_ids(_instance: object, _attribute: object, value: tuple[int, ...]) -> None:
    for number in value:
        if number <= 0:
            raise ValueError(f"{number} is no user; allow holds people, and the ids of groups are below 0")
        if number in PSEUDO_USERS:
            raise ValueError(f"{number} speaks for channels or anonymous administrators, so for anybody")


def tags(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for place, tag in enumerate(value, start=1):
        try:
            parse_tag(tag)
        except ValueError as problem:
            raise ValueError(f"entry {place}: {problem}") from None


def some_of(*choices: str) -> Callable[[object, object, tuple[str, ...]], None]:
    def check(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
        for place, entry in enumerate(value, start=1):
            if entry not in choices:
                advice = f"write some of {', '.join(choices)}{nearest(entry, choices, 0.6)}"
                raise ValueError(f"entry {place}: {advice}")
            if entry in value[: place - 1]:
                raise ValueError(f"entry {place} is there already; write each once")

    return check


def table_name(_instance: object, _attribute: object, value: str) -> None:
    if not re.fullmatch(r"[a-z0-9_-]{1,20}", value):
        raise ValueError("name the table with 1 to 20 of a-z, 0-9, _ and -")


def argv(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for place, entry in enumerate(value, start=1):
        if not entry:
            raise ValueError(f"entry {place} is empty; write a program and its arguments, each in quotes")
        if "${" in entry:  # it would be seen in the list of processes, too
            raise ValueError(f"entry {place}: no variable is read here; pass it by its name in env")


def variable_names(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for place, entry in enumerate(value, start=1):
        if not re.fullmatch(r"[A-Za-z_]\w*", entry, re.ASCII):
            raise ValueError(f"entry {place}: write the name of a variable, whose value the environment has")


def tool_names(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for place, entry in enumerate(value, start=1):
        if not entry.strip():
            raise ValueError(f"entry {place} is empty; write a tool's name, or * for all")
