"""What a t or F statistic of the fixed effects is compared with, and its degrees of freedom.

`reference_distribution` chooses one of the methods; each is a `Reference`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from mixedmodels.errors import (
    ApproximationWarning,
    ArgumentError,
    ArgumentTypeError,
    DataError,
    FitTooLargeError,
    warn,
)
from mixedmodels.inference.derivatives import MOST_TRAILING, Derivatives

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

Floats: TypeAlias = "NDArray[np.float64]"

#: Eigenvalues of the scaled Hessian below this part of the largest count as zero.
_FLAT = 1e-9

#: Of the correlations of Lβ̂, eigenvalues below this say that rows of L depend on each other.
_DEPENDENT = 1e-10


class FTest(NamedTuple):
    """An F statistic, its degrees of freedom and probability; without its scale it is Wald's."""

    statistic: float
    num_df: int
    den_df: float
    p_value: float
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Reference(ABC):
    """The reference distribution of linear functions Lβ̂ of the fixed effects.

    Rows L are those of the estimable coefficients, `model.beta`.

    Attributes
    ----------
    model : LinearMixedModel
        The fit whose β̂ is meant: the one asked about, or its refit by REML.
    notes : tuple of str
        What the reader should know.
    """

    #: As it is named after "with" or "use".
    title: ClassVar[str]

    model: LinearMixedModel
    notes: tuple[str, ...] = ()

    @property
    def covariance(self) -> Floats:
        """Covariance of β̂ (rank, rank), in the basis Q."""
        R, core = self.model.cross_products.structure.R, self.model.optimum.core
        found: Floats = self.model.sigma**2 * (R @ core.unscaled_covariance @ R.T)
        return found

    @property
    def derivatives(self) -> Derivatives:
        """Derivatives at the estimates."""
        return self.model.variance_derivatives

    @abstractmethod
    def one_df(self, row: Floats) -> float:
        """Degrees of freedom of one row, in the basis Q."""

    @abstractmethod
    def several_df(self, rows: Floats) -> tuple[float, float]:
        """Degrees of freedom, and scale of F, of independent rows in the basis Q."""

    def rows_in_Q(self, rows: Floats) -> Floats:
        """Take rows for β to rows for the coefficients of Q, X = QR."""
        from scipy.linalg import solve_triangular

        found: Floats = solve_triangular(self.model.cross_products.structure.R, rows.T, trans=1).T
        return found

    def standard_errors(self, rows: Floats) -> Floats:
        """Return the standard errors of Lβ̂."""
        L = self.rows_in_Q(rows)
        errors: Floats = np.sqrt(np.einsum("ij,jk,ik->i", L, self.covariance, L))
        return errors

    def dfs(self, rows: Floats) -> Floats:
        """Degrees of freedom of each row's t statistic."""
        return np.array([self.one_df(row) for row in self.rows_in_Q(rows)])

    def f_test(self, rows: Floats, values: Floats) -> FTest:
        """Test that Lβ = 0 where Lβ̂ has these values; rows may depend on each other.

        Parameters
        ----------
        rows : ndarray (q, rank)
        values : ndarray (q,)
            Consistent with the dependence of the rows.
        """
        L = self.rows_in_Q(rows)
        covariance = L @ self.covariance @ L.T
        scale = np.sqrt(np.diagonal(covariance))
        scale = np.where(scale > 0.0, scale, 1.0)
        sizes = np.linalg.eigvalsh(covariance / np.outer(scale, scale))
        rank = int(np.sum(sizes > _DEPENDENT * max(1.0, sizes[-1])))
        if rank == 0:
            return FTest(np.nan, 0, np.nan, np.nan)
        if rank < len(L):
            largest = np.linalg.eigh(covariance)[1][:, -rank:].T
            L, values = largest @ L, largest @ values
            covariance = L @ self.covariance @ L.T
            scale = np.sqrt(np.diagonal(covariance))
        standard = values / scale
        wald = standard @ np.linalg.solve(covariance / np.outer(scale, scale), standard)
        df, factor = self.several_df(L)
        statistic = float(factor * wald / rank)
        return FTest(statistic, rank, df, self.f_probability(L, statistic, df), factor)

    def t_probabilities(self, rows: Floats, t: Floats, dfs: Floats) -> Floats:
        """Probabilities of a larger |t| for each row; of a normal deviate where df is infinite."""
        from scipy.special import ndtr, stdtr

        below: Floats = np.where(np.isinf(dfs), ndtr(-np.abs(t)), stdtr(dfs, -np.abs(t)))
        return 2.0 * below

    def f_probability(self, rows: Floats, f: float, den_df: float) -> float:
        """Probability of a larger F of independent rows in the basis Q; of χ²/q if df is infinite.

        q is the number of rows.
        """
        from scipy.special import chdtrc, fdtrc

        q = len(rows)
        return float(chdtrc(q, f * q) if np.isinf(den_df) else fdtrc(q, den_df, f))


class Normal(Reference):
    """The normal and χ² distributions, as if the variances were known."""

    title = "the normal distribution"

    def one_df(self, row: Floats) -> float:
        """Infinitely many."""
        return np.inf

    def several_df(self, rows: Floats) -> tuple[float, float]:
        """Infinitely many."""
        return np.inf, 1.0


