"""What can be set: one frozen class a section, one field a key, with its default, its range and what it is for.

What a key takes beyond its type is checked by one of `checks`; what two keys must agree on, by their class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from triolet.config import checks
from triolet.config.checks import at_least
from triolet.config.secret import Secret

ProviderName: TypeAlias = Literal["anthropic", "openai-responses", "openai-chat", "local", "scripted"]

OFFICIAL_KEYS: Final[dict[str, str]] = {
    "anthropic": "${ANTHROPIC_API_KEY}",
    "openai-responses": "${OPENAI_API_KEY}",
    "openai-chat": "${OPENAI_API_KEY}",
}
"""What a key is that nobody wrote, at the provider's own address: no company gets another one's."""
KEYLESS: Final = {"local", "scripted"}
"""Providers that need no key."""


def _without_slash(url: str | None) -> str | None:
    return url and url.rstrip("/")


def _key(default: Any, about: str, check: Callable[..., None] | None = None, **options: Any) -> Any:
    """A key, its default, and what `documented_defaults` says of it."""
    return attrs.field(default=default, validator=check, metadata={"about": about}, **options)


@attrs.frozen
class TelegramSettings:
    token: Secret = attrs.field(
        validator=checks.token,
        metadata={"written": "${TELEGRAM_BOT_TOKEN}", "about": "the bot's token, from @BotFather"},
    )
    api_base: str = _key(
        "https://api.telegram.org",
        "an emulator's or a local server's base works too",
        checks.url,
        converter=_without_slash,
    )


@attrs.frozen
class AccessSettings:
    allow: tuple[int, ...] = _key((), "numeric user ids, such as [1001, 1002]; all others are refused", checks.user_ids)


@attrs.frozen
class GroupSettings:
    respond: Literal["mention", "all"] = _key("mention", "mention | all: which messages in a group are answered")


@attrs.frozen
class FallbackSettings:
    """A further model: a table ``[[model.fallback]]``."""

    name: str = _key(attrs.NOTHING, "asked if the models before it fail ahead of the first visible word", checks.filled)
    provider: ProviderName | None = attrs.field(
        default=None, metadata={"about": "without provider and base_url: [model]'s server, with its key"}
    )
    base_url: str | None = _key(
        None, "without: the provider's official address", checks.url_or_empty, converter=_without_slash
    )
    api_key: Secret = attrs.field(
        default=Secret(""),
        validator=checks.header_text,
        metadata={"about": "its own: [model]'s key goes to no other server"},
    )

    @property
    def shares_server(self) -> bool:
        """It is asked where [model] is, so that it may have [model]'s key."""
        return self.provider is None and self.base_url is None


@attrs.frozen
class ModelSettings:
    provider: ProviderName = attrs.field(
        default="anthropic", metadata={"about": "anthropic | openai-responses | openai-chat | local | scripted"}
    )
    name: str = _key("claude-sonnet-5-5", "the model, as its provider calls it", checks.filled)
    base_url: str = _key(
        "",
        "another server; OpenAI's dialects: up to and including /v1, anthropic: without it",
        checks.url_or_empty,
        converter=_without_slash,
    )
    api_key: Secret = attrs.field(
        default=Secret(""),
        validator=checks.header_text,
        metadata={
            "written": OFFICIAL_KEYS["anthropic"],
            "about": "OpenAI's: ${OPENAI_API_KEY}; local, scripted and other servers: none",
        },
    )
    system_prompt: str = _key("", "what the model is told ahead of every conversation")
    reasoning: Literal["", "low", "medium", "high"] = _key(
        "", "low | medium | high: how much it thinks first; empty: the provider decides"
    )
    max_tokens: int = _key(4096, "the longest answer, in tokens", at_least(1))
    context_tokens: int = _key(100_000, "the most of a conversation that is sent, in tokens", at_least(1000))
    max_rounds: int = _key(8, "how often the model is asked in one answer: after each use of tools, again", at_least(1))
    connect_timeout: float = _key(10.0, "seconds to reach the provider", checks.seconds)
    first_byte_timeout: float = _key(60.0, "seconds until it begins to answer", checks.seconds)
    idle_timeout: float = _key(60.0, "seconds of silence within an answer", checks.seconds)
    total_timeout: float = _key(900.0, "seconds for an answer, or for each of its rounds with tools", checks.seconds)
    fallback: tuple[FallbackSettings, ...] = _key((), "tables, tried in order before the first visible word")

    def models(self) -> tuple[ModelSettings, ...]:
        """This one and its fallbacks, each as if it were the only one.

        A fallback elsewhere gets its own key or none: a secret goes to no server that it was not written for.
        """
        first = attrs.evolve(self, fallback=())
        return first, *(_instead(first, other) for other in self.fallback)


def _instead(first: ModelSettings, other: FallbackSettings) -> ModelSettings:
    if other.shares_server:
        return attrs.evolve(first, name=other.name, api_key=other.api_key or first.api_key)
    return attrs.evolve(
        first,
        provider=other.provider or first.provider,
        name=other.name,
        base_url=other.base_url or "",
        api_key=other.api_key,
    )


