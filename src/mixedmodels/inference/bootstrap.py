"""The parametric bootstrap: what the estimates would be if the fitted model were the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedmodels import _core
from mixedmodels.display.document import BLANK_LINE, Document, Paragraph, Printed
from mixedmodels.display.numbers import format_real
from mixedmodels.display.tables import Table
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    InterruptedWarning,
    MixedModelsError,
    warn,
)
from mixedmodels.estimation.plan import format_seconds
from mixedmodels.estimation.progress import Progress
from mixedmodels.inference.parameters import parameter_names, parameter_values
from mixedmodels.inference.refits import Refits, Refitter, joined, refit_one
from mixedmodels.inference.simulation import as_seed, batches, whole_number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

# Replicates are drawn and fitted for about so long at a time: then progress is shown and Ctrl-C
# heard.
SECONDS_OF_BATCH = 0.5
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(Printed):
    """Replicates of a model's estimates, each from a response drawn from the model.

    Attributes
    ----------
    names : tuple of str
        The parameters, and the statistics asked for.
    estimates : ndarray (p,)
        What the model itself has.
    refits : Refits
        The fits, one a replicate.
    statistics : ndarray (m, s)
        Their statistics; no columns if none were asked for.
    seed : int
        What the responses were drawn from.
    wanted : int
        Number of replicates asked for; more than there are if the work was interrupted.
    failures : tuple of str
        Why statistics could not be computed, a text for each replicate that has none.
    """

    names: tuple[str, ...]
    estimates: Floats
    refits: Refits
    statistics: Floats
    seed: int
    wanted: int
    failures: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.refits)

    @property
    def values(self) -> Floats:
        """Parameters and statistics (m, p) of all replicates; NaN where there is no fit."""
        return np.hstack([self.refits.values, self.statistics])

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which replicates have a fit that converged, and all statistics (m,)."""
        return self.refits.converged & np.isfinite(self.values).all(axis=1)

    @property
    def failed(self) -> int:
        """Number of replicates that are left out of all summaries."""
        return len(self) - int(self.good.sum())

    @property
    def singular(self) -> float:
        """Share of the fits in which a variance is estimated as zero."""
        return float(self.refits.singular[self.good].mean()) if self.good.any() else np.nan

    @property
    def bias(self) -> pd.Series:
        """Mean of the replicates minus the estimate, by parameter."""
        return self._by_name(self.values[self.good].mean(axis=0) - self.estimates)

    @property
    def standard_errors(self) -> pd.Series:
        """Standard deviation of the replicates, by parameter."""
        return self._by_name(self.values[self.good].std(axis=0, ddof=1))

    @property
    def coverage(self) -> pd.Series:
        """Share of the replicates whose Wald interval has the true value, by fixed effect.

        The interval is the replicate's estimate ± 1.96 of its own standard errors; 0.95 is what
        such an interval promises.
        """
        import pandas as pd

        rank = self.refits.beta.shape[1]
        first = len(self.refits.names) - rank
        good = self.good
        off = np.abs(self.refits.beta[good] - self.estimates[first : first + rank])
        inside = off <= NORMAL_95 * self.refits.standard_errors[good]
        return pd.Series(inside.mean(axis=0), index=list(self.names[first : first + rank]))

    def confint(
        self, level: float = 0.95, kind: Literal["percentile", "shortest"] = "percentile"
    ) -> pd.DataFrame:
        """Confidence intervals from the replicates.

        Parameters
        ----------
        level : float, default 0.95
            Their probability.
        kind : {"percentile", "shortest"}
            Between quantiles that leave the same on both sides, or the shortest interval with
            this share of the replicates: at a boundary, such as a standard deviation of zero, it
            begins there.

        Returns
        -------
        DataFrame (p, 2)
            lower and upper, by parameter.

        Raises
        ------
        ArgumentError
            If `level` or `kind` is not what it may be, or too few replicates have a fit.
        """
        import pandas as pd

        if kind not in ("percentile", "shortest"):
            raise ArgumentError(f"kind must be 'percentile' or 'shortest', not {kind!r}")
        if not isinstance(level, float) or not 0.0 < level < 1.0:
            raise ArgumentError(f"level must be a number between 0 and 1; got {level!r}")
        values = np.sort(self.values[self.good], axis=0)
        if len(values) < 2:
            raise ArgumentError("there are fewer than two replicates with a fit: ask for more")
        if kind == "percentile":
            tail = 0.5 * (1.0 - level)
            bounds = np.quantile(values, [tail, 1.0 - tail], axis=0)
        else:
            bounds = _shortest(values, level)
        return pd.DataFrame(bounds.T, index=list(self.names), columns=["lower", "upper"])

    def to_frame(self) -> pd.DataFrame:
        """Return one row a replicate: parameters, statistics, objective, singular, converged."""
        frame = self.refits.to_frame()
        for name, column in zip(
            self.names[len(self.refits.names) :], self.statistics.T, strict=True
        ):
            frame[name] = column
        return frame

    def plot(self, parameters: Any = None, *, ax: Any = None) -> Any:
        """Draw the density of the replicates, with the estimate and the shortest 95 % interval.

        Parameters
        ----------
        parameters : str or list of str, optional
            Which; by default all, a panel each.
        ax : Axes, or one for each panel, optional
            Where to draw; new axes by default.

        Returns
        -------
        Axes, or tuple of Axes

        Raises
        ------
        UnknownColumnError
            If there is no such parameter.
        """
        from mixedmodels.plots.replicates import replicates

        return replicates(self, parameters, ax)

    def document(self) -> Document:
        """Lay out estimates, bias, standard errors and percentile intervals."""
        if int(self.good.sum()) < 2:
            return Document((Paragraph((self._title(), *self._notes())),))
        intervals = self.confint()
        coverage = self.coverage.reindex(list(self.names))
        columns = {
            "Estimate": format_real(self.estimates.tolist(), 5),
            "Bias": format_real(self.bias.tolist(), 3),
            "Std. Error": format_real(self.standard_errors.tolist(), 4),
            "2.5 %": format_real(intervals["lower"].tolist(), 5),
            "97.5 %": format_real(intervals["upper"].tolist(), 5),
            "Coverage": [("" if np.isnan(c) else f"{100 * c:.1f} %") for c in coverage],
        }
        table = Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), labels=self.names)
        return Document(
            (Paragraph((self._title(),)), BLANK_LINE, table, BLANK_LINE, Paragraph(self._notes()))
        )

    # -- parts -------------------------------------------------------------------------------

    def _by_name(self, values: Floats) -> pd.Series:
        import pandas as pd

        return pd.Series(values, index=list(self.names))

    def _title(self) -> str:
        return f"Parametric bootstrap: {len(self):,} replicates, seed {self.seed}"

    def _notes(self) -> tuple[str, ...]:
        notes = [f"singular fits: {100 * self.singular:.1f} %; without a fit: {self.failed:,}"]
        if len(self) < self.wanted:
            notes.append(f"interrupted: {len(self):,} of {self.wanted:,} replicates")
        if self.failures:
            notes.append(
                f"{len(self.failures):,} replicates without statistics; the first: "
                f"{self.failures[0]}"
            )
        return tuple(notes)

    def __repr__(self) -> str:
        return self.to_text()


