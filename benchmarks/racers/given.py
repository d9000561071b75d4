"""What a racer is told on its command line, as JSON. It knows the standard library alone: peers have theirs."""

from __future__ import annotations

import json
import sys
from typing import NamedTuple

WORD = "word0"
"""The first word of every answer."""


class Given(NamedTuple):
    """``api`` and ``model`` are addresses without a slash at their end, ``dialect`` is one of `talker.PATHS`.

    With ``edits`` answers are messages that are edited, not drafts; a ``database`` is for the floor that commits.
    """

    api: str
    token: str
    model: str
    dialect: str = "openai-chat"
    edits: bool = False
    database: str = ""


def given() -> Given:
    return Given(**json.loads(sys.argv[1]))
