"""The fitted model, and all that is read off it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from mixedmodels import _core
from mixedmodels.cross_products import CrossProducts, cross_products
from mixedmodels.design import Design, Outline
from mixedmodels.display.document import Document
from mixedmodels.display.naming import caller_name
from mixedmodels.display.summary import ModelSummary
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    RankDeficientWarning,
)
from mixedmodels.estimation.newton import Optimum
from mixedmodels.estimation.plan import Plan, make_plan
from mixedmodels.files import is_path, write_frames
from mixedmodels.formula import Formula
from mixedmodels.inferences import Inferences
from mixedmodels.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.inference.bootstrap import Bootstrap
    from mixedmodels.inference.refits import Refits

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel(Inferences):
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

    def __reduce__(self) -> tuple[Any, ...]:
        # The core's sums hold on to the rows, and are made again from them if these are here.
        rows_are_here = isinstance(self.design, Design)
        sums = None if rows_are_here else self.cross_products.response.state()
        state = (self.design, sums, self.plan, self.options, self.optimum)
        return _rebuild, (*state, self.data_name, self.refitted)

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
        from mixedmodels.inference.refits import refit_one

        return refit_one(model, self.design.in_memory().y)

    @overload
    def refit(self, y: Sequence[float] | pd.Series) -> LinearMixedModel: ...

    @overload
    def refit(self, y: pd.DataFrame) -> Refits: ...

    @overload
    def refit(self, y: NDArray[Any]) -> Any: ...

    def refit(self, y: Any) -> Any:
        """Fit the same model to another response, or to many.

        Parameters
        ----------
        y : array_like (n,) or (n, m)
            One finite number for each row used; a column for each response.

        Returns
        -------
        LinearMixedModel
            Of one response.
        Refits
            Of a matrix: parameters, objective and convergence of all fits, which the threads
            share.

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
        >>> fm1.refit(fm1.simulate(1000, seed=1))
        Refits to 1000 responses, 0 without a fit
        """
        from mixedmodels.inference.refits import refit

        return refit(self, y)

    def simulate(
        self,
        n: int = 1,
        seed: int | None = None,
        *,
        random: Literal["new", "estimated"] = "new",
    ) -> Floats:
        """Draw responses from the model, as if its estimates were the truth.

        Parameters
        ----------
        n : int, default 1
            Number of responses.
        seed : int, optional
            The same seed draws the same responses, on any number of threads.
        random : {"new", "estimated"}
            Draw new random effects for every response, or keep their conditional means and draw
            residuals only.

        Returns
        -------
        ndarray (nobs, n)
            A column a response.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument is not what it may be.
        FitTooLargeError
            If they would not go into memory.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.simulate(1000, seed=1).shape
        (30, 1000)
        """
        from mixedmodels.inference.simulation import simulate

        return simulate(self, n, seed, random)

    def bootstrap(
        self,
        n: int = 1000,
        seed: int | None = None,
        *,
        statistics: Callable[[LinearMixedModel], Any] | None = None,
        progress: bool | None = None,
    ) -> Bootstrap:
        """Draw responses from the model and fit it to each: the parametric bootstrap.

        Parameters
        ----------
        n : int, default 1000
            Number of replicates.
        seed : int, optional
            As for `simulate`, whose responses these are.
        statistics : callable, optional
            Computes from a fitted model what else to keep: a number, an array, or a dict of
            numbers. The model is then made anew for each replicate, which takes longer.
        progress : bool, optional
            Show a line in the terminal; by default if it takes over two seconds.

        Returns
        -------
        Bootstrap
            Prints bias, standard errors and intervals; has all replicates.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument is not what it may be.

        Warns
        -----
        InterruptedWarning
            If it was interrupted; the replicates so far are returned.

        Notes
        -----
        Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, section 6.5.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> b = fm1.bootstrap(2000, seed=1)
        >>> b.confint().loc["sd[Residual]"].round(1)
        lower    35.5
        upper    63.0
        Name: sd[Residual], dtype: float64
        """
        from mixedmodels.inference.bootstrap import bootstrap

        return bootstrap(self, n, seed, statistics, progress)

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
            ``"criterion"`` (over θ) and ``"convergence"``. Of profiles, as `Profile.plot` draws
            them: ``"zeta"``, ``"density"`` and ``"pairs"``. Of Cook's distances: ``"cooks"`` (of
            rows) and ``"influence"`` (of leaving out levels). Of the matrices: ``"Zt"``,
            ``"Lambda"``, ``"ZtZ"``, ``"L"``, or ``"structure"``, all four.
        group : str, optional
            The grouping factor, for ``"caterpillar"``, ``"qqmath"`` and ``"criterion"``, all by
            default; and for ``"influence"``.
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

    def summary(self, ddf: str | None = None) -> ModelSummary:
        """Return the printed form as a value.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "normal", "residual"}, optional
            Add degrees of freedom and p-values to the fixed effects, by this method. Of
            Kenward-Roger's the standard errors are adjusted too.

        Returns
        -------
        ModelSummary

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> print(fm1.summary("satterthwaite").fixed_effects())
        Fixed effects:
                    Estimate Std. Error df t value Pr(>|t|)
        (Intercept)  1527.50      19.38  5    78.8 6.23e-09
        """
        from mixedmodels.inference.coefficients import summarise

        return summarise(self, ddf)

    def document(self) -> Document:
        """Lay out the printed form."""
        return self.summary().document()

    def _repr_html_(self) -> str:
        from mixedmodels.report.notebook import notebook_html

        return notebook_html(self)


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
