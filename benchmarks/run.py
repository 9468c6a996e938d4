"""The race: each system in a process of its own, timed in turns, block by block (A B A B …).

Two busy cores drift; blocks of calls that alternate between the systems drift together,
so that a ratio is taken block against block.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.models import Model
from benchmarks.systems import System

#: Between two blocks: idle threads of the last system may spin for a while.
PAUSE_SECONDS = 0.02


class WorkerError(Exception):
    """A worker gave no answer; says why."""


class OverTheLimitError(WorkerError):
    """A worker was ended at the time limit."""


class Worker:
    """A running worker process, asked and answering line by line."""

    def __init__(self, system: System, model: Model, folder: Path, limit: float) -> None:
        self.system, self.limit = system, limit
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115: closed with the worker
        self._process = subprocess.Popen(
            system.command(model, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | dict(system.environment),
        )
        self.greeting: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def ask(self, question: str) -> dict[str, Any]:
        """Send one line, wait for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        return self._answer()

    def greet(self) -> None:
        """Wait until the system is imported and the data read."""
        self.greeting = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()
        timer = threading.Timer(self.limit, lambda: (late.set(), self._process.kill()))
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
        telling = [line for line in lines if "rror" in line or "failed" in line]
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


@dataclass
class FreshStarts:
    """Fresh processes of one system: the import, then the first fit of the smallest model."""

    system: str
    imports: list[float] = field(default_factory=list)
    first_fits: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Effort:
    """How often to time what takes how long."""

    limit: float = 40.0
    rounds: int = 6
    block_seconds: float = 0.2
    block_calls: int = 40
    fresh_starts: int = 5

    def blocks(self, seconds: float) -> int:
        if seconds > 5:
            return 1
        return min(self.rounds, 3) if seconds > 1 else self.rounds

    def calls(self, seconds: float) -> int:
        return max(1, min(self.block_calls, int(self.block_seconds / seconds)))


QUICK = Effort(limit=10.0, rounds=2, block_seconds=0.1, block_calls=20, fresh_starts=1)
Tell = Callable[[str], None]


def write_data(models: Iterable[Model], folder: Path) -> None:
    names = [model.name for model in models]
    subprocess.run([sys.executable, "-m", "benchmarks.models", str(folder), *names], check=True)


def race(
    model: Model,
    systems: Sequence[System],
    folder: Path,
    effort: Effort,
    versions: dict[str, str],
    tell: Tell,
) -> list[Trial]:
    """Fit one model with all systems, in turns."""
    trials: list[Trial] = []
    runners: list[tuple[Worker, Trial]] = []
    for system in systems:
        trial = Trial(system.name, model.name, reason=system.cannot(model))
        trials.append(trial)
        if trial.reason is not None:
            continue
        tell(f"{model.name}: {system.name}")
        worker = Worker(system, model, folder, effort.limit)
        with _noting(trial, worker):
            worker.greet()
            versions.update(worker.greeting["versions"])
            trial.megabytes_before = worker.greeting["megabytes"]
            answer = worker.ask("fit 1")
            (trial.first_fit,) = answer["seconds"]
            trial.objective, trial.megabytes = answer["objective"], answer["megabytes"]
            runners.append((worker, trial))
    try:
        tell(f"{model.name}: fits in turns")
        _in_turns("fit", runners, effort)
        tell(f"{model.name}: refits in turns")
        _in_turns("refit", runners, effort)
    finally:
        for worker, _ in runners:
            worker.__exit__()
    return trials


class _noting:  # noqa: N801: reads as a word in a with statement
    """Write into a trial what its worker failed at; end that worker."""

    def __init__(self, trial: Trial, worker: Worker) -> None:
        self.trial, self.worker = trial, worker

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self.worker.__exit__()
        if not isinstance(error, WorkerError):
            return False
        self.trial.reason = str(error)
        self.trial.over_limit = isinstance(error, OverTheLimitError)
        return True


def _in_turns(task: str, runners: Sequence[tuple[Worker, Trial]], effort: Effort) -> None:
    """Time blocks of calls of all systems, forwards and backwards by turns."""
    pace: dict[str, float] = {}
    for worker, trial in runners:
        if trial.reason is None:
            with _noting(trial, worker):
                slow = task == "fit" and (trial.first_fit or 0) > 5
                seconds = [trial.first_fit] if slow else worker.ask(f"{task} 1")["seconds"]
                if seconds:
                    pace[trial.system] = seconds[0]
    for turn in range(effort.rounds):
        order = runners if turn % 2 == 0 else runners[::-1]
        for worker, trial in order:
            seconds = pace.get(trial.system)
            if seconds is None or trial.reason is not None or turn >= effort.blocks(seconds):
                continue
            time.sleep(PAUSE_SECONDS)
            with _noting(trial, worker):
                answer = worker.ask(f"{task} {effort.calls(seconds)}")
                if task == "fit":
                    trial.fits.append(answer["seconds"])
                else:
                    trial.refits.append(answer["seconds"])
                    trial.refit_objective = answer["objective"]


def fresh_starts(
    model: Model, systems: Sequence[System], folder: Path, effort: Effort, tell: Tell
) -> list[FreshStarts]:
    """Start fresh processes of each system in turns: import, then one fit."""
    starts = {system.name: FreshStarts(system.name) for system in systems}
    for turn in range(effort.fresh_starts):
        tell(f"fresh processes: {turn + 1} of {effort.fresh_starts}")
        for system in systems:
            try:
                with Worker(system, model, folder, effort.limit) as worker:
                    worker.greet()
                    starts[system.name].imports.append(worker.greeting["import_seconds"])
                    starts[system.name].first_fits += worker.ask("fit 1")["seconds"]
            except WorkerError:
                continue  # the race says why
    return list(starts.values())


def kernels(system: System, model: Model, folder: Path) -> list[str]:
    """Tell the BLAS libraries that a system's process loads."""
    with Worker(system, model, folder, 60.0) as worker:
        worker.greet()
        worker.ask("fit 1")
        return list(worker.ask("blas 0")["blas"])
