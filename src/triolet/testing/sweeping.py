"""The sweep: a scenario, once for every point at which it could be struck."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from triolet.testing.tasks import task_name
from triolet.testing.trial import LIMIT, Kept, Label, Scenario, Trial


class NotRepeatableError(AssertionError):
    """The scenario runs otherwise in each run, so that a point means nothing.

    Mostly it depends on real time, on a thread, on the order of a set, or on what an earlier run has left behind.
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
        BaseExceptionGroup: what the failed runs raised, each with a note that tells its point; a `NotRepeatableError`
            where a run took another course before anything was done to it, which ends the sweep. An `ExceptionGroup`
            unless one of them is none.
    """
    if failures < 1 or (most is not None and most < 1):
        raise ValueError("failures and most are 1 at least")
    open_trial = partial(Trial, label=label, limit=limit, replayed_by=replayed_by)
    report, failed = Report(), list[BaseException]()
    for trial, errors in _runs(scenario, seeds, most, open_trial):
        report.add(trial)
        failed += errors
        if len(failed) >= failures:
            break
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {report.runs} runs failed", failed)
    if not report.runs:
        raise ValueError("there was no seed, so nothing was tried")
    return report


def _runs(
    scenario: Scenario, seeds: Iterable[int], most: int | None, open_trial: Callable[..., Trial]
) -> Iterator[tuple[Trial, list[BaseException]]]:
    """Every run, with what is wrong with it; one that only counts is told of only where it failed, and is the last."""
    for seed in seeds:
        counted = open_trial(seed)
        problem = _failure(counted, scenario)
        if problem is not None:
            yield counted, [problem]
            return
        for point in chosen(_labels_of(counted), most):
            trial = open_trial(seed, point)
            problem, difference = _failure(trial, scenario), _difference(trial, counted)
            yield trial, [each for each in (problem, difference) if each is not None]
            if difference is not None:
                return


def replay(scenario: Scenario, point: str, *, label: Label = task_name, limit: float = LIMIT) -> Trial:
    """One run of a sweep again, by the point that its failure's note tells: ``"seed:number"``.

    Raises:
        LookupError: the scenario has no such point any more.
    """
    seed, colon, number = point.partition(":")
    if not (colon and seed.isdecimal() and number.isdecimal()):
        raise ValueError(f'a point is written as "seed:number", and not as {point!r}')
    trial = Trial(int(seed), int(number), label=label, limit=limit)
    trial.run(scenario)
    if not trial.struck:
        raise LookupError(f"there is no point {point}: that run has {trial.points}")
    return trial


def _failure(trial: Trial, scenario: Scenario) -> BaseException | None:
    outcome = Kept()
    with outcome:
        trial.run(scenario)
    if isinstance(outcome.error, KeyboardInterrupt | SystemExit):
        raise outcome.error
    return None if outcome.error is None else _alone(outcome.error)


def _alone(error: BaseException) -> BaseException:
    """What nurseries have wrapped, if it is one alone, with all notes."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        notes = getattr(error, "__notes__", [])
        error = error.exceptions[0]
        for note in notes:
            error.add_note(note)
    return error


def _labels_of(counted: Trial) -> list[str]:
    if not counted.blocks:
        raise ValueError("the scenario enters no block of its trial, such as trial.cancels(): nothing can be struck")
    if not counted.labels:
        raise ValueError("no task that is watched waits for anything in the trial's block: there is no point")
    return counted.labels


def _difference(trial: Trial, counted: Trial) -> NotRepeatableError | None:
    """How the run differs from the one that counted, up to its point."""
    number = trial.point or 0
    expected = (counted.labels[number - 1], counted.places[number - 1])
    if trial.course == counted.course[:number] and (trial.label, trial.struck) == expected:
        return None
    return NotRepeatableError(
        f"{trial.seed}:{number} was {counted.places[number - 1]}, and then {trial.struck or 'never reached'}: "
        "this scenario is not the same in every run"
    )


def chosen(labels: Sequence[str], most: int | None) -> list[int]:
    """At most so many of the points, from 1: half of them as shares of the labels, the others spread over all."""
    every = list(range(1, len(labels) + 1))
    if most is None or most >= len(labels):
        return every
    points = defaultdict[str, list[int]](list)
    for number, label in enumerate(labels, start=1):
        points[label].append(number)
    kept: set[int] = set()
    for left, group in zip(range(len(points), 0, -1), sorted(points.values(), key=len), strict=True):
        kept.update(_spread(group, -(-((most + 1) // 2 - len(kept)) // left)))
    return sorted(kept.union(_spread([number for number in every if number not in kept], most - len(kept))))


def _spread(points: Sequence[int], count: int) -> list[int]:
    """So many of them, from the first to the last."""
    if count < 2:
        return list(points[:count])
    return sorted({points[index * (len(points) - 1) // (count - 1)] for index in range(count)})
