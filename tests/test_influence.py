"""Leaving out levels and rows: against fits without them, dense algebra, and lme4's numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixedmodels as mm
from mixedmodels import _core

KNOWN = json.loads((Path(__file__).parent / "known" / "influence.json").read_text())


def simulated(n=150, seed=4):
    """Simulate three crossed factors, some levels rare, a covariate far from zero, and weights."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "g": rng.choice(list("abcdefghijkl"), n, p=np.arange(1, 13) / 78),
            "h": rng.choice(["u", "v", "w", "x", "y"], n),
            "k": rng.choice(list("1234"), n),
            "x": 1e4 + rng.normal(size=n),
            "f": rng.choice(["lo", "hi"], n),
            "w": rng.uniform(0.2, 4, n),
            "o": rng.normal(size=n),
        }
    )
    data["y"] = 1e3 + 2 * (data["x"] - 1e4) + data["o"]
    for f in ("g", "h", "k"):
        data["y"] += data[f].map(dict(zip(sorted(set(data[f])), rng.normal(size=12), strict=False)))
    data["y"] += rng.normal(size=n) / np.sqrt(data["w"])
    return data


DATA = simulated()
MODELS = {
    "one factor": ("y ~ x + (1 | g)", {}),
    "two factors": ("y ~ x + f + (1 | g) + (1 | h)", {"reml": False}),
    "weights, offset": ("y ~ x + (1 | g) + (1 | h)", {"weights": "w", "offset": "o"}),
    "three factors, sparse": ("y ~ f + (1 | g) + (1 | h) + (1 | k)", {"method": "sparse"}),
    "three factors, dense": ("y ~ f + (1 | g) + (1 | h) + (1 | k)", {"method": "dense"}),
    "nested": ("y ~ x + (1 | g/h)", {}),
}


def check_against_refits(fm, formula, data, options, group, levels=None, rtol=1e-6):
    frame = fm.influence(group, levels=levels).to_frame()
    for label, row in frame.iterrows():
        keep = data.index != label if group == "obs" else _labels(data, group) != label
        refit = mm.lmer(formula, data[keep], **options)
        assert row["rows"] == (~keep).sum()
        beta, theta = row.filter(like="beta["), row.filter(like="theta[")
        errors = np.sqrt(np.diagonal(refit.vcov()))
        assert_allclose((beta.to_numpy(float) - refit.beta) / errors, 0, atol=rtol)
        assert theta.index.tolist() == [f"theta[{t}]" for t in refit.ngroups]
        assert_allclose(theta.to_numpy(float), refit.theta, rtol=rtol, atol=1e-8)
        assert_allclose(row["sigma"], refit.sigma, rtol=rtol)
        assert_allclose(
            row.filter(like="dfbetas[").to_numpy(float),
            (refit.beta - fm.beta) / errors,
            rtol=1e-4,
            atol=1e-6,
        )
        ratio = np.linalg.slogdet(refit.vcov())[1] - np.linalg.slogdet(fm.vcov())[1]
        assert_allclose(np.log(row["covariance_ratio"]), ratio, atol=1e-4)


def _labels(data, group):
    parts = [data[name].astype(str) for name in group.split(":")]
    return parts[0].str.cat(parts[1:], sep=":") if len(parts) > 1 else data[group]


# -- against fits without the rows ---------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_downdating_is_fitting_without_the_rows(name):
    formula, options = MODELS[name]
    fm = mm.lmer(formula, DATA, **options)
    # Where evaluations are dear, a search ends when theta is right to 1e-5 standard errors.
    rtol = 1e-5 if "three" in name else 1e-7
    for group in fm.ngroups:
        levels = fm.ranef()[group].index[:12]
        check_against_refits(fm, formula, DATA, options, group, list(levels), rtol)
    check_against_refits(fm, formula, DATA, options, "obs", [0, 71, 149], rtol)


@pytest.mark.parametrize(
    ("dataset", "formula"),
    [
        ("pastes", "strength ~ (1 | batch) + (1 | sample)"),
        ("penicillin", "diameter ~ (1 | plate) + (1 | sample)"),
        ("dyestuff2", "Yield ~ (1 | Batch)"),
    ],
)
def test_the_slides_models(dataset, formula, load):
    data = load(dataset)
    fm = mm.lmer(formula, data)
    for group in fm.ngroups:
        check_against_refits(fm, formula, data, {}, group, rtol=1e-7)


