"""Pictures of fitted models: what is drawn, against values had in other ways."""

import subprocess
import sys
import time

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

import mixedmodels as mm
from mixedmodels.conditional import ConditionalSDs
from mixedmodels.grouping import GroupingFactor
from mixedmodels.inference.leverage import leverages
from mixedmodels.plots.cloud import local_means
from mixedmodels.random_effects import RandomEffects

FM1 = ("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
FM1A = ("dyestuff2", "Yield ~ 1 + (1 | Batch)", "ML")
FM2 = ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "REML")
FM3 = ("pastes", "strength ~ 1 + (1 | batch) + (1 | sample)", "REML")
FM8 = (
    "classroom",
    "mathgain ~ mathkind + minority + ses + (1 | classid) + (1 | schoolid)",
    "REML",
)


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def intervals(ax):
    """Left ends, right ends and heights of the intervals."""
    (lines,) = [one for one in ax.collections if one.get_label() == "intervals"]
    ends = np.array(lines.get_segments())
    return ends[:, 0, 0], ends[:, 1, 0], ends[:, 0, 1]


def row_labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def effects_of(q, seed=0):
    """Random effects of as many levels, without a fit."""
    rng = np.random.default_rng(seed)
    grouping = GroupingFactor("g", ("g",), pd.RangeIndex(q))
    sds = rng.uniform(0.3, 0.6, q)
    return RandomEffects((grouping,), rng.normal(size=q), lambda: ConditionalSDs(sds, np.zeros(q)))


# -- random effects ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [FM1, FM2, FM3])
def test_caterpillars_are_intervals_in_order_of_the_conditional_means(model, fit):
    fm = fit(*model)
    frame = fm.ranef().to_frame()
    drawn = fm.ranef().caterpillar()
    axes = [drawn] if isinstance(drawn, Axes) else drawn
    assert len(axes) == len(fm.ngroups)
    for ax, group in zip(axes, fm.ngroups, strict=True):
        expected = frame[frame["grpvar"] == group].sort_values("condval", kind="stable")
        assert row_labels(ax) == expected["grp"].tolist()
        x, y = line(ax, "conditional means")
        np.testing.assert_array_equal(x, expected["condval"])
        np.testing.assert_array_equal(y, np.arange(len(expected)))
        left, right, rows = intervals(ax)
        half = 1.959963984540054 * expected["condsd"]
        np.testing.assert_allclose(left, expected["condval"] - half, rtol=1e-12)
        np.testing.assert_allclose(right, expected["condval"] + half, rtol=1e-12)
        np.testing.assert_array_equal(rows, y)
        assert line(ax, "zero")[0].tolist() == [0, 0]
        assert ax.get_ylabel() == group
        assert ax.get_xlabel().startswith(f"Random effect of {group}")


def test_intervals_have_the_level_asked_for_and_the_unit_of_the_response(fit):
    ax = fit(*FM1).ranef().caterpillar(level=0.5)
    sds = fit(*FM1).ranef().condsd["Batch"]["(Intercept)"]
    left, right, _ = intervals(ax)
    np.testing.assert_allclose(right - left, 2 * norm.ppf(0.75) * sds.to_numpy())
    assert ax.get_xlabel() == "Random effect of Batch (g)\nwith 50 % prediction intervals"


def test_qqmath_has_normal_quantiles_on_the_vertical_axis(fit):
    fm = fit(*FM8)
    ax = fm.ranef().qqmath("classid")
    means = np.sort(fm.ranef()["classid"]["(Intercept)"])
    x, y = line(ax, "conditional means")
    np.testing.assert_array_equal(x, means)
    np.testing.assert_allclose(y, norm.ppf((np.arange(312) + 0.5) / 312))
    np.testing.assert_array_equal(intervals(ax)[2], y)
    assert ax.get_ylabel() == "Standard normal quantile"
    assert len(fm.ranef().qqmath()) == 2


