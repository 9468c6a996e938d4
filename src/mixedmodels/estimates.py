"""What is read off an optimum: estimates, their standard errors, fitted values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from mixedmodels.conditional import ConditionalSDs, chosen_sds, conditional_sds
from mixedmodels.cross_products import CrossProducts
from mixedmodels.design import Design, Outline
from mixedmodels.display.document import Printed
from mixedmodels.display.summary import VarianceComponent
from mixedmodels.errors import (
    ArgumentError,
)
from mixedmodels.estimation.newton import Optimum
from mixedmodels.estimation.plan import Plan
from mixedmodels.files import write_frames
from mixedmodels.formula import Formula
from mixedmodels.matrices import cholesky_factor, relative_factor, theta_of_levels, transposed_Z
from mixedmodels.options import Options
from mixedmodels.random_effects import ByFactor, RandomEffects
from mixedmodels.variance_components import VarianceComponents

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array, dia_array

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Estimates(Printed):
    """The estimates of a fitted model, and what follows from them without further work.

    The part of `LinearMixedModel` that asks nothing but the optimum and the design; its fields are
    described there.
    """

    design: Outline
    cross_products: CrossProducts
    plan: Plan
    optimum: Optimum
    options: Options
    data_name: str | None = None
    refitted: bool = False

    # -- what was fitted ---------------------------------------------------------------------

    @property
    def formula(self) -> Formula:
        """The formula."""
        return self.design.formula

    @property
    def reml(self) -> bool:
        """Whether the estimates are REML's rather than maximum likelihood's."""
        return self.optimum.reml

    @property
    def nobs(self) -> int:
        """Number of rows used."""
        return self.cross_products.n

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels of each grouping factor."""
        return {g.label: g.nlevels for g in self.design.groupings}

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, variances and the residual variance."""
        return self.cross_products.rank + len(self.theta) + 1

    @property
    def X(self) -> Floats:
        """Fixed-effects model matrix (n, p), redundant columns included."""
        return self.design.in_memory().X

    @cached_property
    def Zt(self) -> csr_array:
        """Z' (q, n), sparse: indicators of the levels, term after term."""
        return transposed_Z(self.design.in_memory())

    # -- the optimum -------------------------------------------------------------------------

    @property
    def theta(self) -> Floats:
        """Relative standard deviations σ_t/σ (k,), in the order of the terms."""
        return self.optimum.theta

    @cached_property
    def beta(self) -> Floats:
        """Fixed-effects coefficients (rank,), without those of redundant columns."""
        return _constant(self.optimum.core.beta)

    @cached_property
    def sigma(self) -> float:
        """Residual standard deviation σ."""
        return float(np.sqrt(self.optimum.core.r2 / self.optimum.core.nu))

    @cached_property
    def u(self) -> Floats:
        """Conditional means of the spherical random effects (q,), û with b̂ = Λû."""
        return _constant(self.optimum.core.u)

    @property
    def objective(self) -> float:
        """The criterion at the optimum: REML's, or the deviance −2 log L."""
        return self.optimum.objective

    @property
    def objective_error(self) -> float:
        """Monte Carlo standard error of the criterion; 0 of an exact fit."""
        return self.optimum.objective_error

    @property
    def loglik(self) -> float:
        """Log-likelihood at the optimum, restricted if the model was fitted by REML."""
        return -0.5 * self.objective

    @cached_property
    def deviance(self) -> float:
        """−2 log-likelihood at the estimated θ, profiled over β and σ; also for REML fits."""
        if not self.reml:
            return self.objective
        core = self.optimum.core
        n = self.nobs
        log_weights = self.cross_products.structure.sum_log_weights
        return core.log_det_M + n * (1.0 + math.log(2.0 * math.pi * core.r2 / n)) - log_weights

    @property
    def aic(self) -> float:
        """Akaike's criterion, objective + 2 df."""
        return self.objective + 2.0 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's criterion, objective + df log n."""
        return self.objective + self.df * float(np.log(self.nobs))

    @property
    def converged(self) -> bool:
        """Whether the optimiser reached its tolerance."""
        return self.optimum.converged

    @property
    def singular(self) -> bool:
        """Whether a variance is estimated as zero."""
        return bool(np.any(self.theta == 0.0))

    @property
    def iterations(self) -> pd.DataFrame:
        """The trace of the optimiser, a row an iteration; gradients are those in γ = θ²."""
        return self.optimum.to_frame(self.cross_products.labels)

    @cached_property
    def Lambda(self) -> dia_array:
        """Relative covariance factor Λ (q, q), sparse."""
        return relative_factor(self.theta, self.cross_products.levels)

    @property
    def L(self) -> csc_array:
        """Sparse Cholesky factor (q, q) of Λ'Z'WZΛ + I, its rows ordered by `permutation`."""
        return self._factor[0]

    @property
    def permutation(self) -> NDArray[np.int64]:
        """Random effects (q,) in the order of the rows of L."""
        return self._factor[1]

    @cached_property
    def _factor(self) -> tuple[csc_array, NDArray[np.int64]]:
        if not self.plan.has_factor:
            raise ArgumentError(
                "this iterative fit has no Cholesky factor; update(method='hybrid') makes one, if "
                "it goes into memory"
            )
        return cholesky_factor(self.cross_products, self.plan, self.theta)

    # -- fixed effects -----------------------------------------------------------------------

    @cached_property
    def _coefficients(self) -> Floats:
        """β by column of X (p,), missing where a column is redundant."""
        full = np.full(len(self.design.names), np.nan)
        full[self.cross_products.structure.kept] = self.beta
        return full

    def fixef(self) -> pd.Series:
        """Fixed-effects estimates β̂.

        Returns
        -------
        Series (p,)
            Named as R names them; missing where a column of X is redundant.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> cake = mm.datasets.load("cake")
        >>> mm.lmer("angle ~ recipe + (1 | recipe:replicate)", cake).fixef().round(4)
        (Intercept)    33.1222
        recipeB        -1.4778
        recipeC        -1.5222
        Name: Estimate, dtype: float64
        """
        import pandas as pd

        return pd.Series(self._coefficients, index=list(self.design.names), name="Estimate")

    def vcov(self, ddf: str | None = None) -> pd.DataFrame:
        """Covariance matrix of the fixed-effects estimates, σ̂²(X'V⁻¹X)⁻¹.

        Parameters
        ----------
        ddf : str, optional
            ``"kenward-roger"`` adjusts it for the variances being estimated.

        Returns
        -------
        DataFrame (rank, rank)
            By coefficient; redundant columns are left out.
        """
        import pandas as pd

        names = [self.design.names[j] for j in self.cross_products.structure.kept]
        if ddf is None:
            values = self.sigma**2 * self.optimum.core.unscaled_covariance
        else:
            from mixedmodels.inference.degrees_of_freedom import coefficient_covariance

            values = coefficient_covariance(self, ddf)
        return pd.DataFrame(values, index=names, columns=names)

    # -- random effects ----------------------------------------------------------------------

    @cached_property
    def b(self) -> Floats:
        """Conditional means of the random effects (q,), term after term."""
        return _constant(theta_of_levels(self.theta, self.cross_products.levels) * self.u)

    def ranef(self) -> RandomEffects:
        """Conditional means of the random effects given the data, b̂ = Λû.

        Returns
        -------
        RandomEffects
            A frame for each grouping factor, ``ranef()["Batch"]``, with a row a level; their
            conditional standard deviations, ``ranef().condsd["Batch"]``; all in one long frame,
            ``ranef().to_frame()``.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> print(fm1.ranef())
        Batch:
          (Intercept)
        A   -17.60685
        B     0.39126
        C    28.56223
        D   -23.08454
        E    56.73319
        F   -44.99529
        """
        from mixedmodels.plots.labels import unit_of_response

        unit = unit_of_response(self)
        return RandomEffects(self.design.groupings, self.b, self._conditional_sds, unit)

    def _conditional_sds(self) -> ConditionalSDs:
        return self._condsd

    @cached_property
    def _condsd(self) -> ConditionalSDs:
        return conditional_sds(self)

    def condsd(self, group: str, levels: Any) -> pd.Series:
        """Conditional standard deviations of chosen levels, exactly, however the model was fitted.

        Parameters
        ----------
        group : str
            The grouping factor.
        levels : label or list of labels
            Some of its levels.

        Returns
        -------
        Series
            By level.

        Raises
        ------
        UnknownColumnError, UnknownLevelError
            If the model has no such factor, or the factor no such level.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.condsd("Batch", ["A", "F"]).round(3)
        A    19.587
        F    19.587
        Name: condsd, dtype: float64
        """
        import pandas as pd

        levels = sorted(levels) if isinstance(levels, set | frozenset) else levels
        values = chosen_sds(self, group, levels)
        index = [levels] if np.ndim(levels) == 0 else levels
        return pd.Series(values, index=pd.Index(index), name="condsd")

    def varcorr(self) -> VarianceComponents:
        """Variances and standard deviations of the terms and the residual.

        Returns
        -------
        VarianceComponents
            Prints the standard deviations; ``to_frame()`` has the variances too.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> print(mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff")).varcorr())
        Groups   Name        Std.Dev.
        Batch    (Intercept) 42.00
        Residual             49.51
        """
        sds = [*(self.sigma * self.theta), self.sigma]
        names = [(g.label, "(Intercept)") for g in self.design.groupings] + [("Residual", "")]
        return VarianceComponents(
            tuple(
                VarianceComponent(group, effect, float(sd) ** 2, float(sd))
                for (group, effect), sd in zip(names, sds, strict=True)
            )
        )

    def coef(self) -> ByFactor:
        """Coefficients for each level: fixed effects plus the level's random effect.

        Returns
        -------
        ByFactor
            A frame for each grouping factor, ``coef()["Batch"]``, with a row a level.
        """
        import pandas as pd

        fixed = {
            name: value
            for name, value in zip(self.design.names, self._coefficients, strict=True)
            if not np.isnan(value)
        }
        return ByFactor(
            {
                label: pd.DataFrame(
                    {
                        "(Intercept)": fixed.get("(Intercept)", 0.0) + effects["(Intercept)"],
                        **{n: v for n, v in fixed.items() if n != "(Intercept)"},
                    },
                    index=effects.index,
                )
                for label, effects in self.ranef().items()
            }
        )

    # -- rows --------------------------------------------------------------------------------

    @cached_property
    def population_mean(self) -> Floats:
        """Xβ̂ + offset (n,): the mean response without the random effects."""
        return _constant(np.concatenate([self.fixed_part(p) for p in self.design.pieces()]))

    def fixed_part(self, piece: Design) -> Floats:
        """Xβ̂ + offset of some rows."""
        kept = self.cross_products.structure.kept
        X = piece.X if len(kept) == piece.X.shape[1] else piece.X[:, kept]
        eta: Floats = X @ self.beta
        return eta if piece.offset is None else eta + piece.offset

    def random_part(self, piece: Design) -> Floats:
        """Zb̂ of some rows."""
        total = np.zeros(piece.n)
        stop = 0
        for g in piece.groupings:
            start, stop = stop, stop + g.nlevels
            total += self.b[start:stop][g.codes]
        return total

    @overload
    def fitted(self) -> pd.Series: ...

    @overload
    def fitted(self, *, to: str | Path) -> Path: ...

    def fitted(self, *, to: str | Path | None = None) -> pd.Series | Path:
        """Conditional means of the response, Xβ̂ + Zb̂ + offset.

        Parameters
        ----------
        to : path, optional
            A Parquet, CSV or Arrow file to write them to, batch by batch.

        Returns
        -------
        Series (n,)
            By row used, with the labels of the data's rows; or the path of the file.
        """
        return self._by_row("fitted", lambda p: self.fixed_part(p) + self.random_part(p), to)

    @overload
    def residuals(self) -> pd.Series: ...

    @overload
    def residuals(self, *, to: str | Path) -> Path: ...

    def residuals(self, *, to: str | Path | None = None) -> pd.Series | Path:
        """Response minus fitted values.

        Parameters
        ----------
        to : path, optional
            A Parquet, CSV or Arrow file to write them to, batch by batch.

        Returns
        -------
        Series (n,)
            By row used, with the labels of the data's rows; or the path of the file.
        """
        return self._by_row(
            "residual", lambda p: p.y - (self.fixed_part(p) + self.random_part(p)), to
        )

    def _by_row(
        self, name: str, values: Callable[[Design], Floats], to: str | Path | None
    ) -> pd.Series | Path:
        import pandas as pd

        pieces = (pd.Series(values(p), index=p.index, name=name) for p in self.design.pieces())
        if to is None:
            return pd.concat(list(pieces))
        frames = (pd.DataFrame({"row": _flat(piece.index), name: piece.array}) for piece in pieces)
        return write_frames(frames, to, self.design.path)


def _flat(index: pd.Index) -> pd.Index:
    """Return row labels that are one value each."""
    return index.to_flat_index().astype(str) if index.nlevels > 1 else index


def _constant(values: Floats) -> Floats:
    """Return an array that cannot be written to: what a model hands out stays as it is."""
    values.flags.writeable = False
    return values
