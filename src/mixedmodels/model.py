"""The fitted model, and all that is read off it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from mixedmodels import _core
from mixedmodels.conditional import ConditionalSDs, chosen_sds, conditional_sds
from mixedmodels.cross_products import CrossProducts, cross_products
from mixedmodels.design import Design, Outline
from mixedmodels.display.document import Document, Printed
from mixedmodels.display.naming import caller_name
from mixedmodels.display.summary import Coefficient, ModelSummary, VarianceComponent
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    RankDeficientWarning,
    ResponseError,
)
from mixedmodels.estimation.newton import Optimum, minimise
from mixedmodels.estimation.plan import Plan, make_plan
from mixedmodels.files import is_path, write_frames
from mixedmodels.formula import Formula
from mixedmodels.matrices import cholesky_factor, relative_factor, theta_of_levels, transposed_Z
from mixedmodels.random_effects import ByFactor, RandomEffects
from mixedmodels.variance_components import VarianceComponents

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csc_array, csr_array, dia_array

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """What was asked of `lmer` besides formula and data, so that `update` can ask it again."""

    reml: bool = True
    weights: Any = None
    offset: Any = None
    missing: Literal["drop", "error"] = "drop"
    start: Any = None
    method: str = "auto"
    verbose: bool = False
    progress: bool | None = None
    seed: int | None = None
    mc_error: float = 0.01
    context: Mapping[str, Callable[..., Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("verbose", "progress"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_) and not (
                name == "progress" and value is None
            ):
                raise ArgumentTypeError(f"{name} must be True or False, not {value!r}")
        whole = isinstance(self.seed, int | np.integer)
        if self.seed is not None and not (whole and 0 <= self.seed < 2**64):
            raise ArgumentError(
                f"seed must be a whole number from 0 to less than 2^64; got {self.seed!r}"
            )
        if not isinstance(self.mc_error, int | float | np.number):
            raise ArgumentTypeError(f"mc_error must be a number, not {self.mc_error!r}")
        if not isinstance(self.reml, bool | np.bool_):
            raise ArgumentTypeError(f"reml must be True or False, not {self.reml!r}")
        object.__setattr__(self, "reml", bool(self.reml))


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel(Printed):
    """A fitted linear mixed-effects model, y = Xβ + Zb + ε with b ~ N(0, σ²ΛΛ').

    Made by `lmer`. It is a value: nothing that is asked of it changes it.

    Attributes
    ----------
    design : Outline
        Response, model matrix and grouping factors; a `Design` where the rows are in memory.
    cross_products : CrossProducts
        Their sums, from which it was fitted.
    plan : Plan
        How the criterion was evaluated.
    optimum : Optimum
        Where the criterion is least, and how it was found.
    options : Options
        What was asked of `lmer`.
    data_name : str or None
        The name of the data, as printed.
    refitted : bool
        Whether the response is that of a `refit` rather than the data's.
    """

    design: Outline
    cross_products: CrossProducts
    plan: Plan
    optimum: Optimum
    options: Options
    data_name: str | None = None
    refitted: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # The core's sums hold on to the rows, and are made again from them if these are here.
        rows_are_here = isinstance(self.design, Design)
        sums = None if rows_are_here else self.cross_products.response.state()
        state = (self.design, sums, self.plan, self.options, self.optimum)
        return _rebuild, (*state, self.data_name, self.refitted)

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

    @cached_property
    def _standard_errors(self) -> Floats:
        full = np.full(len(self.design.names), np.nan)
        variances = np.diagonal(self.optimum.core.unscaled_covariance)
        full[self.cross_products.structure.kept] = self.sigma * np.sqrt(variances)
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

    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed-effects estimates, σ̂²(X'V⁻¹X)⁻¹.

        Returns
        -------
        DataFrame (rank, rank)
            By coefficient; redundant columns are left out.
        """
        import pandas as pd

        names = [self.design.names[j] for j in self.cross_products.structure.kept]
        values = self.sigma**2 * self.optimum.core.unscaled_covariance
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

    def predict(
        self,
        newdata: Any = None,
        *,
        random: bool = True,
        levels: Literal["error", "population"] = "error",
    ) -> pd.Series:
        """Predict the response.

        Parameters
        ----------
        newdata : data frame, optional
            Rows to predict for; the rows of the fit by default.
        random : bool, default True
            Add the random effects of each row's levels; otherwise predict for the population.
        levels : {"error", "population"}, default "error"
            What to do with levels that the model has not seen: raise an error, or take their
            random effect as zero.

        Returns
        -------
        Series (n,)
            By row.

        Raises
        ------
        UnknownLevelError
            If a level is new and `levels` is ``"error"``.
        UnknownColumnError
            If a column is not there.
        DataError
            If a value is missing.
        ArgumentError
            If the model was fitted with an offset that is not a column.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.predict({"Batch": ["A", "Z"]}, levels="population").round(2)
        0    1509.89
        1    1527.50
        Name: prediction, dtype: float64
        """
        from mixedmodels.inference.prediction import predict

        return predict(self, newdata, random=random, levels=levels)

    # -- other fits --------------------------------------------------------------------------

    def update(
        self, formula: str | Formula | None = None, *, data: Any = None, **changes: Any
    ) -> LinearMixedModel:
        """Fit again with another formula, other data or other arguments.

        Parameters
        ----------
        formula : str, optional
            A change of the formula, in which ``.`` stands for what was there: ``"~ . + (1 | g)"``.
        data : data frame, optional
            Other data.
        **changes
            Arguments of `lmer`, such as ``reml=False``.

        Returns
        -------
        LinearMixedModel

        Raises
        ------
        ArgumentTypeError
            If `lmer` has no such argument.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm4 = mm.lmer("strength ~ 1 + (1 | sample)", mm.datasets.load("pastes"))
        >>> str(fm4.update("~ . + (1 | batch)").formula)
        'strength ~ (1 | sample) + (1 | batch)'
        """
        from mixedmodels.fitting import fit, optimise

        unknown = sorted(set(changes) - set(Options.__dataclass_fields__))
        if unknown:
            raise ArgumentTypeError(
                f"lmer has no argument {', '.join(unknown)}; it has formula, data, "
                + ", ".join(Options.__dataclass_fields__)
            )
        options = replace(self.options, **changes)
        same_design = not (
            {"weights", "offset", "missing", "context"} & set(changes)
            or formula is not None
            or data is not None
        )
        if same_design:
            chosen = make_plan(
                self.cross_products, options.method, mc_error=options.mc_error, seed=options.seed
            )
            # An iterative fit of the same criterion is where an exact one begins.
            polished = self.optimum.probes and chosen.method != "iterative"
            near = self.theta if polished and not {"reml", "start"} & set(changes) else None
            optimum = optimise(self.cross_products, chosen, options, near=near)
            return replace(self, plan=chosen, optimum=optimum, options=options)
        if formula is not None and "start" not in changes:
            options = replace(options, start=None)  # it was for other terms
        new = self.formula if formula is None else self.formula.update(str(formula))
        model = fit(new, self.design.data if data is None else data, options)
        if data is not None:
            name = None if is_path(data) else caller_name(data)
            return replace(model, data_name=name or model.data_name)
        model = replace(model, data_name=self.data_name)
        if not self.refitted:
            return model
        if model.design.response_name != self.design.response_name or not np.array_equal(
            model.design.index, self.design.index
        ):
            raise ArgumentError(
                "the model was refitted to another response, which this update cannot keep; "
                "pass the data with that response"
            )
        return model.refit(self.design.in_memory().y)

    def refit(self, y: ArrayLike) -> LinearMixedModel:
        """Fit the same model to another response.

        Parameters
        ----------
        y : array_like (n,)
            One finite number for each row used.

        Returns
        -------
        LinearMixedModel

        Raises
        ------
        ResponseError
            If `y` has another length, or is not finite or constant.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> bool(abs(fm1.refit(2 * fm1.design.y).sigma - 2 * fm1.sigma) < 1e-9)
        True
        """
        try:
            if np.iscomplexobj(y):
                raise TypeError
            response = np.array(y, dtype=np.float64)
        except (TypeError, ValueError):
            raise ResponseError("the new response must be numbers, one for each row used") from None
        if response.shape != (self.nobs,):
            raise ResponseError(
                f"refit needs one value for each of the {self.nobs} rows used; "
                f"got an array of shape {response.shape}"
            )
        index: Any = getattr(y, "index", None)
        if hasattr(index, "equals") and not index.equals(self.design.index):
            raise ResponseError(
                "the new response has other row labels than the rows used; select these rows, or "
                "pass an array in their order"
            )
        if not np.isfinite(response).all():
            bad = int(np.flatnonzero(~np.isfinite(response))[0])
            raise ResponseError(f"the new response is {response[bad]} at position {bad}")
        if response.min() == response.max():
            raise ResponseError(f"the new response is constant: all values are {response[0]}")
        rows = self.design.in_memory()
        sums = self.cross_products if rows is self.design else cross_products(rows)
        design = replace(rows, y=response)
        shifted = response if design.offset is None else response - design.offset
        sums = sums.with_response(shifted, "the new response")
        optimum = minimise(sums, self.plan, self.reml)
        return LinearMixedModel(
            design, sums, self.plan, optimum, self.options, self.data_name, refitted=True
        )

    # -- frames ------------------------------------------------------------------------------

    def tidy(self) -> pd.DataFrame:
        """One row for each parameter: effect, group, term, estimate, std_error, statistic."""
        from mixedmodels.display.broom import tidy

        return tidy(self)

    def glance(self) -> pd.DataFrame:
        """One row that describes the fit: nobs, sigma, logLik, AIC, BIC, criterion, deviance."""
        from mixedmodels.display.broom import glance

        return glance(self)

    @overload
    def augment(self) -> pd.DataFrame: ...

    @overload
    def augment(self, *, to: str | Path) -> Path: ...

    def augment(self, *, to: str | Path | None = None) -> pd.DataFrame | Path:
        """Return the rows used of the data, with .fitted, .resid and .fixed.

        Parameters
        ----------
        to : path, optional
            A Parquet, CSV or Arrow file to write them to, batch by batch.

        Returns
        -------
        DataFrame
            Or the path of the file.
        """
        import pandas as pd

        from mixedmodels.display.broom import augmented

        pieces = (augmented(self, piece) for piece in self.design.pieces(all_columns=True))
        if to is None:
            return pd.concat(list(pieces))
        return write_frames(pieces, to, self.design.path)

    # -- pictures ----------------------------------------------------------------------------

    def plot(self, kind: str = "diagnosis", *, group: str | None = None, ax: Any = None) -> Any:
        """Draw a picture of the model.

        Parameters
        ----------
        kind : str, default "diagnosis"
            What to draw. Of the residuals: ``"residuals"`` (against fitted values), ``"normal"``,
            ``"scale-location"``, ``"leverage"``, or ``"diagnosis"``, all four. Of the random
            effects: ``"caterpillar"``, ``"qqmath"`` and ``"variances"``. Of the fit:
            ``"criterion"`` (over θ) and ``"convergence"``. Of the matrices: ``"Zt"``,
            ``"Lambda"``, ``"ZtZ"``, ``"L"``, or ``"structure"``, all four.
        group : str, optional
            The grouping factor, for ``"caterpillar"``, ``"qqmath"`` and ``"criterion"``; all by
            default.
        ax : Axes, or one for each panel, optional
            Where to draw. By default on a new figure, unknown to pyplot: ``ax.figure``.

        Returns
        -------
        Axes, or tuple of Axes
            One for each panel.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If there is no such picture, of this model or at all, or `ax` does not fit.
        UnknownColumnError
            If the model has no such factor.
        FitTooLargeError
            If it would take too long to compute.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> ax = fm1.plot("residuals")
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('Fitted value (g)', 'Residual (g)')
        >>> ax.figure.savefig("residuals.pdf")  # doctest: +SKIP
        """
        from mixedmodels.plots.kinds import plot

        return plot(self, kind, group, ax)

    def report(self, file: Any) -> Path:
        """Write the model as a page of HTML that needs nothing else, to be handed over.

        Summary, variance components, fixed effects with Wald intervals, random effects,
        diagnosis, how it was computed, and the code that fits it again.

        Parameters
        ----------
        file : path
            Where to, ending in ``.html``. It is there whole or not at all.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the file cannot be written.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.report("fm1.html")  # doctest: +SKIP
        PosixPath('fm1.html')
        """
        from mixedmodels.report.page import write_report

        return write_report(self, file)

    # -- printed form ------------------------------------------------------------------------

    def summary(self) -> ModelSummary:
        """Return the printed form as a value."""
        estimates, errors = self._coefficients, self._standard_errors
        notes: tuple[str, ...] = (
            () if self.converged else (f"not converged: {self.optimum.core.ending}",)
        )
        if self.optimum.probes:
            error = self.optimum.objective_error
            notes += (
                f"iterative fit, {self.optimum.probes} probes: Monte Carlo error of the variances "
                f"at most {max(self.optimum.mc_error):.2g} standard errors, of the criterion "
                + (f"{error:.2g}" if error else "none: it is exact"),
            )
        return ModelSummary(
            reml=self.reml,
            formula=str(self.formula),
            data_name=self.data_name,
            objective=self.objective,
            aic=self.aic,
            bic=self.bic,
            components=self.varcorr().components,
            nobs=self.nobs,
            ngroups=self.ngroups,
            coefficients=tuple(
                Coefficient(name, float(estimate), float(error), float(estimate / error))
                for name, estimate, error in zip(self.design.names, estimates, errors, strict=True)
            ),
            dropped_rows=self.design.n_dropped,
            notes=notes,
        )

    def document(self) -> Document:
        """Lay out the printed form."""
        return self.summary().document()

    def _repr_html_(self) -> str:
        from mixedmodels.report.notebook import notebook_html

        return notebook_html(self)


def _flat(index: pd.Index) -> pd.Index:
    """Return row labels that are one value each."""
    return index.to_flat_index().astype(str) if index.nlevels > 1 else index


def _constant(values: Floats) -> Floats:
    """Return an array that cannot be written to: what a model hands out stays as it is."""
    values.flags.writeable = False
    return values


def _rebuild(
    design: Outline,
    state: bytes | None,
    plan: Plan,
    options: Options,
    optimum: Optimum,
    data_name: str | None,
    refitted: bool,
) -> LinearMixedModel:
    """Make a model again of what was pickled."""
    if state is not None:
        structure, response = _core.restore_sums(state)
        labels = tuple(g.label for g in design.groupings)
        sums = CrossProducts(structure, response, labels)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankDeficientWarning)  # said when it was fitted
            sums = cross_products(design)
    return LinearMixedModel(design, sums, plan, optimum, options, data_name, refitted)
