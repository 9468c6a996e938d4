"""Standard errors and intervals of predictions, against the marginal covariance matrix itself."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

import mixedmodels as mm


def simulated(seed=3, n=90):
    """Simulate two crossed, unbalanced factors, a covariate far from zero, and weights."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "g": rng.choice(list("abcdefghij"), n),
            "h": rng.choice(["u", "v", "w", "x"], n, p=[0.5, 0.2, 0.2, 0.1]),
            "x": 1000 + rng.uniform(0, 4, n),
            "w": rng.uniform(0.5, 3, n),
        }
    )
    effects = [dict(zip(sorted(set(data[f])), rng.normal(size=10), strict=False)) for f in "gh"]
    data["y"] = data["x"] + data["g"].map(effects[0]) + 0.7 * data["h"].map(effects[1])
    data["y"] += rng.normal(size=n) / np.sqrt(data["w"])
    return data


DATA = simulated()
FORMULA = "y ~ x + (1 | g) + (1 | h)"
NEW = pd.DataFrame(
    {
        "g": ["a", "c", "new", "b", "newer"],
        "h": ["u", "x", "v", "?", "??"],
        "x": [1001.0, 1003, 1002, 1010, 990],
        "w": [1.0, 2.0, 4.0, 0.5, 1.0],
    }
)


@pytest.fixture(scope="module")
def fm():
    return mm.lmer(FORMULA, DATA, weights="w")


def dense_variances(fm, new, given=("g", "h"), observation=False):
    """By V: var(b | y) and what not knowing β adds to it, in the form of the kriging variance."""
    sds = dict(zip(fm.varcorr().to_frame()["grp"], fm.varcorr().to_frame()["sdcor"], strict=True))
    weights = 1.0 if fm.design.weights is None else fm.design.weights
    V = np.diag(np.ones(fm.nobs) * sds["Residual"] ** 2 / weights)
    prior, shared = np.zeros(len(new)), np.zeros((len(new), fm.nobs))
    for f in ("g", "h"):
        V += sds[f] ** 2 * (DATA[f].to_numpy()[:, None] == DATA[f].to_numpy())
        if f in given:
            prior += sds[f] ** 2
            shared += sds[f] ** 2 * (new[f].to_numpy()[:, None] == DATA[f].to_numpy())
        elif observation:
            prior += sds[f] ** 2
    X = np.column_stack([np.ones(fm.nobs), DATA["x"] - 1000])
    x = np.column_stack([np.ones(len(new)), new["x"] - 1000])
    k = np.linalg.solve(V, shared.T).T
    rest = x - k @ X
    C = np.linalg.inv(X.T @ np.linalg.solve(V, X))
    variances = prior - (k * shared).sum(axis=1) + np.einsum("ij,jk,ik->i", rest, C, rest)
    return variances + observation * sds["Residual"] ** 2 / new["w"].to_numpy()


@pytest.mark.parametrize("interval", ["confidence", "prediction"])
@pytest.mark.parametrize(
    ("random", "given"), [(True, "gh"), (["h"], "h"), (("g",), "g"), (False, ""), ([], "")]
)
def test_variances_are_those_of_the_marginal_model(fm, interval, random, given):
    frame = fm.predict(NEW, random=random, levels="population", interval=interval)
    expected = dense_variances(fm, NEW, given, interval == "prediction")
    assert_allclose(frame["se"] ** 2, expected, rtol=1e-7)
    plain = fm.predict(NEW, random=random, levels="population")
    assert_allclose(frame["prediction"], plain, rtol=1e-14)


def test_the_rows_of_the_fit_are_as_new_rows(fm):
    for random in (True, ["g"], False):
        for interval in ("confidence", "prediction"):
            inside = fm.predict(random=random, interval=interval)
            outside = fm.predict(DATA, random=random, interval=interval)
            pd.testing.assert_frame_equal(inside, outside, rtol=1e-8)
    assert_allclose(fm.predict(se=True)["se"] ** 2, dense_variances(fm, DATA), rtol=1e-7)


