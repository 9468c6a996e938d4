"""Axes to draw on: the caller's, or new ones on a figure that pyplot does not know."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from textwrap import fill
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from mixedmodels.errors import ArgumentError, ArgumentTypeError

INCHES = 1 / 72  # of a point
AROUND = 90.0  # points above and below axes, for their titles and labels
# Levels that a new figure grows for, and those whose labels are considered at all.
MOST_LABELLED, MOST_READ = 60, 200
LEADING = 1.15
SMALLEST = 6.0  # points of a label


class Panel(Axes):
    """Axes that show their figure in a notebook, which pyplot would do for its own only."""

    def _repr_png_(self) -> bytes:
        return _png(self)


class Panels(tuple[Axes, ...]):
    """The axes of a picture of several panels."""

    __slots__ = ()

    @property
    def figure(self) -> Figure:
        """The figure that the first of them is on."""
        return figure_of(self[0])

    def _repr_png_(self) -> bytes:
        return _png(self[0])

    def __repr__(self) -> str:
        return f"<{len(self)} axes>"


Drawn: TypeAlias = Axes | Panels


def figure_of(ax: Axes) -> Figure:
    """Return the whole figure that axes are on."""
    figure = ax.get_figure()
    while not isinstance(figure, Figure):
        if figure is None:
            raise ArgumentError("these axes have been removed from their figure")
        figure = figure.figure
    return figure


def _png(ax: Axes) -> bytes:
    buffer = BytesIO()
    figure_of(ax).savefig(buffer, format="png")
    return buffer.getvalue()


def panels(
    ax: Any,
    count: int,
    *,
    columns: int = 1,
    size: tuple[float, float] = (1.0, 1.0),
    share_x: bool = False,
) -> Panels:
    """Return the caller's axes, if they are as many as the panels, or new ones.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        What the caller passed.
    count : int
        The number of panels.
    columns : int, default 1
        How many new ones stand side by side.
    size : tuple of float
        Width and height of a new figure, in those of the user's ``figure.figsize``.
    share_x : bool, default False
        Whether new ones have one scale horizontally.

    Returns
    -------
    Panels

    Raises
    ------
    ArgumentTypeError
        If `ax` is something else.
    ArgumentError
        If their number is not that of the panels.
    """
    if ax is not None:
        return _given(ax, count)
    width, height = mpl.rcParams["figure.figsize"]
    figure = Figure(figsize=(width * size[0], height * size[1]), layout="constrained")
    rows = -(-count // columns)
    made: list[Axes] = []
    for i in range(count):
        shared = made[0] if made and share_x else None
        made.append(figure.add_subplot(rows, columns, i + 1, axes_class=Panel, sharex=shared))
    return Panels(made)


def _given(ax: Any, count: int) -> Panels:
    if isinstance(ax, Axes):
        axes = [ax]
    elif isinstance(ax, str) or not isinstance(ax, Iterable):
        raise ArgumentTypeError(f"ax must be matplotlib axes, not a {type(ax).__name__}")
    else:
        axes = list(ax.flat if hasattr(ax, "flat") else ax)
    for one in axes:
        if not isinstance(one, Axes) or one.name != "rectilinear":
            kind = f"{one.name} axes" if isinstance(one, Axes) else f"a {type(one).__name__}"
            raise ArgumentTypeError(f"ax must be matplotlib axes with x and y, not {kind}")
        figure_of(one)
    if len(axes) != count:
        wanted = "one axes is" if count == 1 else f"{count} axes are"
        raise ArgumentError(f"{wanted} needed here, one for each panel; ax has {len(axes)}")
    return Panels(axes)


def one_panel(ax: Any, height: float = 1.0) -> Axes:
    """Return the caller's axes or new ones, of a height in that of the user's figures."""
    return panels(ax, 1, size=(1.0, height))[0]


def height_for(rows: int) -> float:
    """Return a height at which so many rows have labels, unless these are too many to read."""
    if rows > MOST_LABELLED:
        return 1.0
    needed = (rows * line_height() + AROUND) * INCHES
    return max(1.0, needed / float(mpl.rcParams["figure.figsize"][1]))


def one_or_all(axes: Panels) -> Drawn:
    """Return the axes themselves where there is one panel only."""
    return axes[0] if len(axes) == 1 else axes


def points_high(ax: Axes) -> float:
    """Return the height of axes, in points, before the layout is made."""
    return float(ax.get_position().height * figure_of(ax).get_figheight() / INCHES)


def line_height() -> float:
    """Return the height of the label of a tick, in points, with its leading."""
    return LEADING * _label_size()


def fitting_size(room: float) -> float | None:
    """Return the size of labels that are `room` points apart; None where none can be read."""
    size = min(room / LEADING, _label_size())
    return size if size >= SMALLEST else None


def _label_size() -> float:
    return float(FontProperties(size=mpl.rcParams["ytick.labelsize"]).get_size_in_points())


def label_rows(ax: Axes, positions: Any, labels: list[str], count: int, name: str) -> None:
    """Label the rows of a picture by their levels, or by their number if labels have no room.

    Parameters
    ----------
    ax : Axes
        The axes, with the vertical limits set.
    positions : sequence of float
        Where the rows are.
    labels : list of str
        What they are, safe to draw; none where they are too many to be read.
    count : int
        How many they are.
    name : str
        The factor.
    """
    low, high = sorted(ax.get_ylim())
    size = fitting_size(points_high(ax) / (high - low))
    if labels and size is not None:
        ax.set_yticks(positions, labels, fontsize=size)
        ax.set_ylabel(name)
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{name} ({count:,} levels)")
    ax.tick_params(axis="y", length=0)


def points_wide(ax: Axes) -> float:
    """Return the width of axes, in points, before the layout is made."""
    return float(ax.get_position().width * figure_of(ax).get_figwidth() / INCHES)


def note(ax: Axes, text: str) -> None:
    """Say below a picture what it leaves out: a line under the name of the horizontal axis."""
    label, lines = ax.get_xlabel(), wrapped(ax, text)
    ax.set_xlabel(f"{label}\n{lines}" if label else lines)


def wrapped(ax: Axes, text: str) -> str:
    """Break a text into lines as wide as axes."""
    letters = 1.15 * points_wide(ax) / (0.55 * _label_size())
    return fill(text, max(16, int(letters)), break_long_words=False)


def key_above(ax: Axes, title: str | None, count: int) -> None:
    """Explain marks and colours above a picture, where they hide nothing."""
    ax.legend(
        title=title,
        ncols=max(1, min(count, 8, int(points_wide(ax) / 44))),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        frameon=False,
        columnspacing=1.2,
        handlelength=1.8,
    )


def message(ax: Axes, text: str) -> None:
    """Say in an empty panel why nothing is drawn."""
    ax.text(0.5, 0.5, fill(text, 34), ha="center", va="center", transform=ax.transAxes)
    ax.set_xticks([])
    ax.set_yticks([])
