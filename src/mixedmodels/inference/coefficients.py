"""What is printed of a fitted model, with or without tests of its coefficients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.display.summary import Coefficient, ModelSummary
from mixedmodels.estimation.messages import confounded
from mixedmodels.inference.degrees_of_freedom import reference_distribution

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel


def summarise(model: LinearMixedModel, ddf: str | None) -> ModelSummary:
    """Return the printed form of a model; with t tests if `ddf` names their method."""
    method = ""
    notes: tuple[str, ...] = ()
    if ddf is None:
        coefficients = _untested(model)
    else:
        reference = reference_distribution(model, ddf)
        # Kenward-Roger has a fit by maximum likelihood refitted: all that is printed is that fit's.
        model, method, notes = reference.model, reference.title, reference.notes
        coefficients = _untested(model)
        identity = np.eye(model.cross_products.rank)
        errors, dfs = reference.standard_errors(identity), reference.dfs(identity)
        t_values = model.beta / errors
        p_values = reference.t_probabilities(identity, t_values, dfs)
        for i, j in enumerate(model.cross_products.structure.kept):
            coefficients[j] = replace(
                coefficients[j],
                standard_error=float(errors[i]),
                t_value=float(t_values[i]),
                df=float(dfs[i]),
                p_value=float(p_values[i]),
            )
    return ModelSummary(
        reml=model.reml,
        formula=str(model.formula),
        data_name=model.data_name,
        objective=model.objective,
        aic=model.aic,
        bic=model.bic,
        components=model.varcorr().components,
        nobs=model.nobs,
        ngroups=model.ngroups,
        coefficients=tuple(coefficients),
        dropped_rows=model.design.n_dropped,
        notes=(*_fit_notes(model), *notes),
        method=method,
    )


def _untested(model: LinearMixedModel) -> list[Coefficient]:
    estimates = model.fixef().array
    kept = model.cross_products.structure.kept
    errors = np.full(len(estimates), np.nan)
    errors[kept] = model.sigma * np.sqrt(np.diagonal(model.optimum.core.unscaled_covariance))
    return [
        Coefficient(name, float(estimate), float(error), float(estimate / error))
        for name, estimate, error in zip(model.design.names, estimates, errors, strict=True)
    ]


def _fit_notes(model: LinearMixedModel) -> tuple[str, ...]:
    notes = confounded(model.optimum, model.cross_products.labels)
    if not model.converged:
        notes += (f"not converged: {model.optimum.core.ending}",)
    if model.optimum.probes:
        error = model.optimum.objective_error
        notes += (
            f"iterative fit, {model.optimum.probes} probes: Monte Carlo error of the variances "
            f"at most {max(model.optimum.mc_error):.2g} standard errors, of the criterion "
            + (f"{error:.2g}" if error else "none: it is exact"),
        )
    return notes