def test_a_redundant_column_is_left_out(load):
    data = DATA.assign(z=3 * DATA["x"])
    with pytest.warns(mm.RankDeficientWarning):
        fm = mm.lmer("y ~ x + z + f + (1 | g)", data)
    other = mm.lmer("y ~ x + f + (1 | g)", data)
    found, expected = fm.influence(), other.influence()
    assert found.names == expected.names == ("(Intercept)", "x", "flo")
    pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame(), rtol=1e-9)


def test_where_a_difference_would_lose_digits_the_rows_are_summed_again():
    """All that is known of z, but for a trace, is known from the rows of level a."""
    rng = np.random.default_rng(2)
    data = DATA.assign(z=np.where(DATA["g"] == "l", 1e7, 1.0) * rng.normal(size=len(DATA)))
    fm = mm.lmer("y ~ z + (1 | g) + (1 | h)", data)
    rows = np.flatnonzero(data["g"] == "l")
    Q = fm.cross_products.structure.Q
    y = fm.design.y
    sizes = np.concatenate([np.bincount(g.codes) for g in fm.design.groupings])
    removed = _core.without_rows(fm.cross_products.response, rows, y - Q @ (Q.T @ y), sizes)
    assert removed is None
    check_against_refits(fm, "y ~ z + (1 | g) + (1 | h)", data, {}, "g", ["l", "a"])


def test_more_of_the_variation_in_one_level_than_elsewhere():
    data = DATA.copy()
    mine = np.flatnonzero(data["g"] == "c")
    data.loc[mine, "y"] += 1e5 * np.arange(len(mine))
    fm = mm.lmer("y ~ x + (1 | g)", data)
    check_against_refits(fm, "y ~ x + (1 | g)", data, {}, "g", ["a", "c", "d"])


# -- at the estimated variance ratios ------------------------------------------------------------


@pytest.mark.parametrize("name", ["two factors", "weights, offset"])
def test_with_theta_held_it_is_generalised_least_squares_on_the_other_rows(name):
    formula, options = MODELS[name]
    fm = mm.lmer(formula, DATA, **options)
    y = DATA["y"] - (DATA["o"] if "offset" in options else 0)
    weights = DATA["w"] if "weights" in options else np.ones(len(DATA))
    V = np.diag(1 / weights)
    for f, theta in zip(fm.ngroups, fm.theta, strict=True):
        V += theta**2 * (DATA[f].to_numpy()[:, None] == DATA[f].to_numpy())
    for group in ("g", "obs"):
        found = fm.influence(group, update_theta=False)
        assert_allclose(found.theta, np.broadcast_to(fm.theta, found.theta.shape), rtol=1e-12)
        for i in range(0, len(found.levels), 7):
            label = found.levels[i]
            keep = DATA.index != label if group == "obs" else DATA["g"] != label
            Vi = np.linalg.inv(V[np.ix_(keep, keep)])
            centre = np.eye(fm.X.shape[1])
            centre[0, fm.design.names.index("x")] = -1e4
            X = fm.X @ centre
            normal = X[keep].T @ Vi @ X[keep]
            beta = np.linalg.solve(normal, X[keep].T @ Vi @ y[keep])
            assert_allclose(found.beta[i], centre @ beta, rtol=1e-7)
            change = X @ np.linalg.solve(centre, found.beta[i] - fm.beta)
            squares = change @ np.linalg.solve(V, change) / fm.sigma**2
            assert_allclose(found.cooks_distance[i], squares / len(beta), rtol=1e-5)


# -- lme4 ----------------------------------------------------------------------------------------


@pytest.fixture(params=KNOWN, ids=lambda known: known["data"])
def known(request, load):
    answers = request.param
    formula = answers["formula"].replace("(1 | rr)", "(1 | recipe:replicate)")
    return answers, mm.lmer(formula, load(answers["data"]))


def test_leverage_and_cooks_distance_of_rows_are_lme4s(known):
    answers, fm = known
    assert_allclose(fm.leverage(), answers["leverage"], rtol=2e-5)
    assert_allclose(fm.cooks_distance(), answers["cooks_distance"], rtol=2e-4)
    assert fm.leverage().index.equals(fm.design.index)


