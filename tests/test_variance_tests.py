"""Tests of variances: exact distributions, mixtures, bootstrap, and what anova says of them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import mixedmodels as mm
import oracle
from mixedmodels.inference import boundary
from mixedmodels.inference.boundary import bootstrap_statistics, mixture_tail, mixture_weights
from mixedmodels.inference.null_distribution import (
    Spectrum,
    balanced_tail,
    simulate_statistics,
    spectrum,
    suprema,
)

RNG_SEED = 20100721
N_SETS = 2000


def one_way(sizes, seed=1, sd=1.0, weights=False):
    """An unbalanced one-way layout with a covariate."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    y = sd * rng.normal(size=len(sizes))[codes] + rng.normal(size=len(codes))
    data = pd.DataFrame({"y": y, "g": codes, "x": rng.normal(size=len(codes))})
    return data, rng.uniform(0.5, 2, len(codes)) if weights else None


@pytest.fixture(scope="module")
def pastes():
    data = mm.datasets.load("pastes")
    small = mm.lmer("strength ~ 1 + (1 | sample)", data, reml=False)
    return small, small.update("~ . + (1 | batch)")


# -- exact: balanced, by F -----------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("levels", "size", "seed"), [(6, 5, 3), (3, 2, 11), (40, 3, 5), (2, 9, 2)])
def test_balanced_one_way_is_the_f_test(levels, size, seed, reml):
    data, _ = one_way([size] * levels, seed, sd=2.0)
    groups = data.groupby("g").y
    F = size * groups.mean().var() / groups.var().mean()
    test = mm.lmer("y ~ 1 + (1 | g)", data, reml=reml).test_variance("g")
    df = levels - 1, levels * (size - 1)
    assert test.statistic > 0
    assert test.null.method == "exact"
    assert test.null.n == 0
    assert_allclose(test.p_value, stats.f.sf(F, *df), rtol=1e-7)
    # REML's estimate is zero where MSB < MSW, maximum likelihood's where SSB / levels < MSW.
    assert_allclose(test.null.mass_at_zero, stats.f.cdf(1 if reml else levels / df[0], *df))


def test_complete_blocks_are_the_f_test_of_two_way_layouts():
    data = mm.datasets.load("penicillin")
    fm = mm.lmer("diameter ~ plate + (1 | sample)", data)
    table = data.pivot(index="plate", columns="sample", values="diameter").to_numpy()
    effects = table.mean(0) - table.mean()
    rest = table - table.mean(1, keepdims=True) - effects
    F = (24 * effects @ effects / 5) / (np.square(rest).sum() / (23 * 5))
    assert_allclose(fm.test_variance("sample").p_value, stats.f.sf(F, 5, 115), rtol=1e-6)


