"""What chats switch: each chat with all its topics, kept in the store, and told to whoever answers there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import attrs
import structlog
import trio

from triolet.core.calls import Place
from triolet.core.commands import PREFERENCES, Preference
from triolet.core.conversation import ConversationKey
from triolet.core.ports import Store
from triolet.core.text import FormattedText
from triolet.errors import StoreError
from triolet.transports import Screen

log = structlog.get_logger()


@attrs.frozen
class Switch:
    """How a person wants a chat from now on."""

    update_id: int
    place: Place
    preference: Preference
    value: str


class Switches:
    """Carries switches out one after the other, in the order of `post`; ``tell`` hears of each that is kept.

    One counts as soon as it is posted, and no longer if it cannot be kept.
    """

    def __init__(self, store: Store, screen: Screen, tell: Callable[[Switch], None]) -> None:
        self._store = store
        self._screen = screen
        self._tell = tell
        self._waiting: deque[Switch] = deque()
        self._turn = trio.Lock()

    def post(self, switch: Switch) -> None:
        """It is carried out when somebody runs `carry_out_next` for it."""
        self._waiting.append(switch)

    def newest(self, key: ConversationKey) -> dict[Preference, str]:
        """What the chat of that conversation has switched, and is still to be kept."""
        chat = _chat_of(key)
        return {each.preference: each.value for each in self._waiting if _chat_of(each.place.key) == chat}

    async def carry_out_next(self) -> None:
        """Tasks that begin together begin in any order, so each carries out the oldest switch there is."""
        async with self._turn:
            switch = self._waiting[0]
            try:
                await self._store.put(_chat_of(switch.place.key), switch.preference, switch.value)
            except StoreError:
                notice = "⚠ Nothing is changed: the bot's database cannot be used now."
            else:
                self._tell(switch)
                notice = PREFERENCES[switch.preference][switch.value]
            finally:
                self._waiting.popleft()
        with self._store.unit():
            self._screen.notify(switch.place, FormattedText(notice))
            self._store.finish([switch.update_id])


async def load_switched(store: Store, key: ConversationKey) -> Mapping[str, str]:
    """What the chat of that conversation has switched; nothing, if nobody knows."""
    try:
        return await store.switched(_chat_of(key))
    except StoreError as error:
        log.error("preferences.unknown", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
        return {}


def _chat_of(key: ConversationKey) -> ConversationKey:
    return ConversationKey(key.chat_id)
