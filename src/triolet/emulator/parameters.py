"""Which parameters each method has, and of which JSON type: the table from the Bot API's pages, version 10.3.

A parameter that is unknown, mistyped, or known to Telegram but not modelled here is refused by name. Form and
query values are strings, so `parse_form` reads them by the same table first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from triolet.emulator.answers import bad_request, objection

INT64 = range(-(1 << 63), 1 << 63)
INTEGER, STRING, BOOLEAN = "Integer", "String", "Boolean"
OBJECT, ARRAY, CHAT = "Object", "Array", "Integer or @name"
TYPES: dict[str, tuple[type, ...]] = {
    INTEGER: (int,), STRING: (str,), BOOLEAN: (bool,), OBJECT: (dict,), ARRAY: (list,), CHAT: (int, str),
}  # fmt: skip


@attrs.frozen
class Signature:
    """``required`` are refused when absent unless Telegram has its own text for that; see the method."""

    optional: dict[str, str] = attrs.field(factory=dict)
    required: dict[str, str] = attrs.field(factory=dict)
    unmodelled: AbstractSet[str] = frozenset()

    def type_of(self, name: str) -> str | None:
        return self.required.get(name) or self.optional.get(name)


FORMATTED = {"text": STRING, "parse_mode": STRING, "entities": ARRAY}
SENDING = {
    "chat_id": CHAT, "message_thread_id": INTEGER, "reply_parameters": OBJECT, "reply_markup": OBJECT,
    "disable_notification": BOOLEAN, "protect_content": BOOLEAN,
}  # fmt: skip
DRAFTING = {
    "chat_id": INTEGER, "message_thread_id": INTEGER, "draft_id": INTEGER, "can_stop": BOOLEAN, "keep_on_stop": BOOLEAN,
}  # fmt: skip
BUSINESS = "business_connection_id"
UNMODELLED = {
    BUSINESS, "direct_messages_topic_id", "ephemeral_message_parameters", "message_effect_id", "allow_paid_broadcast",
    "suggested_post_parameters",
}  # fmt: skip
RICH_METHODS = frozenset({"sendRichMessage", "sendRichMessageDraft"})

SIGNATURES: dict[str, Signature] = {
    "getMe": Signature(),
    "getUpdates": Signature({"offset": INTEGER, "limit": INTEGER, "timeout": INTEGER, "allowed_updates": ARRAY}),
    "deleteWebhook": Signature({"drop_pending_updates": BOOLEAN}),
    "getWebhookInfo": Signature(),
    "setMyCommands": Signature({"scope": OBJECT, "language_code": STRING}, {"commands": ARRAY}),
    "answerCallbackQuery": Signature(
        {"text": STRING, "show_alert": BOOLEAN, "cache_time": INTEGER}, {"callback_query_id": STRING}, {"url"}
    ),
    "sendMessage": Signature({**SENDING, **FORMATTED, "link_preview_options": OBJECT}, unmodelled=UNMODELLED),
    "sendRichMessage": Signature({**SENDING, "rich_message": OBJECT}, unmodelled=UNMODELLED),
    "editMessageText": Signature(
        {"chat_id": CHAT, "message_id": INTEGER, **FORMATTED, "rich_message": OBJECT}
        | {"link_preview_options": OBJECT, "reply_markup": OBJECT},
        unmodelled={BUSINESS, "inline_message_id"},
    ),
    "deleteMessage": Signature({"chat_id": CHAT, "message_id": INTEGER}),
    "sendMessageDraft": Signature({**DRAFTING, **FORMATTED}),
    "sendRichMessageDraft": Signature({**DRAFTING, "rich_message": OBJECT}),
    "sendChatAction": Signature({"chat_id": CHAT, "message_thread_id": INTEGER}, {"action": STRING}, {BUSINESS}),
}


def check_parameters(method: str, params: dict[str, Any]) -> None:
    """Refuse the first parameter that does not belong, then the first that is missing."""
    signature = SIGNATURES[method]
    _check_unicode(params)
    if "parse_mode" in params and signature.type_of("parse_mode"):
        raise bad_request("can't parse entities: the emulator refuses parse_mode; send entities")
    for name, value in params.items():
        expected = signature.type_of(name)
        if name in signature.unmodelled:
            raise objection(f"{method}: the parameter {name!r} is not modelled")
        if expected is None:
            raise objection(f"{method} has no parameter {name!r}")
        if not _fits(value, expected):
            raise objection(f"{method}: {name} must be {expected}, not {json.dumps(value)[:80]}")
    for name in signature.required:
        if name not in params:
            raise objection(f"{method} needs the parameter {name!r}")


def _check_unicode(params: dict[str, Any]) -> None:
    """JSON's escapes can spell half a surrogate pair, which no UTF-8 can hold."""
    try:
        json.dumps(params, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise bad_request("strings must be encoded in UTF-8") from None


def _fits(value: Any, expected: str) -> bool:
    if type(value) not in TYPES[expected]:
        return False
    if isinstance(value, int):
        return value in INT64
    return not (expected == CHAT and not value.startswith("@"))


def parse_form(method: str, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parameters from a query or a urlencoded body, read as their types ask; what cannot be is left a string."""
    signature = SIGNATURES.get(method, Signature())
    return {name: _parse_value(value, signature.type_of(name)) for name, value in pairs}


def _parse_value(value: str, expected: str | None) -> Any:
    if expected in {None, STRING}:
        return value
    if expected == BOOLEAN and value in {"True", "False"}:
        return value == "True"
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
