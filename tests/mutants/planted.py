"""Which planted mistakes do the tests find? Each of planted.toml is made in a copy of the sources, alone.

    python tests/mutants/planted.py [NAME ...]

The copy as it is has to pass first. Then each mistake's tests run until the first one fails. Prints a table at the end,
as README has it, and exits 1 if a mistake was not found.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
TABLE: Final = Path(__file__).with_suffix(".toml")

ALL_TESTS: Final = ("tests/app",)
"""Where a mistake is looked for that names no tests of its own."""

TIME_LIMIT: Final = 600.0
"""Seconds for one mistake's tests; who takes longer hangs, and is told as such."""

PYTEST: Final = """
import sys, pytest, triolet
assert triolet.__file__.startswith(sys.argv[1]), f"not the copy: {triolet.__file__}"
sys.exit(pytest.main(sys.argv[2:]))
"""

FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?::.+?)(?: - .*)?$", re.MULTILINE)
"""A test that failed; a file that cannot even be collected is none, and so a mistake that was planted badly."""


@attrs.frozen
class Mutant:
    """One mistake; ``before`` occurs once in the ``file``, which is below src/triolet."""

    name: str
    file: str
    breaks: str
    before: str
    after: str
    tests: Sequence[str] = attrs.field(default=ALL_TESTS, converter=tuple)

    def planted(self, source: str) -> str:
        """The source with the mistake; raises ValueError where the place is not found, or not the only one."""
        count = source.count(self.before)
        if count != 1:
            raise ValueError(f"{self.name}: its place is {count} times in {self.file}")
        return source.replace(self.before, self.after)


def read_mutants() -> list[Mutant]:
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return [Mutant(name, **row) for name, row in rows.items()]


@attrs.frozen
class Verdict:
    """What the tests say: the first one that failed, or why there is none; ``passed`` if none did."""

    words: str
    seconds: float
    found: bool = False
    passed: bool = False


def run_tests(sources: Path, tests: Iterable[str], *, first: bool = False) -> Verdict:
    """Run the tests against these sources until one fails; the ``first`` run compiles the sources for the others."""
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", PYTEST, str(sources), *options, *tests],
        cwd=ROOT,
        env=_environment(sources, compiles=first),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=None if first else TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return Verdict(f"no test, but the time limit of {TIME_LIMIT:g} s: it hangs", TIME_LIMIT, found=True)
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
    own = {"PYTHONPATH": str(sources), "HYPOTHESIS_STORAGE_DIRECTORY": str(sources.parent / "hypothesis")}
    # Bytecode is told apart by the second and the size of its source, and two mistakes may have both in common.
    return os.environ | own | ({} if compiles else {"PYTHONDONTWRITEBYTECODE": "1"})


def _end(process: subprocess.Popen[str]) -> None:
    """With the programs that its tests may have started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def try_out(mutant: Mutant, sources: Path) -> Verdict:
    original = ROOT / "src" / "triolet" / mutant.file
    copy = sources / "triolet" / mutant.file
    copy.write_text(mutant.planted(original.read_text(encoding="utf-8")), encoding="utf-8")
    try:
        return run_tests(sources, mutant.tests)
    finally:
        shutil.copy2(original, copy)


def rendered(verdicts: Mapping[Mutant, Verdict]) -> str:
    """The table for README."""
    rows = ["| planted mistake | what it breaks | found by | s |", "|---|---|---|---|"]
    for mutant, verdict in verdicts.items():
        test = f"`{verdict.words.removeprefix('tests/').partition('[')[0]}`" if verdict.found else "**no test**"
        rows.append(f"| {mutant.name.replace('_', ' ')} | {mutant.breaks} | {test} | {verdict.seconds:.0f} |")
    return "\n".join(rows)


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201  # a command's output


def main(names: Sequence[str]) -> int:
    known = {mutant.name: mutant for mutant in read_mutants()}
    if unknown := set(names) - set(known):
        say(f"no such mistake: {', '.join(sorted(unknown))}")
        return 2
    chosen = [known[name] for name in names or known]
    verdicts: dict[Mutant, Verdict] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "src"
        shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
        clean = run_tests(sources, sorted({test for mutant in chosen for test in mutant.tests}), first=True)
        say(f"without a mistake: {'passed' if clean.passed else clean.words} ({clean.seconds:.0f} s)")
        if not clean.passed:
            return 1
        for mutant in chosen:
            verdicts[mutant] = verdict = try_out(mutant, sources)
            words = f"found by {verdict.words}" if verdict.found else f"NOT FOUND {verdict.words}"
            say(f"{mutant.name}: {words} ({verdict.seconds:.0f} s)")
    found = sum(verdict.found for verdict in verdicts.values())
    say(f"\n{rendered(verdicts)}\n\n{found} of {len(chosen)} found")
    return 0 if found == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
