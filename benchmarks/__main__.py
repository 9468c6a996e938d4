"""Run the benchmarks: ``python -m benchmarks [--models …] [--systems …] [--quick]``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks import machine
from benchmarks.models import MODELS
from benchmarks.report import report
from benchmarks.results import Results
from benchmarks.run import QUICK, Course, Effort, fresh_starts, our_facts, race, write_data
from benchmarks.systems import OURS, OURS_ONE_THREAD, SYSTEMS

RESULTS = Path(__file__).with_name("results")


def main() -> int:
    arguments = _arguments()
    if find_spec("mixedmodels") is None:
        print("mixedmodels is not installed here: `make bench` installs it.", file=sys.stderr)
        return 1
    effort = QUICK if arguments.quick else Effort()
    models = [MODELS[name] for name in arguments.models]
    start = time.perf_counter()

    def tell(text: str) -> None:
        print(f"[{time.perf_counter() - start:4.0f} s] {text}", file=sys.stderr, flush=True)

    systems = []
    for name in arguments.systems:
        reason = SYSTEMS[name].missing()
        if reason is None:
            systems.append(SYSTEMS[name])
        else:
            tell(f"{name} is left out: {reason}")

    now = datetime.now()
    results = Results(
        date=now.strftime("%Y-%m-%d %H:%M"),
        limit=effort.limit,
        machine=machine.facts(),
        load_before=machine.load(),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tell("data")
        write_data({model.name: model for model in [MODELS["dyestuff"], *models]}.values(), folder)
        once = [system for system in systems if system.name != OURS_ONE_THREAD]
        course = Course(folder, effort, tell)
        results.fresh = fresh_starts(MODELS["dyestuff"], once, course)
        for model in models:
            results.trials += race(model, systems, course, results.trials)
        if SYSTEMS[OURS] in systems:
            facts = our_facts(SYSTEMS[OURS], MODELS["dyestuff"], course)
            results.blas, results.matplotlib_deferred = facts
    results.load_after = machine.load()
    results.seconds = time.perf_counter() - start

    text = report(results)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{now:%Y-%m-%d-%H%M}.json"
    kept.write_text(json.dumps(results.to_dict()) + "\n")
    if set(arguments.models) == set(MODELS) and not arguments.quick:
        (RESULTS / "latest.md").write_text(text)
    tell(f"kept in benchmarks/results/{kept.name}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--models", type=names(MODELS), default=list(MODELS), metavar="NAME,…")
    parser.add_argument("--systems", type=names(SYSTEMS), default=list(SYSTEMS), metavar="NAME,…")
    parser.add_argument("--quick", action="store_true", help="few repetitions, a short limit")
    return parser.parse_args()


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Read names that are known, with commas between them."""

    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown)} is not one of {', '.join(known)}"
            )
        return [name for name in known if name in names]

    return read


if __name__ == "__main__":
    sys.exit(main())
