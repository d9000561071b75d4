"""What can be set: one frozen class a section, one field a key, with its default, its range and what it is for.

A validator raises ValueError with what to write instead, and leaves the value to whoever may show it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs

from triolet.config.secret import Secret
from triolet.core.hidden import parse_tag

PSEUDO_USERS: Final = {777000, 1087968824, 136817688}
"""Whom Telegram names as the author for channels and anonymous administrators: anybody may be behind them."""


def _at_least(minimum: int) -> Callable[[object, object, int], None]:
    def check(_instance: object, _attribute: object, value: int) -> None:
        if value < minimum:
            raise ValueError(f"write a whole number, {minimum} or more")

    return check


def _seconds(_instance: object, _attribute: object, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError("write a number of seconds above 0")


def _filled(_instance: object, _attribute: object, value: str) -> None:
    if not value.strip():
        raise ValueError("write a name")


def _short(_instance: object, _attribute: object, value: str) -> None:
    if len(value) > 16:
        raise ValueError("write 16 characters or fewer")


def _token(_instance: object, _attribute: object, value: Secret) -> None:
    if not re.fullmatch(r"\d+:[\w-]+", value.reveal(), re.ASCII):
        raise ValueError("a bot's token looks like 123456:ABC-DEF; get yours from @BotFather")


def _header_text(_instance: object, _attribute: object, value: Secret) -> None:
    if not re.fullmatch(r"[!-~]*", value.reveal()):
        raise ValueError("a key holds no space, line end or letter outside ASCII; copy it again")


def _url(_instance: object, _attribute: object, value: str) -> None:
    if not _is_web_address(value):
        raise ValueError("write a URL such as https://host or http://127.0.0.1:8081")
    if re.search(r"[@?#]", value):
        raise ValueError("write the URL without user, password, query and fragment")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port beyond 65535, half of an IPv6 address
        return False
    printable = re.fullmatch(r"[!-~]+", url) is not None
    return printable and parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0


def _url_or_empty(instance: object, attribute: object, value: str) -> None:
    if value:
        _url(instance, attribute, value)


def _user_ids(_instance: object, _attribute: object, value: tuple[int, ...]) -> None:
    for number in value:
        if number <= 0:
            raise ValueError(f"{number} is no user; allow holds people, and the ids of groups are below 0")
        if number in PSEUDO_USERS:
            raise ValueError(f"{number} speaks for channels or anonymous administrators, so for anybody")


def _tags(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for place, tag in enumerate(value, start=1):
        try:
            parse_tag(tag)
        except ValueError as problem:
            raise ValueError(f"entry {place}: {problem}") from None


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _key(default: Any, about: str, check: Callable[..., None] | None = None, **options: Any) -> Any:
    """A key, its default, and what `documented_defaults` says of it."""
    return attrs.field(default=default, validator=check, metadata={"about": about}, **options)


@attrs.frozen
class TelegramSettings:
    token: Secret = attrs.field(
        validator=_token, metadata={"written": "${TELEGRAM_BOT_TOKEN}", "about": "the bot's token, from @BotFather"}
    )
    api_base: str = _key(
        "https://api.telegram.org", "an emulator's or a local server's base works too", _url, converter=_without_slash
    )


@attrs.frozen
class AccessSettings:
    allow: tuple[int, ...] = _key((), "numeric user ids, such as [1001, 1002]; all others are refused", _user_ids)


@attrs.frozen
class GroupSettings:
    respond: Literal["mention", "all"] = _key("mention", "mention | all: which messages in a group are answered")


@attrs.frozen
class ModelSettings:
    provider: Literal["openai-chat", "scripted"] = _key("openai-chat", "openai-chat | scripted, which needs no network")
    name: str = _key("gpt-5-mini", "the model, as its provider calls it", _filled)
    base_url: str = _key(
        "", "any compatible server, up to and including /v1; empty: OpenAI's", _url_or_empty, converter=_without_slash
    )
    api_key: Secret = attrs.field(
        default=Secret(""),
        validator=_header_text,
        metadata={"written": "${OPENAI_API_KEY}", "about": "the provider's key; scripted needs none"},
    )
    system_prompt: str = _key("", "what the model is told ahead of every conversation")
    max_tokens: int = _key(4096, "the longest answer, in tokens", _at_least(1))
    context_tokens: int = _key(100_000, "the most of a conversation that is sent, in tokens", _at_least(1000))
    connect_timeout: float = _key(10.0, "seconds to reach the provider", _seconds)
    first_byte_timeout: float = _key(60.0, "seconds until it begins to answer", _seconds)
    idle_timeout: float = _key(60.0, "seconds of silence within an answer", _seconds)
    total_timeout: float = _key(900.0, "seconds for a whole answer", _seconds)


@attrs.frozen
class StreamingSettings:
    enabled: bool = _key(True, "false: an answer is shown once it is complete")
    transport: Literal["auto", "draft", "edit"] = _key("auto", "auto | draft | edit; auto: drafts where they exist")
    format: Literal["entities", "rich", "plain"] = _key("entities", "entities | rich | plain: how Markdown is shown")
    edit_interval: float = _key(1.0, "seconds between edits at best", _seconds)
    draft_interval: float = _key(0.2, "seconds between drafts at best; the budget widens it", _seconds)
    cursor: str = _key(" ▉", "what follows an answer that is still being written", _short)
    notify: Literal["final", "first"] = _key("final", "final | first: which message of a growing answer rings")
    hide_tags: tuple[str, ...] = _key(
        ("think", "thinking", "reasoning"), 'whose text never shows; any other pair: "[A]...[/A]"', _tags
    )


@attrs.frozen
class LimitSettings:
    max_turns: int = _key(200, "answers being written at once", _at_least(1))
    queue_per_chat: int = _key(5, "messages that wait in one chat", _at_least(1))


@attrs.frozen
class StoreSettings:
    path: Path = attrs.field(default=Path("triolet.db"), metadata={"about": "relative to this file's folder"})


@attrs.frozen
class Settings:
    """Everything that can be set; a change needs a restart."""

    telegram: TelegramSettings
    access: AccessSettings = attrs.field(factory=AccessSettings)
    groups: GroupSettings = attrs.field(factory=GroupSettings)
    model: ModelSettings = attrs.field(factory=ModelSettings)
    streaming: StreamingSettings = attrs.field(factory=StreamingSettings)
    limits: LimitSettings = attrs.field(factory=LimitSettings)
    store: StoreSettings = attrs.field(factory=StoreSettings)


SECTIONS: Final[dict[str, Any]] = {s.name: s.type for s in attrs.fields(attrs.resolve_types(Settings))}
KEYS: Final[dict[str, attrs.Attribute[Any]]] = {
    f"{name}.{key.name}": key for name, cls in SECTIONS.items() for key in attrs.fields(attrs.resolve_types(cls))
}