def test_two_hundred_thousand_levels_take_less_than_two_seconds():
    effects = effects_of(200_000)
    begun = time.perf_counter()
    caterpillar, qq = effects.caterpillar(), effects.qqmath()
    for ax in (caterpillar, qq):
        ax.figure.canvas.draw()
    assert time.perf_counter() - begun < 2.0
    means = np.sort(effects["g"]["(Intercept)"])
    x, rows = line(caterpillar, "conditional means")
    np.testing.assert_array_equal(x, means[rows.astype(int)])
    assert (rows[0], rows[-1], rows.size) == (0, 199_999, 2000)
    assert "2,000 of 200,000 levels drawn" in caterpillar.get_xlabel()
    assert caterpillar.get_ylabel() == "g (200,000 levels)"
    # Both tails are there, level by level.
    x, quantiles = line(qq, "conditional means")
    np.testing.assert_array_equal(x[:20], means[:20])
    np.testing.assert_array_equal(x[-20:], means[-20:])
    assert x.size <= 2000
    assert np.diff(quantiles).max() < 0.6
    assert f"{x.size:,} of 200,000 levels drawn" in qq.get_xlabel()


def test_levels_are_labelled_while_there_is_room():
    effects = effects_of(60)
    assert len(row_labels(effects.caterpillar())) == 60
    assert row_labels(effects_of(61).caterpillar()) == []
    ax = Figure(figsize=(3, 2)).subplots()
    assert row_labels(effects.caterpillar(ax=ax)) == []
    assert ax.get_ylabel() == "g (60 levels)"


def test_a_variance_of_zero_is_said(fit):
    ax = fit(*FM1A).ranef().caterpillar()
    assert ax.get_xlabel().endswith("the variance is estimated as zero")
    assert not line(ax, "conditional means")[0].any()


# -- criterion and convergence -------------------------------------------------------------------


@pytest.mark.parametrize(("model", "minimum"), [(FM1, 0.848323780), (FM1A, 0.0)])
def test_criterion_is_least_where_the_model_says(model, minimum, fit):
    fm = fit(*model)
    ax = fm.plot("criterion")
    theta, values = line(ax, "criterion")
    (x,), (y,) = line(ax, "minimum")
    assert x == pytest.approx(minimum, abs=1e-8)
    assert y == fm.objective
    assert values.min() >= fm.objective - 1e-9
    assert theta[values.argmin()] == x
    assert theta[0] == 0.0
    # The one-way classification in closed form: the means of balanced groups of five.
    data = fm.design
    groups = pd.Series(data.y).groupby(data.groupings[0].codes)
    within = (groups.var(ddof=0) * 5).sum()
    for t, value in zip(theta[::20], values[::20], strict=True):
        d = 1 + 5 * t**2
        r2 = within + 5 * ((groups.mean() - data.y.mean()) ** 2).sum() / d
        nu = 29 if fm.reml else 30
        expected = 6 * np.log(d) + nu * (1 + np.log(2 * np.pi * r2 / nu))
        expected += np.log(30 / d) if fm.reml else 0.0
        assert value == pytest.approx(expected, abs=1e-8)
    assert ax.get_ylabel() == ("REML criterion" if fm.reml else "Deviance")


def test_criterion_of_two_terms_is_contours_around_the_minimum(fit):
    fm = fit(*FM2)
    ax = fm.plot("criterion")
    (x,), (y,) = line(ax, "minimum")
    np.testing.assert_array_equal([x, y], fm.theta)
    assert ax.get_xlim()[0] < x < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < y < ax.get_ylim()[1]
    assert (ax.get_xlabel().splitlines()[0], ax.get_ylabel()) == ("θ of plate", "θ of sample")
    curve = fm.plot("criterion", group="plate")
    assert "the other θ at their estimates" in curve.get_xlabel()
    assert line(curve, "minimum")[0] == fm.theta[0]


def test_convergence_is_the_trace(fit):
    fm = fit(*FM3)
    left, right = fm.plot("convergence")
    trace = fm.iterations
    np.testing.assert_allclose(left.lines[0].get_ydata(), trace["decrement"] / 2)
    assert left.get_yscale() == "log"
    for label in ("sample", "batch"):
        np.testing.assert_array_equal(line(right, label)[1], trace[f"theta[{label}]"])
    assert "246.9907" in left.get_xlabel()


