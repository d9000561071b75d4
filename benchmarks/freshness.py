"""How fresh the text on screen is, against the best that Telegram's limits allow: the whole bot, in virtual time.

A model speaks evenly, 25 tokens a second, the first of them 1 s after it is asked, as server-sent events into the
provider for Chat Completions. The emulator keeps the documented limits, and a call takes 60 ms (`stage`). A
character's wait lasts from when the model's server wrote it until a reader sees it. The best wait, for each length of
answer, is that of `optimum.best_schedule`: it knows the length, makes one call at a time, finds the windows as the
server counts them, empty but for the "Thinking...", and its final begins with the last token. On both sides tokens
are seen whole, and a call takes its 60 ms.

Answers stay within one message: tokens have 5 characters, or fewer where 4096 would not do. With --long all have 5.

    python benchmarks/freshness.py [--lengths 24] [--only drafts|edits|groups|peers|after] [--long]
                                   [--json FILE] [--plot FILE]
    python benchmarks/freshness.py --simulate     # the pace of drafts without the bot: seconds, for tuning
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import attrs
import report
import trio
from even_model import Speech
from optimum import Problem, Window, best_schedule, bucket
from report import Figure
from simulation import SimulatedDrafts
from stage import CALL, GROUP, LIMITS, PERSON, Answer, Kind, open_stage
from trio.testing import MockClock

from triolet.config import StreamingSettings
from triolet.core.pace import FramePace, draft_spacing
from triolet.core.text import MESSAGE_LIMIT
from triolet.observe.log import configure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHORTEST, LONGEST = 0.5, 120.0
LENGTHS = 24
LISTED = 6
"""How many of the answers have a row of their own."""

Row: TypeAlias = dict[str, float | str]

GOALS: Final = {"drafts": (1.65, 2.1, 1.0)}
"""The most that the mean and the worst ratio may be, and the longest gap in seconds."""

TRIED = (2.0, 20.0, 60.0)
"""Seconds of the answers for which the simulation is held against the bot."""


@attrs.frozen
class Options:
    """What was asked for: how many lengths, and whether answers may outgrow one message."""

    lengths: int
    long: bool


def lengths(count: int) -> list[float]:
    """So many seconds, from the shortest to the longest, each longer than the last by the same factor."""
    factor = LONGEST / SHORTEST
    return [SHORTEST * factor ** (number / max(1, count - 1)) for number in range(count)]


def speech_of(seconds: float, *, long: bool = False) -> Speech:
    tokens = round(seconds * 25) + 1
    return Speech(tokens, 5 if long else min(5, MESSAGE_LIMIT // tokens))


async def measure_lengths(kind: Kind, speeches: Sequence[Speech]) -> list[Answer]:
    """Each speech in a chat of its own, for every chat has limits of its own."""
    first, step = (GROUP, -1) if kind == "groups" else (PERSON, 1)
    chats = range(first, first + step * len(speeches), step)
    async with open_stage(kind, chats) as stage:
        return [await stage.ask(chat, speech) for chat, speech in zip(chats, speeches, strict=True)]


async def measure_after(before: Speech, pause: float) -> list[Answer]:
    """A question in a fresh chat, and the same one asked ``pause`` seconds after an answer of another chat is seen."""
    async with open_stage("drafts", [PERSON, PERSON + 1]) as stage:
        await trio.sleep(pause)
        fresh = await stage.ask(PERSON, speech_of(5.0))
        await stage.ask(PERSON + 1, before)
        await trio.sleep(pause)
        return [fresh, await stage.ask(PERSON + 1, speech_of(5.0))]


def windows_of(kind: Kind, seconds: float) -> tuple[Window, ...]:
    """The documented limits that such an answer meets."""
    if kind == "edits":
        assert LIMITS.private is not None, "documented"  # noqa: S101
        return bucket(LIMITS.private.burst, LIMITS.private.interval, seconds)
    given = LIMITS.drafts if kind == "drafts" else LIMITS.group
    return tuple(Window(window.count, window.seconds) for window in given)


def best_wait(kind: Kind, speech: Speech) -> float:
    """The least mean wait that the limits allow, the call included; drafts are charged the "Thinking..."."""
    problem = Problem(
        speech.tokens,
        speech.every,
        spacing=CALL,
        windows=windows_of(kind, speech.tokens * speech.every),
        earlier=(-speech.after,) if kind == "drafts" else (),
        final_counts=kind != "drafts",
    )
    return best_schedule(problem).wait + CALL


@attrs.frozen
class Fresh:
    """Of one answer: seconds, and how often the best wait goes into its wait."""

    seconds: float
    wait: float
    best: float
    gap: float
    first: float
    end: float
    frames: int
    refused: int

    @property
    def ratio(self) -> float:
        return self.wait / self.best


def freshness(kind: Kind, answer: Answer) -> Fresh:
    """Its figures.

    Raises:
        RuntimeError: the answer is fresher than the best, so one of the two is wrong.
    """
    found = Fresh(
        seconds=(answer.speech.tokens - 1) * answer.speech.every,
        wait=answer.wait,
        best=best_wait(kind, answer.speech),
        gap=answer.gap,
        first=answer.first,
        end=answer.end,
        frames=len(answer.seen) - 1,
        refused=answer.refused,
    )
    if found.ratio < 1 - 1e-6:
        raise RuntimeError(f"{kind}: fresher than the best: {found}")
    return found


@attrs.frozen
class Report:
    """A title, and rows with the same columns, as they are printed.

    ``figures`` are what is told of them beside; ``details`` is what --json adds, an answer each.
    """

    title: str
    rows: list[Row]
    details: list[dict[str, float]] = attrs.field(factory=list)
    figures: list[Figure] = attrs.field(factory=list)

    @property
    def name(self) -> str:
        return self.title.partition(":")[0]

    def told(self) -> dict[str, Any]:
        return {"title": self.title, "rows": self.rows, "details": self.details}

    def text(self) -> str:
        """A table as README writes them."""
        head = " | ".join(self.rows[0])
        rule = "|".join("---" for _ in self.rows[0])
        lines = (" | ".join(map(str, row.values())) for row in self.rows)
        return "\n".join([self.title, "", f"| {head} |", f"|{rule}|", *(f"| {line} |" for line in lines), ""])


def in_virtual_time() -> MockClock:
    """A clock that jumps to the next deadline as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)


