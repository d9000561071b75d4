"""Rules for all tests: virtual time or real time, never mixed; what runs under a virtual clock uses no thread."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest
import structlog
from marks import MARKED_CASES

hypothesis.settings.register_profile(
    "triolet",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("triolet")


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
    """Sum up what the sweeps did."""
    runs, without_effect, hits = 0, 0, Counter[str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            told = dict(report.user_properties).get("sweep")
            if told is not None:
                runs, without_effect = runs + told["runs"], without_effect + told["without_effect"]
                hits.update(told["hits"])
    if runs:
        terminalreporter.section("sweep")
        by_part = ", ".join(f"{label} {count:,}" for label, count in hits.most_common())
        terminalreporter.write_line(f"{runs:,} runs, {without_effect:,} of them without effect; hits: {by_part}")
