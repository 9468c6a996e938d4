"""Responses drawn from a fitted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedmodels.errors import ArgumentError, ArgumentTypeError, FitTooLargeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.estimates import Estimates

    Floats = NDArray[np.float64]

# Numbers of one batch: what is drawn at a time stays small whatever the number of responses.
BATCH = 2**22
MOST_BYTES = 2**34


def simulate(
    model: Estimates, n: int, seed: int | None, random: Literal["new", "estimated"]
) -> Floats:
    """Draw responses: see `LinearMixedModel.simulate`."""
    n = whole_number(n, "n")
    if 8 * n * model.nobs > MOST_BYTES:
        raise FitTooLargeError(
            f"{n:,} responses of {model.nobs:,} rows need {8 * n * model.nobs / 2**30:.0f} GiB; "
            "draw fewer at a time, or let bootstrap() draw and refit them batch by batch"
        )
    return np.concatenate(list(batches(model, n, as_seed(seed), random)), axis=1)


def batches(
    model: Estimates,
    n: int,
    seed: int,
    random: Literal["new", "estimated"] = "new",
    size: int | None = None,
) -> Iterator[Floats]:
    """Draw responses batch by batch, the same ones whatever the size of a batch.

    Parameters
    ----------
    model : Estimates
        The model that is taken to be true.
    n : int
        Number of responses.
    seed : int
        Of the one stream that all responses are drawn from, one after another: first their
        random effects, then their residuals.
    random : {"new", "estimated"}
        Draw random effects, or keep their conditional means.
    size : int, optional
        Responses of a batch.

    Yields
    ------
    ndarray (nobs, size)
        In Fortran order, a column a response.
    """
    if random not in ("new", "estimated"):
        raise ArgumentError(f"random must be 'new' or 'estimated', not {random!r}")
    rows = model.design.in_memory()
    q = sum(model.cross_products.levels) if random == "new" else 0
    mean = model.population_mean
    if random == "estimated":
        mean = mean + model.random_part(rows)
    scale = model.sigma if rows.weights is None else model.sigma / np.sqrt(rows.weights)
    sds = model.sigma * model.theta
    generator = np.random.Generator(np.random.PCG64(seed))
    size = max(1, BATCH // (q + rows.n)) if size is None else size
    for start in range(0, n, size):
        count = min(size, n - start)
        normal = generator.standard_normal((count, q + rows.n))
        Y = normal[:, q:] * scale
        Y += mean
        stop = 0
        for grouping, sd in zip(rows.groupings, sds, strict=True) if q else ():
            begin, stop = stop, stop + grouping.nlevels
            for i, u in enumerate(sd * normal[:, begin:stop]):
                Y[i] += u[grouping.codes]
        yield Y.T


def whole_number(value: Any, name: str, least: int = 1) -> int:
    """Return a count, or say what it must be."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ArgumentTypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ArgumentError(f"{name} must be {least} or more; got {value}")
    return int(value)


def as_seed(seed: Any) -> int:
    """Return the seed, or draw one."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"seed must be a whole number, not negative; got {seed!r}")
    return int(seed)