def bootstrap(
    model: LinearMixedModel,
    n: int,
    seed: int | None,
    statistics: Callable[[LinearMixedModel], Any] | None,
    progress: bool | None,
) -> Bootstrap:
    """Draw replicates and refit: see `LinearMixedModel.bootstrap`."""
    n, seed = whole_number(n, "n"), as_seed(seed)
    names, estimates = parameter_names(model), parameter_values(model)
    if statistics is not None and not callable(statistics):
        raise ArgumentTypeError(
            "statistics must be a function of a fitted model that returns numbers; "
            f"got {statistics!r}"
        )
    extra: dict[str, float] = {} if statistics is None else _named(statistics(model))
    if taken := sorted(set(extra) & set(names)):
        raise ArgumentError(f"a statistic has the name of a parameter: {', '.join(taken)}")
    with Progress((), "", False, progress) as told:
        refitter = Refitter(model)
        parts: list[Refits] = []
        computed: list[Floats] = []
        failures: list[str] = []
        size = max(2 * _core.thread_count(), min(n, int(SECONDS_OF_BATCH / refitter.seconds)))
        begun, done = time.monotonic(), 0
        try:
            for Y in batches(model, n, seed, size=size):
                refits = refitter.fit(Y)
                if statistics is not None:
                    computed.append(_computed(model, Y, statistics, tuple(extra), failures))
                parts.append(refits)
                done += len(refits)
                spent = time.monotonic() - begun
                left = format_seconds(spent / done * (n - done))
                told.stage(f"bootstrap: {done:,} of {n:,} replicates, {left} left")
        except KeyboardInterrupt:
            if not parts:
                raise
            warn(
                f"the bootstrap was interrupted: it has {done:,} of {n:,} replicates",
                InterruptedWarning,
            )
    values = np.concatenate(computed[: len(parts)]) if computed else np.empty((done, 0))
    return Bootstrap(
        (*names, *extra),
        np.concatenate([estimates, list(extra.values())]),
        joined(parts),
        values,
        seed,
        n,
        tuple(failures),
    )


def _named(value: Any) -> dict[str, float]:
    """Give the statistics names: their own, or numbers."""
    if isinstance(value, Mapping) or hasattr(value, "items"):
        pairs = list(value.items())
    else:
        pairs = [(f"t{i}", v) for i, v in enumerate(np.ravel(value), start=1)]
    try:
        return {str(name): float(v) for name, v in pairs}
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"statistics must return a number, an array or a dict of numbers; it returned {value!r}"
        ) from None


def _computed(
    model: LinearMixedModel,
    Y: Floats,
    statistics: Callable[[LinearMixedModel], Any],
    names: tuple[str, ...],
    failures: list[str],
) -> Floats:
    """Compute the statistics of a model for each response; NaN where they cannot be."""
    out = np.full((Y.shape[1], len(names)), np.nan)
    for row, y in zip(out, Y.T, strict=True):
        try:
            found = _named(statistics(refit_one(model, y)))
            if tuple(found) != names:
                raise ArgumentError(f"statistics returned {', '.join(found)} this time")
            row[:] = list(found.values())
        except (MixedModelsError, ArithmeticError, ValueError, LookupError) as error:
            failures.append(f"{type(error).__name__}: {error}")
    return out


def _shortest(values: Floats, level: float) -> Floats:
    """Find, for each column of sorted values, the shortest interval with this share of them."""
    m = len(values)
    inside = min(m, int(np.ceil(level * m)))
    widths = values[inside - 1 :] - values[: m - inside + 1]
    start = np.argmin(widths, axis=0)
    columns = np.arange(values.shape[1])
    return np.array([values[start, columns], values[start + inside - 1, columns]])
