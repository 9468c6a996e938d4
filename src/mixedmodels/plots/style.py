"""Colours and marks that can be told apart, in print and by the colour-blind."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.colors import to_rgba

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette (2008, "Color universal design"), without its yellow, too pale for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
DASHES = ("-", "--", ":", "-.")
# Little and much, on white and on black.
SHADES_ON_LIGHT = ("#d4d4d4", "#1a1a1a")
SHADES_ON_DARK = ("#505050", "#f2f2f2")
GUIDE = "0.55"  # a grey that shows on white and on black


def colours(count: int) -> list[str]:
    """Return colours: those of the user's ``axes.prop_cycle``, if it was changed, or ours."""
    chosen = mpl.rcParams["axes.prop_cycle"]
    if chosen != mpl.rcParamsDefault["axes.prop_cycle"] and "color" in chosen.keys:
        return list(islice(cycle(chosen.by_key()["color"]), count))
    return list(islice(cycle(PALETTE), count))


def shades(ax: Axes) -> tuple[str, str]:
    """Return the greys of little and of much, on the background of these axes."""
    red, green, blue, _ = to_rgba(ax.get_facecolor())
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5
    return SHADES_ON_LIGHT if light else SHADES_ON_DARK


def guide_width() -> float:
    """Return the width of lines that only guide the eye."""
    return 0.6 * float(mpl.rcParams["lines.linewidth"])
