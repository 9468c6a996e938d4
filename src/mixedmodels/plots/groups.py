"""Pictures of data: a response by group, in bands of groups, with a key, or in panels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.errors import ArgumentError, ArgumentTypeError, UnknownLevelError
from mixedmodels.factors import Factor, level_texts
from mixedmodels.plots.grouped import Grouped, crossed, means, ranks, read_grouped
from mixedmodels.plots.labels import listed, plain, shortened, unit_of, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.plots.canvas import Drawn, Panels

MOST_KEYS = 24
MOST_PANELS = 48
JITTER = 0.12  # of the distance of two rows, up and down
GOLDEN = 0.5 * (5.0**0.5 - 1.0)
BAND_GAP = 0.8


def plot_groups(
    data: Any,
    response: str,
    group: str,
    *,
    key: str | None = None,
    within: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a response by group, the groups ordered by their mean and a line joining the means.

    Parameters
    ----------
    data : data frame or dict
        The data, as `lmer` takes them.
    response : str
        The column of the response, drawn horizontally.
    group : str
        The column whose levels are the rows of the picture. Observations are moved up or down a
        little, so that equal ones can be told apart.
    key : str, optional
        A column whose levels have a mark, a colour and a line each, explained in a key.
    within : str, optional
        A column that the groups are nested in: its levels are bands of rows, ordered by mean.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes

    Raises
    ------
    UnknownColumnError
        If a column is not there.
    DataError
        If the response is not numeric, or no row has all values.
    ArgumentError
        If the key has too many levels, or key and `within` are both asked for.
    ArgumentTypeError
        If `ax` is not axes.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> ax = mm.plot_groups(mm.datasets.load("dyestuff"), "Yield", "Batch")
    >>> ax.get_xlabel(), [label.get_text() for label in ax.get_yticklabels()]
    ('Yield (g)', ['F', 'D', 'A', 'B', 'C', 'E'])
    """
    from mixedmodels.plots.canvas import height_for, note, one_panel

    _require_names(response=response, group=group, key=key, within=within)
    if key is not None and within is not None:
        raise ArgumentError("a picture has a key or bands within groups; ask for one of the two")
    others = [name for name in (key, within) if name is not None]
    grouped = read_grouped(data, response, [group, *others])
    if key is not None and grouped.factors[1].nlevels > MOST_KEYS:
        raise ArgumentError(
            f"{key} has {grouped.factors[1].nlevels} levels, and {MOST_KEYS} can be told apart by "
            "their marks; select some, or draw them as groups"
        )
    of_band = None
    if within is not None:
        inner, of_band = crossed(grouped.factors[0], grouped.factors[1])
        grouped = Grouped(grouped.y, (inner, *grouped.factors[1:]))
    rows = grouped.factors[0].nlevels
    if of_band is not None:
        rows += int(BAND_GAP * (of_band.max() + 1))
    ax = one_panel(ax, height_for(rows))
    ax.set_xlabel(with_unit(response, _unit(data, response)))
    if of_band is not None and within is not None:
        left_out = _draw_bands(ax, grouped, of_band, group, within)
    elif key is not None:
        left_out = _draw_key(ax, grouped, group, key)
    else:
        left_out = _draw_rows(ax, grouped, group)
    if left_out:
        note(ax, left_out)
    return ax


