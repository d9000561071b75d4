"""All benchmarks, one after the other, each as a process of its own; what they found goes into README.

The text of README between its two marks, `BEGIN` and `END`, is written anew: the machine, the date, and the headline
figures; two plots go beside the benchmarks, for README to show. With --only nothing is written unless --readme is there
as well: the others' figures would go. What fails is told in a line, the others go on, and the suite fails in the end.
Nothing else should run meanwhile.

    python benchmarks/suite.py [--only NAME ...] [--readme README.md] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import report
from report import HEAD, Figure

HERE: Final = Path(__file__).parent
NAMES: Final = ("ttft", "throughput", "freshness", "cancellation", "startup", "restart", "decoding", "soak")
PLOTS: Final = {"ttft": "latency", "throughput": "streams"}
"""What README shows, and its name there."""

MOST_SECONDS: Final = 600.0
"""After which a benchmark is given up."""

BEGIN: Final = "<!-- bench:begin -->"
END: Final = "<!-- bench:end -->"


@attrs.frozen
class Outcome:
    """What came of one benchmark; ``problem`` is empty if it has told its figures."""

    name: str
    seconds: float
    figures: tuple[Figure, ...] = ()
    problem: str = ""

    def line(self) -> str:
        return f"{self.name}: {self.problem or 'done'}, {self.seconds:.0f} s"


def run(name: str, out: Path) -> Outcome:
    """Run one, which prints what it found; its figures and its plot are in the folder afterwards."""
    found, plot = out / f"{name}.json", out / f"{name}.svg"
    for old in (found, plot):
        old.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(found), "--plot", str(plot)]
    began = time.monotonic()
    try:
        code = subprocess.run(command, check=False, timeout=MOST_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return Outcome(name, time.monotonic() - began, problem="FAILED: it does not end")
    seconds = time.monotonic() - began
    if code:
        return Outcome(name, seconds, problem=f"FAILED: it ended with {code}")
    try:
        return Outcome(name, seconds, read_figures(found))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Outcome(name, seconds, problem=f"FAILED: its figures cannot be read: {error!r}")


def read_figures(file: Path) -> tuple[Figure, ...]:
    """As `report.tell` wrote them."""
    names = {field.name for field in attrs.fields(Figure)}
    told: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["figures"]
    return tuple(Figure(**{name: value for name, value in each.items() if name in names}) for each in told)


def section(outcomes: Sequence[Outcome], machine: str, day: dt.date) -> str:
    """What README says: where and when, a table of the headline figures, and what has none."""
    rows = [figure.cells() for each in outcomes for figure in each.figures if figure.headline]
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ("---",) * len(HEAD), *rows)]
    failed = [each.name for each in outcomes if each.problem]
    missing = ["", f"Not measured: {', '.join(failed)}."] if failed else []
    return "\n".join([f"{machine}; {day:%Y-%m-%d}.", "", *lines, *missing])


def rewritten(text: str, between: str) -> str:
    """The text with that between its marks.

    Raises:
        ValueError: it does not have each mark once, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{BEGIN} and {END} have to be there, once each, in this order")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n{between}\n{END}{after}"


def publish(outcomes: Sequence[Outcome], readme: Path, out: Path) -> None:
    """Write the section and the plots.

    Raises:
        ValueError: README has no place for it.
    """
    today = dt.datetime.now(dt.UTC).date()
    text = rewritten(readme.read_text(encoding="utf-8"), section(outcomes, report.machine(), today))
    readme.write_text(text, encoding="utf-8")
    plots = HERE / "plots"
    plots.mkdir(exist_ok=True)
    for name, plot in PLOTS.items():
        if (drawn := out / f"{name}.svg").exists():
            shutil.copyfile(drawn, plots / f"{plot}.svg")


def run_all(names: Iterable[str], out: Path) -> list[Outcome]:
    outcomes = []
    for name in names:
        print(f"== {name}", flush=True)
        outcomes.append(run(name, out))
        print(outcomes[-1].line(), flush=True)
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--readme", type=Path, help="where to write the headline figures; default: the project's")
    parser.add_argument("--out", type=Path, help="the folder where figures and plots are to stay")
    given = parser.parse_args(arguments)
    readme = given.readme or (None if given.only else HERE.parent / "README.md")
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        outcomes = run_all(given.only or NAMES, out)
        print(f"\n{sum(each.seconds for each in outcomes):.0f} s in all:")
        print("\n".join(each.line() for each in outcomes))
        if readme:
            try:
                publish(outcomes, readme, out)
            except (OSError, ValueError) as error:
                print(f"{readme}: not written: {error}")
                return 1
    return 1 if any(each.problem for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