def report_lengths(kind: Kind, options: Options) -> Report:
    speeches = [speech_of(seconds, long=options.long) for seconds in lengths(options.lengths)]
    answers = trio.run(measure_lengths, kind, speeches, clock=in_virtual_time())
    return report_answers(kind, [freshness(kind, answer) for answer in answers])


def report_answers(name: str, found: Sequence[Fresh]) -> Report:
    """All of them in a row, some in rows of their own, from the shortest to the longest, and each in the details."""
    listed = sorted({round(number * (len(found) - 1) / (LISTED - 1)) for number in range(LISTED)})
    rows = [summary(found), *(single(found[number]) for number in listed)]
    details = [attrs.asdict(each) | {"ratio": each.ratio} for each in found]
    title = f"{name}: {len(found)} answers of {SHORTEST} to {LONGEST:g} s"
    return Report(title, rows, details, figures(name, found))


def figures(name: str, found: Sequence[Fresh]) -> list[Figure]:
    """What is told of all answers; drafts alone were tuned for a goal."""
    mean, worst, gap = GOALS.get(name, (None, None, None))
    wait, ratios = statistics.fmean(each.wait for each in found), [each.ratio for each in found]
    refused = sum(each.refused for each in found)
    return [
        Figure(f"{name}: mean wait", 1e3 * wait, "ms"),
        Figure(f"{name}: wait to the best, on average", statistics.fmean(ratios), "×", goal=mean, headline=True),
        Figure(f"{name}: wait to the best, at worst", max(ratios), "×", goal=worst),
        Figure(f"{name}: longest gap", max(each.gap for each in found), "s", goal=gap),
        Figure(f"{name}: first text", 1e3 * max(each.first for each in found), "ms"),
        Figure(f"{name}: end to whole text", 1e3 * max(each.end for each in found), "ms"),
        Figure(f"{name}: 429s", refused, "", goal=0),
    ]


def draw(reports: Mapping[str, Report], axes: Axes) -> None:
    """The ratio to the best, by an answer's length."""
    for name, each in reports.items():
        axes.plot(*zip(*((row["seconds"], row["ratio"]) for row in each.details), strict=True), marker=".", label=name)
    axes.set(xlabel="seconds of the answer", xscale="log", ylabel="wait, to the best possible", title="Freshness")
    axes.set_ylim(bottom=1)
    axes.legend()


def summary(found: Sequence[Fresh]) -> Row:
    worst = max(found, key=lambda each: each.ratio)
    mean = statistics.fmean(each.ratio for each in found)
    return {
        "answer": "all",
        "wait, ms": milliseconds(statistics.fmean(each.wait for each in found)),
        "best, ms": milliseconds(statistics.fmean(each.best for each in found)),
        "ratio": f"{mean:.2f}, at worst {worst.ratio:.2f} ({worst.seconds:.1f} s)",
        "longest gap, s": f"{max(each.gap for each in found):.2f}",
        "first text, ms": milliseconds(max(each.first for each in found)),
        "end to whole text, ms": milliseconds(max(each.end for each in found)),
        "frames": sum(each.frames for each in found),
        "429s": sum(each.refused for each in found),
    }


