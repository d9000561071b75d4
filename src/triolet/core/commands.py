"""Commands, and who may speak: what a message from Telegram is to the bot.

Source: https://core.telegram.org/bots/features#commands. Access fails closed: only numeric user ids that the
configuration names are served, anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, TypeAlias, get_args

import attrs

from triolet.core.updates import BotIdentity, Incoming

# Telegram's names are Latin; ignoring case would let in the two other letters that fold to one (as in "/ſtop").
_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@(\w+))?(?:\s+(.*))?\Z", re.DOTALL)


@attrs.frozen
class Command:
    """``/name argument``; the name is in lower case."""

    name: str
    argument: str


def parse_command(text: str, bot: BotIdentity) -> Command | Literal["foreign"] | None:
    """The command in the text; ``"foreign"`` if it is for another bot, None if the text is no command."""
    match = _COMMAND.match(text)
    if match is None:
        return None
    name, addressee, argument = match.groups()
    if addressee and addressee.lower() != bot.username.lower():
        return "foreign"
    return Command(name.lower(), (argument or "").strip())


StreamMode: TypeAlias = Literal["auto", "draft", "edit", "off"]
"""How a chat wants its answers: as the bot is configured, as drafts, as edited messages, or whole."""


def parse_stream_mode(text: str) -> StreamMode | None:
    """The mode that a user wrote, if it is one."""
    return next((mode for mode in get_args(StreamMode) if mode == text.strip().lower()), None)


BusyMode: TypeAlias = Literal["queue", "interrupt", "steer"]
"""What a message does while its person's last one is being answered: it waits, ends that answer, or goes into it."""

Preference: TypeAlias = Literal["stream", "reasoning", "busy"]
"""What a chat, with all its topics, may want otherwise; it is switched by the command of that name."""

PREFERENCES: dict[Preference, dict[str, str]] = {
    "stream": {
        "auto": "Answers grow as you watch: as drafts where there are drafts, as an edited message elsewhere.",
        "draft": "Answers grow as drafts where there are drafts, as an edited message elsewhere.",
        "edit": "Answers grow in a message that is edited.",
        "off": "Answers come whole, when they are complete.",
    },
    "reasoning": {
        "on": "What the model thinks is shown, in a quotation that you can open.",
        "off": "What the model thinks is not shown.",
    },
    "busy": {
        "queue": "What you send while I answer waits for its turn.",
        "interrupt": "What you send while I answer you ends that answer, and gets its own.",
        "steer": "What you send while I answer you goes into that answer once its tools have run, or else is next.",
    },
}
"""The values of each, and what a chat is told when it has switched to it."""

UNSWITCHED: dict[Preference, str] = {"stream": "auto", "reasoning": "off", "busy": "queue"}
"""What counts where a chat has switched nothing, if nothing else is configured."""


def parse_switch(name: str, argument: str) -> tuple[Preference, str] | None:
    """The preference of that name, and the value that a user wrote for it; None if either is none."""
    value = argument.strip().lower()
    return next(((each, value) for each in PREFERENCES if each == name and value in PREFERENCES[each]), None)


@attrs.frozen
class Access:
    """Who is served. ``respond`` is what a group's message must be: a mention, a reply or a command; or anything."""

    allow: Collection[int]
    respond: Literal["mention", "all"]

    def admits(self, user_id: int) -> bool:
        return user_id in self.allow

    def hears(self, message: Incoming, *, is_command: bool) -> bool:
        """Whether an admitted user's message is meant for the bot."""
        return message.private or message.addressed or is_command or self.respond == "all"