def test_influence_of_levels_is_lme4s(known):
    answers, fm = known
    for one in answers["groups"]:
        group = one["group"].replace("rr", "recipe:replicate")
        found = fm.influence(group, levels=one["levels"])
        p, m = len(found.names), len(one["levels"])
        assert_allclose(found.cooks_distance, one["cooks"], rtol=1e-3, atol=1e-7)
        assert_allclose(found.dfbetas, one["dfbetas"], rtol=1e-3, atol=1e-5)
        assert_allclose(found.sigma, one["sigma"], rtol=1e-4)
        theta = np.array(one["theta"]).reshape(m, -1)
        assert_allclose(found.theta, theta, rtol=1e-3, atol=1e-3)
        # lme4's own are those of less exact fits, its distance in another unit.
        scaled = found.cooks_distance * (m - p) / m
        assert_allclose(scaled, one["lme4_cooks"], rtol=2e-2, atol=1e-6)


# -- rows ----------------------------------------------------------------------------------------


def test_cooks_distance_of_a_row_is_the_change_of_fitted_values_and_random_effects():
    fm = mm.lmer("y ~ f + (1 | g) + (1 | h)", DATA, weights="w")
    ZL = (fm.Zt.T @ fm.Lambda).toarray()
    A = np.column_stack([ZL, fm.X])
    w = DATA["w"].to_numpy()
    penalty = np.diag([1.0] * ZL.shape[1] + [0.0] * fm.X.shape[1])
    whole = np.linalg.solve(A.T @ (w[:, None] * A) + penalty, A.T @ (w * DATA["y"]))
    distances, h = fm.cooks_distance(), fm.leverage()
    for i in (0, 50, 149):
        keep = np.arange(len(w)) != i
        normal = A[keep].T @ (w[keep, None] * A[keep]) + penalty
        change = whole - np.linalg.solve(normal, A[keep].T @ (w[keep] * DATA["y"][keep]))
        squares = w @ (A @ change) ** 2 + change @ penalty @ change
        assert_allclose(distances[i], squares / (2 * fm.sigma**2), rtol=1e-7)
    assert h.name == "leverage"
    assert distances.name == "cooks_distance"


def test_a_row_that_is_fitted_whatever_it_is_has_no_distance():
    data = DATA.assign(only=(DATA.index == 7).astype(float))
    fm = mm.lmer("y ~ f + only + (1 | g)", data)
    assert fm.cooks_distance().isna().to_numpy().nonzero()[0].tolist() == [7]
    assert_allclose(fm.leverage()[7], 1.0)
    found = fm.influence("obs", levels=[6, 7])
    assert found.to_frame().isna().all(axis=1).tolist() == [False, False]
    assert found.to_frame().drop(columns="rows").loc[7].isna().all()
    assert found.notes == ("without 7 the fixed effects are not all estimable: only",)
    assert "without 7 the fixed effects" in str(found)


# -- what cannot be estimated --------------------------------------------------------------------


def test_levels_that_the_model_needs_are_named():
    data = DATA.assign(two=np.where(DATA["k"] < "3", "p", "q"))
    data["only"] = (data["g"] == "c") * np.arange(len(data))
    fm = mm.lmer("y ~ only + (1 | g) + (1 | two)", data)
    found = fm.influence("two")
    assert found.notes == tuple(
        f"without {label} nothing is left to estimate the variance of two from" for label in "pq"
    )
    assert np.isnan(found.cooks_distance).all()
    held = fm.influence("two", update_theta=False)
    assert not held.notes
    assert np.isfinite(held.cooks_distance).all()
    of_g = fm.influence("g")
    assert of_g.notes == ("without c the fixed effects are not all estimable: only",)
    assert np.isnan(of_g.cooks_distance).tolist() == [one == "c" for one in of_g.levels]


# -- the value, and arguments --------------------------------------------------------------------


