"""What `ranef` returns: conditional means and standard deviations of the random effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.display.document import BLANK_LINE, Document, Printed
from mixedmodels.display.numbers import format_real
from mixedmodels.display.tables import Table
from mixedmodels.errors import UnknownColumnError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.conditional import ConditionalSDs
    from mixedmodels.grouping import GroupingFactor

# Printed levels of each factor; the rest is counted.
SHOWN_LEVELS = 30


class ByFactor(Mapping[str, "pd.DataFrame"], Printed):
    """One frame for each grouping factor: a row a level, a column an effect.

    Parameters
    ----------
    frames : dict of str to DataFrame
        By label of the term.
    """

    def __init__(self, frames: dict[str, pd.DataFrame]) -> None:
        self._frames = frames

    def __getitem__(self, label: str) -> pd.DataFrame:
        try:
            return self._frames[label]
        except KeyError:
            raise UnknownColumnError(
                f"the model has no grouping factor {label!r}; it has {', '.join(self._frames)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def document(self) -> Document:
        """Lay out a table for each factor, its first levels only where there are many."""
        tables = [_table(label, frame) for label, frame in self._frames.items()]
        return Document(tuple(b for table in tables for b in (BLANK_LINE, table))[1:])


def _table(label: str, frame: pd.DataFrame) -> Table:
    shown = frame.head(SHOWN_LEVELS)
    more = len(frame) - len(shown)
    columns = [format_real(shown[name].tolist(), digits=5) for name in shown.columns]
    return Table(
        headers=tuple(shown.columns),
        rows=tuple(zip(*columns, strict=True)),
        labels=tuple(map(str, shown.index)),
        title=f"{label}:",
        notes=(f"… and {more} more level{'s' * (more > 1)}",) if more else (),
    )


class RandomEffects(ByFactor):
    """Conditional means of the random effects given the data, by grouping factor.

    ``effects["Batch"]`` is a frame with a row for each level; ``effects.condsd["Batch"]`` has
    their conditional standard deviations; `to_frame` puts all in one long frame.

    Parameters
    ----------
    groupings : tuple of GroupingFactor
        The grouping factors.
    b : ndarray (q,)
        Conditional means.
    condsd : callable
        Computes the conditional standard deviations (q,) when they are first asked for.
    unit : str, optional
        The unit they are in, for pictures.
    """

    def __init__(
        self,
        groupings: tuple[GroupingFactor, ...],
        b: NDArray[np.float64],
        condsd: Callable[[], ConditionalSDs],
        unit: str = "",
    ) -> None:
        self._groupings = groupings
        self._compute_condsd = condsd
        self._unit = unit
        super().__init__(self._split(b))

    def _split(self, values: NDArray[np.float64]) -> dict[str, pd.DataFrame]:
        import pandas as pd

        stops = np.cumsum([g.nlevels for g in self._groupings])
        return {
            g.label: pd.DataFrame({"(Intercept)": part}, index=pd.Index(g.levels, name=g.label))
            for g, part in zip(self._groupings, np.split(values, stops[:-1]), strict=True)
        }

    @cached_property
    def condsd(self) -> ByFactor:
        """Conditional standard deviations, in the same form as the means.

        They are those of lme4's ``condVar``: given the estimated parameters, β included. Of an
        iterative fit they are estimates; `condsd_error` has their errors.
        """
        return ByFactor(self._split(self._compute_condsd().values))

    @cached_property
    def condsd_error(self) -> ByFactor:
        """Monte Carlo standard errors of `condsd`; zero where these are exact."""
        return ByFactor(self._split(self._compute_condsd().errors))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each random effect: grpvar, term, grp, condval, condsd."""
        import pandas as pd

        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "grpvar": label,
                        "term": "(Intercept)",
                        "grp": means.index.to_numpy(),
                        "condval": means["(Intercept)"].to_numpy(),
                        "condsd": self.condsd[label]["(Intercept)"].to_numpy(),
                    }
                )
                for label, means in self.items()
            ],
            ignore_index=True,
        )

    def caterpillar(self, group: str | None = None, *, level: float = 0.95, ax: Any = None) -> Any:
        """Draw prediction intervals in increasing order of the conditional mean.

        Parameters
        ----------
        group : str, optional
            The grouping factor; by default all, a panel each.
        level : float, default 0.95
            Probability of the intervals, which are given the estimated parameters.
        ax : Axes, or one for each panel, optional
            Where to draw; new axes by default.

        Returns
        -------
        Axes, or tuple of Axes
            At most two thousand levels are drawn; the picture says so where there are more.

        Raises
        ------
        UnknownColumnError
            If the model has no such factor.
        ArgumentError, ArgumentTypeError
            If `level` or `ax` is not what it may be.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> ax = fm1.ranef().caterpillar()
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['F', 'D', 'A', 'B', 'C', 'E']
        """
        from mixedmodels.plots.random_effects import caterpillar

        return caterpillar(self, group, level, ax, self._unit)

    def qqmath(self, group: str | None = None, *, level: float = 0.95, ax: Any = None) -> Any:
        """Draw the intervals of `caterpillar` against standard normal quantiles.

        For many levels: random effects that are normal lie along a line. Parameters, result and
        errors are those of `caterpillar`.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.ranef().qqmath("Batch").get_ylabel()
        'Standard normal quantile'
        """
        from mixedmodels.plots.random_effects import qqmath

        return qqmath(self, group, level, ax, self._unit)
