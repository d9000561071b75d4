"""How many of mutmut's small changes do the tests notice? A random sample of them, drawn by seed.

    python tests/mutants/sampled.py [--sample 600] [--seed 1] [--area core|turn] [--show]

mutmut works in a copy of sources and tests, which is gone afterwards. Of each area's changes as many as the sample has
are tried out, each against those of the area's tests that come by its function. Exits 1 if less than 85 % are noticed.
`--show` shows what was not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name

ROOT: Final = Path(__file__).parents[2]
GOAL: Final = 0.85
NOTICED: Final = {"killed", "timed out"}

IMPORTED_ONCE: Final = ("pytest", "trio.testing", "attrs", "structlog", "msgspec", "pyromark", "telegramify_markdown")
"""What runs of tests need: nothing that is changed, and no plugin, of which pytest wants to be the first importer."""

FATES: Final = {1: "killed", 3: "killed", 0: "survived", 5: "no test", 33: "no test", 24: "timed out", 152: "timed out"}
"""By the exit code of the tests, or the signal that ended them; mutmut's own table takes a run that failed to begin for
a time-out."""


@attrs.frozen
class Area:
    """Sources that are changed, as a pattern, and the tests that have to notice."""

    sources: str
    tests: Sequence[str]


AREAS: Final = {
    "core": Area("src/triolet/core/**/*.py", ["tests/core"]),
    "turn": Area(
        "src/triolet/app/turn.py",
        [
            *(f"tests/app/test_{name}.py" for name in ("turn", "stopping", "endings", "observers", "usage", "restart")),
            "tests/app/test_health.py::test_continue_button_asks_for_the_rest",
        ],
    ),
}

LEFT_ALONE: Final = (r"\blog\.\w+\(", r"\.cancel\(reason=")
"""Lines whose words are for who reads a log."""

# pytest remembers the parameters' names that a test gives itself, and escapes them once more in a second run in one
# process. So each run has a process that has collected nothing before: "forkserver", and no warm-up by collecting.
SETTINGS: Final = """\
[mutmut]
source_paths = src
only_mutate = {changed}
do_not_mutate_patterns = {left_alone}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {options}
process_isolation = forkserver
forkserver_warmup = import
preload_modules_file = imported_once.txt
"""
OPTIONS: Final = ("-p", "no:xdist", "-p", "no:cacheprovider", "--hypothesis-seed=0")


def lines(values: Sequence[str]) -> str:
    """A list, as a `setup.cfg` has it."""
    return "".join(f"\n    {value}" for value in values)


def lay_out(folder: Path, area: Area) -> list[str]:
    """Make a copy of the project that mutmut can work in; returns the names of all its changes."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    changed = sorted(path.relative_to(folder) for path in folder.glob(area.sources))
    settings = {"changed": list(map(str, changed)), "left_alone": LEFT_ALONE, "tests": area.tests, "options": OPTIONS}
    (folder / "setup.cfg").write_text(SETTINGS.format_map({name: lines(values) for name, values in settings.items()}))
    (folder / "imported_once.txt").write_text("\n".join(IMPORTED_ONCE))
    os.chdir(folder)  # where mutmut looks for its settings
    return [
        get_mutant_name(path, name)
        for path in changed
        for name in mutate_file_contents(str(path), path.read_text("utf-8")).mutant_names
    ]


def mutmut(*arguments: str, captured: bool = True) -> str:
    # In CI Hypothesis draws the same examples every time, and keeps none.
    environment = os.environ | {"CI": "1", "PYTHONPATH": ""}
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    return subprocess.run(command, env=environment, check=True, text=True, capture_output=captured).stdout or ""


def try_out(names: Sequence[str]) -> Mapping[str, str]:
    """What has become of each change."""
    mutmut("run", *names, captured=False)
    codes: dict[str, int] = {}
    for notes in Path("mutants").rglob("*.meta"):
        codes |= json.loads(notes.read_text("utf-8"))["exit_code_by_key"]
    return {name: FATES.get(abs(codes[name]), f"not run ({codes[name]})") for name in names}


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201  # a command's output


def measure(name: str, area: Area, options: argparse.Namespace) -> bool:
    """Whether enough is noticed."""
    with tempfile.TemporaryDirectory() as folder:
        everything = lay_out(Path(folder), area)
        sample = random.Random(options.seed).sample(everything, min(options.sample, len(everything)))
        fates = try_out(sample)
        missed = sorted(each for each, fate in fates.items() if fate not in NOTICED)
        for each in missed:
            say(mutmut("show", each) if options.show else f"{each}: {fates[each]}")
        os.chdir(ROOT)
    counts = Counter(fates.values())
    noticed = sum(counts[fate] for fate in NOTICED) / len(sample)
    told = ", ".join(f"{count} {fate}" for fate, count in counts.most_common())
    say(f"{name}: {len(sample)} of {len(everything)} changes tried out: {told}; {noticed:.1%} noticed")
    return noticed >= GOAL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--area", choices=AREAS, action="append")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    enough = [measure(name, AREAS[name], options) for name in options.area or AREAS]
    return 0 if all(enough) else 1


if __name__ == "__main__":
    sys.exit(main())