def test_the_value(load):
    fm = mm.lmer("Yield ~ 1 + (1 | Batch)", load("dyestuff"))
    found = fm.influence()
    frame = found.to_frame()
    assert list(frame) == [
        *("rows", "cooks_distance", "covariance_ratio", "beta[(Intercept)]"),
        *("dfbetas[(Intercept)]", "theta[Batch]", "sigma"),
    ]
    assert frame.index.name == "Batch"
    assert [line[0] for line in str(found).splitlines()[3:]] == list("EFCDAB")
    assert "<table" in found._repr_html_()
    assert "0.5596" in found.to_markdown()
    assert len(fm.influence("obs").levels) == 30
    assert "and 10 more of smaller Cook's distance" in str(fm.influence("obs"))
    assert fm.influence(levels="C").levels.tolist() == ["C"]
    assert fm.influence(levels=[]).to_frame().empty
    assert fm.influence(levels=["F", "A"]).levels.tolist() == ["F", "A"]


def test_rows_in_a_file_and_a_refitted_model(tmp_path):
    DATA.to_parquet(tmp_path / "rows.parquet")
    formula = "y ~ x + (1 | g) + (1 | h)"
    fm, there = mm.lmer(formula, DATA), mm.lmer(formula, tmp_path / "rows.parquet")
    frames = [m.influence("h").to_frame() for m in (fm, there)]
    pd.testing.assert_frame_equal(*frames, rtol=1e-6)
    y = DATA["y"].to_numpy()[::-1].copy()
    again = mm.lmer("y ~ x + (1 | g) + (1 | h)", DATA.assign(y=y))
    pd.testing.assert_frame_equal(
        fm.refit(y).influence("h").to_frame(), again.influence("h").to_frame(), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, mm.ArgumentError, "pass one of g, h as group, or 'obs'"),
        ({"group": "i"}, mm.UnknownColumnError, "no grouping factor 'i'; it has g, h"),
        ({"group": ["g"]}, mm.UnknownColumnError, "no grouping factor"),
        ({"group": "g", "levels": ["a", "z"]}, mm.UnknownLevelError, "g has no level 'z'"),
        ({"group": "g", "update_theta": 1}, mm.ArgumentTypeError, "update_theta must be True or"),
    ],
)
def test_arguments_that_cannot_be(arguments, error, words):
    fm = mm.lmer("y ~ x + (1 | g) + (1 | h)", DATA)
    with pytest.raises(error, match=words):
        fm.influence(**arguments)


def test_models_that_have_no_influence_or_take_too_long(monkeypatch):
    none = mm.lmer("y ~ 0 + (1 | g)", DATA)
    for call in (none.influence, none.cooks_distance):
        with pytest.raises(mm.ArgumentError, match="has none"):
            call()
    fm = mm.lmer("y ~ x + (1 | g) + (1 | h)", DATA)
    monkeypatch.setattr("mixedmodels.inference.influence.MOST_SECONDS", -1.0)
    with pytest.raises(mm.FitTooLargeError, match=r"11 levels one by one.*choose some with levels"):
        fm.influence("g")


def test_an_iterative_fit_names_the_remedy():
    fm = mm.lmer("y ~ x + (1 | g) + (1 | h)", DATA, method="iterative")
    with pytest.raises(mm.ArgumentError, match=r"update\(method='hybrid'\)"):
        fm.influence("g")
    assert len(fm.update(method="hybrid").influence("h").levels) == 5
    assert fm.leverage().between(0, 1).all()


# -- pictures ------------------------------------------------------------------------------------


def _dots(ax):
    (line,) = [one for one in ax.lines if one.get_label() == "distances"]
    return np.asarray(line.get_xdata()), [t.get_text() for t in ax.get_yticklabels()]


def test_the_picture_of_levels_is_in_order_of_the_distance(fit):
    fm = fit("pastes", "strength ~ 1 + (1 | batch) + (1 | sample)", "REML")
    ax = fm.plot("influence", group="batch")
    expected = fm.influence("batch").to_frame()["cooks_distance"].sort_values()
    x, labels = _dots(ax)
    assert labels == expected.index.tolist()
    assert_allclose(x, expected)
    assert ax.get_xlabel() == "Cook's distance of the fixed effects"
    with pytest.raises(mm.ArgumentError, match="pass one of"):
        fm.plot("influence")


def test_the_picture_of_rows_has_the_largest(fit):
    fm = fit("pastes", "strength ~ 1 + (1 | batch) + (1 | sample)", "REML")
    x, labels = _dots(fm.plot("cooks"))
    expected = fm.cooks_distance().sort_values(ascending=False).head(40)[::-1]
    assert_allclose(x, expected)
    assert labels[-1] == str(expected.index[-1])
