"""What a run found: medians, and ratios taken block against block."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import chain
from statistics import median
from typing import Any

from benchmarks.run import FreshStarts, Task, Trial
from benchmarks.systems import OURS


@dataclass(frozen=True)
class Measured:
    """A number, or (where a time limit ended it) what it is at least."""

    value: float
    at_least: bool = False


@dataclass
class Results:
    """Everything of one run, as the JSON keeps it."""

    date: str
    limit: float
    machine: dict[str, Any]
    blas: list[str] = field(default_factory=list)
    matplotlib_deferred: bool | None = None
    load_before: list[float] = field(default_factory=list)
    load_after: list[float] = field(default_factory=list)
    seconds: float = 0.0
    trials: list[Trial] = field(default_factory=list)
    fresh: list[FreshStarts] = field(default_factory=list)

    @property
    def versions(self) -> dict[str, str]:
        return {name: text for start in self.fresh for name, text in start.versions.items()}

    def trial(self, system: str, model: str) -> Trial | None:
        found = (t for t in self.trials if (t.system, t.model) == (system, model))
        return next(found, None)

    def seconds_of(self, task: Task, system: str, model: str) -> Measured | None:
        """Median of all calls."""
        trial = self.trial(system, model)
        if trial is None:
            return None
        if blocks := trial.blocks(task):
            return Measured(median(chain.from_iterable(blocks)))
        if trial.over_limit and (task == "fit" or trial.fits):
            return Measured(self.limit, at_least=True)
        return None

    def ratio(self, task: Task, system: str, model: str, base: str = OURS) -> Measured | None:
        """Tell how many times as long as `base`: the median over pairs of blocks."""
        theirs, ours = self.trial(system, model), self.trial(base, model)
        if theirs is None or ours is None or not ours.blocks(task):
            return None
        pairs = zip(theirs.blocks(task), ours.blocks(task), strict=False)
        if ratios := [median(a) / median(b) for a, b in pairs]:
            return Measured(median(ratios))
        bound = self.seconds_of(task, system, model)
        mine = self.seconds_of(task, base, model)
        return Measured(bound.value / mine.value, at_least=True) if bound and mine else None

    def fresh_start(self, system: str) -> FreshStarts | None:
        return next((start for start in self.fresh if start.system == system), None)

    def to_dict(self) -> dict[str, Any]:
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def _rounded(value: Any) -> Any:
    """Keep the digits of a criterion, and no more of a timing than the clock has."""
    match value:
        case float():
            return float(f"{value:.15g}") if abs(value) > 100 else float(f"{value:.5g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
    return value