# -- exact: any design, draw by draw -------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_each_statistic_is_that_of_dense_fits(reml, weighted):
    data, w = one_way([1, 2, 2, 3, 5, 5, 7], weights=weighted)
    fm = mm.lmer("y ~ x + (1 | g)", data, reml=reml, weights=w)
    values = spectrum(fm.cross_products, reml)
    root = np.ones(len(data)) if w is None else np.sqrt(w)
    X = root[:, None] * fm.X
    Z = root[:, None] * fm.Zt.toarray().T
    P = np.eye(len(X)) - X @ np.linalg.pinv(X)
    found, vectors = np.linalg.eigh(P @ Z @ Z.T @ P)
    assert_allclose(np.repeat(values.mu, values.mu_times.astype(int)), found[found > 1e-9])
    assert values.xi_times.sum() == (6 if reml else 7)

    rng = np.random.default_rng(RNG_SEED)
    for y in rng.normal(size=(12, len(data))) @ np.diag(1 / root):
        scores = np.square(vectors.T @ (P @ (root * y)))
        squares = [scores[np.abs(found - m) < 1e-8].sum() for m in values.mu]
        squares.append(scores.sum() - sum(squares))
        dense = oracle.model(y, fm.X, {"g": pd.DataFrame(fm.Zt.toarray().T)}, reml, w)
        free = oracle.best_optimum(dense)
        expected = oracle.evaluate(dense, [0.0]).objective - free.objective
        assert_allclose(suprema(values, np.array([squares]))[0], expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("nu", [29, 30])
def test_simulation_agrees_with_the_closed_form(nu):
    mu, times = np.array([5.0]), np.array([5.0])
    values = Spectrum(mu, times, mu, times + (nu == 30), nu, 29)
    drawn = simulate_statistics(values, 20_000, RNG_SEED)
    for observed in (0.0, 0.05, 1.0, 2.7, 6.4):
        p, zero = balanced_tail(values, observed)
        assert abs(np.mean(drawn >= observed) - p) < 4 * np.sqrt(p * (1 - p) / 20_000) + 1e-12
        assert abs(np.mean(drawn == 0) - zero) < 4 * np.sqrt(zero * (1 - zero) / 20_000)


def test_many_levels_of_few_sizes_are_a_small_problem():
    data, _ = one_way([2] * 3000 + [3] * 2000)
    values = spectrum(mm.lmer("y ~ x + (1 | g)", data).cross_products, True)
    assert len(values.mu) <= 2 + 2 * 2
    assert_allclose(values.mu @ values.mu_times, _trace(data), rtol=1e-10)


def _trace(data):
    """tr(Z'P₀Z), by group sums."""
    X = np.column_stack([np.ones(len(data)), data.x])
    Q = np.linalg.qr(X).Q
    sums = pd.DataFrame(Q).groupby(data.g.to_numpy()).sum().to_numpy()
    return len(data) - np.square(sums).sum()


def test_redundant_columns_change_nothing():
    data, _ = one_way([1, 2, 2, 3, 5, 5, 7], sd=1.5)
    data["twice"] = 2 * data.x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.RankDeficientWarning)
        redundant = mm.lmer("y ~ x + twice + (1 | g)", data).test_variance("g")
    plain = mm.lmer("y ~ x + (1 | g)", data).test_variance("g")
    assert_allclose(redundant.p_value, plain.p_value, rtol=1e-12)


def test_estimate_of_zero_has_p_value_one():
    for reml in (True, False):
        fm = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"), reml=reml)
        test = fm.test_variance("Batch")
        assert (test.statistic, test.p_value, test.p_chisq) == (0.0, 1.0, 1.0)
    assert_allclose(test.null.mass_at_zero, stats.f.cdf(6 / 5, 5, 24))


@pytest.mark.parametrize(("factor", "shift"), [(1e6, 0), (1e-6, 0), (1, 1e6)])
def test_units_change_nothing(factor, shift, pastes):
    data, _ = one_way([1, 2, 2, 3, 5, 5, 7], sd=1.5)
    other = data.assign(y=shift + factor * data.y, x=shift + data.x / factor)
    p, q = (mm.lmer("y ~ x + (1 | g)", d).test_variance("g").p_value for d in (data, other))
    assert_allclose(q, p, rtol=1e-12)


def test_model_from_a_file(tmp_path):
    data, _ = one_way([1, 2, 2, 3, 5, 5, 7], sd=1.5)
    data.to_csv(tmp_path / "d.csv", index=False)
    read = mm.lmer("y ~ x + (1 | g)", tmp_path / "d.csv").test_variance("g")
    assert_allclose(
        read.p_value, mm.lmer("y ~ x + (1 | g)", data).test_variance("g").p_value, rtol=1e-12
    )


# -- mixtures ------------------------------------------------------------------------------------


def test_weights_of_independent_estimates_are_binomial():
    for k in (1, 2, 3):
        assert_allclose(
            mixture_weights(np.diag([2.0, 0.1, 7.0][:k])), stats.binom.pmf(range(k + 1), k, 0.5)
        )


def test_weights_are_how_often_projections_are_positive():
    """Projecting a normal vector on the positive orthant, in the metric of its covariance."""
    from scipy.optimize import nnls

    V = np.array([[1.0, -0.4, 0.3], [-0.4, 2.0, 0.5], [0.3, 0.5, 1.5]])
    draws = np.random.default_rng(RNG_SEED).normal(size=(8000, 3))
    for k in (2, 3):
        # ‖root (z − x)‖² is the distance, and root z a vector of independent numbers.
        root = np.linalg.cholesky(np.linalg.inv(V[:k, :k])).T
        positive = [np.count_nonzero(nnls(root, e)[0]) for e in draws[:, :k]]
        counts = np.bincount(positive, minlength=k + 1) / len(draws)
        assert_allclose(mixture_weights(V[:k, :k]), counts, atol=4 * 0.5 / np.sqrt(8000))


