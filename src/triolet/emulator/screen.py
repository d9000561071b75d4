"""What a person sees: one chat at one moment (`Screen`), and everything that ever changed in it (`Change`)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from triolet.emulator.chats import Message
from triolet.emulator.drafts import LiveDraft
from triolet.emulator.markup import buttons_of
from triolet.emulator.rich import Content, RichContent
from triolet.emulator.text import Entity

THINKING = "Thinking…"

ChangeKind: TypeAlias = Literal[
    "message", "edit", "delete", "draft", "draft_stopped", "draft_expired", "draft_cleared", "typing", "toast"
]


@attrs.frozen
class Change:
    """Something the person saw happen ``at`` a time; ``text`` is what was there then."""

    at: float
    kind: ChangeKind
    chat_id: int
    thread_id: int | None = None
    text: str = ""
    message_id: int | None = None
    draft_id: int | None = None
    from_bot: bool = True

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)


@attrs.frozen
class Button:
    """A button under a message: it sends ``data`` or opens ``url``."""

    text: str
    data: str | None = None
    url: str | None = None


@attrs.frozen
class ScreenMessage:
    """A message as it is shown; a rich one has its HTML besides the text that is read of it."""

    id: int
    from_bot: bool
    sender: str
    text: str
    entities: tuple[Entity, ...]
    buttons: tuple[tuple[Button, ...], ...]
    edited: bool
    reply_to: int | None
    rang: bool
    rich: str | None


@attrs.frozen
class ScreenDraft:
    """The live draft, below all messages; ``thinking`` where it has no text yet, ``rich`` its HTML if it has any."""

    id: int
    text: str
    entities: tuple[Entity, ...]
    thinking: bool
    stop_button: bool
    rich: str | None


@attrs.frozen
class Screen:
    """One chat, or one topic of it."""

    chat_id: int
    thread_id: int | None
    messages: tuple[ScreenMessage, ...]
    draft: ScreenDraft | None
    typing: bool
    rings: tuple[float, ...]
    """When the person's phone rang for a message of the bot here, whatever became of that message."""

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)

    @property
    def texts(self) -> list[str]:
        """Every text on screen, oldest first, the draft's last."""
        shown = [message.text for message in self.messages]
        if self.draft is None:
            return shown
        return [*shown, THINKING if self.draft.thinking else self.draft.text]


def show_message(message: Message) -> ScreenMessage:
    return ScreenMessage(
        id=message.id,
        from_bot=message.sender.is_bot,
        sender=message.sender.first_name,
        text=message.content.text,
        entities=message.content.entities,
        buttons=tuple(tuple(map(_show_button, row)) for row in buttons_of(message.keyboard)),
        edited=message.edit_date is not None,
        reply_to=message.reply_to,
        rang=message.rang,
        rich=_html(message.content),
    )


def _show_button(button: dict[str, str]) -> Button:
    return Button(button["text"], button.get("callback_data"), button.get("url"))


def show_draft(live: LiveDraft) -> ScreenDraft:
    content = live.draft.content
    return ScreenDraft(
        id=live.draft.id,
        text=content.text,
        entities=content.entities,
        thinking=not content.text,
        stop_button=live.has_button,
        rich=_html(content),
    )


def _html(content: Content) -> str | None:
    return content.html if isinstance(content, RichContent) else None
