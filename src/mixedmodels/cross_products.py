"""Design → CrossProducts: all that a fit needs of the data, summed over its rows once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels import _core
from mixedmodels.design import Design, Outline
from mixedmodels.errors import (
    DataError,
    GroupingError,
    RankDeficientWarning,
    ResponseError,
    warn,
)
from mixedmodels.row_sums import row_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class CrossProducts:
    """Z'WZ, Z'WX, X'WX, Z'Wy, X'Wy and y'Wy, with y and X made orthogonal first.

    X is replaced by an orthonormal basis Q of its columns (X[:, kept] = Q R) and y by what the
    regression on X leaves of it, so that a mean far from zero costs no digits.

    Attributes
    ----------
    structure : _core.Structure
        The part without the response: counts, cross-tabulations, Q, R and Z'WQ.
    response : _core.CrossProducts
        The part with it.
    labels : tuple of str
        The terms, by decreasing number of levels.
    """

    structure: _core.Structure
    response: _core.CrossProducts
    labels: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.structure.n

    @property
    def rank(self) -> int:
        """Number of linearly independent columns of X."""
        return len(self.structure.kept)

    @property
    def levels(self) -> tuple[int, ...]:
        """Number of levels of each term."""
        return tuple(self.structure.levels)

    def with_response(self, y: NDArray[np.float64], name: str) -> CrossProducts:
        """Return the cross-products of the same design with another response.

        Parameters
        ----------
        y : ndarray (n,)
            The response, its offset subtracted.
        name : str
            What errors call it.

        Returns
        -------
        CrossProducts

        Raises
        ------
        ResponseError
            If the fixed effects leave nothing of it, or its squares are not numbers.
        """
        sums = _checked(self.structure.cross_products(y), name)
        return CrossProducts(self.structure, sums, self.labels)

    def __repr__(self) -> str:
        terms = ", ".join(
            f"{label} {levels}" for label, levels in zip(self.labels, self.levels, strict=True)
        )
        cells = self.structure.cells
        return f"CrossProducts of {self.n} rows: {terms}; {cells} cells; rank of X {self.rank}"


def cross_products(
    design: Outline, tell: Callable[[str], None] = lambda text: None
) -> CrossProducts:
    """Sum the rows of a design.

    Parameters
    ----------
    design : Outline
        Response, model matrix and grouping factors, in memory or in a file.
    tell : callable, optional
        Told what is being done, while a file is read.

    Returns
    -------
    CrossProducts

    Warns
    -----
    RankDeficientWarning
        If columns of X are linear combinations of those before them; they are left out.
    """
    if isinstance(design, Design):
        structure = _core.Structure(
            [g.codes for g in design.groupings],
            [g.nlevels for g in design.groupings],
            design.X,
            design.weights,
        )
        X = design.X
        with np.errstate(over="ignore", under="ignore"):
            squares = {j: float(np.square(X[:, j]).sum()) for j in structure.dropped}
        lost = [j for j, v in squares.items() if v < 1e-290 and np.any(X[:, j])]
        sums = None
    else:
        structure, sums, lengths = row_sums(design, tell)
        squares = {j: float(lengths[j]) for j in structure.dropped}
        lost = [j for j, v in squares.items() if 0.0 < v < 1e-290]
    for j, square in squares.items():
        if not np.isfinite(square) or j in lost:
            raise DataError(
                f"the squares of {design.names[j]} are beyond what numbers can hold; "
                "change its units"
            )
    if structure.dropped:
        names = ", ".join(design.names[j] for j in structure.dropped)
        warn(
            f"fixed-effects columns that follow from others were dropped: {names}",
            RankDeficientWarning,
        )
    if structure.n <= len(structure.kept):
        raise DataError(
            f"{structure.n} rows cannot determine {len(structure.kept)} fixed effects and a "
            "residual variance; use fewer terms or more rows"
        )
    for grouping, dimensions in zip(design.groupings, structure.fitted, strict=True):
        if dimensions > grouping.nlevels - 1e-6:
            raise GroupingError(
                f"the fixed effects together fit every level of {grouping.label}: no variation "
                "between its levels is left to estimate a variance from; leave out the term or "
                "some of the fixed effects"
            )
    if isinstance(design, Design):
        response = design.y if design.offset is None else design.y - design.offset
        sums = structure.cross_products(np.ascontiguousarray(response))
    assert sums is not None
    checked = _checked(sums, design.response_name)
    return CrossProducts(structure, checked, tuple(g.label for g in design.groupings))


def _checked(sums: _core.CrossProducts, name: str) -> _core.CrossProducts:
    if not 1e-290 < sums.yty_total < 1e290:
        raise ResponseError(
            f"the sum of squares of {name} is {sums.yty_total:.0e}, and its products with others "
            "are beyond what numbers can hold; change its units, or those of the weights"
        )
    if not sums.yty > 1e-28 * sums.yty_total:
        raise ResponseError(
            f"the fixed effects fit {name} perfectly: "
            "there is no variation left to divide among random effects"
        )
    return sums