# -- structure -----------------------------------------------------------------------------------


def cells(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


@pytest.mark.parametrize("model", [FM1, FM2, FM3])
def test_images_have_the_pattern_of_the_matrices(model, fit):
    fm = fit(*model)
    axes = fm.plot("structure")
    matrices = [fm.Zt, fm.Lambda, fm.Zt @ fm.Zt.T, fm.L]
    for ax, matrix, name in zip(axes, matrices, ["Z′", "Λ", "Z′Z", "L"], strict=True):
        dense = matrix.toarray()
        np.testing.assert_array_equal(cells(ax)[..., 3] > 0, dense != 0)
        assert ax.get_title(loc="left") == f"{name}, {dense.shape[0]} × {dense.shape[1]}"
        assert ax.get_ylim() == (dense.shape[0], 0)


def test_fill_in_is_coloured_and_counted(fit):
    """Eliminating 24 plates joins all pairs of the 6 samples: 15 entries below the diagonal."""
    ax = fit(*FM2).plot("L")
    assert "189 nonzeros, 15 of them fill-in" in ax.get_xlabel()
    colour = cells(ax)
    red = (colour[..., 0] > 0.6) & (colour[..., 2] < 0.3) & (colour[..., 3] > 0)
    rows, columns = np.nonzero(red)
    assert set(zip(rows, columns, strict=True)) == {
        (24 + i, 24 + j) for i in range(6) for j in range(i)
    }
    assert "0 of them fill-in" in fit(*FM3).plot("L").get_xlabel()


def test_blocks_are_parted_and_named(fit):
    ax = fit(*FM8).plot("ZtZ")
    assert row_labels(ax) == ["classid", "schoolid"]
    assert [one.get_ydata()[0] for one in ax.lines if one.get_xdata()[1] == 1] == [312]
    assert "a cell stands for 3 × 3 entries" in ax.get_xlabel()


def test_terms_mixed_by_the_order_of_the_factor_are_named_together():
    rng = np.random.default_rng(0)
    levels = {"a": 200, "b": 60, "c": 60}
    data = pd.DataFrame({g: rng.integers(0, q, 600) for g, q in levels.items()})
    data["y"] = rng.normal(size=600) + sum(rng.normal(size=q)[data[g]] for g, q in levels.items())
    fm = mm.lmer("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", data, method="sparse")
    ax = fm.plot("L")
    assert row_labels(ax) == ["a", "b and c, mixed"]
    # Fill-in counted entry by entry.
    place = fm.permutation
    M = (fm.Lambda @ fm.Zt @ fm.Zt.T @ fm.Lambda).toarray()[np.ix_(place, place)]
    fill = (fm.L.toarray() != 0) & (M + np.eye(len(M)) == 0)
    assert f"{np.count_nonzero(fill):,} of them fill-in" in ax.get_xlabel().replace("\n", " ")


def test_shades_are_seen_on_a_dark_background(fit):
    with mpl.rc_context({"axes.facecolor": "black"}):
        image = cells(fit(*FM1).plot("L"))
    assert image[image[..., 3] > 0][:, :3].min() > 0.5


# -- residuals -----------------------------------------------------------------------------------


def test_diagnosis_draws_the_residuals_four_times(fit):
    fm = fit(*FM8)
    against_fitted, quantiles, scale, leverage = fm.plot()
    fitted, residuals = fm.fitted().to_numpy(), fm.residuals().to_numpy()
    x, y = line(against_fitted, "observations")
    np.testing.assert_array_equal(x, fitted)
    np.testing.assert_array_equal(y, residuals)
    assert against_fitted.get_ylabel() == "Residual (points)"
    x, y = line(quantiles, "observations")
    np.testing.assert_allclose(x, norm.ppf((np.arange(1190) + 0.5) / 1190))
    np.testing.assert_array_equal(y, np.sort(residuals) / fm.sigma)
    _, y = line(scale, "observations")
    np.testing.assert_allclose(y**2 * fm.sigma, np.abs(residuals))
    x, y = line(leverage, "observations")
    np.testing.assert_allclose(y * np.sqrt(1 - x) * fm.sigma, residuals)


def test_weighted_residuals_are_scaled_to_one_variance(load):
    w = np.arange(1.0, 181.0) % 5 + 1
    fm = mm.lmer("Reaction ~ Days + (1 | Subject)", load("sleepstudy"), weights=w)
    ax = fm.plot("residuals")
    np.testing.assert_allclose(line(ax, "observations")[1], fm.residuals() * np.sqrt(w))
    assert ax.get_ylabel() == "√weight × residual (ms)"


def test_many_observations_are_hexagons_with_a_note(load):
    fm = mm.lmer("y ~ 1 + (1 | d)", load("insteval"))
    ax = fm.plot("residuals")
    counts = ax.collections[0].get_array()
    assert counts.sum() == 73_421
    assert f"1 to {counts.max():,.0f}" in ax.get_xlabel().replace("\n", " ")
    assert "3,593 of 73,421 residuals drawn" in fm.plot("normal").get_xlabel()


def test_local_means_of_a_line_are_the_line_and_of_two_places_their_means():
    x = np.linspace(0, 1, 200)
    places, heights = local_means(x, 3 - 2 * x)
    np.testing.assert_allclose(heights, 3 - 2 * places)
    places, heights = local_means(np.array([0.0, 0, 1, 1, 1]), np.array([1.0, 3, 5, 6, 7]))
    np.testing.assert_allclose(heights, [2, 6])
    places, heights = local_means(np.zeros(4), np.array([1.0, 2, 3, 4]))
    np.testing.assert_allclose(heights, [2.5])


def hat_diagonal(fm):
    """By definition: the fitted values of unit vectors, with dense matrices."""
    Z = fm.Zt.T.toarray()
    n = fm.nobs
    w = np.ones(n) if fm.design.weights is None else fm.design.weights
    X = fm.X[:, fm.cross_products.structure.kept]
    ZL = Z @ fm.Lambda.toarray()
    V = ZL @ ZL.T + np.diag(1 / w)
    Vi = np.linalg.inv(V)
    B = np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    H = X @ B + ZL @ ZL.T @ Vi @ (np.eye(n) - X @ B)
    return np.diag(H)


@pytest.mark.parametrize("model", [FM1, FM1A, FM2, FM3, FM8])
def test_leverages_are_the_diagonal_of_the_hat_matrix(model, fit):
    fm = fit(*model)
    np.testing.assert_allclose(leverages(fm), hat_diagonal(fm), rtol=1e-9)


def test_leverages_with_weights_three_terms_and_a_redundant_column(load):
    data = load("insteval").head(400)
    with pytest.warns(mm.RankDeficientWarning):
        fm = mm.lmer(
            "y ~ service + I(y * 0 + 2) + (1 | s) + (1 | d) + (1 | dept)",
            data,
            weights=np.arange(400.0) % 3 + 1,
        )
    np.testing.assert_allclose(leverages(fm), hat_diagonal(fm), rtol=1e-8, atol=1e-12)


# -- all kinds -----------------------------------------------------------------------------------

KINDS = (
    *("diagnosis", "residuals", "normal", "scale-location", "leverage", "variances"),
    *("convergence", "structure", "Zt", "Lambda", "ZtZ", "L", "caterpillar", "qqmath"),
    *("criterion", "cooks"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_on_new_axes_and_on_the_callers(kind, fit):
    fm = fit(*FM2)
    drawn = fm.plot(kind)
    axes = [drawn] if isinstance(drawn, Axes) else list(drawn)
    assert drawn._repr_png_().startswith(b"\x89PNG")
    own = Figure(figsize=(9, 3)).subplots(1, len(axes), squeeze=False)
    again = fm.plot(kind, ax=own)
    assert (again is own[0, 0]) if len(axes) == 1 else (list(again) == list(own.flat))
    assert all(one.has_data() for one in axes)
    own[0, 0].figure.canvas.draw()
    with pytest.raises(mm.ArgumentError, match="needed here"):
        fm.plot(kind, ax=Figure().subplots(1, len(axes) + 1))


def test_variances_have_their_shares(fit):
    ax = fit(*FM1).plot("variances")
    assert [text.get_text() for text in ax.texts] == ["41.8 %", "58.2 %"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [1764.05, 2451.25])
    assert row_labels(ax) == ["Batch", "Residual"]
    assert ax.get_xlabel() == "Variance (g²)"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fm: fm.plot("residual"), mm.ArgumentError, "Did you mean 'residuals'"),
        (lambda fm: fm.plot(3), mm.ArgumentError, "no picture 3"),
        (lambda fm: fm.plot("L", group="plate"), mm.ArgumentError, "of the whole model"),
        (lambda fm: fm.plot("criterion", group="x"), mm.UnknownColumnError, "plate, sample"),
        (lambda fm: fm.ranef().caterpillar("x"), mm.UnknownColumnError, "has plate, sample"),
        (lambda fm: fm.ranef().qqmath("x"), mm.UnknownColumnError, "has plate, sample"),
        (lambda fm: fm.ranef().qqmath(level=95), mm.ArgumentError, "between 0 and 1, not 95"),
        (lambda fm: fm.ranef().caterpillar(ax=3), mm.ArgumentTypeError, "not a int"),
        (
            lambda fm: fm.ranef().caterpillar(ax=Figure().subplots()),
            mm.ArgumentError,
            "2 axes are needed",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(call, error, words, fit):
    with pytest.raises(error, match=words):
        call(fit(*FM2))


def test_iterative_fits_say_what_they_have_not_got(load):
    fm = mm.lmer(FM2[1], load("penicillin"), method="iterative")
    for kind in ("L", "criterion"):
        with pytest.raises(mm.ArgumentError, match="iterative fit"):
            fm.plot(kind)
    last = fm.plot("structure")[-1]
    assert "iterative fit" in last.texts[0].get_text().replace("\n", " ")
    assert fm.plot("diagnosis")  # leverages take a factorisation of their own
    assert fm.plot("convergence")


def test_leverages_beyond_reach_are_refused(fit, monkeypatch):
    monkeypatch.setattr("mixedmodels.inference.henderson.MOST_LEVELS", 5)
    monkeypatch.setattr("mixedmodels.inference.henderson.MOST_FLOPS", 0.0)
    with pytest.raises(mm.FitTooLargeError, match="6 levels beside those of plate"):
        fit(*FM2).plot("leverage")
    assert "take too long" in fit(*FM2).plot()[-1].texts[0].get_text().replace("\n", " ")


def test_criteria_beyond_reach_are_refused(fit, monkeypatch):
    monkeypatch.setattr("mixedmodels.plots.criterion.MOST_SECONDS", 0.0)
    with pytest.raises(mm.FitTooLargeError, match="evaluations of the criterion"):
        fit(*FM2).plot("criterion")


# -- style, pyplot, import -----------------------------------------------------------------------


def test_style_is_the_users(fit):
    cycle = mpl.cycler(color=["#123456", "#654321"])
    with mpl.rc_context({"axes.prop_cycle": cycle, "figure.figsize": (3.0, 2.5)}):
        ax = fit(*FM1).plot("residuals")
    assert ax.lines[1].get_color() == "#123456"
    assert ax.figure.get_size_inches().tolist() == [3.0, 2.5]


def test_neither_pyplot_nor_a_display_is_needed(tmp_path):
    """Pictures and report, with a backend of windows and no display; import stays quick."""
    code = """
import sys
import mixedmodels as mm
assert "matplotlib" not in sys.modules
fm = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
print(repr(fm)[:5])
assert "matplotlib" not in sys.modules
fm.plot().figure.savefig("fm.png")
fm.report("fm.html")
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {"MPLBACKEND": "tkagg", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fm.png").stat().st_size > 1000
    assert sorted(file.name for file in tmp_path.glob("fm*")) == ["fm.html", "fm.png"]
