"""Pictures of data: what is drawn where, in which order, with which labels."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import mixedmodels as mm


def line(ax, label):
    """The coordinates of the line or cloud with a label."""
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def row_labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


# -- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dyestuff", "dyestuff2"])
def test_groups_are_in_order_of_their_means_which_a_line_joins(name, load):
    data = load(name)
    ax = mm.plot_groups(data, "Yield", "Batch")
    means = data.groupby("Batch", observed=True)["Yield"].mean().sort_values()
    assert row_labels(ax) == means.index.tolist()
    x, y = line(ax, "means")
    np.testing.assert_allclose(x, means.to_numpy())
    np.testing.assert_array_equal(y, np.arange(6))
    assert ax.get_ylabel() == "Batch"
    assert ax.get_xlabel() == ("Yield (g)" if name == "dyestuff" else "Yield")


def test_every_observation_is_in_its_row_and_equal_ones_are_told_apart(load):
    data = load("dyestuff")
    ax = mm.plot_groups(data, "Yield", "Batch")
    x, y = line(ax, "observations")
    labels = row_labels(ax)
    drawn = sorted((labels[round(row)], value) for value, row in zip(x, y, strict=True))
    assert drawn == sorted(zip(data["Batch"], data["Yield"], strict=True))
    assert np.abs(y - np.round(y)).max() < 0.2
    twins = np.sort(y[(x == 1440) & (np.round(y) == labels.index("A"))])
    assert twins.size == 2
    assert np.diff(twins)[0] > 0.05
    again = mm.plot_groups(data, "Yield", "Batch")
    np.testing.assert_array_equal(line(again, "observations")[1], y)


def test_key_draws_a_line_and_a_mark_for_each_level(load):
    data = load("penicillin")
    ax = mm.plot_groups(data, "diameter", "plate", key="sample")
    plates = data.groupby("plate", observed=True)["diameter"].mean()
    order = plates.to_numpy()[[plates.index.get_loc(p) for p in row_labels(ax)]]
    assert (np.diff(order) >= 0).all()
    for sample, rows in data.groupby("sample", observed=True):
        x, y = line(ax, sample)
        expected = rows.set_index("plate")["diameter"].reindex(row_labels(ax))
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_array_equal(y, np.arange(24))
    legend = ax.get_legend()
    assert legend.get_title().get_text() == "sample"
    assert [text.get_text() for text in legend.get_texts()] == list("ABCDEF")
    styles = {(one.get_color(), one.get_marker()) for one in ax.lines}
    assert len(styles) == 6


def test_key_of_replicated_levels_draws_their_means(load):
    data = pd.DataFrame({"y": [1.0, 3, 10, 20], "g": list("aabb"), "k": list("xxxx")})
    ax = mm.plot_groups(data, "y", "g", key="k")
    np.testing.assert_array_equal(line(ax, "x"), [[2, 15], [0, 1]])


@pytest.mark.parametrize("group", ["sample", "cask"])
def test_bands_hold_their_groups_both_in_order_of_means(group, load):
    """Cask is nested in batch implicitly: its labels mean something within a batch only."""
    data = load("pastes")
    ax = mm.plot_groups(data, "strength", group, within="batch")
    batches = data.groupby("batch", observed=True)["strength"].mean().sort_values()
    bands = sorted(ax.texts, key=lambda text: text.xy[1])
    assert [text.get_text() for text in bands] == batches.index.tolist()
    samples = data.groupby("sample", observed=True)["strength"].mean()
    expected = [
        label if group == "sample" else label[-1]
        for batch in batches.index
        for label in samples[samples.index.str.startswith(batch)].sort_values(kind="stable").index
    ]
    assert row_labels(ax) == expected
    x, y = line(ax, "observations")
    assert x.size == 60
    ticks = ax.get_yticks()
    assert np.abs(y[:, None] - ticks).min(axis=1).max() < 0.2
    # A line a band, so that no line goes from one to the next.
    assert sum(one.get_label() == "means" for one in ax.lines) == 10


def test_many_groups_are_counted_and_many_observations_thinned(load):
    ax = mm.plot_groups(load("insteval"), "y", "s")
    assert row_labels(ax) == []
    assert ax.get_ylabel() == "s (2,972 levels)"
    assert "10,000 of 73,421 observations drawn" in ax.get_xlabel()
    x, y = line(ax, "means")
    assert (np.diff(x) >= 0).all()
    assert (y[0], y[-1]) == (0, 2971)


def test_missing_values_are_left_out():
    data = {"y": [1.0, np.nan, 3.0, 4.0], "g": ["a", "a", "b", None]}
    x, _ = line(mm.plot_groups(data, "y", "g"), "observations")
    assert sorted(x) == [1.0, 3.0]


def test_labels_are_drawn_as_they_are():
    data = {"y": [1.0, 2.0, 3.0], "g": ["$x^{$", "a\nb", "<b>" + "c" * 60]}
    ax = mm.plot_groups(data, "y", "g")
    ax.figure.savefig("/dev/null", format="png")  # mathematics that does not parse would raise
    first, second, third = row_labels(ax)
    assert (first, second) == (r"\$x^{\$", r"a\nb")
    assert third.startswith("<b>ccc")
    assert third.endswith("…")


# -- panels --------------------------------------------------------------------------------------


def test_panels_of_twelve_schools_with_five_classes(load):
    data = load("classroom")
    classes = data.groupby("schoolid", observed=True)["classid"].nunique()
    five = classes.index[classes == 5]
    axes = mm.plot_panels(data, "mathgain", "classid", "schoolid", select=five)
    assert len(axes) == 12
    chosen = data[data["schoolid"].isin(five)]
    means = chosen.groupby("schoolid", observed=True)["mathgain"].mean().sort_values()
    assert [ax.get_title(loc="left") for ax in axes] == [f"schoolid {s}" for s in means.index]
    for ax, school in zip(axes, means.index, strict=True):
        pupils = chosen[chosen["schoolid"] == school]
        expected = pupils.groupby("classid", observed=True)["mathgain"].mean()
        assert len(row_labels(ax)) == 5
        x, _ = line(ax, "means")
        np.testing.assert_allclose(x, expected.loc[row_labels(ax)])
        assert (np.diff(x) >= 0).all()
        assert sorted(line(ax, "observations")[0]) == sorted(pupils["mathgain"])
    assert len({ax.get_xlim() for ax in axes}) == 1


def test_one_panel_is_returned_as_axes(load):
    ax = mm.plot_panels(load("classroom"), "mathgain", "classid", "schoolid", select="68")
    assert isinstance(ax, Axes)


# -- cross-tabulation ----------------------------------------------------------------------------


def cells(ax):
    """Which cells of the image are not empty."""
    (image,) = ax.images
    return np.asarray(image.get_array())[..., 3] > 0


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("pastes", "sample", "batch"), ("pastes", "cask", "batch"), ("penicillin", "sample", "plate")],
)
def test_crosstab_has_a_cell_for_each_pair_that_occurs(name, rows, columns, load):
    data = load(name)
    ax = mm.plot_crosstab(data, rows, columns)
    expected = pd.crosstab(data[rows], data[columns]).to_numpy() > 0
    np.testing.assert_array_equal(cells(ax), expected)
    assert row_labels(ax) == [str(level) for level in data[rows].cat.categories]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (columns, rows)
    assert ax.get_ylim() == (len(expected), 0)  # the first level is at the top


def test_crosstab_of_many_levels_is_binned_and_says_so(load):
    data = load("insteval")
    ax = mm.plot_crosstab(data, "s", "d")
    assert "a cell stands for 15 × 6 entries" in ax.get_xlabel()
    assert ax.get_title(loc="left").startswith("73,421 of 3,352,416 cells")
    s, d = data["s"].cat.codes.to_numpy(), data["d"].cat.codes.to_numpy()
    expected = np.zeros((199, 188), dtype=bool)
    expected[s // 15, d // 6] = True
    np.testing.assert_array_equal(cells(ax), expected)


# -- any frame, any axes -------------------------------------------------------------------------


def test_frames_of_other_libraries_draw_the_same():
    expected = line(mm.plot_groups(mm.datasets.load("dyestuff"), "Yield", "Batch"), "observations")
    for backend in ("polars", "pyarrow"):
        data = mm.datasets.load("dyestuff", backend=backend)
        drawn = line(mm.plot_groups(data, "Yield", "Batch"), "observations")
        np.testing.assert_array_equal(drawn, expected)


def test_the_callers_axes_are_drawn_on_and_returned(load):
    ax = Figure().subplots()
    assert mm.plot_groups(load("dyestuff"), "Yield", "Batch", ax=ax) is ax
    assert mm.plot_crosstab(load("pastes"), "sample", "batch", ax=Figure().subplots()).images


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda d: mm.plot_groups(d, "yield", "Batch"), mm.UnknownColumnError, "'Yield'"),
        (lambda d: mm.plot_groups(d, "Yield", "batch"), mm.UnknownColumnError, "'Batch'"),
        (lambda d: mm.plot_groups(d, "Batch", "Batch"), mm.ResponseError, "not numeric"),
        (lambda d: mm.plot_groups(d, "Yield", 3), mm.ArgumentTypeError, "name of a column"),
        (lambda d: mm.plot_groups(d[:0], "Yield", "Batch"), mm.DataError, "nothing to draw"),
        (lambda d: mm.plot_crosstab(d[:0], "Yield", "Batch"), mm.DataError, "nothing to draw"),
        (lambda d: mm.plot_crosstab(d, "Yield", ["Batch"]), mm.ArgumentTypeError, "names of col"),
        (lambda d: mm.plot_groups([1, 2], "Yield", "Batch"), mm.ArgumentTypeError, "data frame"),
        (
            lambda d: mm.plot_groups(d.assign(k=range(30)), "Yield", "Batch", key="k"),
            mm.ArgumentError,
            "24 can be told apart",
        ),
        (
            lambda d: mm.plot_groups(d, "Yield", "Batch", key="Batch", within="Batch"),
            mm.ArgumentError,
            "one of the two",
        ),
        (
            lambda d: mm.plot_groups(d.assign(Yield=np.inf), "Yield", "Batch"),
            mm.ResponseError,
            "infinite",
        ),
        (
            lambda d: mm.plot_panels(d, "Yield", "Batch", "Batch", select=[]),
            mm.ArgumentError,
            "nothing is selected",
        ),
        (
            lambda d: mm.plot_panels(d, "Yield", "Batch", "Batch", select=["Z"]),
            mm.UnknownLevelError,
            "no level Z; it has A, B",
        ),
        (
            lambda d: mm.plot_panels(d, "Yield", "Batch", "Batch", select=3),
            mm.ArgumentTypeError,
            "select must be levels",
        ),
        (
            lambda d: mm.plot_panels(d, "Yield", "Batch", "Batch", columns=0),
            mm.ArgumentError,
            "columns must be",
        ),
        (
            lambda d: mm.plot_panels(d.assign(k=range(30)), "Yield", "Batch", "k", ax=[]),
            mm.ArgumentError,
            "30 axes are needed",
        ),
        (
            lambda d: mm.plot_panels(pd.concat([d, d]).assign(k=range(60)), "Yield", "Batch", "k"),
            mm.ArgumentError,
            "too many panels",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(call, error, words, load):
    with pytest.raises(error, match=words) as caught:
        call(load("dyestuff"))
    assert isinstance(caught.value, mm.MixedModelsError)


@pytest.mark.parametrize(
    ("ax", "error", "words"),
    [
        (Figure(), mm.ArgumentTypeError, "not a Figure"),
        ("axes", mm.ArgumentTypeError, "not a str"),
        ([Figure().subplots(), 3], mm.ArgumentTypeError, "not a int"),
        (Figure().subplots(1, 2), mm.ArgumentError, "one axes is needed here.*ax has 2"),
        (Figure().add_subplot(projection="polar"), mm.ArgumentTypeError, "not polar axes"),
    ],
)
def test_axes_of_another_kind_or_number_are_refused(ax, error, words, load):
    with pytest.raises(error, match=words):
        mm.plot_groups(load("dyestuff"), "Yield", "Batch", ax=ax)


def test_axes_taken_off_their_figure_are_refused(load):
    ax = Figure().subplots()
    ax.remove()
    with pytest.raises(mm.ArgumentError, match="removed from their figure"):
        mm.plot_groups(load("dyestuff"), "Yield", "Batch", ax=ax)
