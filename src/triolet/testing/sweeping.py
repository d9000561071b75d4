"""The sweep: a scenario, once for every point at which it could be struck."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from triolet.testing.tasks import task_name
from triolet.testing.trial import LIMIT, Label, Scenario, Trial


class NotRepeatableError(AssertionError):
    """The scenario runs otherwise in each run, so that a point means nothing.

    Mostly it depends on real time, on a thread, on the order of a set, or on random numbers of its own.
    """


@dataclass
class Report:
    """What a sweep did: ``hits`` counts the strikes that met something, by the label of the task they came at."""

    runs: int = 0
    missed: int = 0
    hits: Counter[str] = field(default_factory=Counter)

    def add(self, trial: Trial) -> None:
        self.runs += 1
        if trial.hit:
            self.hits[trial.label] += 1
        else:
            self.missed += 1

    def __str__(self) -> str:
        by_task = ", ".join(f"{label} {count}" for label, count in sorted(self.hits.items()))
        return f"{self.runs} runs, {self.missed} of them without effect; hits: {by_task or 'none'}"


def sweep(
    scenario: Scenario,
    *,
    seeds: Iterable[int] = (0,),
    most: int | None = None,
    label: Label = task_name,
    limit: float = LIMIT,
    failures: int = 10,
    replayed_by: Callable[[str], str] | None = None,
) -> Report:
    """Run the scenario once to count its points, and then once for each of them; all of that for each seed.

    Args:
        scenario: takes a `Trial`; it makes a world of its own, says what is struck, and checks what is left.
        seeds: each is another order of the tasks.
        most: how many points are taken for each seed; evenly spread, but some of every label. None: all of them.
        label: what a task is called in the report.
        limit: seconds of virtual time after which a run is taken to hang.
        failures: the sweep ends when so many runs have failed.
        replayed_by: tells a person how to see the run of a point again, if not by `replay`.

    Raises:
        ExceptionGroup: what the failed runs raised, each with a note that tells its point.
        NotRepeatableError: a run took another course before anything was done to it.
    """
    name = getattr(scenario, "__name__", "scenario")
    told_by = replayed_by or f"replay({name}, {{!r}})".format
    report, failed = Report(), list[Exception]()
    for seed, point, expected in _points(scenario, seeds, most, label, limit):
        trial = Trial(seed, point, label=label)
        error = _failure(trial, scenario, limit)
        if trial.label != expected:
            raise NotRepeatableError(f"{seed}:{point} was at {expected!r} and then at {trial.label!r}") from error
        report.add(trial)
        if error is not None:
            error.add_note(f"struck {trial.struck}; {told_by(f'{seed}:{point}')}")
            failed.append(error)
        if len(failed) == failures:
            break
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {report.runs} runs failed", failed)
    return report


def replay(scenario: Scenario, point: str, *, label: Label = task_name, limit: float = LIMIT) -> Trial:
    """One run of a sweep again, by the point that its failure's note tells: ``"seed:number"``."""
    seed, number = map(int, point.split(":"))
    trial = Trial(seed, number, label=label)
    trial.run(scenario, limit=limit)
    return trial


def _points(
    scenario: Scenario, seeds: Iterable[int], most: int | None, label: Label, limit: float
) -> Iterator[tuple[int, int, str]]:
    """Each seed, each of its points, and the label that is to be met there."""
    for seed in seeds:
        counted = Trial(seed, label=label)
        counted.run(scenario, limit=limit)
        if not counted.labels:
            raise ValueError("the scenario has no point: it must enter a block of its trial, such as trial.cancels()")
        for point in chosen(counted.labels, most):
            yield seed, point, counted.labels[point - 1]


def _failure(trial: Trial, scenario: Scenario, limit: float) -> Exception | None:
    try:
        trial.run(scenario, limit=limit)
    except Exception as error:  # noqa: BLE001  # whatever the checks of a scenario raise
        return _alone(error)
    return None


def _alone(error: Exception) -> Exception:
    """What nurseries have wrapped, if it is one alone."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def chosen(labels: Sequence[str], most: int | None) -> list[int]:
    """At most so many of the points, from 1: every label has a fair share, evenly spread over its points."""
    points = defaultdict[str, list[int]](list)
    for number, label in enumerate(labels, start=1):
        points[label].append(number)
    kept: list[int] = []
    room = len(labels) if most is None else most
    for left, group in zip(range(len(points), 0, -1), sorted(points.values(), key=len), strict=True):
        share = min(len(group), -(-(room - len(kept)) // left))
        kept += [group[index * len(group) // share] for index in range(share)]
    return sorted(kept)
