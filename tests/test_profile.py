"""Profiles and intervals: against lme4's, against the criterion written out densely, and others'.

The intervals in tests/known/profile.tsv are lme4's; profile.R beside it made them.
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy.stats import norm

import mixedmodels as mm
from mixedmodels import _core
from mixedmodels.estimation.newton import Optimum

with (Path(__file__).with_name("known") / "profile.tsv").open() as _file:
    KNOWN = list(csv.DictReader(_file, delimiter="\t"))


def known_models(load):
    dyestuff = load("dyestuff").assign(w=lambda d: 1 + np.arange(len(d)) % 3)
    penicillin = load("penicillin")
    two = "diameter ~ 1 + (1 | plate) + (1 | sample)"
    unbalanced = penicillin.drop(penicillin.index[::3])
    return {
        "dyestuff": ("Yield ~ 1 + (1 | Batch)", dyestuff, {}),
        "weighted": ("Yield ~ 1 + (1 | Batch)", dyestuff, {"weights": "w"}),
        "penicillin": (two, penicillin, {}),
        "unbalanced": (two, unbalanced, {}),
        "pastes": ("strength ~ 1 + (1 | sample) + (1 | batch)", load("pastes"), {}),
        "cake": ("angle ~ recipe + temp + (1 | recipe:replicate)", load("cake"), {}),
        "classroom": (
            "mathgain ~ mathkind + ses + (1 | classid) + (1 | schoolid)",
            load("classroom").iloc[:400],
            {},
        ),
    }


@pytest.fixture(scope="module")
def fits(load):
    return {
        name: mm.lmer(formula, data, reml=False, **more)
        for name, (formula, data, more) in known_models(load).items()
    }


@pytest.mark.parametrize("name", sorted({row["model"] for row in KNOWN}))
def test_lme4s_intervals(fits, name):
    frame = fits[name].confint().to_frame()
    rows = [row for row in KNOWN if row["model"] == name]
    assert [r["parameter"] for r in rows] == list(frame.index)
    for row in rows:
        if row["lower"] == "NA":  # what lme4 has of a coefficient where there are weights
            continue
        lower, upper = float(row["lower"]), float(row["upper"])
        ours = frame.loc[row["parameter"]]
        # lme4 interpolates, and stops its searches short of the optimum.
        assert_allclose(ours[["lower", "upper"]], [lower, upper], atol=4e-4 * (upper - lower))
        assert (ours["lower"] == 0.0) == (lower == 0.0)


def test_published_intervals(fits):
    """Bates's, of lme4 in 2010: to the digits that its profiles had."""
    dyestuff = fits["dyestuff"].confint()
    assert_allclose(_ends(dyestuff["Batch"]), (12.197, 84.063), atol=1e-3)
    assert_allclose(_ends(dyestuff["(Intercept)"]), (1486.4515, 1568.5485), atol=6e-5)
    assert_allclose(np.log(_ends(dyestuff["Residual"])), (3.64362, 4.21446), atol=1e-5)
    penicillin = fits["penicillin"].confint()
    assert_allclose(_ends(penicillin["plate"]), (0.633566, 1.182104), atol=2e-6)
    assert_allclose(_ends(penicillin["sample"]), (1.095782, 3.556319), atol=1e-4)
    assert_allclose(_ends(penicillin["(Intercept)"]), (21.26663, 24.67782), atol=3e-5)


def _ends(interval):
    return interval.lower, interval.upper


# -- the criterion written out -------------------------------------------------------------------


def three_terms(seed=5):
    rng = np.random.default_rng(seed)
    n = 90
    data = pd.DataFrame(
        {
            "a": rng.integers(0, 15, n),
            "b": rng.integers(0, 8, n),
            "c": rng.integers(0, 5, n),
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 3.0, n),
            "o": rng.normal(size=n),
        }
    )
    data["z"] = 2.0 * data["x"] - 1.0  # follows from the others
    effects = [s * rng.normal(size=20)[data[g]] for g, s in (("a", 1.0), ("b", 0.7), ("c", 0.1))]
    data["y"] = 3.0 + 0.5 * data["x"] + data["o"] + sum(effects) + rng.normal(size=n)
    return data.astype(dict.fromkeys("abc", "string"))