def test_tail_of_a_mixture():
    half = np.array([0.5, 0.5])
    assert mixture_tail(half, 0.0) == 1.0
    assert_allclose(mixture_tail(half, 2.0), stats.chi2.sf(2.0, 1) / 2)
    assert_allclose(mixture_tail(half, 2.0, 1), (stats.chi2.sf(2.0, 1) + stats.chi2.sf(2.0, 2)) / 2)


# -- beside other terms --------------------------------------------------------------------------


def test_bootstrap_statistics_are_those_of_refits(pastes):
    small, large = pastes
    found = bootstrap_statistics(small, large, 20, 7)
    draws = np.random.default_rng(7).standard_normal((20, 30 + 60))
    codes = small.design.groupings[0].codes
    Y = 60 + 0.8 * (small.theta[0] * draws[:, codes] + draws[:, 30:])  # σ and β do not matter
    expected = [small.refit(y).objective - large.refit(y).objective for y in Y]
    assert_allclose(found, np.maximum(expected, 0), atol=1e-7)


def test_zeros_of_a_nested_design_are_those_of_its_mean_squares(pastes):
    test = pastes[1].update(reml=True).test_variance("batch")
    expected = stats.f.cdf(1, 9, 20)  # mean squares of batches below that of casks
    assert test.null.method == "bootstrap"
    assert abs(test.null.mass_at_zero - expected) < 4 * np.sqrt(0.25 / test.null.n)


def test_test_of_a_term_is_the_comparison_of_models(pastes):
    small, large = pastes
    row = mm.anova(small, large).rows[1]
    test = large.test_variance("batch")
    assert_allclose(test.statistic, row.chisq, rtol=1e-8)
    assert test.p_value == row.p_boundary
    assert_allclose(test.p_chisq, row.p_value, rtol=1e-8)
    frame = mm.anova(small, large, n=500, seed=3).to_frame()
    assert np.isnan(frame.p_boundary["small"])
    assert frame.null_distribution["large"] == "parametric bootstrap"
    other = large.test_variance("batch", n=500, seed=3)
    assert other.p_value == frame.p_boundary["large"] != test.p_value
    assert_allclose(other.null.mc_error, np.sqrt(other.p_value * (1 - other.p_value) / 500))


def test_a_bootstrap_not_asked_for_is_short(pastes, monkeypatch):
    monkeypatch.setattr(boundary, "_PATIENCE_SECONDS", 0.15)
    null = pastes[1].test_variance("batch").null
    assert (null.method, null.n % 1000) == ("bootstrap", 0)
    assert 1000 <= null.n < 10_000
    monkeypatch.setattr(boundary, "_PATIENCE_SECONDS", 0.01)
    null = pastes[1].test_variance("batch").null
    assert null.method == "mixture"
    assert "there are 10, and method='bootstrap' is nearer the truth" in null.reason
    assert pastes[1].test_variance("batch", method="bootstrap", n=300).null.n == 300


def test_many_levels_use_the_mixture():
    data = mm.datasets.load("classroom")
    fixed = "mathgain ~ mathkind + minority + ses"
    fm9M = mm.lmer(f"{fixed} + (1 | schoolid)", data, reml=False)
    fm8M = fm9M.update("~ . + (1 | classid)")
    table = mm.anova(fm9M, fm8M)
    assert table.rows[1].p_boundary == table.rows[1].p_value / 2
    assert "0.0005415    0.0002708" in str(table)
    assert "0.5 chi2(0) + 0.5 chi2(1) (the limit for many levels)" in str(table)


def test_fixed_effects_alone_have_no_boundary(pastes):
    data = mm.datasets.load("classroom")
    small = mm.lmer("mathgain ~ mathkind + (1 | classid)", data, reml=False)
    large = small.update("~ . + minority")
    both = large.update("~ . + ses + (1 | schoolid)")
    table = mm.anova(small, large)
    assert table.rows[1].null is None
    assert "boundary" not in str(table)
    row = mm.anova(small, large, both, method="mixture").rows[2]
    assert row.null.name == "0.5 chi2(1) + 0.5 chi2(2)"
    assert_allclose(row.p_boundary, mixture_tail(np.array([0.5, 0.5]), row.chisq, 1))


