"""The remote control of an emulator that runs as its own process; JSON in, JSON out.

A person's acts, each answered with ``{"ok": true, "result": ...}``::

    POST   /control/chat      user_id [first_name username started topics]     a private chat
                              chat_id title [members supergroup topics]        or a group
    POST   /control/message   chat_id text [user_id reply_to thread_id]        -> the message's id
    POST   /control/edit      chat_id message_id text
    POST   /control/delete    chat_id message_id
    POST   /control/stop      chat_id [thread_id]                              -> the draft's id
    POST   /control/button    chat_id message_id data [user_id]                -> the callback query's id
    POST   /control/block     user_id
    POST   /control/unblock   user_id
    POST   /control/remove    chat_id [user_id kicked]                         the bot, from a group
    POST   /control/add       chat_id [user_id]                                and back
    POST   /control/migrate   chat_id new_chat_id [user_id]
    POST   /control/topic     chat_id thread_id name
    DELETE /control/topic     chat_id thread_id
    POST   /control/close     chat_id thread_id [user_id]                      a topic; General's thread_id is 1
    POST   /control/reopen    chat_id thread_id [user_id]

What goes wrong from now on::

    POST   /control/fault     action [method chat_id skip times]
           action: {"name": "refuse", "code": 400, "description": "...", "parameters": {...}}
                   {"name": "flood", "retry_after": 5}   {"name": "server_error", "status": 502, "body": "..."}
                   {"name": "delay", "before": 0.5, "after": 0.0}   {"name": "reset", "carried_out": true}
    DELETE /control/fault                                                      forget every fault

A look, with its parameters in the query::

    GET    /control/screen      chat_id [thread_id]
    GET    /control/transcript  chat_id
    GET    /control/rings       chat_id
    GET    /control/journal     [method chat_id]
    GET    /control/health

``topics`` is an object of thread ids and names. What is wrong with a request is answered with a 400 and one line:
``{"ok": false, "error": "..."}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from triolet.emulator.faults import parse_fault
from triolet.emulator.http import Request, Response
from triolet.emulator.telegram import EmulatedTelegram

Fields: TypeAlias = dict[str, Any]
Act: TypeAlias = Callable[[EmulatedTelegram, Fields, float], Any]


@attrs.frozen
class Route:
    """What a route does, and the JSON types of what it takes."""

    act: Act
    required: dict[str, type] = attrs.field(factory=dict)
    optional: dict[str, type] = attrs.field(factory=dict)


def control(telegram: EmulatedTelegram, request: Request, now: float) -> Response:
    """Carry out one control request."""
    name = request.path.removeprefix("/control/")
    route = ROUTES.get((request.method, name))
    if route is None:
        known = [method for method, each in ROUTES if each == name]
        return _failure(405 if known else 404, f"{request.method} {request.path} is no control route")
    try:
        fields = _query_fields(route, request) if request.method == "GET" else _body_fields(request)
        _check_fields(route, fields)
        return Response.json({"ok": True, "result": route.act(telegram, fields, now)})
    except ValueError as error:
        return _failure(400, str(error))


def _failure(status: int, line: str) -> Response:
    return Response.json({"ok": False, "error": line.replace("\n", " ")}, status)


def _query_fields(route: Route, request: Request) -> Fields:
    types = route.required | route.optional
    return {name: _whole(name, value) if types.get(name) is int else value for name, value in request.query}


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def _body_fields(request: Request) -> Fields:
    try:
        fields = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004  # one kind of error reaches the client
    return fields


def _check_fields(route: Route, fields: Fields) -> None:
    types = route.required | route.optional
    for name, value in fields.items():
        if name not in types:
            raise ValueError(f"{name!r} does not belong here")
        if types[name] is not object and type(value) is not types[name]:
            raise ValueError(f"{name} must be {types[name].__name__}, not {value!r}")
    for name in route.required:
        if name not in fields:
            raise ValueError(f"{name!r} is missing")


def _add_chat(telegram: EmulatedTelegram, fields: Fields, now: float) -> None:
    topics = {_whole("topics", thread_id): str(name) for thread_id, name in fields.pop("topics", {}).items()}
    if any(type(each) is not int for each in fields.get("members", [])):
        raise ValueError("members must be user ids")
    if "user_id" in fields and "chat_id" not in fields:
        _check_fields(PRIVATE_CHAT, fields)
        telegram.add_private_chat(**fields, topics=topics)
    else:
        _check_fields(GROUP, fields)
        telegram.add_group(**{"members": [], **fields}, topics=topics)


def _add_fault(telegram: EmulatedTelegram, fields: Fields, now: float) -> None:
    telegram.add_fault(parse_fault(fields))


def _health(telegram: EmulatedTelegram, fields: Fields, now: float) -> Fields:
    return {
        "now": now,
        "revision": telegram.revision,
        "calls": len(telegram.journal),
        "pending_updates": len(telegram.updates.pending),
    }


PRIVATE_CHAT = Route(
    _add_chat, {"user_id": int}, {"first_name": str, "username": str, "language_code": str, "started": bool}
)
GROUP = Route(_add_chat, {"chat_id": int, "title": str}, {"members": list, "supergroup": bool, "bot_status": str})
CHAT: dict[str, type] = {"chat_id": int}
WHERE: dict[str, type] = {"thread_id": int}
WHICH: dict[str, type] = {"chat_id": int, "message_id": int}
TOPIC: dict[str, type] = {"chat_id": int, "thread_id": int}
WHO: dict[str, type] = {"user_id": int}

ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "chat"): Route(
        _add_chat,
        optional={**PRIVATE_CHAT.required, **PRIVATE_CHAT.optional, **GROUP.required, **GROUP.optional, "topics": dict},
    ),
    ("POST", "message"): Route(
        lambda telegram, fields, now: telegram.user_sends(**fields, now=now),
        {**CHAT, "text": str},
        {"user_id": int, "reply_to": int, **WHERE},
    ),
    ("POST", "edit"): Route(
        lambda telegram, fields, now: telegram.user_edits(**fields, now=now), {**WHICH, "text": str}
    ),
    ("POST", "delete"): Route(lambda telegram, fields, now: telegram.user_deletes_message(**fields, now=now), WHICH),
    ("POST", "stop"): Route(lambda telegram, fields, now: telegram.user_presses_stop(**fields, now=now), CHAT, WHERE),
    ("POST", "button"): Route(
        lambda telegram, fields, now: telegram.user_presses_button(**fields, now=now),
        {**WHICH, "data": str},
        {"user_id": int},
    ),
    ("POST", "block"): Route(
        lambda telegram, fields, now: telegram.user_blocks_bot(**fields, now=now), {"user_id": int}
    ),
    ("POST", "unblock"): Route(
        lambda telegram, fields, now: telegram.user_unblocks_bot(**fields, now=now), {"user_id": int}
    ),
    ("POST", "remove"): Route(
        lambda telegram, fields, now: telegram.group_removes_bot(**fields, now=now), CHAT, {**WHO, "kicked": bool}
    ),
    ("POST", "add"): Route(lambda telegram, fields, now: telegram.group_adds_bot(**fields, now=now), CHAT, WHO),
    ("POST", "migrate"): Route(
        lambda telegram, fields, now: telegram.group_migrates(**fields, now=now), {**CHAT, "new_chat_id": int}, WHO
    ),
    ("POST", "topic"): Route(lambda telegram, fields, now: telegram.add_topic(**fields), {**TOPIC, "name": str}),
    ("DELETE", "topic"): Route(lambda telegram, fields, now: telegram.delete_topic(**fields, now=now), TOPIC),
    ("POST", "close"): Route(lambda telegram, fields, now: telegram.close_topic(**fields, now=now), TOPIC, WHO),
    ("POST", "reopen"): Route(lambda telegram, fields, now: telegram.reopen_topic(**fields, now=now), TOPIC, WHO),
    ("POST", "fault"): Route(
        _add_fault, {"action": dict}, {"method": object, "chat_id": int, "skip": int, "times": object}
    ),
    ("DELETE", "fault"): Route(lambda telegram, fields, now: telegram.clear_faults()),
    ("GET", "screen"): Route(lambda telegram, fields, now: telegram.screen(**fields, now=now).to_json(), CHAT, WHERE),
    ("GET", "transcript"): Route(
        lambda telegram, fields, now: [change.to_json() for change in telegram.transcript(**fields, now=now)], CHAT
    ),
    ("GET", "rings"): Route(lambda telegram, fields, now: telegram.rings(**fields, now=now), CHAT),
    ("GET", "journal"): Route(
        lambda telegram, fields, now: [entry.to_json() for entry in telegram.calls(**fields)],
        optional={"method": str, "chat_id": int},
    ),
    ("GET", "health"): Route(_health),
}
