"""The image of a sparse matrix: a cell an entry, or a cell a block of entries where it is large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb

from mixedmodels.plots.canvas import fitting_size, line_height, note, points_high, points_wide
from mixedmodels.plots.style import GUIDE, PALETTE, guide_width, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from numpy.typing import NDArray
    from scipy.sparse import coo_array

# Cells of the image either way: more would be narrower than a pixel.
MOST_CELLS = 200
# Cells of which each is set apart from its neighbours.
MOST_PARTED = 60


@dataclass(frozen=True)
class Side:
    """The rows or the columns of a matrix: blocks of levels, or numbered observations.

    Parameters
    ----------
    name : str
        What they are; empty where the names of the blocks say it.
    blocks : tuple of (str, int)
        Name and size of each block.
    levels : tuple of str
        Labels of the single rows, if they are few.
    numbered : bool
        Whether the rows are known by their numbers.
    """

    name: str
    blocks: tuple[tuple[str, int], ...] = ()
    levels: tuple[str, ...] = ()
    numbered: bool = False


def draw_sparse(
    ax: Axes,
    matrix: coo_array,
    rows: Side,
    columns: Side,
    *,
    fill: NDArray[np.bool_] | None = None,
    square: bool = True,
) -> None:
    """Draw a sparse matrix, its first row at the top.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    matrix : coo_array (m, n)
        The matrix.
    rows, columns : Side
        What its rows and columns are.
    fill : ndarray of bool (nnz,), optional
        Which entries are fill-in, drawn in a colour.
    square : bool, default True
        Whether an entry is as wide as it is high.
    """
    m, n = matrix.shape
    height, width = -(-m // MOST_CELLS), -(-n // MOST_CELLS)
    shape = -(-m // height), -(-n // width)
    cell = (matrix.row // height) * np.int64(shape[1]) + matrix.col // width
    exact = height == width == 1
    value = np.abs(matrix.data) if exact else (matrix.data != 0).astype(float)
    dark = np.bincount(cell, weights=value, minlength=shape[0] * shape[1]).astype(np.float64)
    share = np.zeros_like(dark)
    if fill is not None:
        there = np.bincount(cell, minlength=dark.size)
        filled = np.bincount(cell, weights=fill.astype(float), minlength=dark.size)
        np.divide(filled, there, out=share, where=there > 0)
    ax.imshow(
        _colours(dark, share, shades(ax)).reshape(*shape, 4),
        extent=(0.0, float(shape[1] * width), float(shape[0] * height), 0.0),
        interpolation="nearest",
        aspect="equal" if square else "auto",
    )
    ax.set_xlim(0, n)
    ax.set_ylim(m, 0)
    ax.grid(False)
    if max(m, n) <= MOST_PARTED:
        colour = ax.get_facecolor()
        ax.hlines(np.arange(1, m), 0, n, color=colour, linewidth=0.6)
        ax.vlines(np.arange(1, n), 0, m, color=colour, linewidth=0.6)
    _label(ax, ax.yaxis, rows, points_high(ax))
    _label(ax, ax.xaxis, columns, points_wide(ax))
    if not exact:
        note(ax, f"a cell stands for {height:,} × {width:,} entries")


def _colours(
    dark: NDArray[np.float64], share: NDArray[np.float64], greys: tuple[str, str]
) -> NDArray[np.float64]:
    """Return the colours of cells: the darker the more, tinted by their share of fill-in."""
    there = dark > 0
    depth = np.zeros_like(dark)
    if there.any():
        depth[there] = 0.3 + 0.7 * dark[there] / dark.max()
    paper, ink, tint = (np.array(to_rgb(colour)) for colour in (*greys, PALETTE[1]))
    grey = paper + depth[:, None] * (ink - paper)
    mixed = grey + share[:, None] * (tint - grey)
    return np.column_stack([mixed, there.astype(float)])


def _label(ax: Axes, axis: Axis, side: Side, room: float) -> None:
    """Label single levels where they have room, or else blocks; part blocks by lines."""
    across = axis is ax.xaxis
    sizes = np.array([size for _, size in side.blocks])
    stops = np.cumsum(sizes)
    line: Any = ax.axvline if across else ax.axhline
    for stop in stops[:-1]:
        line(stop, color=GUIDE, linewidth=guide_width())
    size = fitting_size(room / len(side.levels)) if side.levels else None
    if size is not None:
        axis.set_ticks(np.arange(len(side.levels)) + 0.5, side.levels, fontsize=size)
        wide = 0.7 * size * max(map(len, side.levels)) * len(side.levels) > room
        axis.set_tick_params(length=0, labelrotation=90 if across and wide else 0)
        axis.set_label_text(side.name)
    elif side.blocks:
        positions, names = _apart(side.blocks, room)
        axis.set_ticks(positions, names)
        axis.set_tick_params(length=0)
        if not across:
            for text in ax.get_yticklabels():
                text.set(rotation=90, va="center")
    else:
        if not side.numbered:
            axis.set_ticks([])
        count = f" ({len(side.levels):,} levels)" if side.levels else ""
        axis.set_label_text(side.name + count)


def _apart(blocks: tuple[tuple[str, int], ...], room: float) -> tuple[list[float], list[str]]:
    """Name blocks at their middles, but for those whose name would run into the one before."""
    positions: list[float] = []
    names: list[str] = []
    start, each = 0, room / sum(size for _, size in blocks)
    for name, size in blocks:
        middle = start + size / 2
        start += size
        letters = (len(name) + len(names[-1])) / 2 if names else 0.0
        if not names or (middle - positions[-1]) * each >= 0.6 * line_height() * letters:
            positions.append(middle)
            names.append(name)
    return positions, names
