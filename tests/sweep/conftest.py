"""What the sweeps did, summed up at the end of a run."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
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