def single(each: Fresh) -> Row:
    return summary([each]) | {"answer": f"{each.seconds:.1f} s", "ratio": f"{each.ratio:.2f}"}


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.0f}"


def report_peers(options: Options) -> Report:
    """What other bots were measured by: 1,000 tokens at 25 a second."""
    speech = Speech(1000, 5 if options.long else 4)
    answers: dict[Kind, Answer] = {
        kind: trio.run(measure_lengths, kind, [speech], clock=in_virtual_time())[0] for kind in get_args(Kind)
    }
    return Report("peers: 1,000 tokens at 25 a second", [peer_row(kind, answer) for kind, answer in answers.items()])


def peer_row(kind: Kind, answer: Answer) -> Row:
    lags = statistics.quantiles(answer.lags(), n=20)
    return {
        "shown by": kind,
        "first text, ms": milliseconds(answer.first),
        "429s": answer.refused,
        "longest gap, s": f"{answer.gap:.2f}",
        "lag median, s": f"{lags[9]:.2f}",
        "lag p95, s": f"{lags[18]:.2f}",
        "end to final, ms": milliseconds(answer.end),
    }


def report_after(options: Options) -> Report:
    """A question asked 1 s after a long answer, beside the same question in a fresh chat."""
    fresh, after = trio.run(measure_after, speech_of(40.0, long=options.long), 1.0, clock=in_virtual_time())
    rows = [after_row("in a fresh chat", fresh), after_row("1 s after an answer of 40 s", after)]
    return Report("after: a question, and its answer of 5 s", rows)


def after_row(name: str, answer: Answer) -> Row:
    return {
        "asked": name,
        'message to "Thinking...", ms': milliseconds(answer.noticed - answer.asked),
        "first text, ms": milliseconds(answer.first),
        "longest gap, s": f"{answer.gap:.2f}",
        "wait, ms": milliseconds(answer.wait),
        "429s": answer.refused,
    }


REPORTS: Final[dict[str, Callable[[Options], Report]]] = {
    "drafts": partial(report_lengths, "drafts"),
    "edits": partial(report_lengths, "edits"),
    "groups": partial(report_lengths, "groups"),
    "peers": report_peers,
    "after": report_after,
}


# The pace alone


def simulated(speech: Speech) -> Answer:
    """The answer that the pace alone would give."""
    pace = FramePace(draft_spacing(StreamingSettings().draft_interval))
    calls = SimulatedDrafts(speech, pace, round_trip=CALL).run()
    texts = [(begin + CALL, tokens * speech.characters) for begin, tokens in calls if tokens]
    grown = [call for call, before in zip(texts, [(0.0, 0), *texts], strict=False) if call[1] > before[1]]
    written = [speech.written(number) for number in range(speech.tokens)]
    return Answer(asked=0.0, speech=speech, written=written, noticed=calls[0][0] + CALL, seen=grown, refused=0)


def report_simulation(options: Options) -> Report:
    speeches = [speech_of(seconds) for seconds in lengths(options.lengths)]
    return report_answers("drafts, the pace alone", [freshness("drafts", simulated(speech)) for speech in speeches])


def report_tried() -> Report:
    """How far the simulation is from the bot."""
    speeches = [speech_of(seconds) for seconds in TRIED]
    answers = trio.run(measure_lengths, "drafts", speeches, clock=in_virtual_time())
    return Report("the pace alone, and the whole bot", [tried_row(answer) for answer in answers])


def tried_row(answer: Answer) -> Row:
    alone = simulated(answer.speech)
    return {
        "answer": f"{(answer.speech.tokens - 1) * answer.speech.every:.0f} s",
        "alone, wait, ms": f"{1e3 * alone.wait:.1f}",
        "bot, wait, ms": f"{1e3 * answer.wait:.1f}",
        "off by": f"{abs(alone.wait / answer.wait - 1):.1%}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, default=LENGTHS)
    parser.add_argument("--only", choices=REPORTS)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--simulate", action="store_true")
    report.add_options(parser)
    given = parser.parse_args()
    configure(level="warning")
    options = Options(lengths=given.lengths, long=given.long)
    if given.simulate:
        makers: Iterable[Callable[[], Report]] = [partial(report_simulation, options), report_tried]
    else:
        makers = [partial(make, options) for name, make in REPORTS.items() if given.only in {None, name}]
    reports = [make() for make in makers]
    print("\n".join(each.text() for each in reports))
    told = [figure for each in reports for figure in each.figures]
    drawn = {each.name: each for each in reports if each.details}
    report.tell(given, told, lambda axes: draw(drawn, axes), {"reports": [each.told() for each in reports]})


if __name__ == "__main__":
    main()