def plot_panels(
    data: Any,
    response: str,
    group: str,
    by: str,
    *,
    select: Iterable[Any] | None = None,
    columns: int = 3,
    ax: Any = None,
) -> Drawn:
    """Draw a response by group in panels, one for each level of another factor.

    Parameters
    ----------
    data : data frame or dict
        The data, as `lmer` takes them.
    response : str
        The column of the response, drawn horizontally, on one scale in all panels.
    group : str
        The column whose levels are the rows of a panel, ordered by mean.
    by : str
        The column whose levels are the panels, ordered by mean.
    select : iterable of labels, optional
        The levels of `by` to draw; all by default.
    columns : int, default 3
        How many panels stand side by side.
    ax : sequence of Axes, optional
        Where to draw, one for each panel; new axes by default.

    Returns
    -------
    Axes or tuple of Axes
        One for each panel.

    Raises
    ------
    UnknownColumnError, UnknownLevelError
        If a column or a selected level is not there.
    ArgumentError
        If nothing is selected, or more panels than can be read.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> classroom = mm.datasets.load("classroom")
    >>> axes = mm.plot_panels(classroom, "mathgain", "classid", "schoolid", select=["11", "68"])
    >>> [ax.get_title(loc="left") for ax in axes]
    ['schoolid 11', 'schoolid 68']
    """
    from mixedmodels.plots.canvas import one_or_all, panels

    _require_names(response=response, group=group, by=by)
    if not isinstance(columns, int) or columns < 1:
        raise ArgumentError(f"columns must be a whole number, 1 or more; got {columns!r}")
    grouped = read_grouped(data, response, [group, by])
    if select is not None:
        grouped = grouped.take(_selected(grouped.factors[1], select, by))
    y, outer = grouped.y, grouped.factors[1]
    if outer.nlevels > MOST_PANELS:
        raise ArgumentError(
            f"{by} has {outer.nlevels} levels, too many panels to read; "
            f"select at most {MOST_PANELS}"
        )
    order = np.argsort(means(y, outer), kind="stable")
    parts = [grouped.take(np.flatnonzero(outer.codes == level)) for level in order]
    down = -(-len(parts) // columns)
    most = max(part.factors[0].nlevels for part in parts)
    size = (max(1.0, 0.45 * min(columns, len(parts))), max(1.0, down * (0.14 + 0.05 * most)))
    columns = min(columns, len(parts))
    axes = panels(ax, len(parts), columns=columns, size=size, share_x=True)
    texts = level_texts(outer.levels)
    for i, (one, part, level) in enumerate(zip(axes, parts, order, strict=True)):
        _draw_rows(one, part, group)
        one.set_title(f"{plain(by)} {shortened(texts[level])}", loc="left", fontsize="medium")
        one.set_ylabel(plain(group) if i % columns == 0 else "")
        if i + columns >= len(parts):
            one.set_xlabel(with_unit(response, _unit(data, response)))
        elif ax is None:
            one.tick_params(labelbottom=False)
    _one_scale(axes, y)
    return one_or_all(axes)


# -- parts -----------------------------------------------------------------------------------


def _require_names(**names: Any) -> None:
    for role, name in names.items():
        if name is not None and not isinstance(name, str):
            raise ArgumentTypeError(f"{role} must be the name of a column, not {name!r}")


def _unit(data: Any, column: str) -> str:
    attributes = getattr(data, "attrs", None)
    return unit_of(column, attributes.get("name")) if isinstance(attributes, dict) else ""


def _selected(factor: Factor, select: Iterable[Any], by: str) -> NDArray[np.intp]:
    if isinstance(select, str):
        select = [select]
    elif not isinstance(select, Iterable):
        raise ArgumentTypeError(f"select must be levels of {by}, not {select!r}")
    wanted = list(dict.fromkeys(map(str, select)))
    if not wanted:
        raise ArgumentError(f"nothing is selected: select must name levels of {by}")
    place = {text: i for i, text in enumerate(level_texts(factor.levels))}
    unknown = [text for text in wanted if text not in place]
    if unknown:
        raise UnknownLevelError(f"{by} has no level {listed(unknown)}; it has {listed(place)}")
    return np.flatnonzero(np.isin(factor.codes, [place[text] for text in wanted]))


def _draw_rows(ax: Axes, grouped: Grouped, name: str) -> str:
    """Draw the rows in order of their means; return a note where not all is drawn."""
    factor = grouped.factors[0]
    centres = means(grouped.y, factor)
    order = np.argsort(centres, kind="stable")
    left_out = _points(ax, grouped.y, ranks(order)[factor.codes].astype(float), len(order))
    _means(ax, centres[order], np.arange(len(order), dtype=float))
    ax.set_ylim(-0.6, len(order) - 0.4)
    _label(ax, np.arange(len(order)), factor, order, name)
    return left_out


def _draw_bands(
    ax: Axes, grouped: Grouped, of_band: NDArray[np.intp], name: str, within: str
) -> str:
    """Draw rows in bands, both in order of their means."""
    from mixedmodels.plots.canvas import fitting_size, points_high
    from mixedmodels.plots.style import GUIDE

    factor, bands = grouped.factors
    centres, band_centres = means(grouped.y, factor), means(grouped.y, bands)
    band_rank = ranks(np.argsort(band_centres, kind="stable"))[of_band]
    order = np.lexsort((centres, band_rank))
    position = np.arange(len(order)) + BAND_GAP * band_rank[order]
    of_row = np.empty(len(order))
    of_row[order] = position
    left_out = _points(ax, grouped.y, of_row[factor.codes], len(order))
    texts = level_texts(bands.levels)
    stops = [*np.flatnonzero(np.diff(band_rank[order])) + 1, len(order)]
    start = 0
    ax.set_ylim(-0.5 - BAND_GAP / 2, position[-1] + 0.5 + BAND_GAP / 2)
    room = points_high(ax) / (position[-1] + 1.0 + BAND_GAP)
    for number, stop in enumerate(stops):
        rows = slice(start, stop)
        _means(ax, centres[order][rows], position[rows])
        low = position[start] - 0.5 - BAND_GAP / 2
        high = position[stop - 1] + 0.5 + BAND_GAP / 2
        if number % 2 == 0:
            ax.axhspan(low, high, color=GUIDE, alpha=0.15, linewidth=0, zorder=0)
        size = fitting_size((high - low) * room)
        if size is not None:
            ax.annotate(
                shortened(texts[of_band[order[start]]]),
                (1, (low + high) / 2),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=size,
            )
        start = stop
    ax.set_title(plain(within), loc="right", fontsize="medium")
    _label(ax, position, factor, order, name)
    return left_out


def _draw_key(ax: Axes, grouped: Grouped, name: str, key: str) -> str:
    """Draw a line and a mark for each level of the key, rows in order of their means."""
    from mixedmodels.plots.canvas import key_above, points_high
    from mixedmodels.plots.style import DASHES, MARKERS, colours, guide_width

    factor, keys = grouped.factors
    order = np.argsort(means(grouped.y, factor), kind="stable")
    rank = ranks(order)[factor.codes]
    texts = level_texts(keys.levels)
    size = float(np.clip(0.5 * points_high(ax) / len(order), 1.5, 5.5))
    for level, colour in enumerate(colours(keys.nlevels)):
        rows = np.flatnonzero(keys.codes == level)
        here = Factor(rank[rows].astype(np.int32), keys.levels)
        present = np.unique(here.codes)
        sums = np.bincount(here.codes, weights=grouped.y[rows])[present]
        centres = sums / np.bincount(here.codes)[present]
        ax.plot(
            centres,
            present.astype(float),
            color=colour,
            linestyle=DASHES[level % len(DASHES)],
            linewidth=guide_width(),
            marker=MARKERS[level % len(MARKERS)],
            markersize=size,
            markerfacecolor="none",
            label=shortened(texts[level]),
        )
        if len(present) < len(rows):
            ax.plot(grouped.y[rows], rank[rows], ".", color=colour, markersize=3, zorder=1)
    ax.set_ylim(-0.6, len(order) - 0.4)
    _label(ax, np.arange(len(order)), factor, order, name)
    key_above(ax, plain(key), keys.nlevels)
    return ""


def _points(ax: Axes, x: NDArray[np.float64], rows: NDArray[np.float64], count: int) -> str:
    """Draw observations, a little up or down of their rows, or as many as can be seen."""
    from mixedmodels.plots.style import colours
    from mixedmodels.plots.thinning import MOST_POINTS, evenly, thinned_note

    # In order of the response, neighbours of a row are moved by different parts of the way.
    drawn = np.lexsort((x, rows))
    drawn = drawn[evenly(x.size, 2 * MOST_POINTS)]
    jitter = JITTER * (2.0 * (GOLDEN * np.arange(drawn.size) % 1.0) - 1.0)
    dense = drawn.size > 10 * MOST_KEYS
    ax.plot(
        x[drawn],
        rows[drawn] + jitter,
        linestyle="none",
        marker="o",
        markersize=2.0 if count > 400 else 3.0 if dense else 5.0,
        markerfacecolor=colours(1)[0] if dense else "none",
        markeredgecolor=colours(1)[0],
        markeredgewidth=0 if dense else 1.0,
        alpha=0.35 if count > 100 and dense else 0.8,
        rasterized=drawn.size > 500,
        label="observations",
    )
    return thinned_note(drawn.size, x.size, "observations")


def _means(ax: Axes, centres: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
    """Join the means by a line."""
    from mixedmodels.plots.style import colours
    from mixedmodels.plots.thinning import evenly

    drawn = evenly(centres.size)
    ax.plot(centres[drawn], rows[drawn], color=colours(2)[1], label="means", zorder=3)


def _label(
    ax: Axes, positions: NDArray[Any], factor: Factor, order: NDArray[np.intp], name: str
) -> None:
    from mixedmodels.plots.canvas import MOST_READ, label_rows

    few = factor.levels[order if len(order) <= MOST_READ else []]
    labels = [shortened(text) for text in level_texts(few)]
    label_rows(ax, positions, labels, len(order), plain(name))


def _one_scale(axes: Panels, y: NDArray[np.float64]) -> None:
    margin = 0.05 * (np.ptp(y) or 1.0)
    for one in axes:
        one.set_xlim(y.min() - margin, y.max() + margin)
