"""The race: each system in a process of its own, timed in turns, block by block (A B A B …).

Two busy cores drift; blocks of calls that alternate between the systems drift together,
so that a ratio is taken block against block.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from benchmarks.models import Model
from benchmarks.systems import System

Task = Literal["fit", "refit"]

#: Between two blocks: idle threads of the last system may spin for a while.
PAUSE_SECONDS = 0.02
#: A call that takes longer is timed once: the second fit, the first refit.
SLOW_SECONDS = 5.0


class WorkerError(Exception):
    """A worker gave no answer; says why."""


class OverTheLimitError(WorkerError):
    """A worker was ended at the time limit."""


class Worker:
    """A running worker process, asked and answering line by line."""

    def __init__(self, system: System, model: Model, folder: Path, limit: float) -> None:
        self.system, self.limit = system, limit
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            system.command(model, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | dict(system.environment),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._errors.close()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, question: str) -> dict[str, Any]:
        """Send one line, wait for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        return self._answer()

    def greet(self) -> dict[str, Any]:
        """Wait until the system is imported and the data read."""
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self.limit, stop)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if late.is_set():
            raise OverTheLimitError(f"> {self.limit:g} s")
        self._process.wait()
        raise WorkerError(self._last_words())

    def _last_words(self) -> str:
        """Find the line that tells most in what a dying worker wrote: an error, else the last."""
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()] or ["it wrote nothing"]
        telling = [
            line
            for line in lines
            if ("rror" in line or "failed" in line) and not re.match(r"\d+: |at |File ", line)
        ]
        return f"ended without an answer: {(telling or lines)[-1][:200]}"


@dataclass
class Trial:
    """What one system did with one model. Timings in seconds, one list a block."""

    system: str
    model: str
    reason: str | None = None  # why there is nothing, or no more
    over_limit: bool = False
    first_fit: float | None = None
    fits: list[list[float]] = field(default_factory=list)
    refits: list[list[float]] = field(default_factory=list)
    objective: float | None = None
    refit_objective: float | None = None
    megabytes_before: float | None = None
    megabytes: float | None = None

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
    rounds: int = 6
    block_seconds: float = 0.15
    block_calls: int = 40
    fresh_starts: int = 5

    def blocks(self, seconds: float) -> int:
        if seconds > SLOW_SECONDS:
            return 1
        return min(self.rounds, 3) if seconds > 1 else self.rounds

    def calls(self, seconds: float) -> int:
        return max(1, min(self.block_calls, int(self.block_seconds / seconds)))


QUICK = Effort(limit=10.0, rounds=2, block_seconds=0.1, block_calls=20, fresh_starts=1)


@dataclass(frozen=True)
class Course:
    """Where the data lie, how hard to try, and whom to tell."""

    folder: Path
    effort: Effort
    tell: Callable[[str], None]


def write_data(models: Iterable[Model], folder: Path) -> None:
    names = [model.name for model in models]
    subprocess.run([sys.executable, "-m", "benchmarks.models", str(folder), *names], check=True)


def race(model: Model, systems: Sequence[System], course: Course) -> list[Trial]:
    """Fit one model with all systems, in turns."""
    trials: list[Trial] = []
    runners: list[tuple[Worker, Trial]] = []
    with ExitStack() as workers:
        for system in systems:
            trial = Trial(system.name, model.name, reason=system.cannot(model))
            trials.append(trial)
            if trial.reason is not None:
                continue
            course.tell(f"{model.name}: {system.name}")
            worker = workers.enter_context(
                Worker(system, model, course.folder, course.effort.limit)
            )
            with _noting(trial, worker):
                trial.megabytes_before = worker.greet()["megabytes"]
                answer = worker.ask("fit 1")
                (trial.first_fit,) = answer["seconds"]
                trial.megabytes = answer["megabytes"]
                trial.objective = worker.ask("objective 1")["objective"]
                runners.append((worker, trial))
        course.tell(f"{model.name}: fits in turns")
        _in_turns("fit", runners, course.effort)
        course.tell(f"{model.name}: refits in turns")
        _in_turns("refit", runners, course.effort)
    return trials


@contextmanager
def _noting(trial: Trial, worker: Worker) -> Iterator[None]:
    """Write into a trial what its worker failed at; end that worker."""
    try:
        yield
    except WorkerError as error:
        trial.reason = str(error)
        trial.over_limit = isinstance(error, OverTheLimitError)
        worker.end()


def _in_turns(task: Task, runners: Sequence[tuple[Worker, Trial]], effort: Effort) -> None:
    """Time blocks of calls of all systems, forwards and backwards by turns."""
    pace: dict[str, float] = {}
    for worker, trial in runners:
        if trial.reason is not None:
            continue
        with _noting(trial, worker):
            if task == "fit" and trial.first_fit is not None and trial.first_fit > SLOW_SECONDS:
                pace[trial.system] = trial.first_fit
            elif seconds := worker.ask(f"{task} 1")["seconds"]:
                pace[trial.system] = seconds[0]
                if task == "refit":
                    trial.refit_objective = worker.ask("objective 1")["objective"]
                    if seconds[0] > SLOW_SECONDS:
                        trial.refits.append(seconds)
    for turn in range(effort.rounds):
        order = runners if turn % 2 == 0 else runners[::-1]
        for worker, trial in order:
            seconds = pace.get(trial.system)
            if seconds is None or trial.reason is not None:
                continue
            if len(trial.blocks(task)) >= effort.blocks(seconds):
                continue
            time.sleep(PAUSE_SECONDS)
            with _noting(trial, worker):
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
                with Worker(system, model, course.folder, course.effort.limit) as worker:
                    greeting = worker.greet()
                    start.versions = greeting["versions"]
                    start.imports.append(greeting["import_seconds"])
                    start.first_fits += worker.ask("fit 1")["seconds"]
            except WorkerError:
                continue  # the race says why
    return list(starts.values())


def our_facts(system: System, model: Model, folder: Path) -> tuple[list[str], bool]:
    """Tell the BLAS libraries that our process loads, and whether it defers matplotlib."""
    with Worker(system, model, folder, 60.0) as worker:
        deferred = worker.greet()["matplotlib_deferred"]
        worker.ask("fit 1")
        return list(worker.ask("blas 0")["blas"]), bool(deferred)
