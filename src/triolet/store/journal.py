"""The SQL of the bot's own messages, and of the buttons under them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final, TypeAlias

import attrs

from triolet.core.buttons import KeptButton
from triolet.core.letters import Letter, Undelivered
from triolet.core.text import RichText
from triolet.store.parts import (
    parse_content,
    parse_ids,
    parse_keyboard,
    parse_place,
    render_content,
    render_json,
    render_place,
)

KEEP_SENT: Final = 24 * 3600.0
KEEP_UNDELIVERED: Final = 14 * 24 * 3600.0
"""How long a letter is kept after its last change, in seconds; one that is not done with stays for ever."""

BEGINNING: Final = 60
"""Code points of an undelivered letter that are told."""

Row: TypeAlias = tuple[Any, ...]


@attrs.frozen
class LetterRow:
    """A letter, with what may change after it was given to the store rendered already."""

    letter: Letter
    chat_id: int
    place: str
    changed_at: float

    @classmethod
    def of(cls, letter: Letter, now: float) -> LetterRow:
        return cls(letter, letter.place.key.chat_id, render_place(letter.place), now)


def keep(connection: sqlite3.Connection, row: LetterRow) -> None:
    letter = row.letter
    is_done = letter.state == "sent" and not letter.growing and not letter.keyboard
    values = (
        letter.number,
        letter.position,
        letter.turn,
        row.chat_id,
        row.place,
        letter.state,
        letter.growing,
        None if is_done else render_content(letter.content),
        render_json(letter.keyboard),
        letter.anew,
        letter.silent,
        letter.replies,
        letter.message_id,
        letter.newest,
        render_json(letter.reason),
        row.changed_at,
    )
    insert = "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    connection.execute(insert, values)


def forget(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM outbox WHERE number = ?", (number,))


def load_letters(connection: sqlite3.Connection) -> list[Letter]:
    query = """
        SELECT number, position, place, state, turn, growing, content, keyboard,
          anew, silent, replies, message_id, newest, reason
        FROM outbox WHERE state <> 'sent' OR growing OR turn IN (SELECT number FROM turn) ORDER BY position, number
    """
    return [_parse_letter(row) for row in connection.execute(query)]


def _parse_letter(row: Row) -> Letter:
    number, position, place, state, turn, growing, content, keyboard, *rest = row
    anew, silent, replies, message_id, newest, reason = rest
    return Letter(
        number,
        parse_place(place),
        state,
        turn,
        bool(growing),
        parse_content(content),
        parse_keyboard(keyboard),
        bool(anew),
        bool(silent),
        bool(replies),
        message_id,
        newest,
        json.loads(reason),
        position,
    )


def load_undelivered(connection: sqlite3.Connection, chat_id: int | None) -> list[Undelivered]:
    query = """
        SELECT number, chat_id, state, reason, changed_at, content FROM outbox
        WHERE state IN ('uncertain', 'dead') AND chat_id = coalesce(?, chat_id) ORDER BY number DESC
    """
    return [
        Undelivered(number, chat, state, json.loads(reason), at, _beginning(content))
        for number, chat, state, reason, at, content in connection.execute(query, (chat_id,))
    ]


def _beginning(text: str | None) -> str:
    content = parse_content(text)
    if content is None:
        return ""
    words = " ".join((content.source if isinstance(content, RichText) else content.text).split())
    return words if len(words) <= BEGINNING else f"{words[: BEGINNING - 1].rstrip()}…"


def load_message_ids(connection: sqlite3.Connection) -> dict[int, list[int]]:
    query = "SELECT chat_id, message_id FROM outbox WHERE message_id IS NOT NULL ORDER BY message_id"
    found: dict[int, list[int]] = {}
    for chat_id, message_id in connection.execute(query):
        found.setdefault(chat_id, []).append(message_id)
    return found


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Forget what is on the screen for good, and what could not be brought there, some time after its last change.

    The newest message of each chat stays known: what may be there, and has to be looked for, came after it.
    """
    newest = "SELECT max(message_id) FROM outbox AS other WHERE other.chat_id = outbox.chat_id"
    sent = f"""
        state = 'sent' AND NOT growing AND (turn IS NULL OR turn NOT IN (SELECT number FROM turn))
        AND coalesce(message_id, 0) < ({newest})
    """  # noqa: S608  # no foreign text
    for which, seconds in ((sent, KEEP_SENT), ("state IN ('uncertain', 'dead')", KEEP_UNDELIVERED)):
        connection.execute(f"DELETE FROM outbox WHERE {which} AND changed_at < ?", (now - seconds,))  # noqa: S608  # ours


def numbers_above(connection: sqlite3.Connection) -> Iterator[int]:
    """Numbers above all that letters and turns have, or had while somebody speaks of them."""
    query = """
        SELECT max(number) FROM (
          SELECT number FROM outbox UNION ALL SELECT turn FROM outbox
          UNION ALL SELECT number FROM turn UNION ALL SELECT letter FROM button
        )
    """
    (highest,) = connection.execute(query).fetchone()
    return count((highest or 0) + 1)


# Buttons


def button_row(button: KeptButton) -> Row:
    ids = (render_json(button.user_ids), button.letter, render_json(button.update_ids))
    return (button.nonce, button.kind, render_place(button.place), *ids)


def keep_button(connection: sqlite3.Connection, row: Row) -> None:
    insert = "INSERT OR REPLACE INTO button(nonce, kind, place, user_ids, letter, update_ids) VALUES (?, ?, ?, ?, ?, ?)"
    connection.execute(insert, row)


def drop_buttons(connection: sqlite3.Connection, nonces: Sequence[str]) -> None:
    connection.executemany("DELETE FROM button WHERE nonce = ?", [(nonce,) for nonce in nonces])


def load_buttons(connection: sqlite3.Connection) -> list[KeptButton]:
    rows = connection.execute("SELECT nonce, kind, place, user_ids, letter, update_ids FROM button ORDER BY seq")
    return [
        KeptButton(nonce, kind, parse_place(place), parse_ids(user_ids), letter, parse_ids(update_ids))
        for nonce, kind, place, user_ids, letter, update_ids in rows
    ]
