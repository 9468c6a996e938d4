"""What `varcorr` returns: the variances and standard deviations of a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixedmodels.display.document import Document, Printed
from mixedmodels.display.numbers import format_real
from mixedmodels.display.summary import VarianceComponent
from mixedmodels.display.tables import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class VarianceComponents(Printed):
    """Variances of the random-effects terms and of the residual.

    Attributes
    ----------
    components : tuple of VarianceComponent
        Group, effect, variance (in squared units of the response) and standard deviation, in the
        model's order, the residual last.
    """

    components: tuple[VarianceComponent, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with columns grp, var1, var2, vcov, sdcor, as lme4 names them."""
        import pandas as pd

        return pd.DataFrame(
            {
                "grp": [c.group for c in self.components],
                "var1": [c.name or None for c in self.components],
                "var2": [None] * len(self.components),
                "vcov": [c.variance for c in self.components],
                "sdcor": [c.sd for c in self.components],
            }
        )

    def document(self) -> Document:
        """Lay out groups, names and standard deviations."""
        sds = format_real([c.sd for c in self.components], digits=4)
        table = Table(
            headers=("Groups", "Name", "Std.Dev."),
            rows=tuple((c.group, c.name, sd) for c, sd in zip(self.components, sds, strict=True)),
            align="lln",
        )
        return Document((table,))
