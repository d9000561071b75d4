"""How the benchmarks' figures get into README: what is read, what is written, and what is left as it is."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

import report
from report import Figure
from suite import BEGIN, END, Outcome, publish, read_figures, rewritten, run, section

FIGURES = (
    Figure("start", 0.45, "s", floor=0.2, goal=2.5, headline=True),
    Figure("memory", 120.0, "MB", goal=90.0, headline=True),
    Figure("commits", 5.0, ""),
)
DAY = dt.date(2026, 1, 2)


def test_figures_are_read_as_they_were_told(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    report.tell(argparse.Namespace(json=file, plot=None), FIGURES)
    assert read_figures(file) == FIGURES


def test_section_has_the_headline_figures() -> None:
    assert section([Outcome("startup", 3.0, FIGURES)], "a machine", DAY).splitlines() == [
        "a machine; 2026-01-02.",
        "",
        "| figure | value | floor | ratio | goal |  |",
        "| --- | --- | --- | --- | --- | --- |",
        "| start | 0.45 s | 0.2 s | 2.25 × | ≤ 2.5 × | met |",
        "| memory | 120 MB |  |  | ≤ 90 MB | missed |",
    ]


def test_section_says_what_failed() -> None:
    told = section([Outcome("startup", 3.0, FIGURES), Outcome("soak", 1.0, problem="FAILED")], "a machine", DAY)
    assert told.endswith("\nNot measured: soak.")


def test_only_what_stands_between_the_marks_is_written_anew() -> None:
    text = f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    assert rewritten(text, "new") == f"before\n\n{BEGIN}\nnew\n{END}\n\nafter\n"
    assert rewritten(rewritten(text, "new"), "new") == rewritten(text, "new")


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}", f"{BEGIN} {END} {END}"])
def test_text_without_a_place_is_not_written(text: str) -> None:
    with pytest.raises(ValueError, match="bench:begin"):
        rewritten(text, "new")


def test_readme_is_left_alone_if_it_has_no_place(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("text", encoding="utf-8")
    with pytest.raises(ValueError, match="bench:end"):
        publish([Outcome("startup", 3.0, FIGURES)], readme, tmp_path)
    assert readme.read_text(encoding="utf-8") == "text"


def test_failure_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "absent.json").write_text("{}", encoding="utf-8")  # of another time
    outcome = run("absent", tmp_path)
    assert outcome.line().startswith("absent: FAILED: it ended with 2, ")
    assert outcome.figures == ()


def test_equal_figures_give_an_equal_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")  # the benchmarks' own

    def draw(axes: Any) -> None:
        axes.plot([1, 2], [3, 4], marker="o")

    files = [tmp_path / "one.svg", tmp_path / "other.svg"]
    for file in files:
        report.plot(file, draw)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"<dc:date>" not in files[0].read_bytes()