def test_intervals_are_normal_quantiles_of_the_level(fm):
    frame = fm.predict(DATA.iloc[:5], interval="prediction", level=0.8)
    assert list(frame) == ["prediction", "se", "lower", "upper"]
    half = norm.ppf(0.9) * frame["se"]
    assert_allclose(frame["upper"] - frame["prediction"], half, rtol=1e-9)
    assert_allclose(frame["prediction"] - frame["lower"], half, rtol=1e-9)
    only = fm.predict(DATA.iloc[:5], se=True)
    assert list(only) == ["prediction", "se"]
    assert (only["se"] < frame["se"]).all()


def test_new_rows_have_weight_one_unless_the_column_is_there(fm):
    sigma2 = fm.sigma**2
    for rows, weights in ((DATA, DATA["w"]), (DATA.drop(columns="w"), 1.0)):
        frames = [
            fm.predict(rows, interval=kind)["se"] ** 2 for kind in ("prediction", "confidence")
        ]
        assert_allclose(frames[0] - frames[1], sigma2 / weights, rtol=1e-9)
    # The weights of rows matter for the noise of an observation only.
    bad = DATA.assign(w=-1.0)
    assert len(fm.predict(bad, interval="confidence")) == len(DATA)
    with pytest.raises(mm.DataError, match="weights w must be positive"):
        fm.predict(bad, interval="prediction")


def test_levels_not_seen_can_be_left_missing(fm):
    series = fm.predict(NEW, levels="missing")
    assert series.isna().tolist() == [False, False, True, True, True]
    frame = fm.predict(NEW, levels="missing", interval="confidence")
    assert frame.iloc[2:].isna().all(axis=None)
    pd.testing.assert_frame_equal(
        frame.iloc[:2], fm.predict(NEW.iloc[:2], interval="confidence"), rtol=1e-9
    )
    # A factor that is left out may have any level.
    assert fm.predict(NEW, random=["h"], levels="missing").isna().tolist() == [0, 0, 0, 1, 1]


def test_the_balanced_one_way_layout_in_closed_form(fit):
    fm = fit("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
    s2, b2 = fm.sigma**2, fm.varcorr().components[0].variance
    mean = (b2 + s2 / 5) / 6
    shrinkage = b2 / (b2 + s2 / 5)
    seen = (1 - shrinkage) * b2 + (1 - shrinkage) ** 2 * mean
    new = {"Batch": ["C", "Z"]}
    of_mean = fm.predict(new, levels="population", se=True)["se"] ** 2
    assert_allclose(of_mean, [seen, mean + b2], rtol=1e-9)
    of_row = fm.predict(new, levels="population", interval="prediction")["se"] ** 2
    assert_allclose(of_row, [seen + s2, mean + b2 + s2], rtol=1e-9)
    population = fm.predict(new, random=False, interval="confidence")["se"] ** 2
    assert_allclose(population, [mean, mean], rtol=1e-9)
    assert_allclose(mean, fm.vcov().to_numpy()[0, 0], rtol=1e-12)


def test_without_a_factor_by_conjugate_gradients(load, monkeypatch):
    data = load("insteval").head(3000)
    fm = mm.lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept)", data)
    direct = fm.predict(data.iloc[::100], interval="confidence")
    monkeypatch.setattr("mixedmodels.inference.henderson.MOST_LEVELS", 0)
    pd.testing.assert_frame_equal(
        fm.predict(data.iloc[::100], interval="confidence"), direct, rtol=1e-9
    )
    iterative = mm.lmer("y ~ service + (1 | s) + (1 | d)", data, method="iterative")
    exact = mm.lmer("y ~ service + (1 | s) + (1 | d)", data, start=iterative.theta)
    se = [m.predict(data.iloc[:9], se=True)["se"] for m in (iterative, exact)]
    assert_allclose(se[0], se[1], rtol=1e-2)
    monkeypatch.setattr("mixedmodels.inference.henderson.MOST_FLOPS", 0.0)
    with pytest.raises(mm.FitTooLargeError, match="ask for fewer rows, or predict with random=Fa"):
        fm.predict(data, se=True)


