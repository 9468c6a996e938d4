"""Small simulated designs near the boundary, reference tables, and the oracle's matrices.

As a program it writes the oracle's optimum of each of the eighty designs the tests hold us to:

    python tests/designs.py > tests/reference/boundary.tsv
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import oracle

KINDS = ("one way", "nested", "crossed", "partially crossed", "three factors")
SEEDS = range(80)
# True variance ratios, small enough that about half of the optima lie on the boundary.
RATIOS = (0.0, 0.2, 0.5, 1.5)


class Design(NamedTuple):
    """A model and the data to fit it to."""

    kind: str
    formula: str
    data: pd.DataFrame
    reml: bool


def reference(table):
    """Read a table of `tests/reference`: a dict for each row, all text."""
    with (Path(__file__).parent / "reference" / f"{table}.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def scalar_optima():
    """Rows of the reference optima whose random-effects terms are all `(1 | group)`."""
    return [row for row in reference("optima") if not re.search(r"\((?!1 \|)", row["formula"])]


def label(row):
    """Name a row of the optima in the list of tests."""
    return f"{row['dataset']}: {row['formula']} {row['criterion']}"


def numbers(text):
    """Numbers of one cell of a table."""
    return np.array(text.split(), dtype=float)


def dense(formula, data, reml=True, weights=None, offset=0.0):
    """Make the oracle's model of a formula of plain columns and `(1 | a:b)` terms."""
    response, right = (side.strip() for side in formula.split("~"))
    fixed = [name.strip() for name in re.sub(r"\([^)]*\)", "", right).split("+")]
    parts = [pd.get_dummies(data[[f]], drop_first=True) for f in fixed if f not in {"", "1"}]
    X = np.hstack([np.ones((len(data), 1)), *parts]).astype(float)
    Z = {}
    for group in re.findall(r"\(1 \| ([^)]+)\)", formula):
        labels = data[group.split(":")].astype(str).agg(":".join, axis=1)
        Z[group] = pd.get_dummies(labels, dtype=float)
    return oracle.model(data[response].to_numpy(float) - offset, X, Z, reml, weights)


def simulate(seed):
    """Simulate the design of a seed: one to three grouping factors, none to two covariates."""
    # The legacy generator on purpose: NumPy promises that its stream never changes.
    random = np.random.RandomState(seed)
    kind = KINDS[seed % len(KINDS)]
    codes = layout(kind, random)
    while not estimable(codes):
        codes = layout(kind, random)
    data = pd.DataFrame(index=codes.index)
    for i in range(random.randint(3)):
        data[f"x{i + 1}"] = random.normal(size=len(data)).round(2)
    terms = ["y ~ 1", *data, *(f"(1 | {group})" for group in codes)]
    y = 5 + data.sum(axis=1) + random.normal(size=len(data))
    for group, code in codes.items():
        sd = np.sqrt(RATIOS[random.randint(len(RATIOS))])
        y += sd * random.normal(size=code.max() + 1)[code]
        data[group] = [f"{group}{c:02}" for c in code]
    data["y"] = y.round(3)
    return Design(kind, " + ".join(terms), data, reml=bool(random.randint(2)))


def layout(kind, random):
    """Draw the codes of the grouping factors: a table of cells, some empty, some repeated."""
    q, r = random.randint(4, 9), random.randint(3, 7)
    a, b = np.divmod(np.arange(q * r), r)
    least, most = (1, 2) if kind == "crossed" else (0, 2)
    counts = random.randint(least, most + 1, size=q * r)
    codes = pd.DataFrame({"a": a, "b": a * r + b if kind == "nested" else b})
    codes = codes.loc[codes.index.repeat(counts)].reset_index(drop=True)
    if kind == "three factors":
        codes["c"] = random.randint(12, size=len(codes))
    return codes[["a"]] if kind == "one way" else codes


def estimable(codes):
    """Whether the factors can be told from each other and from the residual."""
    levels = codes.nunique()  # distinct numbers also fix the order of the terms
    return levels.is_unique and levels.min() > 1 and levels.max() < len(codes) - 3


def main():
    """Print the table of the best optima, a row a seed."""
    print("seed", "kind", "formula", "criterion", "n", "objective", "theta", sep="\t")
    for seed in SEEDS:
        kind, formula, data, reml = simulate(seed)
        best = oracle.best_optimum(dense(formula, data, reml))
        theta = " ".join(f"{t:.10g}" for t in best.theta)
        criterion = "REML" if reml else "ML"
        objective = f"{best.objective:.10f}"
        print(seed, kind, formula, criterion, len(data), objective, theta, sep="\t")


if __name__ == "__main__":
    main()