@pytest.fixture(scope="module")
def three():
    with pytest.warns(mm.RankDeficientWarning):
        return mm.lmer(
            "y ~ z + x + (1 | a) + (1 | b) + (1 | c)", three_terms(), weights="w", offset="o"
        )


def dense(model, row, reml):
    """Compute the criterion at a row of parameters, and its gradient, from V itself."""
    k, kept = len(model.theta), model.cross_products.structure.kept
    X, n = model.X[:, kept], model.nobs
    w = np.ones(n) if model.design.weights is None else model.design.weights
    y = model.design.y - (0.0 if model.design.offset is None else model.design.offset)
    Z = np.split(model.Zt.toarray().T, np.cumsum(model.cross_products.levels)[:-1], axis=1)
    sds, beta = row[: k + 1], row[k + 1 :]
    K = [z @ z.T for z in Z] + [np.diag(1.0 / w)]
    V = sum(s**2 * k for s, k in zip(sds, K, strict=True))
    Vi = np.linalg.inv(V)
    XVX = X.T @ Vi @ X
    e = y - X @ beta
    P = Vi - reml * Vi @ X @ np.linalg.solve(XVX, X.T @ Vi)
    value = np.linalg.slogdet(V)[1] + e @ Vi @ e + (n - reml * len(beta)) * np.log(2 * np.pi)
    value += reml * np.linalg.slogdet(XVX)[1]
    by_variance = [np.sum(P * k) - e @ Vi @ k @ Vi @ e for k in K]
    return value, np.array([*by_variance, *(-2.0 * X.T @ Vi @ e)])


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name", ["three", "pastes", "unbalanced", "cake"])
def test_points_are_constrained_minima(request, fits, name, reml):
    """ζ² is the rise of the criterion, which no other parameter could lower."""
    model = request.getfixturevalue("three") if name == "three" else fits[name]
    model = model if model.reml == reml else model.update(reml=reml)
    profile = model.profile()
    k = len(model.theta)
    for number, curve in enumerate(profile.curves):
        assert curve.reml == (reml and number <= k)
        at_estimate = curve.parameters[curve.zeta == 0.0][0]
        least, _ = dense(model, at_estimate, curve.reml)
        errors = np.array([*at_estimate[: k + 1] ** 2, *np.ones(len(at_estimate) - k - 1)])
        for row, zeta, slope in zip(curve.parameters, curve.zeta, curve.slope, strict=True):
            value, gradient = dense(model, row, curve.reml)
            assert_allclose(value - least, zeta**2, atol=1e-7)
            if zeta != 0.0 and number <= k:
                assert_allclose(2 * row[number] * gradient[number], 2 * zeta * slope, atol=2e-4)
            elif zeta != 0.0:
                assert_allclose(gradient[number], 2 * zeta * slope, rtol=1e-4, atol=1e-4)
            free = np.arange(len(row)) != number
            at_zero = free & (row == 0.0)
            assert np.all(gradient[at_zero] > -1e-6)
            scaled = gradient * np.where(errors > 0, errors, 1.0)
            assert np.all(np.abs(scaled[free & ~at_zero]) < 2e-3)
        assert np.all(np.diff(curve.zeta) > 0)
        assert np.all(np.diff(curve.values) > 0)


def test_ends_are_met_exactly(fits):
    for model in fits.values():
        profile = model.profile()
        for level in (0.5, 0.8, 0.9, 0.95, 0.99):
            z = norm.ppf(0.5 + level / 2)
            for curve in profile.curves:
                for end, sign in zip(curve.interval(level), (-1, 1), strict=True):
                    if end == 0.0:
                        assert curve.at_zero
                        assert curve.zeta[0] > -z
                    else:
                        assert np.abs(curve.zeta[curve.values == end] - sign * z) < 2e-8


