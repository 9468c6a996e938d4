"""Run the large benchmarks: ``python -m benchmarks.large [--models …] [--limit SECONDS] …``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.__main__ import RESULTS, names
from benchmarks.large.data import parquet
from benchmarks.large.models import LARGE
from benchmarks.large.race import PROGRAMS, Limits, missing, race
from benchmarks.large.report import Results, report

DATA = Path(__file__).parents[1] / "data"


def main() -> int:
    arguments = _arguments()
    start = time.perf_counter()

    def tell(text: str) -> None:
        print(f"[{time.perf_counter() - start:5.0f} s] {text}", file=sys.stderr, flush=True)

    programs = []
    for program in arguments.programs:
        reason = missing(program)
        if reason is None:
            programs.append(program)
        else:
            tell(f"{program} is left out: {reason}")

    now = datetime.now()
    results = Results(
        date=now.strftime("%Y-%m-%d %H:%M"),
        scale=arguments.scale,
        limit=arguments.limit,
        gigabytes=arguments.gigabytes,
        machine=machine.facts(),
        load=[machine.load()],
    )
    limits = Limits(arguments.limit, int(arguments.gigabytes * 1e9))
    sizes = {} if arguments.scale == 1 else {"scale": arguments.scale}
    folder = results_folder(arguments.scale)
    kept = folder / f"large-{now:%Y-%m-%d-%H%M}.json"
    for name in arguments.models:
        model = LARGE[name]
        tell(f"{name}: data")
        path = parquet(model.design, DATA, sizes)
        results.runs += race(model, path, tuple(programs), limits, tell)
        results.load = [results.load[0], machine.load()]
        results.seconds = time.perf_counter() - start
        kept.write_text(json.dumps(results.to_dict()) + "\n")  # what is there outlives an interrupt

    text = report(results)
    print(text)
    if set(arguments.models) == set(LARGE):
        (folder / "large.md").write_text(text)
    tell(f"kept in benchmarks/{folder.name}/{kept.name}")
    return 0


def results_folder(scale: float) -> Path:
    """Keep what is measured at full size apart from what was only tried."""
    folder = RESULTS if scale == 1 else DATA
    folder.mkdir(exist_ok=True)
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--models", type=names(LARGE), default=list(LARGE), metavar="NAME,…")
    parser.add_argument(
        "--programs", type=names(PROGRAMS), default=list(PROGRAMS), metavar="NAME,…"
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a fit may take")
    parser.add_argument("--gigabytes", type=float, default=20.0, help="addresses it may take")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the sizes, to try it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
