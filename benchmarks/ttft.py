"""Latency to the first token: what a bot adds between Telegram, the model and the screen.

Real processes, real sockets on loopback. A Bot API hands out a question; the program asks the model; the model's first
word comes a while later; the program shows it. Two parts of that are the program's, and both are told:

    asked    from the update handed out to the whole request, head and body, at the model's server
    shown    from the first word sent to the whole call, at the Bot API, that first shows text

One process, this one, is both servers and keeps the time, so that no other clock is asked (`lean_http`); it answers in
some ten microseconds, which are the same for all. Beside Triolet run, turn and turn about, in the same minute: the
least program on the same libraries, twice: without and with the commit that keeps a question from getting lost
(`racers/floor.py`); a program on bare sockets; and bots on other libraries (`racing.PEERS`). They take turns in
small blocks, whose order is drawn, and of which the first turn does not count. Each question is asked in a chat of its
own, a random while after the last call about the one before. The cases:

    drafts            Chat Completions, drafts, warm, plain, idle; the model's first word comes 60 ms after the request
    no wait           the same, with the first word sent together with the head of the answer: "Thinking…" is in the way
    edits, group      answers that are messages: in private chats because the settings say so, in groups always
    openai-responses, anthropic                       the other dialects
    TLS               both servers with certificates
    busy              with 100 other answers being written, each of 10 words a second (the floor only reads those)
    cold              a process's first question, which waits for it: what is imported late and connected is in it
    peers             other bots, each by drafts or by edits, with the intervals that their documentation shows

The goal: both parts at most twice the floor's, by their medians.

    python benchmarks/ttft.py [--turns 100] [--only CASE ...] [--no-peers] [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from meeting import (
    BUSY,
    PARTS,
    Case,
    Meeting,
    Part,
    Row,
    measure_busy,
    measure_cold,
    measure_warm,
)
from racing import COMMITTING, FLOOR, PEERS, RAW, TRIOLET, Town, Way, not_installed
from report import Figure, add_options, tell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOAL: Final = 2.0

DRAFTS: Final = "drafts"
CASES: Final = (
    Case(DRAFTS, share=0.4, programs=(RAW, COMMITTING)),
    Case(DRAFTS, share=1.0),
    Case("no wait", wait=0.0),
    Case("edits", Way(edits=True)),
    Case("group", group=True),
    Case("openai-responses", Way("openai-responses")),
    Case("anthropic", Way("anthropic")),
    Case("TLS", Way(tls=True)),
    Case("busy", busy=BUSY),
    *(Case("peers", way, share=0.05 if each.waits else 0.12, programs=(each,)) for each, way in PEERS.items()),
)
LABELS: Final[dict[Part, str]] = {
    "asked": "asked: update to request",
    "shown": "shown: first word to first text",
}
ONLY: Final = (*dict.fromkeys(case.name for case in CASES), "cold")


@attrs.frozen
class Found:
    """All rows; ``begun`` is how long a process takes from its start to its first request; ``missing`` says why."""

    rows: list[Row] = attrs.Factory(list)
    begun: dict[str, float] = attrs.Factory(dict)
    missing: dict[str, str] = attrs.Factory(dict)

    def take_cold(self, measured: Sequence[tuple[Row, float]]) -> None:
        self.rows.extend(row for row, _ in measured)
        self.begun.update({row.program: begun for row, begun in measured})

    def row(self, case: str, program: str) -> Row | None:
        return next((row for row in self.rows if (row.case, row.program) == (case, program)), None)


def measure(turns: int, only: Sequence[str]) -> Found:
    missing = not_installed(PEERS) if "peers" in only else {}  # nobody serves while packages are installed
    found = Found(missing=missing)
    cases = [case for case in CASES if case.name in only and case.programs[0].name not in missing]
    with tempfile.TemporaryDirectory() as name:
        meeting = Meeting(Town(Path(name)))
        try:
            found.rows.extend(measure_warm(meeting, [case for case in cases if not case.busy], turns))
            for case in cases:
                if case.busy:
                    found.rows.extend(measure_busy(meeting, case, turns))
            meeting.end()
            if "cold" in only:
                found.take_cold(measure_cold(meeting))
        finally:
            meeting.end()
    return found


def figures(found: Found) -> Iterator[Figure]:
    for row in found.rows:
        is_headline = (row.case, row.program) == (DRAFTS, TRIOLET.name)
        floor = found.row(DRAFTS if row.case == "peers" else row.case, FLOOR.name)
        for part in PARTS:
            if row.program != FLOOR.name:
                is_goal = row.program == TRIOLET.name and row.case != "cold"
                least = None if floor is None else floor.p50(part) * 1e3
                goal = GOAL if is_goal and least is not None else None
                value = row.p50(part) * 1e3
                yield Figure(told(row, part, "p50"), value, "ms", least, goal, headline=is_headline)
            if row.program == TRIOLET.name and floor is not None and row.case != "cold":
                worst = "p99" if len(row.laps) >= 100 else "max"
                yield Figure(told(row, part, worst), row.p99(part) * 1e3, "ms", floor.p99(part) * 1e3)
    ours, committing = found.row(DRAFTS, TRIOLET.name), found.row(DRAFTS, COMMITTING.name)
    if ours is not None and committing is not None:
        value, floor_too = ours.p50("asked") * 1e3, committing.p50("asked") * 1e3
        yield Figure("drafts, Triolet: asked, p50, over floor + commit", value, "ms", floor_too)
    if found.begun:
        begun = found.begun
        yield Figure("cold, Triolet: start to request", begun[TRIOLET.name] * 1e3, "ms", begun[FLOOR.name] * 1e3)


def told(row: Row, part: Part, figure: str) -> str:
    return f"{row.case}, {row.program}: {part}, {figure}"


def details(found: Found) -> dict[str, Any]:
    rows = [
        {"case": row.case, "program": row.program, "turns": len(row.laps)}
        | {
            f"{part} p{rank} ms": value * 1e3
            for part in PARTS
            for rank, value in ((50, row.p50(part)), (99, row.p99(part)))
        }
        for row in found.rows
    ]
    return {"rows": rows, "not installed": found.missing}


def draw(found: Found, axes: Axes) -> None:
    """A bar for each part of each program, on a logarithmic scale: its median, and a whisker up to the p99."""
    rows = [row for row in found.rows if row.case in {DRAFTS, "peers"}]
    rows.sort(key=lambda row: row.p50("asked") + row.p50("shown"), reverse=True)
    bars: tuple[tuple[float, Part, str], ...] = ((0.2, "asked", "tab:blue"), (-0.2, "shown", "tab:orange"))
    for place, part, colour in bars:
        medians = [row.p50(part) * 1e3 for row in rows]
        over = [max(0.0, row.p99(part) * 1e3 - median) for row, median in zip(rows, medians, strict=True)]
        heights = [number + place for number in range(len(rows))]
        whiskers = [[0.0] * len(rows), over]
        axes.barh(heights, medians, 0.4, xerr=whiskers, color=colour, ecolor="0.4", capsize=2, label=LABELS[part])
    axes.set_yticks(range(len(rows)), [row.program for row in rows])
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds: median, and p99 (of fewer than 100 turns the most)")
    axes.set_title("What a bot adds to the first token")
    axes.legend(loc="upper right", fontsize="small")
    axes.grid(axis="x", alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--turns", type=int, default=100, help="of each program with drafts; the other cases have fewer"
    )
    parser.add_argument("--only", nargs="+", choices=ONLY, default=ONLY, metavar="CASE", help="these cases alone")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure other bots too")
    add_options(parser)
    options = parser.parse_args()
    only = [case for case in options.only if options.peers or case != "peers"]
    found = measure(options.turns, only)
    tell(options, figures(found), lambda axes: draw(found, axes), details(found))
    for name, why in found.missing.items():
        print(f"{name}: not installed: {why}")


if __name__ == "__main__":
    main()