def test_zero_variances_redundant_columns_and_one_observation_a_level():
    data = DATA.assign(z=2 * DATA["x"], g=[f"{i // 2}" for i in range(len(DATA))])
    data["y"] = np.random.default_rng(1).normal(size=len(data))
    with pytest.warns(mm.RankDeficientWarning):
        fm = mm.lmer("y ~ x + z + (1 | g)", data)
    if fm.singular:
        assert_allclose(
            fm.predict(interval="confidence")["se"],
            fm.predict(random=False, interval="confidence")["se"],
            rtol=1e-9,
        )
    assert fm.predict(interval="prediction").notna().all(axis=None)


def test_no_rows(fm):
    frame = fm.predict(DATA.iloc[:0], interval="prediction")
    assert frame.shape == (0, 4)


def test_rows_in_a_file(tmp_path):
    DATA.to_parquet(tmp_path / "rows.parquet")
    fm, there = mm.lmer(FORMULA, DATA), mm.lmer(FORMULA, tmp_path / "rows.parquet")
    for new in (None, NEW.iloc[:2]):
        frames = [m.predict(new, interval="prediction") for m in (fm, there)]
        assert_allclose(frames[0], frames[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"interval": "both"}, mm.ArgumentError, "interval must be None, 'confidence' or 'pred"),
        ({"interval": True}, mm.ArgumentError, "interval must be"),
        ({"level": 95}, mm.ArgumentError, "level must be a probability between 0 and 1, not 95"),
        ({"level": 1.0}, mm.ArgumentError, "level must be"),
        ({"level": float("nan")}, mm.ArgumentError, "level must be"),
        ({"random": "g"}, mm.ArgumentTypeError, "random must be True, False or a list"),
        ({"random": 1}, mm.ArgumentTypeError, "random must be"),
        ({"random": ["gg"]}, mm.UnknownColumnError, "no grouping factor 'gg'; it has g, h"),
        ({"se": "yes"}, mm.ArgumentTypeError, "se must be True or False"),
    ],
)
def test_arguments_that_cannot_be(fm, arguments, error, words):
    with pytest.raises(error, match=words):
        fm.predict(NEW, levels="population", **arguments)


@pytest.mark.slow
def test_coverage_is_that_asked_for_if_the_variances_are_known_well():
    rng = np.random.default_rng(11)
    g, h = np.repeat(np.arange(60), 6), np.tile(np.arange(30), 12)
    new = pd.DataFrame({"g": ["3", "17", "new"], "h": ["4", "new", "new"]})
    hits = {"confidence": np.zeros(3), "prediction": np.zeros(3)}
    repeats = 400
    for _ in range(repeats):
        bg, bh = rng.normal(size=61), 0.8 * rng.normal(size=31)
        data = pd.DataFrame({"g": g.astype(str), "h": h.astype(str)})
        data["y"] = 5 + bg[g] + bh[h] + rng.normal(size=g.size)
        mean = 5 + bg[[3, 17, 60]] + np.array([bh[4], 0.8 * rng.normal(), bh[30]])
        fm = mm.lmer("y ~ 1 + (1 | g) + (1 | h)", data)
        for kind, truth in (("confidence", mean), ("prediction", mean + rng.normal(size=3))):
            frame = fm.predict(new, levels="population", interval=kind, level=0.9)
            hits[kind] += (frame["lower"] <= truth) & (truth <= frame["upper"])
    for counts in hits.values():
        assert (np.abs(counts / repeats - 0.9) < 4 * np.sqrt(0.09 / repeats)).all()
