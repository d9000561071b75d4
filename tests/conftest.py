"""Rules for all tests: virtual time or real time, never mixed; what runs under a virtual clock uses no thread."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import hypothesis
import pytest
import structlog
from marks import MARKED_CASES

hypothesis.settings.register_profile(
    "triolet",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("triolet")


def pytest_configure() -> None:
    """Let Ctrl-C be one here and in all that is started: a shell's job in the background is told to ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are processors: many a test waits for other programs."""
    return math.ceil(1.5 * (os.cpu_count() or 1))


@pytest.fixture(autouse=True)
def no_threads_in_virtual_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An autojumping clock leaps over a thread's work: a test that starts one would measure nonsense."""
    if not {"autojump_clock", "mock_clock"} & set(request.fixturenames):
        return

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a thread was started under a virtual clock")

    monkeypatch.setattr("trio._threads.start_thread_soon", refuse)


@pytest.fixture(autouse=True)
def captured_log() -> Iterator[list[structlog.typing.EventDict]]:
    """What the program logs, as events instead of lines."""
    with structlog.testing.capture_logs() as events:
        yield events


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep every collected mark for `test_acceptance`, which looks at all tests and not only at its own."""
    session.config.stash[MARKED_CASES] = {
        str(case) for item in session.items for mark in item.iter_markers("case") for case in mark.args
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sum up what the sweeps and the kills did."""
    if sweeps := told(terminalreporter, "sweep"):
        runs, without_effect = (sum(each[name] for each in sweeps) for name in ("runs", "without_effect"))
        terminalreporter.section("sweep")
        by_part = listed(each["hits"] for each in sweeps)
        terminalreporter.write_line(f"{runs:,} runs, {without_effect:,} of them without effect; hits: {by_part}")
    if kills := told(terminalreporter, "kills"):
        terminalreporter.section("kills")
        sums = summed(each["sums"] for each in kills)
        terminalreporter.write_line(", ".join(f"{count:,} {name}" for name, count in sums.items()))
        terminalreporter.write_line("faults: " + (listed(each["faults"] for each in kills) or "none"))
        terminalreporter.write_line("struck: " + listed(each["places"] for each in kills))


def told(reporter: pytest.TerminalReporter, name: str) -> list[dict[str, Any]]:
    """What tests have said under that name, for the summary."""
    reports = [report for outcome in ("passed", "failed") for report in reporter.getreports(outcome)]
    return [value for report in reports for key, value in report.user_properties if key == name]


def listed(counts: Iterable[Mapping[str, int]]) -> str:
    """The sums of the counts, the largest first."""
    return ", ".join(f"{name} {count:,}" for name, count in summed(counts).most_common())


def summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return total