class Residual(Reference):
    """n − rank(X): what a linear model without random effects has."""

    title = "residual degrees of freedom"

    def one_df(self, row: Floats) -> float:
        """Rows less fixed effects."""
        return float(self.model.nobs - self.model.cross_products.rank)

    def several_df(self, rows: Floats) -> tuple[float, float]:
        """Rows less fixed effects."""
        return self.one_df(rows[0]), 1.0


class Satterthwaite(Reference):
    """Matches the first two moments of the estimated variance of Lβ̂ (Giesbrecht & Burns 1985).

    Several rows are turned into independent t statistics, whose squares' mean is matched with an
    F distribution by its expectation (Fai & Cornelius 1996).
    """

    title = "Satterthwaite's method"

    @cached_property
    def parameters(self) -> Floats:
        """Asymptotic covariance (k + 1, k + 1) of the variances; those at zero are held there."""
        found = self.derivatives
        hessian = found.hessian(self.model.reml)
        if hessian is None:
            hessian = found.average
        free = found.variances > 0.0
        scale = np.where(free, found.variances, 0.0)
        values, vectors = np.linalg.eigh(scale[:, None] * hessian * scale)
        good = values > _FLAT * values[-1]
        inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
        covariance: Floats = 2.0 * scale[:, None] * inverse * scale
        return covariance

    def one_df(self, row: Floats) -> float:
        """2 (variance)² over the variance of the variance."""
        found = self.derivatives
        direction = found.covariance @ row
        variance = row @ direction
        gradient = np.einsum("i,tij,j->t", direction, found.slopes, direction)
        spread = gradient @ self.parameters @ gradient
        return float(2.0 * variance**2 / spread) if spread > 0.0 else np.inf

    def several_df(self, rows: Floats) -> tuple[float, float]:
        """Match the expectation of F."""
        if len(rows) == 1:
            return self.one_df(rows[0]), 1.0
        _, vectors = np.linalg.eigh(rows @ self.covariance @ rows.T)
        dfs = np.array([self.one_df(row) for row in vectors.T @ rows])
        q = len(dfs)
        if np.any(dfs <= 2.0):
            return 2.0, 1.0
        # Of q F the expectation is q + excess; equal dfs come out as they are.
        excess = float(np.sum(2.0 / (dfs - 2.0)))
        return 2.0 * (q + excess) / excess if excess > 0.0 else np.inf, 1.0


