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
    (
        # A CHECK cannot be changed, so the table is made anew: 'tool' is a role as well.
        """
        CREATE TABLE history_with_tools(
          id INTEGER PRIMARY KEY,
          chat_id INTEGER NOT NULL,
          thread_id INTEGER NOT NULL,
          role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
          parts TEXT NOT NULL,
          ending TEXT NOT NULL,
          created_at REAL NOT NULL
        ) STRICT
        """,
        "INSERT INTO history_with_tools SELECT id, chat_id, thread_id, role, parts, ending, created_at FROM history",
        "DROP TABLE history",
        "ALTER TABLE history_with_tools RENAME TO history",
        "CREATE INDEX history_conversation ON history(chat_id, thread_id, id)",
        # The rows of one answer, one a model, share the first one's id as `answer`. `cost` is in US dollars, and
        # NULL where the price is unknown.
        """
        CREATE TABLE usage(
          id INTEGER PRIMARY KEY,
          answer INTEGER NOT NULL,
          created_at REAL NOT NULL,
          chat_id INTEGER NOT NULL,
          thread_id INTEGER NOT NULL,
          user_id INTEGER NOT NULL,
          model TEXT NOT NULL,
          input_tokens INTEGER NOT NULL,
          output_tokens INTEGER NOT NULL,
          cached_tokens INTEGER NOT NULL,
          cache_write_tokens INTEGER NOT NULL,
          cost REAL
        ) STRICT
        """,
        "CREATE INDEX usage_conversation ON usage(chat_id, thread_id, answer)",
        """
        CREATE TABLE pin(
          server TEXT NOT NULL,
          tool TEXT NOT NULL,
          digest TEXT NOT NULL,
          PRIMARY KEY (server, tool)
        ) STRICT, WITHOUT ROWID
        """,
    ),
)