def test_interpolation(fits):
    """Between its points a profile says what one made for that level says."""
    for name in ("dyestuff", "unbalanced", "pastes"):
        read = fits[name].profile().confint(0.97).to_frame()
        made = fits[name].confint(level=0.97).to_frame()
        width = (made.upper - made.lower).to_numpy()[:, None]
        assert_allclose((read - made) / width, 0.0, atol=5e-5)
    curve = fits["dyestuff"].profile()["Batch"]
    values = np.linspace(5.0, 140.0, 50)
    assert_allclose(curve.value_at(curve.zeta_at(values)), values, rtol=1e-6)
    # The density is the derivative of Φ(ζ).
    steps = norm.cdf(curve.zeta_at(values + 1e-4)) - norm.cdf(curve.zeta_at(values - 1e-4))
    assert_allclose(curve.density_at(values), steps / 2e-4, rtol=1e-5)


# -- the boundary --------------------------------------------------------------------------------


def test_zero_on_the_boundary(fit, fits):
    none = fit("dyestuff2", "Yield ~ 1 + (1 | Batch)", "ML").profile()
    batch = none["Batch"]
    assert batch.at_zero
    assert batch.values[0] == batch.zeta[0] == batch.estimate == 0.0
    assert batch.interval()[0] == 0.0
    # d rises as g σ², so that ζ is straight at zero.
    assert_allclose(batch.slope[0], batch.zeta[1] / batch.values[1], rtol=0.05)
    some = fits["pastes"].profile()["batch"]
    assert some.estimate > 0
    assert some.values[0] == 0.0
    assert -1.0 < some.zeta[0] < 0.0
    assert some.interval(0.95)[0] == some.interval(0.5)[0] == 0.0 < some.interval(0.4)[0]
    logs = none.confint(scale="log")["Batch"]
    assert logs.lower == -np.inf
    assert np.isfinite(logs.upper)


def test_scales(fits):
    sd, log, variance = (
        fits["dyestuff"].confint(scale=s).to_frame() for s in ("sd", "log", "variance")
    )
    assert_allclose(np.exp(log.iloc[:2]), sd.iloc[:2])
    assert_allclose(np.sqrt(variance.iloc[:2]), sd.iloc[:2])
    assert_allclose(log.iloc[2], sd.iloc[2])


def test_units_change_nothing(load):
    data = load("pastes").assign(big=lambda d: 1e6 + 1e6 * d["strength"])
    plain = mm.lmer("strength ~ 1 + (1 | sample) + (1 | batch)", data).confint().to_frame()
    big = mm.lmer("big ~ 1 + (1 | sample) + (1 | batch)", data).confint().to_frame()
    big.loc["(Intercept)"] -= 1e6
    assert_allclose(big, 1e6 * plain, rtol=1e-6)


# -- criteria, other ways, other models ----------------------------------------------------------


