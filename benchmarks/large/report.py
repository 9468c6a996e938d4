"""The large fits as markdown: targets, times, memory, what we printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.large.models import LARGE
from benchmarks.large.race import OURS, PROGRAMS, Run
from benchmarks.large.targets import TARGETS, fit_of
from benchmarks.text import NOTHING, duration, megabytes, table


@dataclass
class Results:
    """Everything of one run, as the JSON keeps it."""

    date: str
    scale: float
    limit: float
    gigabytes: float
    machine: dict[str, Any]
    load: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    runs: list[Run] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def report(results: Results) -> str:
    """Write the whole report."""
    runs = results.runs
    sections = [
        "" if results.scale == 1 else f"**At {results.scale:g} of the sizes: no measurement.**",
        "Targets:",
        _targets(runs),
        "From the file to the printed summary with all conditional means, the import apart (where "
        "a fit is out of reach: one evaluation of its criterion, of which a fit takes tens to "
        "hundreds; gpboost by ML, it has no REML):",
        _by_program(runs, _time),
        "Peak memory of the process in MB, everything in it:",
        _by_program(runs, lambda run, _: megabytes(run.peak)),
        "Ours by part (the plan, for which the file is read and all sums are made, is from a run "
        "of its own):",
        _ours(runs),
        "The criterion reached (gpboost's is the deviance):",
        _by_program(runs, _criterion),
        _notes(runs),
        _summaries(runs),
        _machine(results),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _present(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    models, programs = {run.model for run in runs}, {run.program for run in runs}
    return [m for m in LARGE if m in models], [p for p in PROGRAMS if p in programs]


def _targets(runs: list[Run]) -> str:
    rows = []
    for target in TARGETS:
        outcome = target.outcome(runs)
        measured = NOTHING if outcome is None else outcome.measured
        verdict = "not measured" if outcome is None else "met" if outcome.met else "**not met**"
        rows.append([target.name, target.required, measured, verdict])
    return table(["target", "required", "measured", "verdict"], rows)


def _by_program(runs: list[Run], cell: Callable[[Run, Run | None], str]) -> str:
    models, programs = _present(runs)

    def of(program: str, model: str) -> str:
        fit = fit_of(runs, program, model)
        found = (r for r in runs if (r.program, r.model) == (program, model))
        evaluation = next((run for run in found if run.task == "evaluation"), None)
        return NOTHING if fit is None else cell(fit, evaluation)

    rows = [[model, *(of(program, model) for program in programs)] for model in models]
    return table(["model", *programs], rows)


def _time(fit: Run, evaluation: Run | None) -> str:
    if fit.seconds is not None:
        return duration(fit.seconds)
    ending = f"> {duration(fit.limit)}" if fit.over_limit else "failed"
    if evaluation is None or evaluation.evaluation is None:
        return ending
    return f"{ending}; {duration(evaluation.evaluation)} an evaluation"


def _criterion(fit: Run, _: Run | None) -> str:
    done = fit.stage("done")
    if done is None:
        return NOTHING
    error = done.get("objective_error", 0.0)
    if error:
        return f"{done['objective']:.2f} ± {error:.2g}"
    return f"{done['objective']:.5f}"


def _ours(runs: list[Run]) -> str:
    rows = []
    for model in _present(runs)[0]:
        run = fit_of(runs, OURS, model)
        done = run.stage("done") if run else None
        if run is None or done is None:
            continue
        at = {stage["stage"]: stage["at"] for stage in run.stages}
        planned = next(
            (r.stage("planned") for r in runs if (r.model, r.task) == (model, "parts")), None
        )
        rows.append(
            [
                model,
                done["method"],
                str(done["evaluations"]),
                duration(at["import"]),
                duration(at["fitted"]),
                duration(planned["at"] if planned else None),
                duration(at["printed"] - at["fitted"]),
                duration(at["done"] - at["printed"]),
                duration(at["exact"] - at["done"]) if "exact" in at else NOTHING,
            ]
        )
    header = ["model", "method", "iterations", "import", "read and fit", "of which the plan"]
    return table([*header, "print", "conditional means", "exact"], rows) if rows else ""


def _notes(runs: list[Run]) -> str:
    notes = [
        f"- {run.model}, {run.program}{'' if run.task == 'fit' else ', an evaluation'}: "
        f"{run.ending}; it reached {run.reached}."
        for run in runs
        if run.ending is not None
    ]
    return "Where a program did not end:\n\n" + "\n".join(notes) if notes else ""


def _summaries(runs: list[Run]) -> str:
    """Show the plan and what was printed, of ours."""
    found = []
    for model in _present(runs)[0]:
        run = fit_of(runs, OURS, model)
        if run is None or (done := run.stage("done")) is None:
            continue
        text = f"{done['plan']}\n\n{done['text'].rstrip()}"
        if exact := run.stage("exact"):
            text += f"\n\nThen exactly: {exact['objective']:.5f}"
        found.append(f"What was printed for {model}:\n\n```text\n{text}\n```")
    return "\n\n".join(found)


def _machine(results: Results) -> str:
    machine = results.machine
    versions = {
        run.program: stage["version"]
        for run in results.runs
        if (stage := run.stage("import")) is not None
    }
    settings = ", ".join(f"{name}={value}" for name, value in machine["settings"].items())
    lines = [
        f"- {results.date}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}.",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in versions.items())}.",
        f"- Set in the environment: {settings}." if settings else "",
        f"- Load of the machine (1, 5, 15 minutes) before {results.load[0]} and after "
        f"{results.load[-1]}; the run took {results.seconds:.0f} s; a fit has {results.limit:g} s "
        f"(times the patience of its model) and {results.gigabytes:g} GB of addresses.",
    ]
    return "The run:\n\n" + "\n".join(line for line in lines if line)
