"""A run as markdown: ratios first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.models import MODELS, Model
from benchmarks.results import Results
from benchmarks.run import Task, Trial
from benchmarks.systems import OURS, SYSTEMS
from benchmarks.targets import TARGETS
from benchmarks.text import NOTHING, duration, factor, megabytes, table

#: Criteria closer than this to the optimum are said to be there.
AT_OPTIMUM = 1e-6
#: Refits that end further than this above the best are named.
MISSED = 1e-3


def report(results: Results) -> str:
    """Write the whole report."""
    sections = [
        "How many times as long as `mixedmodels` takes (medians of alternating blocks of calls, "
        "block against block). Where threads can hurt a rival, it runs with one or with all, "
        "whichever is faster for the model. A fit, from data frame to result, by REML"
        + (" (gpboost by ML, it has no REML):" if "gpboost" in _systems(results) else ":"),
        _ratios(results, "fit"),
        "A refit, of the same model to a new response:",
        _ratios(results, "refit"),
        "Targets:",
        _targets(results),
        "Time of a fit (median):",
        _times(results, "fit"),
        "Time of a refit (median):",
        _times(results, "refit"),
        "Peak memory of the process in MB, and in brackets what of it was there before the fit "
        "(the imports and the data):",
        _by_model(results, _memory),
        f"The criterion above its minimum (0: within {AT_OPTIMUM:g}):",
        _by_model(results, _excess),
        "In a fresh process: the import, then the first fit of dyestuff (medians):",
        _fresh(results),
        _notes(results),
        _machine(results),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _systems(results: Results) -> list[str]:
    found = {trial.system for trial in results.trials}
    return [name for name in SYSTEMS if name in found]


def _models(results: Results) -> list[Model]:
    found = {trial.model for trial in results.trials}
    return [model for name, model in MODELS.items() if name in found]


def _label(model: Model) -> str:
    return f"{model.name} ({model.rows:,} rows)"


def _ratios(results: Results, task: Task) -> str:
    rivals = [name for name in _systems(results) if name != OURS]
    header = ["model", OURS, *rivals]
    rows = [
        [
            _label(model),
            duration(results.seconds_of(task, OURS, model.name)),
            *(factor(results.ratio(task, rival, model.name)) for rival in rivals),
        ]
        for model in _models(results)
    ]
    return table(header, rows)


def _times(results: Results, task: Task) -> str:
    names = _systems(results)
    rows = [
        [_label(model), *(duration(results.seconds_of(task, name, model.name)) for name in names)]
        for model in _models(results)
    ]
    return table(["model", *names], rows)


def _by_model(results: Results, cell: Callable[[Trial, Model], str]) -> str:
    names = _systems(results)

    def of(name: str, model: Model) -> str:
        trial = results.trial(name, model.name)
        return NOTHING if trial is None else cell(trial, model)

    rows = [[_label(model), *(of(name, model) for name in names)] for model in _models(results)]
    return table(["model", *names], rows)


def _memory(trial: Trial, model: Model) -> str:
    if trial.start is None:
        return NOTHING
    return f"{megabytes(trial.start.megabytes)} ({megabytes(trial.start.megabytes_before)})"


def _excess(trial: Trial, model: Model) -> str:
    if trial.objective is None:
        return NOTHING
    ml = SYSTEMS[trial.system].criterion == "ML"
    excess = trial.objective - (model.ml if ml else model.reml)
    return "0" if abs(excess) < AT_OPTIMUM else f"{excess:+.1e}"


def _targets(results: Results) -> str:
    rows = []
    for target in TARGETS:
        outcome = target.outcome(results)
        if outcome is None:
            rows.append([target.name, target.required, NOTHING, "not measured"])
        else:
            verdict = "met" if outcome.met else "**not met**"
            rows.append([target.name, target.required, outcome.measured, verdict])
    return table(["target", "required", "measured", "verdict"], rows)


def _fresh(results: Results) -> str:
    def middle(seconds: Sequence[float]) -> str:
        return duration(median(seconds)) if seconds else NOTHING

    rows = [
        [start.system, middle(start.imports), middle(start.first_fits)] for start in results.fresh
    ]
    return table(["system", "import", "first fit"], rows) if rows else ""


def _notes(results: Results) -> str:
    """Say why a place is empty, and which refit ended above the others."""
    notes = [
        f"- {trial.system}, {trial.model}: {trial.reason}."
        for trial in results.trials
        if trial.reason is not None
    ]
    for model in _models(results):
        refits = {
            trial.system: trial.refit_objective
            for trial in results.trials
            if trial.model == model.name
            and trial.refit_objective is not None
            and SYSTEMS[trial.system].criterion == "REML"
        }
        notes += [
            f"- {system}, {model.name}: its refit ends {value - min(refits.values()):.1e} "
            "above the best criterion."
            for system, value in refits.items()
            if value - min(refits.values()) > MISSED
        ]
    return "Notes:\n\n" + "\n".join(notes) if notes else ""


def _machine(results: Results) -> str:
    machine = results.machine
    settings = ", ".join(f"{name}={value}" for name, value in machine["settings"].items())
    lines = [
        f"- {results.date}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}.",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in sorted(results.versions.items()))}.",
        f"- BLAS of NumPy ({OURS} has its own linear algebra): {'; '.join(results.blas)}."
        if results.blas
        else "",
        f"- Set in the environment: {settings}." if settings else "",
        f"- Load of the machine (1, 5, 15 minutes) before {results.load_before} "
        f"and after {results.load_after}; the run took {results.seconds:.0f} s; "
        f"a call has {results.limit:g} s.",
    ]
    return "The run:\n\n" + "\n".join(line for line in lines if line)
