"""The SQL of what the tools of foreign servers looked like."""

from __future__ import annotations

import json
import sqlite3

from triolet.store.parts import render_json


def load_pinned(connection: sqlite3.Connection, server: str) -> dict[str, str]:
    rows = connection.execute("SELECT tool, digest FROM pin WHERE server = ?", (server,))
    return {json.loads(tool): digest for tool, digest in rows}


def pin(connection: sqlite3.Connection, server: str, tool: str, digest: str) -> None:
    connection.execute("INSERT OR REPLACE INTO pin VALUES (?, ?, ?)", (server, render_json(tool), digest))