def test_which_criterion(fit):
    fm = fit("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
    own, ml = fm.confint(), fm.confint(reml=False)
    assert own["Batch"] != ml["Batch"]
    assert own["(Intercept)"] == ml["(Intercept)"]
    assert_allclose(_ends(ml["Batch"]), (12.1965, 84.0634), atol=1e-4)
    assert "by REML: sd[Batch], sd[Residual]" in str(own)
    assert "REML" not in str(ml)
    again = fm.update(reml=False).confint(["Batch", "Residual"], reml=True)
    assert_allclose(_ends(again["Batch"]), _ends(own["Batch"]), rtol=1e-7)


def test_wald(fit, fits):
    fm = fits["penicillin"]
    wald = fm.confint(method="wald", level=0.9)
    z = norm.ppf(0.95)
    error = np.sqrt(fm.vcov().iloc[0, 0])
    estimate = fm.fixef().iloc[0]
    assert_allclose(_ends(wald["(Intercept)"]), (estimate - z * error, estimate + z * error))
    # The standard error of log σ is nearly that of ζ's slope, where the design is nearly balanced.
    for name in ("plate", "sample", "Residual"):
        curve, interval = fm.profile(name).curves[0], wald[name]
        half = 0.5 * np.log(interval.upper / interval.lower)
        centre = curve.slope[curve.zeta == 0.0][0] * curve.estimate
        assert_allclose(half, z / centre, rtol=1e-2)
    zero = fit("dyestuff2", "Yield ~ 1 + (1 | Batch)", "REML").confint(method="wald")
    assert np.isnan(zero["Batch"].lower)
    assert "estimated as zero" in str(zero)
    assert np.isfinite(zero["Residual"].upper)


def test_bootstrap(fits):
    fm = fits["dyestuff"]
    ours = fm.confint(method="bootstrap", n=400, seed=3)
    theirs = fm.bootstrap(400, 3).confint()
    assert_allclose(ours.to_frame()[["lower", "upper"]], theirs)
    logs = fm.confint(["Residual"], method="bootstrap", n=400, seed=3, scale="log")
    assert_allclose(np.exp(_ends(logs["Residual"])), theirs.loc["sd[Residual]"])


@pytest.mark.slow
def test_coverage(fit):
    """Six batches only: REML's interval of σ keeps its level, the deviance's is too short."""
    fm = fit("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
    truth = fm.sigma * fm.theta[0]
    held = {True: 0, False: 0}
    for y in fm.simulate(1500, seed=7).T:
        again = fm.refit(y)
        for reml in held:
            lower, upper = _ends(again.confint("Batch", reml=reml)["Batch"])
            held[reml] += lower <= truth <= upper
    assert 0.935 < held[True] / 1500 < 0.96
    assert 0.89 < held[False] / 1500 < 0.925


def test_lower_minimum_is_told(fits):
    fm = fits["penicillin"]
    sums = fm.cross_products.response
    poor = _core.fit(sums, fm.plan.core, False, np.array([1.0, 1.0]), 1e-20, 0, None)
    wrong = replace(fm, optimum=Optimum(poor, False))
    with pytest.warns(mm.ConvergenceWarning, match=r"lower deviance.*update\(start="):
        found = wrong.confint().to_frame()
    assert_allclose(found, fm.confint().to_frame(), rtol=1e-6)


def test_file_and_iterative(load, tmp_path):
    load("penicillin").to_csv(tmp_path / "p.csv", index=False)
    formula = "diameter ~ 1 + (1 | plate) + (1 | sample)"
    from_file = mm.lmer(formula, tmp_path / "p.csv")
    assert_allclose(
        from_file.confint().to_frame(), mm.lmer(formula, load("penicillin")).confint().to_frame()
    )
    iterative = mm.lmer(formula, load("penicillin"), method="iterative")
    with pytest.raises(mm.ArgumentError, match="hybrid"):
        iterative.profile()
    exact = from_file.confint(method="wald").to_frame()
    assert_allclose(iterative.confint(method="wald").to_frame(), exact, rtol=0.02)


def test_no_fixed_effects_and_many(load):
    none = mm.lmer("Yield ~ 0 + (1 | Batch)", load("dyestuff"), reml=False).profile()
    assert none.names == ("sd[Batch]", "sd[Residual]")
    many = mm.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load("cake"), reml=False)
    # In a balanced design a coefficient that varies within every level has Student's profile:
    # n log(1 + t²/n) = z², with the standard error of least squares within the levels.
    curve = many.profile("temp")["temp"]
    assert_allclose(curve.zeta + curve.zeta[::-1], 0.0, atol=0.02)


def test_interruption_ends_it(fits):
    fm = fits["penicillin"]

    def interrupted(parameter, zeta):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _core.profile(
            fm.cross_products.response,
            fm.plan.core,
            False,
            fm.optimum.core.gamma,
            [0],
            [1.0],
            [True],
            interrupted,
        )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.profile("Botch"), mm.UnknownColumnError, "Batch"),
        (lambda m: m.profile([]), mm.ArgumentError, "no parameter"),
        (lambda m: m.profile(3), mm.ArgumentTypeError, "names"),
        (lambda m: m.profile(level=1.0), mm.ArgumentError, "between 0 and 1"),
        (lambda m: m.profile(level="high"), mm.ArgumentTypeError, "0.95"),
        (lambda m: m.profile(reml="yes"), mm.ArgumentTypeError, "reml"),
        (lambda m: m.profile().confint(0.999), mm.ArgumentError, r"profile\(level=0.999\)"),
        (lambda m: m.confint(method="exact"), mm.ArgumentError, "profile, wald"),
        (lambda m: m.confint(scale="sqrt"), mm.ArgumentError, "sd, log"),
        (lambda m: m.confint(method="wald", reml=False), mm.ArgumentError, "update"),
        (lambda m: m.profile()["x"], mm.UnknownColumnError, r"sd\[Batch\]"),
        (lambda m: m.profile().plot("zetas"), mm.ArgumentError, "density"),
        (lambda m: m.profile("Batch").plot("pairs"), mm.ArgumentError, "two"),
        (lambda m: m.update(reml=True).profile().plot("pairs"), mm.ArgumentError, "criterion"),
    ],
)
def test_bad_arguments(fits, call, error, words):
    with pytest.raises(error, match=words):
        call(fits["dyestuff"])


