"""What the kills came to, told at the end."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sum up: how many processes died, and each fault by its name."""
    sums, faults, places = Counter[str](), Counter[str](), Counter[str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            told = dict(report.user_properties).get("kills")
            if told is not None:
                sums.update(told["sums"])
                faults.update(told["faults"])
                places.update(told["places"])
    if not sums:
        return
    terminalreporter.section("kills")
    counts = ", ".join(f"{count:,} {name}" for name, count in sums.items())
    wrong = ", ".join(f"{name} {count:,}" for name, count in faults.items() if count) or "none"
    terminalreporter.write_line(f"{counts}; faults: {wrong}")
    terminalreporter.write_line("struck: " + ", ".join(f"{place} {count:,}" for place, count in places.most_common()))