class KenwardRoger(Reference):
    """Adjusts the covariance for the variances being estimated, scales F and matches its moments.

    Kenward & Roger (1997), with the expected information of the variances.
    """

    title = "Kenward-Roger's method"

    @cached_property
    def parameters(self) -> Floats:
        """Inverse (k + 1, k + 1) of the expected information, ½ tr(PK_sPK_t)."""
        found = self.derivatives
        assert found.projected_traces is not None
        diagonal = np.diagonal(found.projected_traces)
        if not (np.isfinite(found.projected_traces).all() and (diagonal > 0.0).all()):
            raise self._without_digits()
        scale = 1.0 / np.sqrt(diagonal)
        try:
            inverse = np.linalg.inv(scale[:, None] * found.projected_traces * scale)
        except np.linalg.LinAlgError:
            raise self._without_digits() from None
        covariance: Floats = 2.0 * scale[:, None] * inverse * scale
        return covariance

    @cached_property
    def _adjusted(self) -> Floats:
        found, W = self.derivatives, self.parameters
        C, A = found.covariance, found.slopes
        inner = np.einsum("st,stij->ij", W, found.curvatures)
        inner -= np.einsum("st,sij,jk,tkl->il", W, A, C, A, optimize=True)
        adjusted: Floats = C + 2.0 * C @ inner @ C
        if not np.all(np.linalg.eigvalsh((adjusted + adjusted.T) / 2.0) > 0.0):
            raise self._without_digits()
        return (adjusted + adjusted.T) / 2.0

    def _without_digits(self) -> DataError:
        return DataError(
            "the information of the variances, which Kenward-Roger needs, is singular or has lost "
            f"its digits: {_largest(self.model)}; use ddf='normal' or 'bootstrap'"
        )

    @property
    def covariance(self) -> Floats:
        """Covariance of β̂ in the basis Q, adjusted upwards."""
        return self._adjusted

    def one_df(self, row: Floats) -> float:
        """Degrees of freedom of a row; the scale of its F is one."""
        return self.several_df(row[None])[0]

    def several_df(self, rows: Floats) -> tuple[float, float]:
        """Match the first two moments of F (page 987 of the paper)."""
        found, q = self.derivatives, len(rows)
        C = found.covariance
        LC = rows @ C
        middle = np.linalg.inv(LC @ rows.T)
        # tr(ΘC slope C) and tr(ΘC slope C ΘC slope C) with Θ = L'(LCL')⁻¹L, as q × q matrices.
        U = np.einsum("ij,jk,tkl,ml->tim", middle, LC, found.slopes, LC, optimize=True)
        single = np.einsum("tii->t", U)
        W = self.parameters
        A1 = single @ W @ single
        A2 = np.einsum("st,sij,tji->", W, U, U)
        B = (A1 + 6.0 * A2) / (2.0 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        down = 3 * q + 2 * (1 - g)
        c1, c2, c3 = g / down, (q - g) / down, (q + 2 - g) / down
        v0, v1, v2 = 1.0 + c1 * B, 1.0 - c2 * B, 1.0 - c3 * B
        v0 = 0.0 if abs(v0) < 1e-10 else v0
        inverse_mean = 1.0 - A2 / q
        # Both tend to zero together in balanced designs, their ratio to one.
        ratio = 1.0 if abs(inverse_mean) < 1e-14 and abs(v1) < 1e-14 else inverse_mean / v1
        rho = ratio**2 * v0 / (v2 * q)
        df = 4.0 + (q + 2) / (q * rho - 1.0)
        scale = 1.0 if abs(df - 2.0) < 1e-2 else df * inverse_mean / (df - 2.0)
        if not (df > 0.0 and scale > 0.0):
            warn(
                "Kenward-Roger's moments belong to no F distribution here, for so little is known "
                "of the variances: df, F and p are missing; use ddf='satterthwaite' or 'bootstrap'",
                ApproximationWarning,
            )
            return math.nan, math.nan
        return float(df), float(scale)


# From here on second derivatives in the residual variance are small differences of large numbers.
LARGE_RATIO = 3e3

#: The methods by the names they are asked for.
METHODS: dict[str, type[Reference]] = {
    "satterthwaite": Satterthwaite,
    "kenward-roger": KenwardRoger,
    "normal": Normal,
    "residual": Residual,
}


def _largest(model: LinearMixedModel) -> str:
    """Say how much larger than the residual's the largest standard deviation is."""
    t = int(np.argmax(model.theta))
    label, ratio = model.cross_products.labels[t], model.theta[t]
    return f"the standard deviation of {label} is {ratio:,.0f} times the residual's"


def require_method(ddf: str) -> None:
    """Raise unless `ddf` names a method."""
    choices = ", ".join(map(repr, [*METHODS, "bootstrap"]))
    if not isinstance(ddf, str):
        raise ArgumentTypeError(f"ddf must be one of {choices}, not {ddf!r}")
    if ddf.lower() not in (*METHODS, "bootstrap"):
        raise ArgumentError(f"ddf must be one of {choices}, not {ddf!r}")


def reference_distribution(
    model: LinearMixedModel, ddf: Any, n: Any = 1000, seed: Any = None
) -> Reference:
    """Choose the method, and the fit that it is to be applied to.

    Parameters
    ----------
    model : LinearMixedModel
        The model asked about.
    ddf : {"satterthwaite", "kenward-roger", "normal", "residual", "bootstrap"}
        The method.
    n, seed : int, optional
        Of the bootstrap.

    Returns
    -------
    Reference

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If there is no such method.
    FitTooLargeError
        If the method needs an inverse that would be too large.
    """
    require_method(ddf)
    if ddf.lower() == "bootstrap":
        from mixedmodels.inference.bootstrap_tests import bootstrap_reference

        return bootstrap_reference(model, n, seed)
    kind = METHODS[ddf.lower()]
    trailing = sum(model.cross_products.levels[1:])
    beyond = trailing > MOST_TRAILING
    notes: tuple[str, ...] = ()
    if kind is KenwardRoger:
        if beyond:
            raise FitTooLargeError(
                f"Kenward-Roger needs a dense inverse for the {trailing:,} levels beside those of "
                f"the largest term, more than {MOST_TRAILING:,}; use ddf='satterthwaite'"
            )
        if not model.reml:
            model = model.update(reml=True)
            notes += ("refitted by REML, which Kenward-Roger's method needs",)
    if kind is KenwardRoger or kind is Satterthwaite:
        if kind is Satterthwaite and model.theta.max() > LARGE_RATIO:
            warn(
                f"{_largest(model)}; degrees of freedom beside so small a residual keep few digits",
                ApproximationWarning,
            )
        zero = [
            g.label for g, t in zip(model.design.groupings, model.theta, strict=True) if t == 0.0
        ]
        if zero:
            notes += (
                f"the variance of {', '.join(zero)} is estimated as zero, and "
                + ("counted as uncertain" if kind is KenwardRoger else "taken as known to be"),
            )
    if kind is Satterthwaite and beyond:
        notes += (
            f"average information in place of the exact Hessian: {trailing:,} levels beside those "
            f"of the largest term are more than {MOST_TRAILING:,}",
        )
    if not model.converged:
        notes += ("the optimiser did not converge: degrees of freedom are approximate",)
    return kind(model, notes)


def coefficient_covariance(model: Any, ddf: Any) -> Floats:
    """Covariance of β̂ (rank, rank) by a method."""
    reference = reference_distribution(model, ddf)
    L = reference.rows_in_Q(np.eye(model.cross_products.rank))
    found: Floats = L @ reference.covariance @ L.T
    return found
