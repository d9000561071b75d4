"""JSON text for what the store keeps: written out by hand, because a file outlives a class's field names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from triolet.core.calls import Keyboard, Place
from triolet.core.conversation import (
    ConversationKey,
    Ending,
    Message,
    OpaquePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from triolet.core.mailbox import Question
from triolet.core.markup.cutting import Lead
from triolet.core.markup.layout import Unsealed
from triolet.core.text import Content, Entity, FormattedText, RichText


def render_json(value: object) -> str:
    """Compact ASCII: a lone surrogate or a NUL is escaped, and so can be stored."""
    return json.dumps(value, separators=(",", ":"))


# What was said


def render_parts(parts: tuple[Part, ...]) -> str:
    return render_json([_render_part(part) for part in parts])


def parse_parts(text: str) -> tuple[Part, ...]:
    """What `render_parts` was given; two halves of a surrogate pair in a row come back as one character."""
    return tuple(_parse_part(part) for part in json.loads(text))


def _render_part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ToolCallPart):
        return {"call": part.call_id, "name": part.name, "arguments": part.arguments}
    if isinstance(part, ToolResultPart):
        return {"result": part.call_id, "content": part.content, "error": part.is_error}
    return {"dialect": part.dialect, "data": part.data}


def _parse_part(part: dict[str, Any]) -> Part:
    if "text" in part:
        return TextPart(part["text"])
    if "call" in part:
        return ToolCallPart(part["call"], part["name"], part["arguments"])
    if "result" in part:
        return ToolResultPart(part["result"], part["content"], part["error"])
    return OpaquePart(part["dialect"], part["data"])


def render_messages(messages: Sequence[Message]) -> str:
    return render_json(
        [
            {"role": each.role, "parts": [_render_part(part) for part in each.parts], "ending": each.ending.value}
            for each in messages
        ]
    )


def parse_messages(text: str) -> tuple[Message, ...]:
    return tuple(
        Message(each["role"], tuple(_parse_part(part) for part in each["parts"]), Ending(each["ending"]))
        for each in json.loads(text)
    )


# Where, and by whom


def render_place(place: Place) -> str:
    return render_json(_render_place(place))


def parse_place(text: str) -> Place:
    """The place; its lane is that of the chat where it is now."""
    return _parse_place(json.loads(text))


def _render_place(place: Place) -> dict[str, Any]:
    return {
        "chat": place.key.chat_id,
        "thread": place.key.thread_id,
        "private": place.private,
        "asked": place.asked,
        "forum": place.forum,
        "asker": place.asker,
    }


def _parse_place(place: dict[str, Any]) -> Place:
    key = ConversationKey(place["chat"], place["thread"])
    return Place(key, place["private"], place["asked"], place["forum"], place["asker"])


def render_questions(questions: Sequence[Question]) -> str:
    """Which turn and attempt they are of is not in it: their turn says so."""
    return render_json([_render_question(question) for question in questions])


def parse_questions(text: str) -> tuple[Question, ...]:
    return tuple(_parse_question(question) for question in json.loads(text))


def _render_question(question: Question) -> dict[str, Any]:
    return {
        "updates": question.update_ids,
        "place": _render_place(question.place),
        "user": question.user_id,
        "text": question.text,
        "message": question.message_id,
    }


def _parse_question(question: dict[str, Any]) -> Question:
    place = _parse_place(question["place"])
    return Question(tuple(question["updates"]), place, question["user"], question["text"], question["message"])


def parse_ids(text: str) -> tuple[int, ...]:
    return tuple(json.loads(text))


# What a message shows


def render_content(content: Content | None) -> str | None:
    if content is None:
        return None
    if isinstance(content, RichText):
        return render_json({"html": content.html, "source": content.source})
    return render_json({"text": content.text, "entities": [_render_entity(each) for each in content.entities]})


def parse_content(text: str | None) -> Content | None:
    if text is None:
        return None
    content = json.loads(text)
    if "html" in content:
        return RichText(content["html"], content["source"])
    return FormattedText(content["text"], tuple(_parse_entity(entity) for entity in content["entities"]))


def _render_entity(entity: Entity) -> dict[str, Any]:
    optional = {"url": entity.url, "language": entity.language}
    named = {name: value for name, value in optional.items() if value is not None}
    return {"type": entity.type, "offset": entity.offset, "length": entity.length} | named


def _parse_entity(entity: dict[str, Any]) -> Entity:
    return Entity(entity["type"], entity["offset"], entity["length"], entity.get("url"), entity.get("language"))


def parse_keyboard(text: str) -> Keyboard:
    return tuple((label, data) for label, data in json.loads(text))


def render_unsealed(unsealed: Unsealed | None) -> str | None:
    if unsealed is None:
        return None
    lead = unsealed.lead
    return render_json(
        {
            "form": unsealed.form,
            "source": unsealed.source,
            "lead": [lead.opening, lead.indent, lead.fence, lead.is_mid_line],
        }
    )


def parse_unsealed(text: str | None) -> Unsealed | None:
    if text is None:
        return None
    given = json.loads(text)
    return Unsealed(given["form"], given["source"], Lead(*given["lead"]))
