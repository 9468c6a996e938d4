"""Time inference on the slides' small models in turns, ours and R's, and print a table."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import mixedmodels as mm
from benchmarks import machine
from benchmarks.process import Worker, WorkerError
from benchmarks.text import NOTHING, duration, significant, table

MODELS = {
    "dyestuff": ("Yield ~ 1 + (1 | Batch)", ("Batch",)),
    "pastes": ("strength ~ 1 + (1 | sample) + (1 | batch)", ("sample", "batch")),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", ("plate", "sample")),
    "cake": ("angle ~ recipe * temp + (1 | recipe:replicate)", ("recipe", "replicate")),
}
# Replicates of one bootstrap of a small model.
REPLICATES = 10_000
INSTEVAL = "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)"
ROUNDS = 5
LIMIT = 120.0
RESULTS = Path(__file__).parents[1] / "results"


def tasks(formula: str, data: Any) -> dict[str, Callable[[], float]]:
    """Return what is timed; each gives the seconds of one unit."""
    reml = mm.lmer(formula, data)
    ml = reml.update(reml=False)
    return {
        "bootstrap": lambda: (
            seconds_of(lambda: reml.bootstrap(REPLICATES, seed=1, progress=False)) / REPLICATES
        ),
        "profile": lambda: seconds_of(lambda: ml.profile().confint()),
        "satterthwaite": lambda: seconds_of(lambda: reml.summary(ddf="satterthwaite")),
        "kenward-roger": lambda: seconds_of(lambda: reml.summary(ddf="kenward-roger")),
    }


def seconds_of(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def race(name: str) -> tuple[list[str], dict[str, Any]]:
    """Time one model; return its row of the table, and the raw seconds."""
    formula, factors = MODELS[name]
    data = mm.datasets.load(name)
    ours = tasks(formula, data)
    raw: dict[str, Any] = {task: {"ours": [], "R": []} for task in ours}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.csv"
        data.to_csv(file, index=False)
        script = str(Path(__file__).parent / "worker.R")
        command = ["Rscript", "--vanilla", script, str(file), formula, ",".join(factors)]
        try:
            with Worker(command, {}, LIMIT) as rival:
                rival.greet()
                for task, call in ours.items():
                    call()
                    for _ in range(ROUNDS):
                        raw[task]["ours"].append(call())
                        raw[task]["R"].append(rival.ask(task)["seconds"])
        except (WorkerError, FileNotFoundError) as error:
            print(f"{name}: no R to compare with ({error})", file=sys.stderr)
            for task, call in ours.items():
                raw[task]["ours"] = raw[task]["ours"] or [call() for _ in range(ROUNDS)]
    return [name, *(cell(raw[task]) for task in ours)], raw


def cell(raw: dict[str, list[float]]) -> str:
    """Write our median, and how many times as long R takes: the median of paired ratios."""
    ours = duration(median(raw["ours"]))
    if not raw["R"]:
        return f"{ours} ({NOTHING})"
    ratio = median(r / o for o, r in zip(raw["ours"], raw["R"], strict=True))
    return f"{ours} ({significant(ratio)} ×)"


def main() -> int:
    now, before = datetime.now(), machine.load()
    rows, raw = [], {}
    for name in MODELS:
        print(f"{name} …", file=sys.stderr)
        row, raw[name] = race(name)
        rows.append(row)
    large = mm.lmer(INSTEVAL, mm.datasets.load("insteval"))
    hundred = [seconds_of(lambda: large.bootstrap(100, seed=1, progress=False)) for _ in range(3)]
    raw["insteval"] = {"bootstrap of 100": hundred}
    facts = machine.facts()
    many = ", ".join(
        f"{name} {median(raw[name]['bootstrap']['ours']) * REPLICATES:.2f} s" for name in MODELS
    )
    text = "\n\n".join(
        [
            f"{facts['cpu']}, {facts['cores']} cores; median of {ROUNDS} rounds in turns; in "
            "brackets, how many times as long R takes: `bootMer` and `profile` of lme4, "
            "`summary` of lmerTest, the last with pbkrtest.",
            table(
                [
                    "model",
                    "bootstrap, a replicate",
                    "profile and intervals",
                    "Satterthwaite",
                    "Kenward–Roger",
                ],
                rows,
            ),
            f"{REPLICATES:,} replicates: {many}. 100 replicates of insteval with three factors: "
            f"{median(hundred):.1f} s.",
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    kept = {"machine": facts, "load": [before, machine.load()], "seconds": raw}
    (RESULTS / f"inference-{now:%Y-%m-%d-%H%M}.json").write_text(json.dumps(kept) + "\n")
    (RESULTS / "inference.md").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
