"""Influence: the estimates without the rows of one level, for each level in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels import _core
from mixedmodels.cross_products import cross_products
from mixedmodels.display.document import Document, Paragraph, Printed
from mixedmodels.display.numbers import format_real
from mixedmodels.display.tables import Table
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    FitTooLargeError,
    UnknownColumnError,
    UnknownLevelError,
)
from mixedmodels.estimation.newton import LEAST_TOLERANCE, MOST_ITERATIONS, TOLERANCE
from mixedmodels.estimation.plan import available_memory, format_seconds
from mixedmodels.factors import level_texts

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]
    Sums = tuple[_core.Structure, _core.CrossProducts]

# Rows printed, those of the largest Cook's distance; fixed effects printed; evaluations of a fit
# that starts nearby.
PRINTED, MOST_COLUMNS = 20, 5
EVALUATIONS = 6
MOST_SECONDS = 600.0


@dataclass(frozen=True, eq=False, repr=False)
class Influence(Printed):
    """What the estimates would be without each level of a factor, one at a time.

    Attributes
    ----------
    group : str
        The factor, or ``"obs"``.
    levels : Index (m,)
        The levels left out, or the labels of the rows.
    rows : ndarray (m,)
        How many rows each of them has.
    names, terms : tuple of str
        The fixed effects (without redundant columns) and the random-effects terms.
    cooks_distance : ndarray (m,)
        (β₋ − β̂)'V̂⁻¹(β₋ − β̂)/p, with β₋ the estimates without the level and V̂ = `vcov` of the fit.
    covariance_ratio : ndarray (m,)
        det V̂₋/det V̂: below 1 where leaving the level out makes the fixed effects more certain.
    beta, dfbetas : ndarray (m, p)
        β₋, and (β₋ − β̂) in standard errors of β₋.
    theta : ndarray (m, k)
        Relative standard deviations without the level.
    sigma : ndarray (m,)
        Residual standard deviation without the level.
    update_theta : bool
        Whether θ was estimated again, or held.
    notes : tuple of str
        Levels without which the model cannot be estimated, and why; their numbers are missing.
    """

    group: str
    levels: pd.Index
    rows: NDArray[np.int64]
    names: tuple[str, ...]
    terms: tuple[str, ...]
    cooks_distance: Floats
    covariance_ratio: Floats
    beta: Floats
    dfbetas: Floats
    theta: Floats
    sigma: Floats
    update_theta: bool
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers, one row a level.

        Returns
        -------
        DataFrame
            Columns ``rows``, ``cooks_distance``, ``covariance_ratio``, ``beta[…]`` and
            ``dfbetas[…]`` of each fixed effect, ``theta[…]`` of each term, and ``sigma``.
        """
        import pandas as pd

        columns = {
            "rows": self.rows,
            "cooks_distance": self.cooks_distance,
            "covariance_ratio": self.covariance_ratio,
            **{f"beta[{name}]": self.beta[:, j] for j, name in enumerate(self.names)},
            **{f"dfbetas[{name}]": self.dfbetas[:, j] for j, name in enumerate(self.names)},
            **{f"theta[{term}]": self.theta[:, t] for t, term in enumerate(self.terms)},
            "sigma": self.sigma,
        }
        return pd.DataFrame(columns, index=self.levels.rename(self.group))

    def document(self) -> Document:
        """Lay out the levels, those of the largest Cook's distance first."""
        order = np.argsort(-np.nan_to_num(self.cooks_distance, nan=np.inf), kind="stable")
        shown = order[:PRINTED]
        columns = {
            "Rows": [str(count) for count in self.rows[shown]],
            "Cook's D": _texts(np.round(self.cooks_distance[shown], 5), 4),
            "CovRatio": _texts(np.round(self.covariance_ratio[shown], 4), 4),
        }
        few = len(self.names) <= MOST_COLUMNS
        for j, name in enumerate(self.names if few else ()):
            columns[name] = _texts(np.round(self.dfbetas[shown, j], 3), 3)
        if self.update_theta:
            for t, term in enumerate(self.terms):
                columns[f"sd {term}"] = _texts(self.theta[shown, t] * self.sigma[shown], 4)
            columns["sd Residual"] = _texts(self.sigma[shown], 4)
        notes = self.notes
        if len(order) > PRINTED:
            notes = (f"and {len(order) - PRINTED:,} more of smaller Cook's distance", *notes)
        held = "estimated again" if self.update_theta else "relative to the residual's, held"
        what = "each row" if self.group == "obs" else f"each level of {self.group}"
        head = Paragraph(
            (
                f"Influence of leaving out {what}; standard deviations {held}",
                "Below the names of fixed effects: their change, in standard errors"
                if few
                else "to_frame() has the changes of the fixed effects",
            )
        )
        table = Table(
            headers=tuple(columns),
            rows=tuple(zip(*columns.values(), strict=True)),
            labels=tuple(level_texts(self.levels[shown])),
            notes=notes,
        )
        return Document((head, table))


