"""Which planted mistakes do the tests find? Each of planted.toml is made in a copy of the sources, alone.

    python tests/mutants/planted.py [--jobs 2] [NAME ...]

The copy as it is has to pass first. Then each mistake is looked for where it is expected: by the sweep's runs that are
named for it, then by its tests, and, if nobody has found it, by all tests of the living room. Prints a table at the
end, as README has it, and exits 1 if a mistake was not found.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
TABLE: Final = Path(__file__).with_suffix(".toml")

SWEEP: Final = "tests/sweep/test_sweep_bot.py::test_struck_anywhere_nothing_is_wrong"
POINTS: Final = "120"
"""How many points of a run are struck, unless the environment says otherwise."""

EVERYWHERE: Final = ("tests/app",)
"""Where a mistake is looked for that nothing else has found."""

TIME_LIMIT: Final = 300.0
"""Seconds for a run of tests; who takes longer hangs, and is told as such."""

PYTEST: Final = """
import sys, pytest, triolet
assert triolet.__file__.startswith(sys.argv[1]), f"not the copy: {triolet.__file__}"
sys.exit(pytest.main(sys.argv[2:]))
"""

FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?::.+?)(?: - .*)?$", re.MULTILINE)
"""A test that failed; a file that cannot even be collected is none, and so a mistake that was planted badly."""


@attrs.frozen
class Mutant:
    """One mistake; ``before`` occurs once in the ``file``, which is below src/triolet.

    ``sweep`` are runs of the sweep, as ``play-strike``, and ``tests`` other tests that are expected to find it.
    """

    name: str
    file: str
    breaks: str
    before: str
    after: str
    sweep: Sequence[str] = attrs.field(default=(), converter=tuple)
    tests: Sequence[str] = attrs.field(default=(), converter=tuple)

    def planted(self, source: str) -> str:
        """The source with the mistake; raises ValueError where the place is not found, or not the only one."""
        count = source.count(self.before)
        if count != 1:
            raise ValueError(f"{self.name}: its place is {count} times in {self.file}")
        return source.replace(self.before, self.after)

    @property
    def searches(self) -> list[Sequence[str]]:
        """What to run, until something fails."""
        runs = [f"{SWEEP}[{run}]" for run in self.sweep]
        return [tests for tests in (runs, self.tests, EVERYWHERE) if tests]


def read_mutants() -> dict[str, Mutant]:
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: Mutant(name, **row) for name, row in rows.items()}


@attrs.frozen
class Verdict:
    """What the tests say: the first one that failed, or why there is none; ``passed`` if none did."""

    words: str
    seconds: float
    found: bool = False
    passed: bool = False


def run_tests(sources: Path, tests: Iterable[str], *, jobs: int = 0) -> Verdict:
    """Run the tests against these sources until one fails. Those of a run with ``jobs`` are compiled for all others."""
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-n", str(jobs)]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", PYTEST, str(sources), *options, *tests],
        cwd=ROOT,
        env=_environment(sources, compiles=jobs > 0),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=None if jobs else TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return Verdict(f"the time limit of {TIME_LIMIT:g} s: it hangs", TIME_LIMIT, found=True)
    finally:
        _end(process)
    seconds = time.monotonic() - began
    if process.returncode == 0:
        return Verdict("", seconds, passed=True)
    if failed := FAILED.search(output):
        return Verdict(failed[1], seconds, found=True)
    return Verdict("the tests did not run:\n" + output[-2000:], seconds)


def _environment(sources: Path, *, compiles: bool) -> Mapping[str, str]:
    """The sources go before the installed ones; what property tests find in them is kept beside them."""
    own = {
        "PYTHONPATH": str(sources),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(sources.parent / "hypothesis"),
    }
    # Bytecode is told apart by the second and the size of its source, and two mistakes may have both in common.
    return {"SWEEP_POINTS": POINTS} | os.environ | own | ({} if compiles else {"PYTHONDONTWRITEBYTECODE": "1"})


def _end(process: subprocess.Popen[str]) -> None:
    """With the programs that its tests may have started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def try_out(mutant: Mutant, clean: Path) -> Verdict:
    """Look for the mistake in a copy of these sources."""
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "src"
        shutil.copytree(clean, sources)
        file = sources / "triolet" / mutant.file
        file.write_text(mutant.planted(file.read_text(encoding="utf-8")), encoding="utf-8")
        seconds = 0.0
        for tests in mutant.searches:
            verdict = run_tests(sources, tests)
            seconds += verdict.seconds
            if not verdict.passed:
                return attrs.evolve(verdict, seconds=seconds)
    return Verdict("", seconds)


def told(verdict: Verdict) -> str:
    return f"found by {verdict.words}" if verdict.found else f"NOT FOUND {verdict.words}"


def rendered(verdicts: Mapping[Mutant, Verdict]) -> str:
    """The table for README."""
    rows = ["| planted mistake | what it breaks | found by | s |", "|---|---|---|---|"]
    for mutant, verdict in verdicts.items():
        test = verdict.words.replace(SWEEP, "the sweep: ").replace("tests/", "").strip()
        found = f"`{test}`" if verdict.found else "**nobody**"
        rows.append(f"| {mutant.name.replace('_', ' ')} | {mutant.breaks} | {found} | {verdict.seconds:.0f} |")
    return "\n".join(rows)


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201  # a command's output


def measure(mutants: Sequence[Mutant], jobs: int) -> bool:
    """Whether all are found."""
    verdicts: dict[Mutant, Verdict] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        clean = Path(folder) / "src"
        shutil.copytree(ROOT / "src", clean, ignore=shutil.ignore_patterns("__pycache__"))
        tests = sorted({test for mutant in mutants for search in mutant.searches for test in search} - {*EVERYWHERE})
        verdict = run_tests(clean, tests or EVERYWHERE, jobs=jobs)
        say(f"without a mistake: {'passed' if verdict.passed else verdict.words} ({verdict.seconds:.0f} s)")
        if not verdict.passed:
            return False
        for mutant, verdict in zip(mutants, pool.map(lambda mutant: try_out(mutant, clean), mutants), strict=True):
            verdicts[mutant] = verdict
            say(f"{mutant.name}: {told(verdict)} ({verdict.seconds:.0f} s)")
    found = sum(verdict.found for verdict in verdicts.values())
    say(f"\n{rendered(verdicts)}\n\n{found} of {len(mutants)} found")
    return found == len(mutants)


def main() -> int:
    known = read_mutants()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*known, []], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    return 0 if measure([known[name] for name in options.names or known], options.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