# -- printed forms and pictures ------------------------------------------------------------------


def test_frames_and_print(fits):
    profile = fits["dyestuff"].profile()
    frame = profile.to_frame()
    assert list(frame) == ["parameter", "zeta", "sd[Batch]", "sd[Residual]", "(Intercept)"]
    assert len(frame) == sum(len(c.zeta) for c in profile.curves)
    held = frame[frame.parameter == "(Intercept)"]
    assert_allclose(held["(Intercept)"], profile["(Intercept)"].values)
    assert "ML" in str(profile)
    with pytest.raises(ValueError, match="read-only"):
        profile["Batch"].zeta[0] = 0.0


def test_pictures(fits):
    fm = fits["dyestuff"]
    profile = fm.profile()
    for kind, count in (("zeta", 3), ("density", 3), ("pairs", 9)):
        for scale in ("sd", "log", "variance"):
            axes = profile.plot(kind, scale=scale)
            assert len(axes) == count
            axes.figure.canvas.draw()
    figure = Figure()
    ax = figure.subplots()
    assert profile.plot("density", parameters=["Batch"], ax=ax) is ax
    assert len(fm.plot("zeta")) == 3
    # Under a density, with the probability of zero, lies one.
    x, y = ax.lines[0].get_data()
    curve = profile["Batch"]
    assert_allclose(
        np.trapezoid(y, x) + norm.cdf(curve.zeta[0]), norm.cdf(curve.zeta[-1]), atol=1e-3
    )


def test_contours(fits):
    """The criterion on a contour has risen by about χ²'s quantile, everywhere on it."""
    fm = fits["dyestuff"]
    profile = fm.profile(["Batch", "Residual"])
    axes = profile.plot("pairs")
    (curve,) = (line for line in axes[2].lines if line.get_label() == "80 %")
    batch, residual = curve.get_data()
    rises = []
    least, _ = dense(fm, profile.curves[0].parameters[profile.curves[0].zeta == 0.0][0], False)
    for sds in zip(batch[::20], residual[::20], strict=True):
        value, _ = dense(fm, np.array([*sds, fm.beta[0]]), False)
        rises.append(value - least)
    assert_allclose(rises, -2.0 * np.log(0.2), rtol=0.12)
