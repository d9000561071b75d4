"""The items of an answer in the Responses dialect: what they hold, and which of them an event is about.

Rules:

1. An item is found by its id, else by its ``output_index``, and if neither is given it is the newest of its kind.
   Gateways change ids from event to event, llama.cpp leaves out the index.
2. An item that is added again, as after a reconnect, is written again from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import attrs
import msgspec

from triolet.core.dialects.wire import json_text
from triolet.errors import RemoteProtocolError

Kind: TypeAlias = Literal["message", "function_call", "reasoning"]


KINDS: dict[str, Kind] = {"message": "message", "function_call": "function_call", "reasoning": "reasoning"}


class Piece(msgspec.Struct):
    """A part of a message's or a reasoning's content."""

    text: str | None = None
    refusal: str | None = None

    @property
    def words(self) -> str:
        return (self.text or "") + (self.refusal or "")


class Item(msgspec.Struct):
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    content: list[Piece] | None = None
    summary: list[Piece] | None = None
    encrypted_content: str | None = None


class Written:
    """A text that streams in, and may stream in again (rule 2)."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = self._place = 0

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def write(self, delta: str) -> str:
        """Take more of it; returns what of that is new."""
        known = self._length - self._place
        self._place += len(delta)
        new = delta[known:]
        if new:
            self._pieces.append(new)
            self._length += len(new)
        return new

    def restart(self) -> None:
        self._place = 0


@attrs.define(eq=False)
class Entry:
    """An item of the answer as far as it came; ``number`` is that of a call."""

    kind: Kind
    number: int
    item_id: str
    call_id: str = ""
    name: str = ""
    parts: dict[object, Written] = attrs.Factory(dict)
    block_given: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts.values())

    def part(self, key: object) -> Written:
        part = self.parts.get(key)
        if part is None:
            part = self.parts[key] = Written()
        return part

    def settle(self, text: str, key: object = None) -> None:
        """What the server says it wrote in that part, or in all of them, whatever the deltas were."""
        if key is None and text == self.text:
            return
        written = Written()
        written.write(text)
        if key is None:
            self.parts = {next(iter(self.parts), None): written}
        else:
            self.parts[key] = written


class Items:
    """The items of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._found: dict[tuple[Kind, str | int | None], Entry] = {}
        """By an id, by the index, and by None the newest of a kind."""
        self._calls = 0

    def _find(self, kind: Kind, *places: str | int | None) -> Entry | None:
        """The item that is known by the first of the places that is known; no place is the newest's."""
        is_named = False
        for place in places:
            if place is not None and place != "":
                is_named = True
                if entry := self._found.get((kind, place)):
                    return entry
        return None if is_named else self._found.get((kind, None))

    def entry(self, kind: Kind, item_id: str | None, index: int | None = None) -> Entry:
        known = self._found.get((kind, item_id or ""))  # as nearly every delta's is
        return known or self._find(kind, item_id, index) or self._begin(kind, item_id, index)

    def _begin(self, kind: Kind, *places: str | int | None) -> Entry:
        entry = Entry(kind, self._calls, next((place for place in places if isinstance(place, str) and place), ""))
        self._calls += kind == "function_call"
        self.entries.append(entry)
        self._found |= {(kind, place): entry for place in (*places, None) if place != ""}
        return entry

    def placed(self, kind: Kind, item: Item, index: int | None, *, is_new: bool) -> Entry:
        places = (item.id, item.call_id, index)
        entry = self._find(kind, *places)
        if entry is None or (is_new and _is_another(item, index, entry)):
            return self._begin(kind, *places)
        if item.call_id:
            self._found[kind, item.call_id] = entry
        if is_new:
            for part in entry.parts.values():
                part.restart()
        return entry


def parse_item(raw: dict[str, Any]) -> Item:
    try:
        return msgspec.convert(raw, Item)
    except ValueError as error:  # a name may hold half a character
        raise RemoteProtocolError(f"the provider sent an item that makes no sense: {error}") from None


def _is_another(item: Item, index: int | None, entry: Entry) -> bool:
    """Whether an item that is added is none that was added before, though one has its place."""
    if item.call_id and entry.call_id:
        return item.call_id != entry.call_id
    name = item.id or item.call_id
    return name != entry.item_id if name and entry.item_id else not name and index is None


def words_of(content: Sequence[Piece] | None) -> str:
    return "".join(piece.words for piece in content or ())


def arguments_of(item: Item) -> str:
    given = item.arguments
    return json_text(given) if isinstance(given, dict) else given or ""