def _texts(values: Floats, digits: int) -> list[str]:
    return format_real(values.tolist(), digits=digits, na="NA")


def influence(
    model: LinearMixedModel, group: str | None, levels: Any, update_theta: bool
) -> Influence:
    """Leave out the levels one by one: see `LinearMixedModel.influence`."""
    if not isinstance(update_theta, bool):
        raise ArgumentTypeError(f"update_theta must be True or False, not {update_theta!r}")
    if not model.cross_products.rank:
        raise ArgumentError("influence is on fixed effects, and the model has none")
    if not model.plan.has_factor:
        raise ArgumentError(
            "influence needs a factor, which this iterative fit has not; "
            "update(method='hybrid') makes one, if it goes into memory"
        )
    name, labels, row_sets = _deleted(model, group, levels)
    seconds = model.plan.core.seconds * len(row_sets) * (EVALUATIONS if update_theta else 1)
    if seconds > MOST_SECONDS:
        raise FitTooLargeError(
            f"leaving out {len(row_sets):,} levels one by one would take "
            f"{format_seconds(seconds)} or so; choose some with levels=[…]"
            + (", or pass update_theta=False" if update_theta else "")
        )
    downdate = _Downdate(model)
    fits = [downdate.fit(rows, update_theta) for rows in row_sets]
    rank, terms = model.cross_products.rank, model.cross_products.labels
    beta = np.full((len(fits), rank), np.nan)
    errors, theta = beta.copy(), np.full((len(fits), len(terms)), np.nan)
    sigma, cooks, ratio = (np.full(len(fits), np.nan) for _ in range(3))
    V = model.sigma**2 * model.optimum.core.unscaled_covariance
    # In standard errors, so that the units of X cost no digits.
    scale = np.sqrt(np.diagonal(V))
    C = V / np.outer(scale, scale)
    notes = []
    for i, (label, found) in enumerate(zip(level_texts(labels), fits, strict=True)):
        if isinstance(found, str):
            notes.append(f"without {label} {found}")
            continue
        beta[i], sigma[i] = found.beta, np.sqrt(found.r2 / found.nu)
        theta[i] = np.sqrt(found.gamma)
        without = sigma[i] ** 2 * found.unscaled_covariance
        errors[i] = np.sqrt(np.diagonal(without))
        change = (beta[i] - model.beta) / scale
        cooks[i] = change @ np.linalg.solve(C, change) / rank
        ratio[i] = np.linalg.det(without / np.outer(scale, scale)) / np.linalg.det(C)
        if update_theta and not found.decrement <= LEAST_TOLERANCE:
            notes.append(f"without {label} the search did not converge: {found.ending}")
    return Influence(
        group=name,
        levels=labels,
        rows=np.array([rows.size for rows in row_sets], dtype=np.int64),
        names=tuple(model.design.names[j] for j in model.cross_products.structure.kept),
        terms=terms,
        cooks_distance=cooks,
        covariance_ratio=ratio,
        beta=beta,
        dfbetas=(beta - model.beta) / errors,
        theta=theta,
        sigma=sigma,
        update_theta=update_theta,
        notes=tuple(notes),
    )


