"""Wages of workers in firms: a large factor held to a second by those who move.

It stands for matched employer–employee registers (Abowd, Kramarz & Margolis 1999, Econometrica
67:251): firms of Pareto size, every worker seen in each year, and few who change firm, so that
what tells a worker's effect from a firm's is a thin web of movers.
"""

from __future__ import annotations

import numpy as np

from benchmarks.generators.draws import counts, draw, identifiers, repeat, scaled
from benchmarks.generators.table import Coded, Table

#: Standard deviations of worker, firm and residual.
SIGMA = (0.8, 0.4, 0.3)
YEARS = 6
FIRST_YEAR = 2015
MOVERS = 0.08
#: Of the sizes of firms: Pr(size > s) falls as s to this power.
PARETO = 1.1
#: What share of the workers the largest firms have.
LARGEST = 0.01


def worker_firm(
    workers: int = 1_400_000,
    firms: int = 100_000,
    *,
    scale: float = 1.0,
    seed: int = 1,
) -> Table:
    """Draw `log_wage` by `worker`, `firm`, `year` and `experience`: a row a worker and year."""
    random = np.random.default_rng(seed)
    workers, firms = scaled(scale, workers, firms)
    size = 1.0 + random.pareto(PARETO, firms)
    size = np.minimum(size, LARGEST * size.sum())

    firm = np.empty((workers, YEARS), dtype=np.int32)
    firm[:, 0] = random.permutation(repeat(counts(random, workers, size)))
    for year in range(1, YEARS):
        moves = random.random(workers) < MOVERS
        firm[:, year] = firm[:, year - 1]
        firm[moves, year] = draw(random, int(moves.sum()), size)

    # Year by year, as the files of a register come.
    worker = np.tile(np.arange(workers, dtype=np.int32), YEARS)
    firm = firm.T.ravel()
    year = np.repeat(np.arange(YEARS, dtype=np.int32), workers)
    experience = random.integers(0, 35, workers)[worker] + year
    of_worker, of_firm, error = (
        sd * random.normal(size=levels)
        for sd, levels in zip(SIGMA, (workers, firms, len(worker)), strict=True)
    )
    wage = 2.5 + 0.03 * experience - 0.0004 * experience**2 + of_worker[worker] + of_firm[firm]
    return Table(
        {
            "worker": Coded(worker, identifiers(random, workers, 10_000_000)),
            "firm": Coded(firm, identifiers(random, firms, 500_000)),
            "year": Coded(year, FIRST_YEAR + np.arange(YEARS)),
            "experience": experience,
            "log_wage": wage + error,
        }
    )
