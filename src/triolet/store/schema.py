"""The tables, as the list of steps that made them; the file's ``user_version`` counts the steps taken.

A released step never changes: whoever needs another column appends a step.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x5472_696F
"""``Trio`` in ASCII: tells our file from every other program's."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        # `seq` is the order of arrival. `update_id` is not: after a quiet week Telegram may go on with a
        # lower one. A finished update keeps its row, to be known when it comes again, and loses its body.
        """
        CREATE TABLE inbox(
          seq INTEGER PRIMARY KEY,
          update_id INTEGER NOT NULL UNIQUE,
          received_at REAL NOT NULL,
          body TEXT
        ) STRICT
        """,
        "CREATE INDEX inbox_unfinished ON inbox(seq) WHERE body IS NOT NULL",
        # `thread_id` is 0 where there is no topic (Telegram's topics begin at 1): NULL differs from NULL in a
        # key, so that a preference could be held twice, and `= NULL` finds nothing.
        """
        CREATE TABLE history(
          id INTEGER PRIMARY KEY,
          chat_id INTEGER NOT NULL,
          thread_id INTEGER NOT NULL,
          role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
          parts TEXT NOT NULL,
          ending TEXT NOT NULL,
          created_at REAL NOT NULL
        ) STRICT
        """,
        "CREATE INDEX history_conversation ON history(chat_id, thread_id, id)",
        """
        CREATE TABLE preference(
          chat_id INTEGER NOT NULL,
          thread_id INTEGER NOT NULL,
          name TEXT NOT NULL,
          value TEXT NOT NULL,
          PRIMARY KEY (chat_id, thread_id, name)
        ) STRICT, WITHOUT ROWID
        """,
    ),
)
