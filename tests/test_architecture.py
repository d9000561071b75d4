"""The house keeps its own rules: the tables here say which; `test_house_rules` shows each rule a house that breaks it.

An exception stands in its table with its reason, as ``file`` or ``file:function``. A table may only shrink: an entry
that excuses nothing any more fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import house_rules as rules
import pytest
from house import House, Rule, judge, read_house

ROOT: Final = Path(__file__).parent.parent
SOURCES: Final = ROOT / "src" / "triolet"

FLOORS: Final = (
    {"__main__"},
    {"cli"},
    {"app"},
    {"transports"},  # one floor above the outbox, which its windows call
    {"providers", "telegram", "tools", "store"},
    {"net", "observe", "config"},
    {"core"},
    {"errors"},
    {"__init__"},  # the porch: everybody may read the version, and it imports nothing
)
GUESTS: Final = {
    "emulator": {"cli.py", "app/demo.py"},
    "testing": set[str](),
}
VISITS: Final = {
    "observe/log.py": "what is logged is redacted, and redaction is the drains' trade",
}

STANDARD: Final = frozenset(sys.stdlib_module_names)
PURE: Final = frozenset(
    {
        *("__future__", "abc", "base64", "bisect", "codecs", "collections", "contextlib", "copy", "dataclasses"),
        *("difflib", "enum", "functools", "hashlib", "heapq", "html", "itertools", "json", "math", "operator", "re"),
        *("string", "textwrap", "types", "typing", "unicodedata", "urllib.parse"),
        *("attrs", "msgspec", "triolet.core", "triolet.errors"),
        *("pyromark", "telegramify_markdown"),  # from text to events, and from text to HTML: functions, no more
    }
)

NURSERIES: Final = {
    "app/bot.py": "all conversations of the bot",
    "app/chat.py": "the conversation at a terminal",
    "app/demo.py": "the emulator, the bot and the person in front of it",
    "app/service.py": "the bot, and the signals that stop it",
    "app/turn.py": "provider, coalescer and transport: the trio",
    "telegram/outbox.py": "calls outlive the turns that made them",
    "store/sqlite.py": "the writer outlives whoever gives it something to write",
    "tools/runner.py": "the calls of one round, at once",
    "tools/mcp.py": "servers and their sessions outlive the turns that call them",
    "emulator/http.py": "an application, and the watch for its client's leaving",
    "emulator/server.py": "the connections of one server",
    "cli.py:emulate": "the emulator as a process: printing where it listens needs it to be started",
}
KEPT: Final = {
    "app/supervisor.py:__init__": "made by the block that opened it, and shut down before that ends",
    "telegram/outbox.py:__init__": "made within `open_outbox`, whose block it is",
    "emulator/server.py:__init__": "made within `open_telegram_server`, whose block it is",
}
SHIELDS: Final = {
    "app/turn.py:run_turn": "the commit, for two seconds at most",
    "net/http1.py:give_back": "what came of the call, its owner must hear of; closing is a schedule point, no wait",
    "store/executors.py:run_inline": "the job is done, and its caller must hear of it; a schedule point, no wait",
}
BROAD: Final = {
    "app/book.py:_write": "an answer that cannot be written down is answered all the same, and troubles no other",
    "app/turn.py:run_turn": "a mistake of ours ends one turn, visibly, and no other",
    "app/turn.py:_commit": "whatever fails in the record, the answer is delivered and the other chats go on",
    "app/turn.py:_show_end": "an answer that cannot be shown is recorded, or it would come again at every start",
    "observe/turns.py:_attend": "a failing observer is dropped, and breaks nothing",
    "tools/mcp_session.py:open_session": "what a bad message may come to within the SDK ends that session, and no more",
    "tools/runner.py:_run": "a failing tool tells the model, and breaks nothing",
}
COMPUTED: Final[dict[str, str]] = {}


def visits(house: House) -> list[str]:
    return judge(house, partial(rules.stray_visits, floors=FLOORS, guests=GUESTS), VISITS)


def loneliness_of_testing(house: House) -> list[str]:
    allowed = STANDARD | {"trio", "triolet.testing"}
    return judge(house, partial(rules.foreign_imports, room="testing", allowed=allowed))


def purity_of_imports(house: House) -> list[str]:
    return judge(house, partial(rules.foreign_imports, room="core", allowed=PURE))


def purity(house: House) -> list[str]:
    return judge(house, partial(rules.impurities, room="core"))


def judged(rule: Rule, table: Mapping[str, str] | None = None) -> Callable[[House], list[str]]:
    return partial(judge, rule=rule, table=table)


RULES: Final[dict[str, Callable[[House], list[str]]]] = {
    "visits go down": visits,
    "testing knows Trio alone": loneliness_of_testing,
    "the core imports what is pure": purity_of_imports,
    "the core is pure": purity,
    "nurseries have their places": judged(rules.opened_nurseries, NURSERIES),
    "nurseries are blocks": judged(rules.half_open_nurseries),
    "nurseries are not kept": judged(rules.kept_nurseries, KEPT),
    "tasks start on nurseries": judged(rules.foreign_starts),
    "the commit is the shield": judged(rules.shields, SHIELDS),
    "a cancel goes through": judged(rules.swallowed_cancels),
    "what is caught can be read": judged(rules.unreadable_handlers, COMPUTED),
    "one place catches Exception": judged(rules.broad_handlers, BROAD),
}


@pytest.fixture(scope="module")
def house() -> House:
    return read_house(SOURCES)


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps(house: House, rule: str) -> None:
    assert RULES[rule](house) == []


# Sizes


def oversize(root: Path) -> list[str]:
    lengths = {file.relative_to(root).as_posix(): len(file.read_text().splitlines()) for file in root.rglob("*.py")}
    rule = partial(rules.oversize, longest_module=350, longest_function=60, lengths=lengths)
    return judge(read_house(root), rule)


def test_nothing_is_too_long() -> None:
    assert oversize(SOURCES) == []


# The map on the porch

TO_COME: Final = {"cli.py", "__main__.py"}
"""Doors that the map may show before they are there."""


def test_the_map_on_the_porch_shows_the_rooms(house: House) -> None:
    rooms = rules.built_rooms(house)
    assert rules.mapped_rooms(house) - (TO_COME - rooms) == rooms


# A test for each module

UNTESTED: Final = {
    "emulator/dispatch.py",
    "emulator/drafts.py",
    "emulator/markup.py",
    "emulator/methods.py",
    "emulator/sending.py",
    "emulator/updates.py",
    "emulator/world.py",
    "transports/draft.py",
    "transports/edit.py",
    "transports/telegram.py",
}
"""Modules that no test imports yet. Whoever imports one takes its line away."""


def test_every_module_has_a_test(house: House) -> None:
    untested = rules.untested(house, read_house(ROOT / "tests"))
    assert untested - UNTESTED == set(), "a module without a test"
    assert UNTESTED - untested == set(), "a stale entry"
