"""How a benchmark tells what it found: a table for the eye, JSON for the suite, a plot for README.

Each benchmark gives `Figure` values to `tell`, which prints them, and writes the files that were asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD = ("figure", "value", "floor", "ratio", "goal", "")


@attrs.frozen
class Figure:
    """One number. ``floor`` is what the least program took in the same run, in the same ``unit``.

    ``goal`` is the most that the ratio to the floor may be, or the value where there is no floor; with ``at_least`` it
    is the least. ``headline`` figures are told in README.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    goal: float | None = None
    at_least: bool = False
    headline: bool = False

    @property
    def ratio(self) -> float | None:
        return None if self.floor is None else self.value / self.floor

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        if self.goal is None:
            return None
        judged = self.value if self.ratio is None else self.ratio
        return judged >= self.goal if self.at_least else judged <= self.goal

    def cells(self) -> tuple[str, ...]:
        """What stands in its row, under `HEAD`."""
        floor = "" if self.floor is None else f"{_short(self.floor)} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} ×"
        return (self.name, f"{_short(self.value)} {self.unit}".strip(), floor, ratio, self._goal(), self._verdict())

    def _goal(self) -> str:
        if self.goal is None:
            return ""
        unit = self.unit if self.floor is None else "×"
        return f"{'≥' if self.at_least else '≤'} {self.goal:g} {unit}".strip()

    def _verdict(self) -> str:
        return {True: "met", False: "missed", None: ""}[self.met]


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `tell` reads."""
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw them into this file: .svg or .png")


def tell(
    options: argparse.Namespace,
    figures: Iterable[Figure],
    draw: Callable[[Axes], None] | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Print the figures, and write what the options ask for; ``details`` go into the JSON beside them."""
    figures = list(figures)
    print("\n".join(table(figures)))
    if options.json:
        told = [attrs.asdict(each) | {"ratio": each.ratio, "met": each.met} for each in figures]
        found = {"machine": machine(), "figures": told, **(details or {})}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.plot and draw is not None:
        plot(options.plot, draw)


def table(figures: Iterable[Figure]) -> list[str]:
    """The rows, in columns."""
    rows = [HEAD, *(each.cells() for each in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]


def plot(file: Path, draw: Callable[[Axes], None]) -> None:
    """Draw a picture of one pair of axes; equal figures give equal files."""
    import matplotlib as mpl  # noqa: PLC0415  # only where a picture is wanted

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "triolet"  # ids are random otherwise
    from matplotlib import pyplot as plt  # noqa: PLC0415

    picture, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    draw(axes)
    picture.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else {})
    plt.close(picture)


def machine() -> str:
    """What was measured on, in a line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {python}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
