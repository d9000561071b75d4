"""Who is served. What others say is ignored, and the operator is told of each of them, once."""

from __future__ import annotations

import structlog

from triolet.core.commands import Access
from triolet.core.updates import Incoming

log = structlog.get_logger()

REMEMBERED = 1000
"""Strangers that are told of: there are any number of them."""


class Door:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._strangers: set[int] = set()

    def serves(self, message: Incoming, *, is_command: bool) -> bool:
        """Whether the message is for the bot, and from somebody it serves."""
        if not self._access.hears(message, is_command=is_command):
            return False
        if self._access.admits(message.user_id):
            return True
        if message.user_id not in self._strangers and len(self._strangers) < REMEMBERED:
            self._strangers.add(message.user_id)
            log.warning("access.refused", user_id=message.user_id, hint="to serve them, add the id to access.allow")
        return False
