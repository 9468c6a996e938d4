"""Formula and data → fitted model: `lmer`, and `plan`, which stops before the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedmodels.cross_products import CrossProducts, cross_products
from mixedmodels.design import Outline, build_design
from mixedmodels.display.naming import caller_name
from mixedmodels.errors import ArgumentError, ConvergenceWarning, warn
from mixedmodels.estimation.messages import stopped_early
from mixedmodels.estimation.newton import Optimum, minimise
from mixedmodels.estimation.plan import Plan, format_seconds, make_plan
from mixedmodels.estimation.progress import Progress
from mixedmodels.file_reading import read_design
from mixedmodels.files import is_path
from mixedmodels.formula import Formula
from mixedmodels.model import LinearMixedModel
from mixedmodels.options import Options

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Fewer rows are summed and planned for before anyone could read what is being done.
_MANY_ROWS = 100_000


def lmer(
    formula: str | Formula,
    data: Any,
    *,
    reml: bool = True,
    weights: ArrayLike | str | None = None,
    offset: ArrayLike | str | None = None,
    missing: Literal["drop", "error"] = "drop",
    start: ArrayLike | None = None,
    method: str = "auto",
    verbose: bool = False,
    progress: bool | None = None,
    seed: int | None = None,
    mc_error: float = 0.01,
    context: Mapping[str, Callable[..., Any]] | None = None,
) -> LinearMixedModel:
    """Fit a linear mixed-effects model with simple, scalar random effects.

    Parameters
    ----------
    formula : str
        ``response ~ fixed effects + (1 | group) + …``, as in lme4.
    data : data frame or path
        pandas, polars, pyarrow, any frame that narwhals reads, or a dict of columns; or the path
        of a Parquet, CSV or Arrow file, which is read in batches and not kept in memory.
    reml : bool, default True
        Estimate by REML; by maximum likelihood if false.
    weights : array_like (n,) or column name, optional
        Positive prior weights: the residual variance of row i is σ²/wᵢ.
    offset : array_like (n,) or column name, optional
        Added to the linear predictor with coefficient one.
    missing : {"drop", "error"}, default "drop"
        What to do with rows in which a needed value is missing.
    start : array_like (k,), optional
        θ to start from, in the order in which the terms are printed; moments by default.
    method : {"auto", "exact", "dense", "sparse", "hybrid", "iterative"}, default "auto"
        How the criterion is evaluated; see `mixedmodels.plan`.
    verbose : bool, default False
        Print each iteration.
    progress : bool, optional
        Show a line in the terminal while the fit runs; by default if it takes over two seconds.
    seed : int, optional
        Of the random probes of an iterative fit; exact fits draw none.
    mc_error : float, default 0.01
        Monte Carlo error allowed to each variance of an iterative fit, in its standard errors.
    context : dict of str to callable, optional
        Functions of your own that the formula may call.

    Returns
    -------
    LinearMixedModel

    Raises
    ------
    FormulaError, UnknownColumnError
        If the formula cannot be understood, or names what is not there.
    DataError
        If no model can be fitted to these data; the message says why.
    ArgumentError, ArgumentTypeError
        If another argument is not what it may be.
    FitTooLargeError
        If the fit would not go into memory.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> dyestuff = mm.datasets.load("dyestuff")
    >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff)
    >>> round(fm1.objective, 4)
    319.6543
    """
    options = Options(
        reml, weights, offset, missing, start, method, verbose, progress, seed, mc_error, context
    )
    model = fit(formula, data, options)
    if is_path(data):
        return model
    # A frame's own name is that of the data set it was taken from, in part perhaps.
    return replace(model, data_name=caller_name(data) or model.data_name)


def plan(
    formula: str | Formula,
    data: Any,
    *,
    weights: ArrayLike | str | None = None,
    offset: ArrayLike | str | None = None,
    missing: Literal["drop", "error"] = "drop",
    method: str = "auto",
    context: Mapping[str, Callable[..., Any]] | None = None,
) -> Plan:
    """Say how a model would be fitted and what it would cost, without fitting it.

    Parameters
    ----------
    formula : str
        As for `lmer`.
    data : data frame
        As for `lmer`.
    weights, offset, missing, method, context
        As for `lmer`.

    Returns
    -------
    Plan

    Examples
    --------
    >>> import mixedmodels as mm
    >>> pastes = mm.datasets.load("pastes")
    >>> mm.plan("strength ~ 1 + (1 | batch) + (1 | sample)", pastes).dimension
    10
    """
    design = design_of(
        formula, data, weights=weights, offset=offset, missing=missing, context=context
    )
    return make_plan(cross_products(design), method)


def design_of(formula: str | Formula, data: Any, **arguments: Any) -> Outline:
    """Make the design of a formula and data: in memory, or in a file if `data` is its path."""
    make = read_design if is_path(data) else build_design
    return make(formula, data, **arguments)


def fit(formula: str | Formula, data: Any, options: Options) -> LinearMixedModel:
    """Fit a model with all options given."""
    with _progress(options) as progress:
        design = design_of(
            formula,
            data,
            weights=options.weights,
            offset=options.offset,
            missing=options.missing,
            context=options.context,
            **({"tell": progress.stage} if is_path(data) else {}),
        )
        if design.n > _MANY_ROWS:
            progress.stage(f"summing {design.n:,} rows")
        sums = cross_products(design, progress.stage)
        if design.n > _MANY_ROWS:
            progress.stage("planning the fit")
        chosen = make_plan(sums, options.method, mc_error=options.mc_error, seed=options.seed)
        optimum = optimise(sums, chosen, options, progress)
    return LinearMixedModel(design, sums, chosen, optimum, options, design.data_name)


def optimise(
    sums: CrossProducts,
    chosen: Plan,
    options: Options,
    progress: Progress | None = None,
    near: NDArray[np.float64] | None = None,
) -> Optimum:
    """Minimise the criterion as the options say, reporting progress; from `near` if it is near."""
    start = None if options.start is None else _start(options.start, sums.labels)
    if progress is None:
        with _progress(options) as own:
            return optimise(sums, chosen, options, own, near)
    progress.labels = sums.labels
    if sums.n > _MANY_ROWS:
        progress.stage(f"{chosen.method} fit, about {format_seconds(chosen.seconds)}")
    report = progress if progress.wanted else None
    optimum = minimise(sums, chosen, options.reml, start, report, near)
    if not optimum.converged:
        warn(stopped_early(optimum, sums.labels, _criterion(options)), ConvergenceWarning)
    return optimum


def _progress(options: Options) -> Progress:
    return Progress((), _criterion(options), options.verbose, options.progress)


def _criterion(options: Options) -> str:
    return "REML criterion" if options.reml else "deviance"


def _start(start: Any, labels: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        theta = np.atleast_1d(np.asarray(start, dtype=np.float64))
    except (TypeError, ValueError):
        theta = np.empty(0)
    k = len(labels)
    if theta.shape != (k,) or not np.all(np.isfinite(theta)) or np.any(theta < 0):
        raise ArgumentError(
            f"start must be {k} numbers, finite and not negative: "
            f"theta of {', '.join(labels)}; got {start!r}"
        )
    return theta