def test_two_variances_at_once():
    data = mm.datasets.load("classroom").assign(third=np.arange(1190) % 150)
    small = mm.lmer("mathgain ~ mathkind + (1 | third)", data, reml=False)
    large = small.update("~ . + (1 | schoolid) + (1 | classid)")
    with_weights = mm.anova(small, large, method="mixture").rows[1].null
    assert with_weights.name.count("chi2") == 3
    # Negatively correlated estimates: seldom are both positive.
    assert 0.25 < with_weights.mass_at_zero < 0.5


def test_nested_terms_can_be_tested():
    fm = mm.lmer("strength ~ 1 + (1 | batch/cask)", mm.datasets.load("pastes"))
    test = fm.test_variance("cask:batch", n=200)
    assert test.null.p_value == 1 / 201
    assert "Monte Carlo error at most" in str(test)


def test_iterative_fit():
    data = mm.datasets.load("pastes")
    fm = mm.lmer("strength ~ 1 + (1 | batch) + (1 | sample)", data, method="iterative", seed=1)
    with pytest.raises(mm.ComparisonError, match="hybrid"):
        fm.test_variance("batch", method="bootstrap")
    assert fm.test_variance("batch").null.method == "mixture"


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "exactly"}, mm.ArgumentError, "method must be one of auto"),
        ({"method": None}, mm.ArgumentError, "method must be one of auto"),
        ({"method": "exact"}, mm.ArgumentError, "one variance against none"),
        ({"n": 1.5}, mm.ArgumentTypeError, "n must be a whole number"),
        ({"n": True}, mm.ArgumentTypeError, "n must be a whole number"),
        ({"n": 10}, mm.ArgumentError, "n must be 100 or more"),
        ({"seed": -1}, mm.ArgumentError, "seed"),
        ({"seed": "a"}, mm.ArgumentError, "seed"),
    ],
)
def test_bad_arguments(pastes, arguments, error, message):
    with pytest.raises(error, match=message):
        mm.anova(*pastes, **arguments)
    with pytest.raises(error, match=message):
        pastes[1].test_variance("batch", **arguments)


def test_unknown_term(pastes):
    with pytest.raises(mm.UnknownColumnError, match=r"'cask'; it has sample, batch"):
        pastes[1].test_variance("cask")
    with pytest.raises(mm.UnknownColumnError):
        pastes[1].test_variance(["batch"])


def test_bootstrap_of_the_only_term_is_the_exact_distribution():
    fm = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
    with pytest.raises(mm.ArgumentError, match="method='exact'"):
        fm.test_variance("Batch", method="bootstrap")
    assert fm.test_variance("Batch", method="mixture").p_value == (
        fm.test_variance("Batch", method="chisq").p_value / 2
    )


# -- size ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[5] * 6, [1, 2, 2, 3, 5, 5, 7]], ids=["balanced", "unbalanced"])
@pytest.mark.parametrize("reml", [True, False])
def test_p_values_are_uniform_under_the_hypothesis(sizes, reml):
    data, _ = one_way(sizes)
    fm = mm.lmer("y ~ 1 + (1 | g)", data, reml=reml)
    tests = [
        fm.refit(y).test_variance("g", n=1000, seed=i)
        for i, y in enumerate(np.random.default_rng(RNG_SEED).normal(size=(N_SETS, len(data))))
    ]
    p = np.array([test.p_value for test in tests])
    chisq = np.array([test.p_chisq for test in tests])
    zero = tests[0].null.mass_at_zero
    # Above 1 − P(statistic = 0) there is only p = 1; below it p is uniform.
    assert abs(np.mean(p == 1) - zero) < 4 * np.sqrt(0.25 / len(p))
    below = p[p < 1] / (1 - zero)
    assert stats.kstest(below, "uniform").pvalue > 0.001
    for level in (0.01, 0.05, 0.1):
        assert abs(np.mean(p <= level) - level) < 4 * np.sqrt(level * (1 - level) / len(p))
    for level in (0.05, 0.1):  # at 0.01 so few are counted that chance decides
        assert np.mean(chisq <= level) < 0.7 * level
