"""A response and the factors it is drawn by, read from any data frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.columns import Columns
from mixedmodels.errors import DataError, ResponseError
from mixedmodels.factors import Factor, factor_of_integers, level_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grouped:
    """A response with factors, in the rows in which none is missing.

    Parameters
    ----------
    y : ndarray (n,)
        The response.
    factors : tuple of Factor
        The factors, with the levels that occur.
    """

    y: Floats
    factors: tuple[Factor, ...]

    def take(self, rows: NDArray[np.intp]) -> Grouped:
        """Keep some rows."""
        return Grouped(self.y[rows], tuple(f.take(rows) for f in self.factors))


def read_grouped(data: Any, response: str, factors: Sequence[str]) -> Grouped:
    """Read a response and factors.

    Parameters
    ----------
    data : data frame or dict
        The data.
    response : str
        A column of numbers.
    factors : sequence of str
        Columns of any kind.

    Returns
    -------
    Grouped

    Raises
    ------
    UnknownColumnError
        If a column is not there.
    ResponseError
        If the response is not numeric, or not finite.
    DataError
        If no row is without missing values.
    """
    columns = Columns(data)
    read_values = columns.value(response)
    if isinstance(read_values, Factor) or read_values.dtype.kind != "f":
        raise ResponseError(f"the response {response} is not numeric")
    values = read_values.astype(np.float64)
    read = [columns.factor(name) for name in factors]
    kept = ~np.isnan(values)
    for factor in read:
        kept &= factor.codes >= 0
    rows = np.flatnonzero(kept)
    if not rows.size:
        raise DataError(
            "nothing to draw: the data have no row with values of "
            + ", ".join([response, *factors])
        )
    if np.isinf(values[rows]).any():
        raise ResponseError(f"the response {response} is infinite; leave out these rows")
    return Grouped(values[rows], tuple(f.take(rows) for f in read))


def crossed(inner: Factor, outer: Factor) -> tuple[Factor, NDArray[np.intp]]:
    """Combine two factors, and tell the level of the outer one for each combination.

    The labels are those of the inner factor: within a level of the outer one they are enough.
    """
    import pandas as pd

    pairs = factor_of_integers(outer.codes.astype(np.int64) * inner.nlevels + inner.codes)
    of_outer, of_inner = np.divmod(pairs.levels.to_numpy(), inner.nlevels)
    texts = level_texts(inner.levels)
    labels = pd.Index([texts[i] for i in of_inner.tolist()], dtype=object)
    return Factor(pairs.codes, labels), of_outer.astype(np.intp)


def means(y: Floats, factor: Factor) -> Floats:
    """Return the mean of the response at each level."""
    counts = np.bincount(factor.codes, minlength=factor.nlevels)
    sums = np.bincount(factor.codes, weights=y, minlength=factor.nlevels).astype(np.float64)
    return sums / counts


def ranks(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the position of each level in an order."""
    inverse = np.empty_like(order)
    inverse[order] = np.arange(order.size)
    return inverse
