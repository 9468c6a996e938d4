"""Tests of fixed effects against statistics of replicates instead of a t or F distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from mixedmodels.errors import ArgumentError
from mixedmodels.inference.degrees_of_freedom import Reference
from mixedmodels.inference.refits import Refitter
from mixedmodels.inference.simulation import as_seed, batches, whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

Floats: TypeAlias = "NDArray[np.float64]"

#: Replicates drawn and fitted at a time.
_BATCH = 200


@dataclass(frozen=True, eq=False)
class BootstrapReference(Reference):
    """Wald's statistics of L(β* − β̂) in replicates drawn from the model.

    Their distribution does not depend on β, so that it is the one under the hypothesis too. The
    p-value is (1 + number of larger ones) / (1 + number of replicates), as of a Monte Carlo test
    (Davison & Hinkley 1997, section 4.2).

    Attributes
    ----------
    deviations : ndarray (m, rank)
        β* − β̂ of the replicates, in the basis Q.
    covariances : ndarray (m, rank, rank)
        Their own covariances of β*, in the basis Q.
    """

    title: ClassVar[str] = "the parametric bootstrap"

    deviations: Floats = None  # type: ignore[assignment]
    covariances: Floats = None  # type: ignore[assignment]

    def one_df(self, row: Floats) -> float:
        """Missing: there are none."""
        return np.nan

    def several_df(self, rows: Floats) -> tuple[float, float]:
        """Missing: there are none."""
        return np.nan, 1.0

    def t_probabilities(self, rows: Floats, t: Floats, dfs: Floats) -> Floats:
        """Share of replicates with a larger |t|."""
        L = self.rows_in_Q(rows)
        errors = np.sqrt(np.einsum("ij,mjk,ik->mi", L, self.covariances, L, optimize=True))
        larger = np.abs(self.deviations @ L.T) >= np.abs(t) * errors
        shares: Floats = (1.0 + larger.sum(axis=0)) / (1.0 + len(larger))
        return shares

    def f_probability(self, rows: Floats, f: float, den_df: float) -> float:
        """Share of replicates with a larger F."""
        values = self.deviations @ rows.T
        matrices = rows @ self.covariances @ rows.T
        wald = np.einsum("mi,mi->m", values, np.linalg.solve(matrices, values[..., None])[..., 0])
        return float((1.0 + np.sum(wald >= f * len(rows))) / (1.0 + len(wald)))


def bootstrap_reference(model: LinearMixedModel, n: Any, seed: Any) -> BootstrapReference:
    """Draw replicates and refit the model to them."""
    n, seed = whole_number(n, "n"), as_seed(seed)
    refitter = Refitter(model, covariance=True)
    R = model.cross_products.structure.R
    deviations, covariances = [], []
    for Y in batches(model, n, seed, size=_BATCH):
        refits = refitter.fit(Y)
        good = refits.converged
        assert refits.covariance is not None
        deviations.append((refits.beta[good] - model.beta) @ R.T)
        covariances.append(R @ refits.covariance[good] @ R.T)
    found = np.concatenate(deviations)
    if not len(found):
        raise ArgumentError(f"none of {n} replicates has a fit")
    notes = [f"{len(found):,} replicates, seed {seed}"]
    if len(found) < n:
        notes.append(f"{n - len(found):,} replicates without a fit were left out")
    return BootstrapReference(model, tuple(notes), found, np.concatenate(covariances))
