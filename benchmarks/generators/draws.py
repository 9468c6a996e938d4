"""Random assignments with exact margins, each in a few passes over arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]

FEWEST = 2


def scaled(scale: float, *sizes: int) -> tuple[int, ...]:
    """Multiply sizes, none of them to less than two."""
    return tuple(max(FEWEST, round(scale * size)) for size in sizes)


def counts(
    random: np.random.Generator,
    total: int,
    weights: Floats,
    *,
    least: int = 1,
    most: int | None = None,
) -> NDArray[np.int64]:
    """Share a total out among levels in proportion to weights, within bounds, to the last one."""
    levels = len(weights)
    if not least * levels <= total <= (most or total) * levels:
        raise ValueError(
            f"{total} cannot be shared out among {levels} levels of {least} to {most or total}"
        )
    found = least + random.multinomial(total - least * levels, weights / weights.sum())
    while most is not None and (spill := np.maximum(found - most, 0).sum()):
        found = np.minimum(found, most)
        open_to = np.where(found < most, weights, 0.0)
        found += random.multinomial(spill, open_to / open_to.sum())
    return found


def repeat(found: NDArray[np.int64]) -> Codes:
    """Make of the counts of levels their codes, in order."""
    return np.repeat(np.arange(len(found), dtype=np.int32), found)


def draw(random: np.random.Generator, size: int, weights: Floats) -> Codes:
    """Draw levels with probabilities in proportion to weights."""
    return random.permutation(repeat(random.multinomial(size, weights / weights.sum())))


def draw_within(
    random: np.random.Generator, parents: Codes, parent_of: Codes, weights: Floats
) -> Codes:
    """Draw for each parent one of its children; those of a parent stand together, in order."""
    edges = np.concatenate([[0.0], np.cumsum(weights)])
    bounds = np.searchsorted(parent_of, np.arange(parent_of[-1] + 2))
    low, high = edges[bounds[:-1]][parents], edges[bounds[1:]][parents]
    found = np.searchsorted(edges, low + (high - low) * random.random(len(parents)), "right") - 1
    # A point that rounding puts on the upper edge belongs to the child below it.
    return np.minimum(found, bounds[parents + 1] - 1).astype(np.int32)


def cover(random: np.random.Generator, codes: Codes, levels: int) -> Codes:
    """Give every level that is missing a row of a level that has others."""
    found = np.bincount(codes, minlength=levels)
    missing = np.flatnonzero(found == 0)
    if len(missing) == 0:
        return codes
    order = random.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.zeros(len(codes), dtype=bool)
    first[order[np.unique(codes[order], return_index=True)[1]]] = True
    spare = random.permutation(np.flatnonzero(~first))
    if len(spare) < len(missing):
        raise ValueError(f"{len(codes)} rows are too few for {levels} levels")
    covered = codes.copy()
    covered[spare[: len(missing)]] = missing
    return covered


def identifiers(random: np.random.Generator, levels: int, first: int) -> NDArray[np.int64]:
    """Number levels as registers do: with gaps, and in no order."""
    chosen = random.choice(3 * levels, size=levels, replace=False)
    return first + chosen.astype(np.int64)
