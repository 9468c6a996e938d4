"""The targets, and whether a run met them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.models import MODELS
from benchmarks.results import Results
from benchmarks.run import Task
from benchmarks.systems import OURS, OURS_ONE_THREAD, SYSTEMS
from benchmarks.text import duration, factor

#: "No worse" and "no slower" up to rounding of the criterion and noise of the clock.
SAME_OBJECTIVE = 1e-6
SAME_TIME = 1.05


@dataclass(frozen=True)
class Outcome:
    measured: str
    met: bool


@dataclass(frozen=True)
class Target:
    """What is to be reached, and how a run shows it; `None` where the run did not measure it."""

    name: str
    required: str
    outcome: Callable[[Results], Outcome | None]


def faster(task: Task, model: str, rival: str, times: float) -> Target:
    def outcome(results: Results) -> Outcome | None:
        ratio = results.ratio(task, rival, model)
        return Outcome(factor(ratio), ratio.value >= times) if ratio else None

    return Target(f"{model}: {task}, {rival} against ours", f"≥ {times:g} ×", outcome)


def objective_no_worse(model: str) -> Target:
    def outcome(results: Results) -> Outcome | None:
        ours = results.trial(OURS, model)
        rivals = [
            trial.objective
            for trial in results.trials
            if trial.model == model
            and trial.objective is not None
            and SYSTEMS[trial.system].criterion == "REML"
            and SYSTEMS[trial.system].distribution != OURS
        ]
        if ours is None or ours.objective is None or not rivals:
            return None
        excess = ours.objective - min(rivals)
        return Outcome(f"{excess:+.1e}", excess <= SAME_OBJECTIVE)

    return Target(f"{model}: ours above the best rival's criterion", "no worse", outcome)


def within(model: str, rival: str, share: float, seconds: float) -> Target:
    def outcome(results: Results) -> Outcome | None:
        ours = results.seconds_of("fit", OURS, model)
        ratio = results.ratio("fit", rival, model)
        if ours is None or ratio is None:
            return None
        measured = f"{duration(ours)}, {factor(ratio)} faster than {rival}"
        return Outcome(measured, ours.value <= seconds or ratio.value >= 1 / share)

    required = f"≤ {rival} / {1 / share:g} or ≤ {seconds * 1e3:g} ms"
    return Target(f"{model}: fit from a data frame", required, outcome)


def threads_no_slower(model: str) -> Target:
    def outcome(results: Results) -> Outcome | None:
        ratio = results.ratio("fit", OURS, model, base=OURS_ONE_THREAD)
        return Outcome(factor(ratio), ratio.value <= SAME_TIME) if ratio else None

    return Target(
        f"{model}: fit, all threads against one", f"≤ 1 × (±{SAME_TIME - 1:.0%})", outcome
    )


def first_fit(seconds: float) -> Target:
    def outcome(results: Results) -> Outcome | None:
        start = results.fresh_start(OURS)
        if start is None or not start.first_fits:
            return None
        measured = median(start.first_fits)
        return Outcome(duration(measured), measured < seconds)

    return Target("first fit of a fresh process, after import", f"< {seconds * 1e3:g} ms", outcome)


def import_time(seconds: float) -> Target:
    def outcome(results: Results) -> Outcome | None:
        start = results.fresh_start(OURS)
        if start is None or not start.imports:
            return None
        measured = median(start.imports)
        return Outcome(duration(measured), measured < seconds)

    return Target("import mixedmodels", f"< {seconds:g} s", outcome)


def matplotlib_deferred() -> Target:
    def outcome(results: Results) -> Outcome | None:
        deferred = results.matplotlib_deferred
        return None if deferred is None else Outcome("yes" if deferred else "no", deferred)

    return Target("import mixedmodels leaves matplotlib for later", "yes", outcome)


TARGETS = (
    faster("fit", "insteval3", "lme4", 15),
    faster("fit", "insteval3", "mixedlm", 5),
    objective_no_worse("insteval3"),
    within("dyestuff", "mixedlm", 1 / 3, 1.2e-3),
    within("penicillin", "mixedlm", 1 / 3, 1.2e-3),
    threads_no_slower("dyestuff"),
    threads_no_slower("penicillin"),
    first_fit(0.1),
    faster("refit", "dyestuff", "lme4", 100),
    faster("fit", "one-factor", "mixedlm", 3),
    import_time(0.5),
    matplotlib_deferred(),
)
assert {"insteval3", "dyestuff", "penicillin", "one-factor"} <= MODELS.keys()
