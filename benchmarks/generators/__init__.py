"""Data with the structure of large studies, drawn anew from a seed: a design a file.

Each design is a function of its sizes, the number of rows and of levels of each factor, which it
has exactly (every level occurs), of `scale`, which multiplies them all, and of `seed`. It returns
a `Table`, which is written as a parquet file group of rows by group of rows.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.generators.achievement import achievement
from benchmarks.generators.grades import grades
from benchmarks.generators.nested import nested
from benchmarks.generators.ratings import ratings
from benchmarks.generators.table import Table
from benchmarks.generators.worker_firm import worker_firm

#: By name; each can be called without an argument.
DESIGNS: dict[str, Callable[..., Table]] = {
    "grades": grades,
    "achievement": achievement,
    "ratings": ratings,
    "worker_firm": worker_firm,
    "nested": nested,
}

__all__ = ["DESIGNS", "Table", "achievement", "grades", "nested", "ratings", "worker_firm"]
