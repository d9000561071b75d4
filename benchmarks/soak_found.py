"""What `soak` plays and what it finds, and the judges of it: of a night's look, and of a person's screen."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Final

import attrs
from report import Figure
from soak_town import HOUR, Asked

from triolet.emulator import ScreenMessage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WARM: Final = 1
"""Days after which what grows counts, if there are more: pools, caches and tables fill."""

MOST_GROWTH: Final = 0.1
"""Percent of the heap that a day may add: by that rate it doubles in three years."""

MOST_MESSAGES: Final = 4
"""Messages of the bot for each question, on average, with what else it says."""

MOST_BYTES: Final = 1500.0
"""What a question and its answer may add to the file: the words are in it."""

BEGUN: Final = 64 * 1024
"""Bytes of pages that have room: some for each of twelve tables and indices, whatever the number of questions."""

MOST_LOG: Final = 4.5
"""Megabytes: SQLite begins the log anew at a thousand pages of 4,120 bytes."""


@attrs.frozen
class Plan:
    """What is played: until there have been so many ``days``, or so many real ``seconds`` are over."""

    days: float
    seconds: float
    people: int = 6
    pause: float = 1.5 * HOUR
    faults: float = 0.05
    restarts: bool = True
    seed: int = 1


@attrs.frozen
class Look:
    """What there was at the quiet hour of a day; ``tasks`` are those that a fresh bot does not have, or lacks.

    ``memory``, ``database`` and ``log`` are in bytes, ``objects`` are those that the collector knows.
    """

    day: int
    tasks: dict[str, int]
    descriptors: int
    connections: int
    objects: int
    memory: int
    database: int
    log: int
    rows: dict[str, int]
    sizes: dict[str, int]
    """Bytes of each table and index, where SQLite tells."""


@attrs.define(eq=False)
class Found:
    """All that came of a play. ``untold`` are questions with neither answer nor report; ``broken`` is what stays."""

    plan: Plan
    looks: list[Look] = attrs.Factory(list)
    questions: int = 0
    calls: int = 0
    lives: int = 0
    faults: Counter[str] = attrs.Factory(Counter)
    moods: Counter[str] = attrs.Factory(Counter)
    untold: list[str] = attrs.Factory(list)
    broken: list[str] = attrs.Factory(list)
    mistakes: list[str] = attrs.Factory(list)
    """Exceptions that nobody expected, by the event that logged them."""
    seconds: float = 0.0

    @property
    def days(self) -> int:
        """How many were played."""
        return len(self.looks) - 1

    def growth(self, of: Callable[[Look], float]) -> float:
        """What is added each day, when it is warm: the median slope between any two of the looks."""
        looks = self.looks[WARM:] if self.days > WARM else self.looks
        slopes = [(of(b) - of(a)) / (b.day - a.day) for a, b in combinations(looks, 2)]
        return statistics.median(slopes) if slopes else 0.0


# The judges


def figures(name: str, found: Found) -> list[Figure]:
    """The judges of one play, which is told by its ``name``. In the headlines, each stands once: where it is harder."""
    restarts = found.plan.restarts
    first, last = found.looks[0], found.looks[-1]
    tasks = max(sum(look.tasks.values()) for look in found.looks)
    return [
        Figure(f"{name}: virtual days", found.days, ""),
        Figure(f"{name}: calls that failed", sum(found.faults.values()), ""),
        Figure(f"{name}: questions", found.questions, ""),
        Figure(f"{name}: questions without answer or report", len(found.untold), "", goal=0, headline=restarts),
        Figure(f"{name}: cursors, placeholders and drafts left", len(found.broken), "", goal=0, headline=restarts),
        Figure(f"{name}: mistakes logged", len(found.mistakes), "", goal=0),
        Figure(f"{name}: tasks left over", tasks, "", goal=0, headline=restarts),
        Figure(f"{name}: descriptors left over", last.descriptors - first.descriptors, "", goal=0, headline=restarts),
        Figure(f"{name}: heap", last.objects / 1e3, "k objects"),
        Figure(f"{name}: heap, growth a day", growth_of_heap(found), "%", goal=MOST_GROWTH, headline=not restarts),
        Figure(f"{name}: resident memory, growth a day", found.growth(lambda look: look.memory) / 1024, "KiB"),
        Figure(f"{name}: database", last.database / 1024, "KiB"),
        Figure(f"{name}: rows to be forgotten", rows_to_forget(last), "", goal=most_rows(found)),
        Figure(f"{name}: database, each question", bytes_each(found), "B", goal=MOST_BYTES, headline=not restarts),
        Figure(f"{name}: log at most", max(look.log for look in found.looks) / 1e6, "MB", goal=MOST_LOG),
    ]


def growth_of_heap(found: Found) -> float:
    return 100 * found.growth(lambda look: look.objects) / found.looks[0].objects


def rows_to_forget(look: Look) -> int:
    """Of what is being answered or delivered, or was lately."""
    return sum(look.rows.get(table, 0) for table in ("turn", "tool_call", "outbox", "button"))


def most_rows(found: Found) -> float:
    """Those that may be there at night: the messages of two days, before the tidying and since."""
    a_day = found.questions / max(1, found.days)
    return MOST_MESSAGES * 2 * a_day


def bytes_each(found: Found) -> float:
    """How much longer the file is for each question that was asked, beyond the pages that every table begins with."""
    longer = found.looks[-1].database - found.looks[0].database - BEGUN
    return max(0, longer) / max(1, found.questions)


def draw(plays: Mapping[str, Found], axes: Axes) -> None:
    """What each night found, in parts of what the first one did; tasks and descriptors beyond it."""
    lines: dict[str, Callable[[Look], float]] = {
        "heap": lambda look: look.objects,
        "resident memory": lambda look: look.memory,
        "database and log": lambda look: look.database + look.log,
        "descriptors": lambda look: look.descriptors,
    }
    for (name, found), style in zip(plays.items(), ("-", "--"), strict=False):
        days = [look.day for look in found.looks[1:]]
        for number, (label, of) in enumerate(lines.items()):
            values = [of(look) / of(found.looks[1]) for look in found.looks[1:]]
            axes.plot(days, values, style, color=f"C{number}", label=f"{label}, {name}")
        tasks = [sum(look.tasks.values()) for look in found.looks[1:]]
        axes.plot(days, tasks, style, color="C4", label=f"tasks left over, {name}")
    axes.set(xlabel="virtual day", ylabel="parts of the first day's", ylim=(-0.1, None), title="Soak")
    axes.legend(fontsize="small", ncols=2)


# What is seen of it

CURSOR: Final = "▉"
REPORT: Final = re.compile(r"[⏸⚠↻⏹✂⏰]|The model gave no answer")
REPORTS_ALL: Final = re.compile(r"dropped|A new conversation|⏳")
"""Speaks for any number of questions."""

OFFERS: Final = re.compile(r"again|continue|answer", re.IGNORECASE)
TEMPORARY: Final = ("⏹", "✅", "🚫")
"""Buttons that mean something only while an answer is being written."""


def unanswered(messages: Sequence[ScreenMessage], asked: Sequence[Asked]) -> list[str]:
    """The questions of a chat that have neither an answer nor a report below them; one report speaks for one."""
    ours = [each for each in messages if each.from_bot]
    words = {word for each in ours for word in re.findall(r"\ba\d+\b", each.text)}
    lacking = [each for each in asked if f"a{each.number}" not in words]
    untold = []
    for number, each in enumerate(reversed(lacking), start=1):
        below = [message for message in ours if message.id > each.message_id]
        if sum(map(is_report, below)) < number and not any(REPORTS_ALL.search(message.text) for message in below):
            untold.append(f"q{each.number} in {each.chat}")
    return untold


def is_report(message: ScreenMessage) -> bool:
    offers = any(OFFERS.search(button.text) for row in message.buttons for button in row)
    return offers or REPORT.search(message.text) is not None


def unfinished(messages: Sequence[ScreenMessage]) -> list[str]:
    """The bot's messages that look as if more was to come: a cursor, a placeholder, a Stop button."""
    return [
        f"message {each.id}: {each.text[-40:]!r}"
        for each in messages
        if each.from_bot
        and (
            CURSOR in each.text
            or each.text.strip() in {"", "Thinking…"}
            or any(button.text.startswith(TEMPORARY) for row in each.buttons for button in row)
        )
    ]
