"""A worker run once, within a limit of time and one of memory; its stages, time and peak memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from benchmarks.large.data import raw_columns
from benchmarks.large.models import LargeModel
from benchmarks.process import last_words

Task = Literal["fit", "summary", "evaluation", "parts"]
OURS = "mixedmodels"
#: In the order in which they run.
PROGRAMS = (OURS, "gpboost", "mixedlm", "lme4")


@dataclass(frozen=True)
class Limits:
    """Seconds, and bytes of address space, that a worker may take."""

    seconds: float
    bytes: int


@dataclass
class Run:
    """What one worker told, and what it took. `ending` says why it stopped, where not by itself."""

    program: str
    model: str
    task: Task
    limit: float
    stages: list[dict[str, Any]] = field(default_factory=list)
    megabytes: float = 0.0  # the peak of the process
    over_limit: bool = False
    ending: str | None = None

    def stage(self, name: str) -> dict[str, Any] | None:
        return next((stage for stage in self.stages if stage["stage"] == name), None)

    @property
    def seconds(self) -> float | None:
        """From the file to the printed summary with all conditional means."""
        done = self.stage("done")
        return None if done is None else float(done["at"])

    @property
    def peak(self) -> float:
        """Peak memory in MB until the summary was printed, or the end came."""
        done = self.stage("done") or {}
        return float(done.get("megabytes", self.megabytes))

    @property
    def evaluation(self) -> float | None:
        """Seconds of the last evaluation of the criterion: later ones reuse what was analysed."""
        found = [i for i, stage in enumerate(self.stages) if stage["stage"] == "evaluated"]
        if not found:
            return None
        last = found[-1]
        return float(self.stages[last]["at"] - self.stages[last - 1]["at"])

    @property
    def reached(self) -> str:
        """Name the last stage reached, and when."""
        if not self.stages:
            return "nothing"
        return f"{self.stages[-1]['stage']} at {self.stages[-1]['at']:.0f} s"


def missing(program: str) -> str | None:
    """Say why a program cannot be run here, if so."""
    if program == "lme4":
        return None if shutil.which("Rscript") else "no Rscript on this machine"
    return None if find_spec(program) else f"{program} is not installed"


def run(program: str, model: LargeModel, path: Path, task: Task, limits: Limits) -> Run:
    """Start a worker, and wait for it or end it at the limit."""
    if program != "lme4":
        command = [sys.executable, "-m", "benchmarks.large.worker", program, model.name]
        return _watched([*command, str(path), task], Run(program, model.name, task, 0.0), limits)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        groups = [f"{group}*" for group in model.groups]
        raw_columns(path, Path(folder), [model.response, *_covariates(model), *groups])
        script = str(Path(__file__).with_name("worker.R"))
        command = ["Rscript", script, folder, model.rival_formula, task]
        return _watched(command, Run(program, model.name, task, 0.0), limits)


def race(
    model: LargeModel,
    path: Path,
    programs: tuple[str, ...],
    limits: Limits,
    tell: Callable[[str], None],
) -> list[Run]:
    """Fit a model with all programs in turn; where a fit does not end, one evaluation."""
    runs = []
    for program in programs:
        patient = Limits(limits.seconds * model.patience.get(program, 1.0), limits.bytes)
        found = run(program, model, path, "fit", patient)
        tell(f"{model.name}, {program}: {outcome(found)}")
        runs.append(found)
        if program == OURS:
            runs.append(run(program, model, path, "parts", limits))
        elif found.seconds is None:
            runs.append(run(program, model, path, "evaluation", limits))
            tell(f"{model.name}, {program}, the criterion: {outcome(runs[-1])}")
    return runs


def outcome(found: Run) -> str:
    if found.seconds is not None:
        return f"{found.seconds:.1f} s, {found.peak:,.0f} MB"
    if found.evaluation is not None:
        return f"{found.evaluation:.1f} s an evaluation, {found.peak:,.0f} MB"
    return f"{found.ending}; {found.reached}; {found.peak:,.0f} MB"


def _covariates(model: LargeModel) -> list[str]:
    names = model.fixed.replace(":", "+").split("+")
    return [*dict.fromkeys(name.strip() for name in names if name.strip() != "1")]


def _watched(command: list[str], found: Run, limits: Limits) -> Run:
    found.limit = limits.seconds

    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        if hasattr(resource, "prlimit"):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (limits.bytes, limits.bytes))
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limits.seconds, stop)
        timer.start()
        assert process.stdout is not None
        with process.stdout as lines:
            found.stages = [json.loads(line) for line in lines]
        # Only wait4 tells the peak of this child alone, also of one that was ended.
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        found.megabytes = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
        found.over_limit = late.is_set()
        if found.over_limit:
            found.ending = f"> {limits.seconds:g} s"
        elif process.returncode < 0:
            found.ending = f"ended by {signal.Signals(-process.returncode).name}"
        elif process.returncode > 0:
            errors.seek(0)
            found.ending = last_words(errors)
    return found
