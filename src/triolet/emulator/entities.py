"""Message entities: which lists of them are right, and which ones a person's text gets by itself.

Rule 1: every position lies between two characters of the text, counted in UTF-16 code units.
Rule 2: entities nest or are apart; they never overlap in part.
Rule 3: bold, italic, underline, strikethrough and spoiler go anywhere except around or inside code.
Rule 4: quotations contain anything except quotations. Everything else contains only styles.
Rule 5: at most a hundred; each has the fields of its type and no others.

Rules 2 to 4 are "Message entity" and "Formatting options" of core.telegram.org/bots/api. The real server quietly
drops or splits what breaks them; here it is refused, because a renderer that relies on that does not know what
its reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from triolet.emulator.answers import objection
from triolet.emulator.text import Entity, cuts_pair, utf16_length

MAX_ENTITIES = 100
STYLES = frozenset({"bold", "italic", "underline", "strikethrough", "spoiler"})
QUOTES = frozenset({"blockquote", "expandable_blockquote"})
CODES = frozenset({"code", "pre"})
PLAIN = STYLES | QUOTES | {
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "code",
}  # fmt: skip

# {type: ({required field: its type}, {optional field: its type})}
FIELDS: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    **{name: ({}, {}) for name in PLAIN},
    "pre": ({}, {"language": str}),
    "text_link": ({"url": str}, {}),
    "text_mention": ({"user": dict}, {}),
    "custom_emoji": ({"custom_emoji_id": str}, {}),
    "date_time": ({"unix_time": int}, {"date_time_format": str}),
}
POSITION: dict[str, type] = {"type": str, "offset": int, "length": int}


def check_entities(text: str, given: list[Any]) -> tuple[Entity, ...]:
    """The entities as a tuple of their own, or `Refused` with the first thing that is wrong."""
    if len(given) > MAX_ENTITIES:
        raise objection(f"entities: {len(given)} given, at most {MAX_ENTITIES} are allowed")
    utf16 = text.encode("utf-16-le") if given else b""
    for index, entity in enumerate(given):
        problem = _shape_problem(entity) or _position_problem(entity, utf16)
        if problem:
            raise objection(f"entities[{index}] {problem}")
    _check_nesting(given)
    return tuple(dict(entity) for entity in given)


def _shape_problem(entity: Any) -> str | None:
    if not isinstance(entity, dict):
        return "is not an object"
    kind = entity.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        return f"has the unknown type {kind!r}"
    required, optional = FIELDS[kind]
    required = POSITION | required
    for name, value in entity.items():
        if name not in required and name not in optional:
            return f"({kind}) has no field {name!r}"
        if type(value) is not (required | optional)[name]:
            return f"({kind}) has a wrong {name}: {value!r}"
    missing = sorted(required.keys() - entity.keys())
    return f"({kind}) lacks {missing[0]!r}" if missing else None


def _position_problem(entity: Entity, utf16: bytes) -> str | None:
    kind, offset, length = entity["type"], entity["offset"], entity["length"]
    where = f"({kind}, offset {offset}, length {length})"
    if length <= 0 or offset < 0:
        return f"{where} has no extent inside the text"
    if offset + length > len(utf16) // 2:
        return f"{where} ends after the text, which has {len(utf16) // 2} UTF-16 units"
    if cuts_pair(utf16, offset) or cuts_pair(utf16, offset + length):
        return f"{where} cuts a surrogate pair"
    return None


def _check_nesting(given: list[Entity]) -> None:
    """Walk from left to right with the entities that are open at each position."""
    opened: list[Entity] = []
    for inner in sorted(given, key=lambda each: (each["offset"], -each["length"])):
        opened = [outer for outer in opened if _end(outer) > inner["offset"]]
        for outer in opened:
            if _end(inner) > _end(outer):
                raise objection(f"entities: {_name(outer)} and {_name(inner)} overlap without nesting")
            if not _nests(outer, inner):
                raise objection(f"entities: {_name(outer)} can't contain {_name(inner)}")
        opened.append(inner)


def _end(entity: Entity) -> int:
    return int(entity["offset"] + entity["length"])


def _name(entity: Entity) -> str:
    return f"{entity['type']}@{entity['offset']}+{entity['length']}"


def _nests(outer: Entity, inner: Entity) -> bool:
    same = (outer["offset"], outer["length"]) == (inner["offset"], inner["length"])
    kinds = (outer["type"], inner["type"])
    return _may_contain(*kinds) or (same and _may_contain(*reversed(kinds)))


def _may_contain(outer: str, inner: str) -> bool:
    if outer in QUOTES:
        return inner not in QUOTES
    if CODES & {outer, inner}:
        return False
    return bool(STYLES & {outer, inner})


COMMAND = re.compile(r"(?<![\w/<>@])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>@])")
MENTION = re.compile(r"(?<![\w/@])@[A-Za-z0-9_]{3,32}(?!\w)")


def detect_entities(text: str) -> tuple[Entity, ...]:
    """The commands and mentions that Telegram finds in what a person types; other kinds are not modelled."""
    return tuple(sorted(_detected(text), key=lambda each: int(each["offset"])))


def _detected(text: str) -> Iterator[Entity]:
    for kind, pattern in (("bot_command", COMMAND), ("mention", MENTION)):
        for match in pattern.finditer(text):
            offset = utf16_length(text[: match.start()])
            yield {"type": kind, "offset": offset, "length": utf16_length(match.group())}
