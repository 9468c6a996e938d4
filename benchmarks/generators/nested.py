"""Measurements on units within groups within regions: three nested factors.

It stands for any strict hierarchy — patients of wards of hospitals, pupils of classes of schools —
with groups of unequal size at every level. A million levels are no difficulty here: a fill-reducing
order leaves the factor of a nested model without any fill.
"""

from __future__ import annotations

import numpy as np

from benchmarks.generators.draws import counts, repeat, scaled
from benchmarks.generators.table import Coded, Table, labels

#: Standard deviations of a, b within a, c within b, and residual.
SIGMA = (0.5, 0.4, 0.6, 1.0)


def nested(
    rows: int = 10_000_000,
    c: int = 1_000_000,
    b: int = 100_000,
    a: int = 10_000,
    *,
    scale: float = 1.0,
    seed: int = 1,
) -> Table:
    """Draw `y` by `a`, `b`, `c` and `x`; a label of b or c stands in one level of a or b only."""
    random = np.random.default_rng(seed)
    rows, c, b, a = scaled(scale, rows, c, b, a)
    row_in_c = repeat(counts(random, rows, random.gamma(2.0, size=c)))
    c_in_b = repeat(counts(random, c, random.gamma(2.0, size=b)))
    b_in_a = repeat(counts(random, b, random.gamma(2.0, size=a)))

    x = random.normal(size=rows)
    of_a = SIGMA[0] * random.normal(size=a)
    of_ab = of_a[b_in_a] + SIGMA[1] * random.normal(size=b)
    of_abc = of_ab[c_in_b] + SIGMA[2] * random.normal(size=c)
    y = 1.0 + 0.5 * x + of_abc[row_in_c] + SIGMA[3] * random.normal(size=rows)
    return Table(
        {
            "a": Coded(b_in_a[c_in_b[row_in_c]], labels("A", a)),
            "b": Coded(c_in_b[row_in_c], 1 + np.arange(b)),
            "c": Coded(row_in_c, 1 + np.arange(c)),
            "x": x,
            "y": y,
        }
    )
