"""The Bot API's calls about messages, and what their outcomes tell.

A call has three outcomes: delivered, refused, unknown. What follows from each for a message that is to stay, is
`core.delivery`'s to say; this much holds for all calls:

1. *Delivered*: the server said so, or said that nothing had to change.
2. *Refused*: the server said no, or the request never left.
3. *Unknown*: it may have happened. A message that was sent so is looked for: if it exists, it has one of the next ids
   of its chat, and an edit of an id that is not ours, or not there, is refused and changes nothing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from triolet.core.budget import Cost
from triolet.core.content import blank
from triolet.core.conversation import GENERAL, ConversationKey
from triolet.core.text import Content, RichText

CAPABILITY_CODES = frozenset({400, 404})
"""Refusals that the next call of the same form would meet too: the form is wrong here, or the server is older."""

NEVER_LEFT = 0
"""The ``code`` of a refusal that no server made: no connection, nothing sent."""


@attrs.define(eq=False)
class Place:
    """Where messages of one answer go; ``asked`` is the asking message's id, ``asker`` who wrote it, 0 if unknown.

    It is corrected for all of them when the first learns that the topic, the group or that message is gone.
    """

    key: ConversationKey
    private: bool
    asked: int | None = None
    forum: bool = False
    asker: int = 0
    lane: int = attrs.field(init=False)
    """The chat with whose messages those of the answer keep their order, even if it moves meanwhile."""

    def __attrs_post_init__(self) -> None:
        self.lane = self.key.chat_id

    @property
    def params(self) -> dict[str, Any]:
        thread = self.key.thread_id
        return {"chat_id": self.key.chat_id} | ({} if thread is None else {"message_thread_id": thread})

    @property
    def reply_to(self) -> int | None:
        """The message that an answer replies to: in private there is no need to say which one."""
        return None if self.private else self.asked

    def mend(self, refusal: Refused) -> bool:
        """Whether the refusal is about the place, and the place is another now."""
        description = refusal.description.lower()
        if refusal.migrate_to is not None and refusal.migrate_to != self.key.chat_id:
            self.key = ConversationKey(refusal.migrate_to, self.key.thread_id)
        elif self.key.thread_id is not None and any(words in description for words in _TOPIC_GONE):
            self.key, self.asked = ConversationKey(self.key.chat_id), None
        elif self.reply_to is not None and "message to be replied not found" in description:
            self.asked = None
        else:
            return False
        return True


_TOPIC_GONE = ("message thread not found", "topic_deleted", "topic_closed")


@attrs.define(eq=False)
class Bubble:
    """One message on a screen, first as a draft or not yet there, then with the server's ``message_id``.

    That id is one of the chat ``home``. ``candidates`` are the ids that it may have after a send with an unknown
    outcome; ``lost`` says that it had none of them, ``sought`` that all of them were looked at. A ``silent`` one makes
    no sound when it comes; one that ``replies`` shows what it answers, in groups. ``unsettled`` counts what is
    committed and on its way. ``number`` is its own in the journal, 0 as long as it has none, ``position`` its place in
    the order there, and ``turn`` the number of the answer which it belongs to.
    """

    place: Place
    draft_id: int
    message_id: int | None = None
    home: int | None = None
    silent: bool = False
    replies: bool = True
    candidates: list[int] = attrs.Factory(list)
    lost: bool = False
    sought: bool = False
    unsettled: int = 0
    number: int = 0
    turn: int | None = None
    position: float = attrs.field()

    @position.default
    def _behind_all_others(self) -> float:
        return float(self.number)

    @property
    def shown_id(self) -> int | None:
        """The id of its message in the chat of its place; a group that became a supergroup has other ids."""
        return self.message_id if self.home in {None, self.place.key.chat_id} else None

    @property
    def target(self) -> int | None:
        """The id that an edit goes to."""
        return self.candidates[0] if self.candidates else self.shown_id


@attrs.frozen
class Call:
    """One Bot API call; ``sends`` ones make a message, so a repetition would make a second."""

    method: str
    params: dict[str, Any]
    cost: Cost
    bubble: Bubble
    sends: bool = False

    @property
    def formatted(self) -> bool:
        """Whether a plainer form of it could be refused less."""
        return bool(self.params.get("entities") or "rich_message" in self.params)


_FINAL = (
    *("chat not found", "not enough rights", "no write access", "chat_write_forbidden", "chat_restricted"),
    *("message can't be edited", "there is no text in the message to edit"),
)


@attrs.frozen
class Delivered:
    result: Any = True


@attrs.frozen
class Refused:
    """``migrate_to`` is the id of the supergroup that a group has become.

    A ``mended`` one was about a place that is another now: the next call goes there.
    """

    code: int
    description: str
    retry_after: float | None = None
    migrate_to: int | None = None
    mended: bool = False

    @property
    def unreachable(self) -> bool:
        """Whether nobody can see anything the bot does there: blocked, removed, or the user is gone."""
        return self.code == 403

    @property
    def final(self) -> bool:
        """Whether a repetition would be refused too. What is not known to be so is worth a few more."""
        return self.unreachable or any(words in self.description.lower() for words in _FINAL)


@attrs.frozen
class Unknown:
    reason: str


Outcome: TypeAlias = Delivered | Refused | Unknown


def draft_call(bubble: Bubble, content: Content) -> Call:
    """A draft frame; blank content shows the client's own "Thinking…"."""
    params = bubble.place.params | {"draft_id": bubble.draft_id, "can_stop": True, "keep_on_stop": True}
    if blank(content):
        return Call("sendMessageDraft", params | {"text": ""}, Cost.DRAFT, bubble)
    method = "sendRichMessageDraft" if isinstance(content, RichText) else "sendMessageDraft"
    return Call(method, params | _content(content), Cost.DRAFT, bubble)


