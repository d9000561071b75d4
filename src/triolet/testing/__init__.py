"""THE PROVING GROUND: what other Trio programs may use of our tests.

`sweep` runs a scenario once for every point at which something could happen to it, and has it happen there: a cancel,
an error, or whatever else. README.md in this folder is the documentation. The modules, from the whole to its parts::

    sweeping     every point of every seed, and what came of it
    trial        one run, its points, and the strike at one of them
    scheduler    the order of tasks, made repeatable
    tasks        which tasks are whose, and where they wait
"""

from __future__ import annotations

from triolet.testing.sweeping import NotRepeatableError, Report, replay, sweep
from triolet.testing.tasks import every_task, task_name, waits_in
from triolet.testing.trial import Scenario, Trial

__all__ = [
    "NotRepeatableError",
    "Report",
    "Scenario",
    "Trial",
    "every_task",
    "replay",
    "sweep",
    "task_name",
    "waits_in",
]
