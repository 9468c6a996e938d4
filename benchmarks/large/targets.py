"""What the large fits are to reach, and whether they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.large.models import LARGE, LargeModel
from benchmarks.large.race import OURS, Run
from benchmarks.targets import SAME_OBJECTIVE, Outcome
from benchmarks.text import duration, megabytes

Runs = list[Run]


@dataclass(frozen=True)
class Target:
    """What is to be reached, and how the runs show it; `None` where they did not measure it."""

    name: str
    required: str
    outcome: Callable[[Runs], Outcome | None]


def fit_of(runs: Runs, program: str, model: str) -> Run | None:
    found = (r for r in runs if (r.program, r.model, r.task) == (program, model, "fit"))
    return next(found, None)


def time_within(model: LargeModel) -> Target:
    def outcome(runs: Runs) -> Outcome | None:
        run = fit_of(runs, OURS, model.name)
        if run is None:
            return None
        if run.seconds is None:
            return Outcome(run.ending or "no fit", met=False)
        return Outcome(duration(run.seconds), run.seconds <= model.seconds)

    return Target(f"{model.name}: from file to summary", f"≤ {model.seconds:g} s", outcome)


def memory_within(model: LargeModel, limit: float) -> Target:
    def outcome(runs: Runs) -> Outcome | None:
        run = fit_of(runs, OURS, model.name)
        if run is None:
            return None
        return Outcome(f"{megabytes(run.peak)} MB", run.peak <= limit)

    return Target(f"{model.name}: peak memory", f"≤ {megabytes(limit)} MB", outcome)


def evaluated_exactly(model: LargeModel) -> Target:
    def outcome(runs: Runs) -> Outcome | None:
        run = fit_of(runs, OURS, model.name)
        done = run.stage("done") if run else None
        if done is None:
            return None
        return Outcome(done["method"], done["method"] != "iterative")

    return Target(f"{model.name}: method", "exact", outcome)


def exact_within(model: LargeModel, seconds: float) -> Target:
    def outcome(runs: Runs) -> Outcome | None:
        run = fit_of(runs, OURS, model.name)
        done, exact = (run.stage("done"), run.stage("exact")) if run else (None, None)
        if done is None or exact is None:
            return None
        measured = exact["at"] - done["at"]
        return Outcome(duration(measured), measured <= seconds)

    return Target(f"{model.name}: then the exact criterion", f"≤ {seconds:g} s", outcome)


def no_higher(model: LargeModel, rival: str) -> Target:
    def outcome(runs: Runs) -> Outcome | None:
        mine, theirs = fit_of(runs, OURS, model.name), fit_of(runs, rival, model.name)
        exact = mine.stage("exact") if mine else None
        done = theirs.stage("done") if theirs else None
        if exact is None or done is None:
            return None
        excess = exact["objective"] - done["objective"]
        measured = f"{exact['objective']:.5f}, {excess:+.1e} to {rival}"
        return Outcome(measured, excess <= SAME_OBJECTIVE)

    return Target(f"{model.name}: exact criterion, no higher than {rival}'s", "≤", outcome)


def _targets() -> Iterator[Target]:
    for model in LARGE.values():
        yield time_within(model)
        if model.megabytes is not None:
            yield memory_within(model, model.megabytes)
        if model.nested is not None:
            yield evaluated_exactly(model)
        if model.exact_seconds is not None:
            yield exact_within(model, model.exact_seconds)
            yield no_higher(model, "mixedlm")


TARGETS = tuple(_targets())