def typing_call(bubble: Bubble) -> Call:
    place = bubble.place
    thread = {"message_thread_id": GENERAL} if place.forum and place.key.thread_id is None else {}
    return Call("sendChatAction", place.params | thread | {"action": "typing"}, Cost.DRAFT, bubble)


Keyboard: TypeAlias = tuple[tuple[str, str], ...]
"""A row of buttons under a message: what stands on each, and the callback data that it carries."""


def message_call(bubble: Bubble, content: Content, *, keyboard: Keyboard = ()) -> Call:
    """The call that makes the bubble show the content: a send the first time, an edit from then on."""
    params = _content(content)
    if not isinstance(content, RichText):
        params["link_preview_options"] = {"is_disabled": True}
    if keyboard:
        row = [{"text": text, "callback_data": data} for text, data in keyboard]
        params["reply_markup"] = {"inline_keyboard": [row]}
    if bubble.target is not None:
        target = {"chat_id": bubble.place.key.chat_id, "message_id": bubble.target}
        return Call("editMessageText", target | params, Cost.MESSAGE, bubble)
    if bubble.replies and bubble.place.reply_to is not None:
        params["reply_parameters"] = {"message_id": bubble.place.reply_to, "allow_sending_without_reply": True}
    if bubble.silent:
        params["disable_notification"] = True
    method = "sendRichMessage" if isinstance(content, RichText) else "sendMessage"
    return Call(method, bubble.place.params | params, Cost.MESSAGE, bubble, sends=True)


def search_call(lost: Call) -> Call:
    """Show what a lost send was to show at the first place where its message may be."""
    sends_only = ("message_thread_id", "reply_parameters", "disable_notification")
    content = {name: value for name, value in lost.params.items() if name not in sends_only}
    target = {"chat_id": lost.bubble.place.key.chat_id, "message_id": lost.bubble.target}
    return Call("editMessageText", content | target, Cost.MESSAGE, lost.bubble)


def delete_call(bubble: Bubble) -> Call:
    params = {"chat_id": bubble.place.key.chat_id, "message_id": bubble.shown_id}
    return Call("deleteMessage", params, Cost.MESSAGE, bubble)


def _content(content: Content) -> dict[str, Any]:
    if isinstance(content, RichText):
        return {"rich_message": {"html": content.html, "skip_entity_detection": True}}
    params: dict[str, Any] = {"text": content.text}
    if content.entities:
        params["entities"] = [entity.to_json() for entity in content.entities]
    return params


def absorb(call: Call, outcome: Outcome) -> Outcome:
    """Note on the call's bubble what its outcome tells, and name a harmless refusal for what it is."""
    bubble = call.bubble
    if isinstance(outcome, Refused) and "message is not modified" in outcome.description:
        outcome = Delivered()
    if call.sends:
        _note_sent(call, outcome)
    elif call.method == "editMessageText" and bubble.candidates:
        _note_probed(bubble, outcome)
    elif isinstance(outcome, Refused) and is_gone(call, outcome):
        bubble.message_id = None
    if isinstance(outcome, Refused) and bubble.place.mend(outcome):
        return attrs.evolve(outcome, mended=True)
    return outcome


def _note_sent(call: Call, outcome: Outcome) -> None:
    if isinstance(outcome, Delivered):
        found = outcome.result.get("message_id") if isinstance(outcome.result, dict) else None
        call.bubble.message_id = found if type(found) is int else None
        call.bubble.home = call.params["chat_id"]
        call.bubble.lost = False


def may_be_on_screen(call: Call, outcome: Outcome) -> bool:
    """Whether the call has made a message whose id nobody knows, or may have."""
    return call.sends and not isinstance(outcome, Refused) and call.bubble.shown_id is None


def _note_probed(bubble: Bubble, outcome: Outcome) -> None:
    if isinstance(outcome, Delivered):
        bubble.message_id, bubble.home = bubble.candidates[0], bubble.place.key.chat_id
        bubble.candidates = []
    elif isinstance(outcome, Refused) and _is_not_there(outcome):
        bubble.candidates.pop(0)
        bubble.lost = not bubble.candidates


_GONE = "message to edit not found"
_UNEDITABLE = ("message can't be edited", "there is no text in the message to edit")


def _is_not_there(refusal: Refused) -> bool:
    """Whether no message of ours is where a lost one was looked for."""
    return any(words in refusal.description for words in (_GONE, *_UNEDITABLE))


def is_gone(call: Call, refusal: Refused) -> bool:
    """Whether the message that the call edits is not there any more."""
    return call.method == "editMessageText" and _GONE in refusal.description