@attrs.frozen
class StreamingSettings:
    enabled: bool = _key(True, "false: an answer is shown once it is complete")
    transport: Literal["auto", "draft", "edit"] = _key("auto", "auto | draft | edit; auto: drafts where they exist")
    format: Literal["entities", "rich", "plain"] = _key("entities", "entities | rich | plain: how Markdown is shown")
    edit_interval: float = _key(1.0, "seconds between edits at best", checks.seconds)
    draft_interval: float = _key(0.2, "seconds between drafts at best; the budget widens it", checks.seconds)
    cursor: str = _key(" ▉", "what follows an answer that is still being written", checks.short)
    busy: Literal["queue", "interrupt", "steer"] = _key(
        "queue", "queue | interrupt | steer: what a message sent during an answer does"
    )
    notify: Literal["final", "first"] = _key("final", "final | first: which message of a growing answer rings")
    hide_tags: tuple[str, ...] = _key(
        ("think", "thinking", "reasoning"), 'whose text never shows; any other pair: "[A]...[/A]"', checks.tags
    )
    footer: bool = _key(False, "true: a last line with the model, its tokens and their price")


@attrs.frozen
class ToolSettings:
    enabled: tuple[str, ...] = _key(
        ("time", "calculator"),
        "time | calculator | fetch, which reads web pages",
        checks.some_of("time", "calculator", "fetch"),
    )
    timeout: float = _key(60.0, "seconds that a tool may take", checks.seconds)
    approval_timeout: float = _key(
        600.0, "seconds in which a person may allow a tool; then it is denied", checks.seconds
    )
    max_output: int = _key(32768, "characters of a result that the model gets", at_least(1))
    max_calls: int = _key(16, "calls in one round", at_least(1))


@attrs.frozen
class McpSettings:
    """A server of tools: a table ``[mcp.NAME]``."""

    name: str = attrs.field(validator=checks.table_name)
    command: tuple[str, ...] = _key((), "a program to run, and its arguments", checks.argv)
    url: str = _key("", "a server over HTTP, in the place of a command", checks.url_or_empty)
    token: Secret = attrs.field(
        default=Secret(""),
        validator=checks.header_text,
        metadata={"about": "what that server asks for as a bearer token"},
    )
    allow: tuple[str, ...] = _key((), 'which of its tools the model may call; "*": all', checks.tool_names)
    trusted: tuple[str, ...] = _key((), 'which of these run without asking a person; "*": all', checks.tool_names)
    env: tuple[str, ...] = _key((), "variables of the bot's environment that the program gets", checks.variable_names)

    def __attrs_post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("write either a command or a url")
        if self.token and self.command:
            raise ValueError("a token is for a url; give a command its secrets by env")
        if self.env and self.url:
            raise ValueError("env is for a command; give a url its secret as token")
        if "*" not in self.allow and not set(self.trusted) <= set(self.allow):
            raise ValueError("trusted has a tool that allow has not; write it in both, or take it out")


@attrs.frozen
class LimitSettings:
    max_turns: int = _key(200, "answers being written at once", at_least(1))
    queue_per_chat: int = _key(5, "messages that wait in one chat", at_least(1))


@attrs.frozen
class DeliverySettings:
    uncertain: Literal["ask", "resend", "skip"] = _key(
        "ask", "ask | resend | skip: what becomes of a message that was being sent when the bot was killed"
    )


@attrs.frozen
class RestartSettings:
    resume: Literal["auto", "ask", "off"] = _key(
        "auto", "auto | ask | off: whether an answer that a restart interrupted goes on; auto asks where a tool ran"
    )
    max_age: float = _key(21600.0, "seconds; older messages that wait are offered, not answered", checks.seconds)


@attrs.frozen
class ShutdownSettings:
    grace: float = _key(20.0, "seconds that running answers get to end by themselves", checks.seconds_or_none)


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
    tools: ToolSettings = attrs.field(factory=ToolSettings)
    mcp: tuple[McpSettings, ...] = ()
    delivery: DeliverySettings = attrs.field(factory=DeliverySettings)
    restart: RestartSettings = attrs.field(factory=RestartSettings)
    shutdown: ShutdownSettings = attrs.field(factory=ShutdownSettings)
    limits: LimitSettings = attrs.field(factory=LimitSettings)
    store: StoreSettings = attrs.field(factory=StoreSettings)

    def secrets(self) -> tuple[Secret, ...]:
        """Every one that is set, for whoever keeps them out of what is written."""
        keys = (model.api_key for model in self.model.models())
        return tuple(filter(None, (self.telegram.token, *keys, *(server.token for server in self.mcp))))


TABLES: Final[dict[Any, str]] = {FallbackSettings: "[[model.fallback]]", McpSettings: "[mcp.NAME]"}
"""What the file may hold any number of. No variable or option sets a key of one: it would need to say which."""
SECTIONS: Final[dict[str, Any]] = {
    s.name: s.type for s in attrs.fields(attrs.resolve_types(Settings)) if s.name != "mcp"
}
KEYS: Final[dict[str, attrs.Attribute[Any]]] = {
    f"{name}.{key.name}": key
    for name, cls in SECTIONS.items()
    for key in attrs.fields(attrs.resolve_types(cls))
    if key.name != "fallback"
}
