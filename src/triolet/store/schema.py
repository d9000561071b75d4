"""The tables, as the list of steps that made them; the file's ``user_version`` counts the steps taken.

A released step never changes: whoever needs another column appends a step. Times are seconds since 1970; what others
wrote stands within ASCII JSON. What each table is for, when it is written, and what a crash leaves in it:

- ``inbox``: the updates, written before Telegram hears that they have come. An update that needs no more work keeps its
  id, to be known when it comes again, and loses its body: a crash leaves bodies, and the next start goes on with them.
- ``history``: what was said. Question and answer come in one transaction, when the answer is over; the same one ends
  the turn, the updates and what waits for them, so that a crash leaves all of it or none.
- ``usage``: what answers cost, written with them; cleared conversations keep it.
- ``preference``: what users switched, written when they do.
- ``pin``: what the tools of foreign servers looked like when somebody approved of them.
- ``turn``: answers that are being written: from before their model is asked until they are in ``history``, and brought
  up to date meanwhile. A row that a crash leaves is an answer that broke off.
- ``tool_call``: the calls of these turns, written before the tool begins and when it has ended. What a crash leaves as
  'running' may have run, and is not run again.
- ``outbox``: our messages, each written before a call about it leaves and again when that call's outcome is known. What
  a crash leaves as 'sending' may be on the screen or not; the other states are told in `core.letters`.
- ``button``: buttons that outlive the run that showed them, written before they are shown and deleted when they are
  pressed or mean nothing any more.
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
    (
        # 0: nobody is asked about it; 1: offered to be answered late; 2: somebody wants that, however late it is.
        "ALTER TABLE inbox ADD COLUMN offered INTEGER NOT NULL DEFAULT 0 CHECK (offered IN (0, 1, 2))",
        # `asked` are the questions, `update_ids` what is finished with it; `said` are the messages that it adds to the
        # history so far, and `live` is what of it is in no letter yet. `has_effects` is 1 as soon as a tool that
        # changes something has begun; `ending` is why it is being ended, from then on until it is in the history.
        """
        CREATE TABLE turn(
          number INTEGER PRIMARY KEY,
          chat_id INTEGER NOT NULL,
          thread_id INTEGER NOT NULL,
          asked TEXT NOT NULL,
          update_ids TEXT NOT NULL,
          began_at REAL NOT NULL,
          attempt INTEGER NOT NULL,
          said TEXT NOT NULL,
          live TEXT,
          ending TEXT,
          has_effects INTEGER NOT NULL CHECK (has_effects IN (0, 1))
        ) STRICT
        """,
        # The results are in `turn.said`.
        """
        CREATE TABLE tool_call(
          turn INTEGER NOT NULL REFERENCES turn(number) ON DELETE CASCADE,
          call_id TEXT NOT NULL,
          name TEXT NOT NULL,
          state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
          PRIMARY KEY (turn, call_id)
        ) STRICT, WITHOUT ROWID
        """,
        # The `turn` of an answer's letters may be over. `content` is kept for as long as it may have to be sent.
        # `newest` is the highest message id known in the chat before it was sent: if it was, it has one of the next.
        """
        CREATE TABLE outbox(
          number INTEGER PRIMARY KEY,
          position REAL NOT NULL,
          turn INTEGER,
          chat_id INTEGER NOT NULL,
          place TEXT NOT NULL,
          state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'uncertain', 'dead')),
          growing INTEGER NOT NULL CHECK (growing IN (0, 1)),
          content TEXT,
          keyboard TEXT NOT NULL,
          anew INTEGER NOT NULL CHECK (anew IN (0, 1)),
          silent INTEGER NOT NULL CHECK (silent IN (0, 1)),
          replies INTEGER NOT NULL CHECK (replies IN (0, 1)),
          message_id INTEGER,
          newest INTEGER NOT NULL,
          reason TEXT NOT NULL,
          changed_at REAL NOT NULL
        ) STRICT
        """,
        # `letter` is an `outbox.number`, and `update_ids` are the inbox's.
        """
        CREATE TABLE button(
          seq INTEGER PRIMARY KEY,
          nonce TEXT NOT NULL UNIQUE,
          kind TEXT NOT NULL CHECK (kind IN ('continue', 'resend', 'answer')),
          place TEXT NOT NULL,
          user_ids TEXT NOT NULL,
          letter INTEGER,
          update_ids TEXT NOT NULL
        ) STRICT
        """,
    ),
)