def _deleted(
    model: LinearMixedModel, group: Any, levels: Any
) -> tuple[str, pd.Index, list[NDArray[np.int64]]]:
    """Return the factor, the levels to leave out, and the rows of each."""
    import pandas as pd

    design = model.design.in_memory()
    factors = {g.label: g for g in design.groupings}
    if group is None:
        if len(factors) > 1:
            raise ArgumentError(
                f"influence of which levels? pass one of {', '.join(factors)} as group, or 'obs' "
                "for single rows"
            )
        (group,) = factors
    if isinstance(group, str) and group in factors:
        labels, codes = factors[group].levels, factors[group].codes
        order = np.argsort(codes, kind="stable").astype(np.int64)
        stops = np.cumsum(np.bincount(codes, minlength=len(labels)))
        row_sets = np.split(order, stops[:-1])
    elif isinstance(group, str) and group == "obs":
        labels = design.index
        row_sets = list(np.arange(design.n, dtype=np.int64)[:, None])
    else:
        raise UnknownColumnError(
            f"the model has no grouping factor {group!r}; it has {', '.join(factors)}, and 'obs' "
            "stands for single rows"
        )
    if levels is not None:
        wanted = pd.Index([levels] if np.ndim(levels) == 0 else list(levels))
        places = [np.flatnonzero(labels == one) for one in wanted]
        for one, place in zip(wanted, places, strict=True):
            if not place.size:
                raise UnknownLevelError(f"{group} has no level {one!r}")
        chosen = np.concatenate([*places, np.empty(0, dtype=np.int64)]).astype(np.int64)
        labels, row_sets = labels[chosen], [row_sets[i] for i in chosen]
    return group, labels, row_sets


class _Downdate:
    """Sums over all rows but some, by subtraction, and the fit that follows from them."""

    def __init__(self, model: LinearMixedModel) -> None:
        self.model = model
        design = model.design.in_memory()
        self.design = design
        in_memory = design is model.design
        self.sums = model.cross_products if in_memory else cross_products(design)
        self.y = design.y if design.offset is None else design.y - design.offset
        Q = self.sums.structure.Q
        weighted = Q if design.weights is None else design.weights[:, None] * Q
        residual = self.y - Q @ (weighted.T @ self.y)
        self.residual = residual - Q @ (weighted.T @ residual)
        self.sizes = np.concatenate(
            [np.bincount(g.codes, minlength=g.nlevels) for g in design.groupings]
        ).astype(np.int64)

    def fit(self, rows: NDArray[np.int64], update_theta: bool) -> _core.Fit | str:
        """Return the fit to the other rows, or why there is none."""
        rank = self.sums.rank
        if self.design.n - rows.size <= rank:
            return f"{self.design.n - rows.size} rows are left, too few for the fixed effects"
        left = self._levels_left(rows)
        sums = _core.without_rows(self.sums.response, rows, self.residual, self.sizes)
        plan = self.model.plan.core
        if sums is None:  # a difference would lose digits
            sums = self._sums_again(rows)
            if sums[0].dropped:
                names, kept = self.model.design.names, self.sums.structure.kept
                lost = ", ".join(names[kept[j]] for j in sums[0].dropped)
                return f"the fixed effects are not all estimable: {lost}"
            plan = sums[0].plan("auto", available_memory())
        structure, products = sums
        if not products.yty > 1e-28 * products.yty_total:
            return "the fixed effects fit the response perfectly"
        if update_theta:
            for label, levels, fitted in zip(self.sums.labels, left, structure.fitted, strict=True):
                if fitted > levels - 1e-6:
                    return f"nothing is left to estimate the variance of {label} from"
                if levels == structure.n:
                    return f"{label} has a level for each row"
        gamma = np.square(self.model.theta)
        tolerance, iterations = (TOLERANCE, MOST_ITERATIONS) if update_theta else (0.0, 0)
        found = _core.fit(products, plan, self.model.reml, gamma, tolerance, iterations, None)
        return "the levels fit the response perfectly" if found.ending == "perfect fit" else found

    def _levels_left(self, rows: NDArray[np.int64]) -> list[int]:
        """Count, for each term, the levels that keep some rows."""
        left, start = [], 0
        for g in self.design.groupings:
            stop = start + g.nlevels
            removed = np.bincount(g.codes[rows], minlength=g.nlevels)
            left.append(int(np.count_nonzero(self.sizes[start:stop] > removed)))
            start = stop
        return left

    def _sums_again(self, rows: NDArray[np.int64]) -> Sums:
        """Sum the rows that are left, where a difference would lose digits."""
        design = self.design
        keep = np.delete(np.arange(design.n), rows)
        codes, levels = [], []
        for g in design.groupings:
            found, new = np.unique(g.codes[keep], return_inverse=True)
            codes.append(new.ravel().astype(np.int32))
            levels.append(len(found))
        X = np.asfortranarray(design.X[keep][:, self.sums.structure.kept])
        weights = None if design.weights is None else design.weights[keep]
        structure = _core.Structure(codes, levels, X, weights)
        return structure, structure.cross_products(self.y[keep])
