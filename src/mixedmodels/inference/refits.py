"""One model fitted to many responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels import _core
from mixedmodels.cross_products import cross_products
from mixedmodels.errors import DataError, ResponseError
from mixedmodels.estimation.newton import MOST_ITERATIONS, TOLERANCE, minimise
from mixedmodels.inference.parameters import coefficient_names, parameter_names, sd_names

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

# Seconds of a fit from which on the information of the first step is worth computing.
DEAR = 1e-2


def refit(model: LinearMixedModel, y: Any) -> LinearMixedModel | Refits:
    """Fit the model to one response or many: see `LinearMixedModel.refit`."""
    response = _response(model, y)
    if response.ndim == 2:
        return Refitter(model).fit(response)
    return refit_one(model, response)


def refit_one(model: LinearMixedModel, y: Floats) -> LinearMixedModel:
    """Fit the model to one response (nobs,), offset included."""
    rows = model.design.in_memory()
    sums = model.cross_products if rows is model.design else cross_products(rows)
    shifted = y if rows.offset is None else y - rows.offset
    sums = sums.with_response(np.ascontiguousarray(shifted), "the new response")
    optimum = minimise(sums, model.plan, model.reml)
    design = replace(rows, y=y)
    return replace(model, design=design, cross_products=sums, optimum=optimum, refitted=True)


def _response(model: LinearMixedModel, y: Any) -> Floats:
    """Return new responses as numbers, or say what is wrong with them."""
    try:
        if np.iscomplexobj(y):
            raise TypeError
        response = np.array(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise ResponseError("the new response must be numbers, one for each row used") from None
    if response.ndim not in (1, 2) or len(response) != model.nobs or response.size == 0:
        raise ResponseError(
            f"refit needs one value for each of the {model.nobs} rows used, or a column of them "
            f"for each response; got an array of shape {response.shape}"
        )
    index: Any = getattr(y, "index", None)
    if hasattr(index, "equals") and not index.equals(model.design.index):
        raise ResponseError(
            "the new response has other row labels than the rows used; select these rows, or "
            "pass an array in their order"
        )
    finite = np.isfinite(response)
    if not finite.all():
        bad = tuple(int(i) for i in np.argwhere(~finite)[0])
        place = bad[0] if len(bad) == 1 else f"{bad[0]} of response {bad[1]}"
        raise ResponseError(f"the new response is {response[bad]} at position {place}")
    constant = np.atleast_1d(response.min(axis=0) == response.max(axis=0))
    if constant.any():
        at = int(np.flatnonzero(constant)[0])
        which = "the new response" if response.ndim == 1 else f"response {at}"
        value = response[0] if response.ndim == 1 else response[0, at]
        raise ResponseError(f"{which} is constant: all values are {value}")
    return response


@dataclass(frozen=True, eq=False)
class Refits:
    """What fits of a model to m responses have found; NaN, in all, where there is no fit.

    Attributes
    ----------
    names : tuple of str
        The parameters: standard deviations, then coefficients.
    theta : ndarray (m, k)
        Relative standard deviations.
    sigma : ndarray (m,)
        Residual standard deviation.
    beta : ndarray (m, rank)
        Fixed effects, without those of redundant columns.
    standard_errors : ndarray (m, rank)
        Of the fixed effects.
    covariance : ndarray (m, rank, rank) or None
        Of the fixed effects, if asked for.
    objective : ndarray (m,)
        The criterion, REML's or the deviance.
    converged : ndarray (m,) of bool
        Whether the optimiser reached its tolerance.
    """

    names: tuple[str, ...]
    theta: Floats
    sigma: Floats
    beta: Floats
    standard_errors: Floats
    covariance: Floats | None
    objective: Floats
    converged: NDArray[np.bool_]

    @property
    def values(self) -> Floats:
        """Parameters (m, k + 1 + rank): standard deviations, then fixed effects."""
        sigma = self.sigma[:, None]
        return np.hstack([sigma * self.theta, sigma, self.beta])

    @property
    def singular(self) -> NDArray[np.bool_]:
        """Whether a variance is estimated as zero (m,)."""
        singular: NDArray[np.bool_] = np.any(self.theta == 0.0, axis=1)
        return singular

    def __len__(self) -> int:
        return len(self.sigma)

    def __repr__(self) -> str:
        failed = len(self) - int(self.converged.sum())
        return f"Refits to {len(self)} responses, {failed} without a fit"

    def to_frame(self) -> pd.DataFrame:
        """Return one row a response: the parameters, objective, singular and converged."""
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.names))
        frame["objective"] = self.objective
        frame["singular"] = self.singular
        frame["converged"] = self.converged
        return frame


class Refitter:
    """Fits a model to many responses, beginning at its own optimum.

    Parameters
    ----------
    model : LinearMixedModel
        Says which model, how to evaluate it, and by which criterion.
    covariance : bool, default False
        Keep the covariance matrices of the fixed effects.
    """

    def __init__(self, model: LinearMixedModel, *, covariance: bool = False) -> None:
        self.model = model
        self.covariance = covariance
        if not model.plan.has_factor:
            return
        rows = model.design.in_memory()
        self._offset = rows.offset
        sums = model.cross_products if rows is model.design else cross_products(rows)
        start, plan, information = np.square(model.theta), model.plan.core, None
        if self.seconds > DEAR:
            information = _core.expected_information(sums.response, plan, model.reml, start).ravel()
        self._core = _core.Refitter(
            sums.structure, plan, model.reml, start, information, TOLERANCE, MOST_ITERATIONS
        )

    @property
    def seconds(self) -> float:
        """What a fit takes, roughly."""
        return max(3e-5, 4.0 * self.model.plan.core.seconds)

    def fit(self, Y: Floats) -> Refits:
        """Fit the model to the columns of Y (nobs, m): finite responses, offset included."""
        model = self.model
        if not model.plan.has_factor:
            return _one_by_one(model, Y, self.covariance)
        responses = Y if self._offset is None else Y - self._offset[:, None]
        found = self._core.fit(np.asfortranarray(responses), self.covariance)
        sigma = np.sqrt(found["r2"] / found["nu"])
        rank, m = found["beta"].shape
        covariance = None
        if self.covariance:
            matrices = found["covariance"].T.reshape(m, rank, rank)
            covariance = np.square(sigma)[:, None, None] * matrices
        return Refits(
            parameter_names(model),
            np.sqrt(found["gamma"].T),
            sigma,
            found["beta"].T,
            sigma[:, None] * found["standard_error"].T,
            covariance,
            found["objective"],
            found["converged"].astype(bool),
        )


def _one_by_one(model: LinearMixedModel, Y: Floats, covariance: bool) -> Refits:
    """Fit without a factorisation, where the core has nothing to share between the fits."""
    k, rank = len(sd_names(model)) - 1, len(coefficient_names(model))
    rows = []
    for y in Y.T:
        try:
            fit = refit_one(model, y)
        except DataError:
            rows.append(
                (
                    np.full(k, np.nan),
                    np.nan,
                    np.full(rank, np.nan),
                    np.full((rank, rank), np.nan),
                    np.nan,
                    False,
                )
            )
            continue
        matrix = fit.vcov().to_numpy()
        rows.append((fit.theta, fit.sigma, fit.beta, matrix, fit.objective, fit.converged))
    theta, sigma, beta, matrices, objective, converged = map(np.array, zip(*rows, strict=True))
    errors = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    kept = matrices if covariance else None
    names = parameter_names(model)
    return Refits(names, theta, sigma, beta, errors, kept, objective, converged.astype(bool))


def joined(parts: Sequence[Refits]) -> Refits:
    """Put refits of the same model together, in order."""
    columns: dict[str, Any] = {
        field.name: None
        if getattr(parts[0], field.name) is None
        else np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Refits)
        if field.name != "names"
    }
    return Refits(parts[0].names, **columns)
