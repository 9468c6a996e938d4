"""The race: each system in a process of its own, timed in turns, block by block (A B A B …).

Two busy cores drift; blocks of calls that alternate between the systems drift together,
so that a ratio is taken block against block.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from benchmarks.models import MODELS, Model
from benchmarks.process import OverTheLimitError, Worker, WorkerError
from benchmarks.systems import System

Task = Literal["fit", "refit"]

#: Between two blocks: idle threads of the last system may spin for a while.
PAUSE_SECONDS = 0.02
#: A call that takes longer is timed once: the second fit, the first refit.
SLOW_SECONDS = 5.0


@dataclass
class Start:
    """A process that has made its first fit."""

    settings: dict[str, str]
    first_fit: float
    megabytes_before: float
    megabytes: float
    pace: float  # of the fits that followed, where there were any


@dataclass
class Trial:
    """What one system did with one model. Timings in seconds, one list a block."""

    system: str
    model: str
    reason: str | None = None  # why there is nothing, or no more
    over_limit: bool = False
    start: Start | None = None
    fits: list[list[float]] = field(default_factory=list)
    refits: list[list[float]] = field(default_factory=list)
    objective: float | None = None
    refit_objective: float | None = None

    def blocks(self, task: Task) -> list[list[float]]:
        return self.fits if task == "fit" else self.refits


@dataclass
class FreshStarts:
    """Fresh processes of one system: the import, then the first fit of the smallest model."""

    system: str
    versions: dict[str, str] = field(default_factory=dict)
    imports: list[float] = field(default_factory=list)
    first_fits: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Effort:
    """How often to time what takes how long."""

    limit: float = 30.0
    rounds: int = 9
    block_seconds: float = 0.1
    block_calls: int = 40
    fresh_starts: int = 4

    def blocks(self, seconds: float) -> int:
        if seconds > SLOW_SECONDS:
            return 1
        return min(self.rounds, 3 if seconds > 1 else 5) if seconds > 0.1 else self.rounds

    def calls(self, seconds: float) -> int:
        return max(1, min(self.block_calls, int(self.block_seconds / seconds)))


QUICK = Effort(limit=10.0, rounds=2, block_seconds=0.1, block_calls=20, fresh_starts=1)


@dataclass(frozen=True)
class Course:
    """Where the data lie, how hard to try, and whom to tell."""

    folder: Path
    effort: Effort
    tell: Callable[[str], None]

    def worker(self, system: System, model: Model, settings: int = 0) -> Worker:
        command = system.command(model, self.folder)
        return Worker(command, system.environments[settings], self.effort.limit)


def write_data(models: Iterable[Model], folder: Path) -> None:
    names = [model.name for model in models]
    subprocess.run([sys.executable, "-m", "benchmarks.models", str(folder), *names], check=True)


def race(
    model: Model, systems: Sequence[System], course: Course, earlier: Iterable[Trial] = ()
) -> list[Trial]:
    """Fit one model with all systems, in turns; not those that failed at a part of the model."""
    failed = {
        trial.system: f"not tried: it ran over the limit with {trial.model}"
        for trial in earlier
        if trial.over_limit and model.extends(MODELS[trial.model])
    }
    trials: list[Trial] = []
    runners: list[tuple[Worker, Trial]] = []
    with ExitStack() as workers:
        for system in systems:
            trial = Trial(
                system.name, model.name, reason=system.cannot(model) or failed.get(system.name)
            )
            trials.append(trial)
            if trial.reason is not None:
                continue
            course.tell(f"{model.name}: {system.name}")
            with _noting(trial):
                worker, trial.start = _fastest(system, model, course)
                workers.enter_context(worker)
                trial.objective = worker.ask("objective 1")["objective"]
                runners.append((worker, trial))
        course.tell(f"{model.name}: fits in turns")
        _in_turns("fit", runners, course.effort)
        course.tell(f"{model.name}: refits in turns")
        _in_turns("refit", runners, course.effort)
    return trials


@contextmanager
def _noting(trial: Trial) -> Iterator[None]:
    """Write into a trial what its worker failed at; it is asked no more."""
    try:
        yield
    except WorkerError as error:
        trial.reason = str(error)
        trial.over_limit = isinstance(error, OverTheLimitError)


def _fastest(system: System, model: Model, course: Course) -> tuple[Worker, Start]:
    """Start a worker with each of the system's settings, and keep the one that fits fastest."""
    started: list[tuple[Worker, Start]] = []
    for number in range(len(system.environments)):
        worker = course.worker(system, model, number)
        try:
            started.append((worker, _start(worker, course.effort)))
        except WorkerError:
            worker.end()
            if not started:
                raise
    started.sort(key=lambda runner: runner[1].pace)
    for worker, _ in started[1:]:
        worker.end()
    return started[0]


def _start(worker: Worker, effort: Effort) -> Start:
    before = worker.greet()["megabytes"]
    first = worker.ask("fit 1")
    (seconds,) = first["seconds"]
    pace = seconds
    if seconds <= SLOW_SECONDS:
        pace = median(worker.ask("fit 1")["seconds"])
        pace = median(worker.ask(f"fit {effort.calls(pace)}")["seconds"])
    settings = {name: Path(value).name for name, value in worker.settings.items()}
    return Start(settings, seconds, before, first["megabytes"], pace)


def _in_turns(task: Task, runners: Sequence[tuple[Worker, Trial]], effort: Effort) -> None:
    """Time blocks of calls of all systems, forwards and backwards by turns."""
    pace: dict[str, float] = {}
    for worker, trial in runners:
        with _noting(trial):
            if trial.reason is not None:
                continue
            if task == "fit" and trial.start is not None:
                pace[trial.system] = trial.start.pace
            elif seconds := worker.ask("refit 1")["seconds"]:
                trial.refit_objective = worker.ask("objective 1")["objective"]
                pace[trial.system] = seconds[0]
                if seconds[0] > SLOW_SECONDS:
                    trial.refits.append(seconds)
    for turn in range(effort.rounds):
        for worker, trial in runners if turn % 2 == 0 else runners[::-1]:
            seconds = pace.get(trial.system)
            if seconds is None or trial.reason is not None:
                continue
            if len(trial.blocks(task)) >= effort.blocks(seconds):
                continue
            time.sleep(PAUSE_SECONDS)
            with _noting(trial):
                answer = worker.ask(f"{task} {effort.calls(seconds)}")
                trial.blocks(task).append(answer["seconds"])


def fresh_starts(model: Model, systems: Sequence[System], course: Course) -> list[FreshStarts]:
    """Start fresh processes of each system in turns: import, then one fit."""
    starts = {system.name: FreshStarts(system.name) for system in systems}
    for turn in range(course.effort.fresh_starts):
        course.tell(f"fresh processes: {turn + 1} of {course.effort.fresh_starts}")
        for system in systems:
            start = starts[system.name]
            try:
                with course.worker(system, model) as worker:
                    greeting = worker.greet()
                    start.versions = greeting["versions"]
                    start.imports.append(greeting["import_seconds"])
                    start.first_fits += worker.ask("fit 1")["seconds"]
            except WorkerError:
                continue  # the race says why
    return list(starts.values())


def our_facts(system: System, model: Model, course: Course) -> tuple[list[str], bool]:
    """Tell the BLAS libraries that our process loads, and whether it defers matplotlib."""
    with course.worker(system, model) as worker:
        deferred = worker.greet()["matplotlib_deferred"]
        worker.ask("fit 1")
        return list(worker.ask("blas 0")["blas"]), bool(deferred)
