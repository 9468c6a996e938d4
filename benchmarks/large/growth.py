"""How our time grows: against rows at fixed levels, and against levels at fixed rows.

``python -m benchmarks.large.growth [--rounds N] [--scale PART]``: each point is a fit from a file
in a process of its own, the points taken in turns, round after round; what is shown is the median.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.large.__main__ import DATA, results_folder
from benchmarks.large.data import parquet
from benchmarks.large.models import LARGE
from benchmarks.large.race import OURS, Limits, run
from benchmarks.text import duration, megabytes, table

PICTURES = Path(__file__).parents[2] / "docs" / "img"
MILLION = 1_000_000


@dataclass(frozen=True)
class Course:
    """A design of growing size: its factors, what grows, and the sizes."""

    model: str
    grows: str  # "rows" or "levels"
    sizes: tuple[dict[str, int], ...]

    def levels(self, sizes: dict[str, int]) -> int:
        return sum(size for factor, size in sizes.items() if factor != "rows")

    def along(self, sizes: dict[str, int]) -> int:
        return sizes["rows"] if self.grows == "rows" else self.levels(sizes)


def _crossed(rows: int, users: int, movies: int) -> dict[str, int]:
    return {"rows": rows, "users": users, "movies": movies}


def _graded(rows: int, students: int, instructors: int) -> dict[str, int]:
    return {"rows": rows, "students": students, "instructors": instructors, "departments": 100}


COURSES = (
    Course(
        "ratings",
        "rows",
        tuple(_crossed(n * MILLION, 80_000, 30_000) for n in (2, 4, 8, 16)),
    ),
    Course(
        "ratings",
        "levels",
        tuple(_crossed(8 * MILLION, k * 40_000, k * 15_000) for k in (1, 2, 4, 8)),
    ),
    Course(
        "grades",
        "rows",
        tuple(_graded(n * MILLION, 200_000, 30_000) for n in (1, 2, 4, 8)),
    ),
    Course(
        "grades",
        "levels",
        tuple(_graded(4 * MILLION, k * 100_000, k * 15_000) for k in (1, 2, 4, 8)),
    ),
)


@dataclass
class Point:
    """One size of a course, and what its rounds took."""

    rows: int
    levels: int
    along: int
    method: str = ""
    totals: list[float] = field(default_factory=list)
    plans: list[float] = field(default_factory=list)
    megabytes: float = 0.0

    @property
    def total(self) -> float:
        return median(self.totals)

    @property
    def plan(self) -> float:
        """Seconds until the plan: the file read, and all sums over rows made."""
        return median(self.plans)

    @property
    def fit(self) -> float:
        """Seconds of all that follows, paired run by run."""
        pairs = zip(self.totals, self.plans, strict=True)
        return max(0.0, median(total - plan for total, plan in pairs))


@dataclass
class Curve:
    model: str
    grows: str
    points: list[Point]


def curves(rounds: int, scale: float, limits: Limits) -> list[Curve]:
    found = [
        Curve(
            course.model,
            course.grows,
            [
                Point(sizes["rows"], course.levels(sizes), course.along(sizes))
                for sizes in _scaled(course, scale)
            ],
        )
        for course in COURSES
    ]
    start = time.perf_counter()
    for turn in range(rounds):
        for course, curve in zip(COURSES, found, strict=True):
            model = LARGE[course.model]
            for sizes, point in zip(_scaled(course, scale), curve.points, strict=True):
                path = parquet(model.design, DATA / "growth", sizes)
                plan = run(OURS, model, path, "parts", limits)
                fit = run(OURS, model, path, "summary", limits)
                planned, done = plan.stage("planned"), fit.stage("done")
                if planned is None or done is None:
                    raise SystemExit(f"{model.name} {sizes}: {plan.ending or fit.ending}")
                point.method = done["method"]
                point.totals.append(done["at"])
                point.plans.append(planned["at"])
                point.megabytes = max(point.megabytes, fit.peak)
                print(
                    f"[{time.perf_counter() - start:5.0f} s] round {turn + 1}, {model.name}, "
                    f"{point.rows:,} rows, {point.levels:,} levels: {done['at']:.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
    return found


def _scaled(course: Course, scale: float) -> Iterator[dict[str, int]]:
    for sizes in course.sizes:
        yield {factor: max(2, round(scale * size)) for factor, size in sizes.items()}


def report(found: list[Curve], scale: float, load: list[list[float]]) -> str:
    facts = machine.facts()
    sections = [] if scale == 1 else [f"**At {scale:g} of the sizes: no measurement.**"]
    for curve in found:
        fixed = curve.points[0]
        kept = (
            f"{fixed.levels:,} levels, growing rows"
            if curve.grows == "rows"
            else f"{fixed.rows:,} rows, growing levels"
        )
        rows = [
            [
                f"{point.along:,}",
                point.method,
                duration(point.plan),
                duration(point.fit),
                duration(point.total),
                megabytes(point.megabytes),
            ]
            for point in curve.points
        ]
        header = [curve.grows, "method", "read, sum, plan", "fit and print", "in all", "peak MB"]
        sections += [f"{curve.model}, {kept}:", table(header, rows)]
    sections.append(
        f"Rounds: {len(found[0].points[0].totals)}; {facts['cpu']}, {facts['cores']} cores, "
        f"{facts['memory_gib']} GiB; load before {load[0]}, after {load[1]}."
    )
    return "\n\n".join(sections) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large.growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the sizes, to try it")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a fit may take")
    arguments = parser.parse_args()

    from benchmarks.large.picture import draw

    now, before = datetime.now(), machine.load()
    found = curves(arguments.rounds, arguments.scale, Limits(arguments.limit, int(20e9)))
    text = report(found, arguments.scale, [before, machine.load()])
    print(text)
    folder = results_folder(arguments.scale)
    pictures = PICTURES if arguments.scale == 1 else folder
    pictures.mkdir(exist_ok=True)
    kept = {"date": f"{now:%Y-%m-%d %H:%M}", "scale": arguments.scale, "machine": machine.facts()}
    kept["curves"] = [asdict(curve) for curve in found]
    (folder / f"growth-{now:%Y-%m-%d-%H%M}.json").write_text(json.dumps(kept) + "\n")
    (folder / "growth.md").write_text(text)
    for model in dict.fromkeys(curve.model for curve in found):
        draw([c for c in found if c.model == model], pictures / f"growth-{model}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
