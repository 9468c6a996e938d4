"""The oracle is held to definitions and to reference optima before it judges anything else."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import null_space
from scipy.stats import multivariate_normal

import designs
import oracle

# insteval has too many rows for V; classroom's optima are known to about 1e-8 only.
EXACT = [r for r in designs.scalar_optima() if r["dataset"] not in {"classroom", "insteval"}]
CLASSROOM = [r for r in designs.scalar_optima() if r["dataset"] == "classroom"]


@pytest.fixture(params=["REML", "ML"])
def reml(request):
    return request.param == "REML"


@pytest.fixture
def weighted(reml):
    """Two crossed factors, a covariate, weights that differ, and a θ that is no optimum."""
    design = designs.simulate(12)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(design.data))
    return designs.dense(design.formula, design.data, reml, weights), np.array([0.8, 0.3])


def covariance(m, theta):
    """σ⁻² times the covariance of y."""
    gamma = np.square(theta)
    return m.W_inverse + sum(g * Z @ Z.T for g, Z in zip(gamma, m.Z.values(), strict=True)).values


def test_criterion_is_minus_twice_the_log_density(weighted):
    m, theta = weighted
    fit = oracle.evaluate(m, theta)
    V = fit.sigma**2 * covariance(m, theta)
    if m.reml:  # the density of error contrasts K'y, K'X = 0, up to lme4's constant log|X'X|
        K = null_space(m.X.T)
        log_density = multivariate_normal(np.zeros(K.shape[1]), K.T @ V @ K).logpdf(K.T @ m.y)
        log_density -= np.linalg.slogdet(m.X.T @ m.X)[1] / 2
    else:
        log_density = multivariate_normal(m.X @ fit.beta, V).logpdf(m.y)
    assert_allclose(fit.objective, -2 * log_density, rtol=1e-12)


def test_gradient_by_finite_differences(weighted):
    m, theta = weighted
    gamma, h = theta**2, 1e-5
    for t, slope in enumerate(oracle.evaluate(m, theta).gradient):
        step = h * np.eye(len(gamma))[t]
        up, down = (oracle.evaluate(m, np.sqrt(g)).objective for g in (gamma + step, gamma - step))
        # Central differences: an error of h² from the third derivative, 1e-14/h from rounding.
        assert_allclose((up - down) / (2 * h), slope, rtol=1e-6, atol=1e-7)


def test_random_effects_are_those_of_the_joint_normal_distribution(weighted):
    m, theta = weighted
    fit = oracle.evaluate(m, theta)
    Z = np.hstack([frame.to_numpy() for frame in m.Z.values()])
    scale = np.repeat(theta, [frame.shape[1] for frame in m.Z.values()])
    # Henderson's equations with the random effects alone: b given y and β.
    W = np.linalg.inv(m.W_inverse)
    inverse = np.linalg.inv(Z.T @ W @ Z + np.diag(scale**-2.0))
    b = inverse @ Z.T @ W @ (m.y - m.X @ fit.beta)
    assert_allclose(np.concatenate(list(fit.ranef.values())), b, atol=1e-12)
    sd = fit.sigma * np.sqrt(np.diag(inverse))
    assert_allclose(np.concatenate(list(fit.condsd.values())), sd, rtol=1e-12)


def test_fixed_effects_are_generalised_least_squares(weighted):
    m, theta = weighted
    fit = oracle.evaluate(m, theta)
    root = np.linalg.cholesky(covariance(m, theta))
    beta, rss, *_ = np.linalg.lstsq(np.linalg.solve(root, m.X), np.linalg.solve(root, m.y))
    nu = len(m.y) - m.reml * len(beta)
    assert_allclose(fit.beta, beta, rtol=1e-12)
    assert_allclose(fit.sigma**2, rss[0] / nu, rtol=1e-12)


@pytest.mark.parametrize("row", EXACT, ids=designs.label)
def test_oracle_at_the_reference_optimum(row, load):
    m = designs.dense(row["formula"], load(row["dataset"]), row["criterion"] == "REML")
    theta = designs.numbers(row["theta"])
    fit = oracle.evaluate(m, theta)
    # The table has θ, objective and σ to ten decimals, the rest to ten digits.
    assert_allclose(fit.objective, float(row["objective"]), rtol=0, atol=2e-10)
    assert_allclose(theta * fit.gradient, 0, atol=1e-8)
    assert np.all(fit.gradient > -1e-8)
    assert_allclose(fit.sigma, float(row["sigma"]), rtol=1e-9)
    assert_allclose(fit.beta, designs.numbers(row["beta"]), rtol=1e-9)
    assert_allclose(np.sqrt(np.diag(fit.vcov)), designs.numbers(row["se"]), rtol=1e-9)


@pytest.mark.parametrize("row", CLASSROOM[:2], ids=designs.label)
def test_oracle_at_the_optima_of_classroom(row, load):
    m = designs.dense(row["formula"], load(row["dataset"]), row["criterion"] == "REML")
    fit = oracle.evaluate(m, designs.numbers(row["theta"]))
    assert_allclose(fit.objective, float(row["objective"]), rtol=0, atol=1e-8)
    assert_allclose(fit.beta, designs.numbers(row["beta"]), rtol=1e-8)
    assert_allclose(np.sqrt(np.diag(fit.vcov)), designs.numbers(row["se"]), rtol=1e-7)


@pytest.mark.parametrize("row", [r for r in EXACT if "pastes" in r["dataset"]], ids=designs.label)
def test_many_starts_find_the_reference_optimum(row, load):
    m = designs.dense(row["formula"], load(row["dataset"]), row["criterion"] == "REML")
    best = oracle.best_optimum(m)
    assert_allclose(best.objective, float(row["objective"]), rtol=0, atol=2e-10)
    assert_allclose(best.theta, designs.numbers(row["theta"]), rtol=1e-8)


def test_many_starts_find_a_zero_variance_exactly(load):
    m = designs.dense("Yield ~ 1 + (1 | Batch)", load("dyestuff2"), reml=False)
    assert oracle.best_optimum(m).theta == 0


def test_many_starts_see_past_a_lesser_optimum():
    """Seed 59 has a second local optimum: stationary where θ > 0, a positive slope at zero."""
    design = designs.simulate(59)
    m = designs.dense(design.formula, design.data, design.reml)
    lesser = oracle.evaluate(m, [1.84352, 0.24354, 0.0])
    assert_allclose(lesser.theta * lesser.gradient, 0, atol=1e-3)
    assert lesser.gradient[2] > 0.1
    assert oracle.best_optimum(m).objective < lesser.objective - 0.8
