"""What has to hold for any data, on small simulated designs."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import designs
import mixedmodels as mm
import oracle

# Few examples, the same ones every time: the suite has to be fast, and to fail for its code alone.
few = settings(max_examples=12, deadline=None, derandomize=True)


def residual_variation(design):
    """Whether there are more rows than coefficients and levels, so that no fit is perfect."""
    levels = design.data.filter(["a", "b", "c"]).nunique()
    return levels.sum() + 3 < len(design.data)


simulated = st.integers(100, 9999).map(designs.simulate).filter(residual_variation)
with_covariate = simulated.filter(lambda design: "x1" in design.data)
randoms = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def fit(design, data=None, **options):
    """Fit the formula of `design`, to other data if there are any."""
    options = {"reml": design.reml, **options}
    return mm.lmer(design.formula, design.data if data is None else data, **options)


def degrees_of_freedom(fm, design):
    """ν: n for maximum likelihood, n − p for REML."""
    return len(design.data) - design.reml * len(fm.beta)


def assert_same(fm, reference, objective=0.0, y_scale=1.0, theta_scale=1.0):
    """Hold a fit to another, of which the criterion, σ and θ are moved as stated.

    The optimiser ends where another step would lower the criterion by 1e-12 or less. That leaves
    1e-6 of its own scale in θ at worst, and what follows θ is compared to 1e-5.
    """
    assert_allclose(fm.objective, reference.objective + objective, rtol=1e-10, atol=1e-9)
    assert_allclose(fm.sigma, reference.sigma * y_scale, rtol=1e-5)
    ours, theirs = by_group(fm), by_group(reference)
    assert set(ours) == set(theirs)
    for group, theta in theirs.items():
        assert_allclose(ours[group], theta * theta_scale, rtol=1e-5)
        effects = reference.ranef()[group]["(Intercept)"] * y_scale
        aligned = fm.ranef()[group]["(Intercept)"].loc[effects.index]
        assert_allclose(aligned, effects, rtol=1e-4, atol=1e-5 * fm.sigma)


def by_group(fm):
    """Return {group: θ}."""
    variances = fm.varcorr().to_frame().set_index("grp")["sdcor"]
    return dict((variances / fm.sigma).drop("Residual"))


# -- order ---------------------------------------------------------------------------------------


@few
@given(simulated, randoms)
def test_order_of_rows_changes_nothing(design, random):
    shuffled = design.data.iloc[random.permutation(len(design.data))]
    fm, reference = fit(design, shuffled), fit(design)
    assert_same(fm, reference)
    assert_allclose(fm.fixef(), reference.fixef(), rtol=1e-6)
    fitted = reference.fitted().loc[shuffled.index]
    assert_allclose(fm.fitted(), fitted, rtol=1e-5, atol=1e-5)


@few
@given(simulated, randoms)
def test_order_and_names_of_levels_change_nothing(design, random):
    data, reference = design.data.copy(), fit(design)
    for group in reference.ranef():
        levels = random.permutation(data[group].unique())
        data[group] = pd.Categorical(data[group], levels)
    assert_same(fit(design, data), reference)


@few
@given(simulated)
def test_unused_levels_change_nothing(design):
    data, reference = design.data.copy(), fit(design)
    for group in reference.ranef():
        data[group] = pd.Categorical(data[group], ["never", *data[group].unique()])
    assert_same(fit(design, data), reference)


@few
@given(simulated)
def test_order_of_terms_changes_nothing(design):
    response, *terms = re.split(r" [~+] ", design.formula)
    turned = f"{response} ~ {' + '.join(reversed(terms))}"
    fm, reference = mm.lmer(turned, design.data, reml=design.reml), fit(design)
    assert_same(fm, reference)
    assert_allclose(fm.fixef().loc[reference.fixef().index], reference.fixef(), rtol=1e-6)


# -- units ---------------------------------------------------------------------------------------

scales = st.sampled_from([-1e-6, 1e-3, -1.0, 7.0, 1e6])


@few
@given(simulated, scales, st.floats(-100, 100))
def test_units_of_the_response(design, c, shift):
    a = c * shift  # of the size of c · y, so that a + c · y keeps the digits of y
    fm, reference = fit(design, design.data.assign(y=a + c * design.data["y"])), fit(design)
    # r² is multiplied by c² in ν log r², and the rest does not see y.
    moved = 2 * degrees_of_freedom(fm, design) * np.log(abs(c))
    assert_allclose(fm.objective, reference.objective + moved, rtol=1e-10, atol=1e-8)
    assert_allclose(fm.sigma, abs(c) * reference.sigma, rtol=1e-5)
    assert_allclose(fm.theta, reference.theta, rtol=1e-5)
    expected = c * reference.fixef()
    expected["(Intercept)"] += a
    assert_allclose(fm.fixef(), expected, rtol=1e-5, atol=1e-6 * abs(c))


@few
@given(with_covariate, st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([0.0, 1.0, 1e6]))
def test_units_of_a_covariate(design, s, shift):
    data = design.data.assign(x1=s * (design.data["x1"] + shift))
    fm, reference = fit(design, data), fit(design)
    # log|X'V⁻¹X|, in the REML criterion alone, gains 2 log s; a shift is a shear and gains nothing.
    moved = 2 * np.log(s) * design.reml
    # x + 1e6 has lost ten digits of x by rounding to 1e-10, and 1e-10 of n squares is left.
    assert_allclose(fm.objective, reference.objective + moved, rtol=1e-9, atol=1e-7)
    assert_allclose(fm.theta, reference.theta, rtol=1e-5, atol=1e-6)
    assert_allclose(fm.fitted(), reference.fitted(), rtol=1e-5, atol=1e-5)
    assert_allclose(fm.fixef()["x1"] * s, reference.fixef()["x1"], rtol=1e-5, atol=1e-6)


# -- weights and offset --------------------------------------------------------------------------


@few
@given(simulated, st.sampled_from([1e-4, 0.5, 3.0, 1e4]))
def test_constant_weights(design, c):
    """Weights c: V = c⁻¹(I + cZΓZ'), so that γ/c and cσ² do what γ and σ² do without weights.

    There log|V| loses n log c, log|X'V⁻¹X| gains p log c and ν log r² gains ν log c: no change.
    """
    fm, reference = fit(design, weights=np.full(len(design.data), c)), fit(design)
    assert_allclose(fm.objective, reference.objective, rtol=1e-10, atol=1e-9)
    assert_allclose(fm.sigma, np.sqrt(c) * reference.sigma, rtol=1e-5)
    assert_allclose(fm.theta, reference.theta / np.sqrt(c), rtol=1e-5)
    assert_allclose(fm.fixef(), reference.fixef(), rtol=1e-5)
    assert_allclose(fm.vcov(), reference.vcov(), rtol=1e-5, atol=1e-9)


@few
@given(simulated, randoms, st.booleans(), st.booleans())
def test_weights_and_offset_against_the_oracle(design, random, weighted, shifted):
    n = len(design.data)
    weights = random.uniform(0.2, 5.0, n) if weighted else None
    offset = random.normal(size=n) if shifted else None
    fm = fit(design, weights=weights, offset=offset)
    m = designs.dense(design.formula, design.data, design.reml, weights, offset if shifted else 0.0)
    at = oracle.evaluate(m, fm.theta)
    # The same θ, so nothing but rounding in some fifty rows is between the two.
    assert_allclose(fm.objective, at.objective, rtol=1e-11, atol=1e-10)
    assert_allclose(fm.sigma, at.sigma, rtol=1e-10)
    assert_allclose(fm.beta, at.beta, rtol=1e-8, atol=1e-10)
    assert_allclose(fm.vcov(), at.vcov, rtol=1e-8, atol=1e-12)
    eta = m.X @ at.beta + (offset if shifted else 0.0)
    for group, effects in at.ranef.items():
        ours = fm.ranef()[group]["(Intercept)"].loc[effects.index]
        condsd = fm.ranef().condsd[group]["(Intercept)"].loc[effects.index]
        assert_allclose(ours, effects, rtol=1e-8, atol=1e-9)
        # The oracle takes it as γ − γ²z'V⁻¹z, which cancels where it is small.
        assert_allclose(condsd, at.condsd[group], rtol=1e-6, atol=1e-7)
        eta = eta + m.Z[group].to_numpy() @ effects.to_numpy()
    assert_allclose(fm.fitted(), eta, rtol=1e-8)
    assert_allclose(fm.residuals(), design.data["y"] - eta, atol=1e-8)


@few
@given(simulated)
def test_rows_twice_against_weights_of_two(design):
    """The cross-products are the same, so β, b and r² at the same θ are; n and Σ log w are not.

    The criteria therefore differ by a function of r², and their optima differ.
    """
    n = len(design.data)
    fm = fit(design, pd.concat([design.data, design.data], ignore_index=True))
    m = designs.dense(design.formula, design.data, design.reml, np.full(n, 2.0))
    at = oracle.evaluate(m, fm.theta)
    p = design.reml * len(fm.beta)
    r2 = at.sigma**2 * (n - p)
    assert_allclose(fm.sigma**2 * (2 * n - p), r2, rtol=1e-10)
    assert_allclose(fm.beta, at.beta, rtol=1e-8, atol=1e-10)
    for group, effects in at.ranef.items():
        ours = fm.ranef()[group]["(Intercept)"].loc[effects.index]
        assert_allclose(ours, effects, rtol=1e-8, atol=1e-9)
    profile = [nu * (1 + np.log(2 * np.pi * r2 / nu)) for nu in (n - p, 2 * n - p)]
    expected = at.objective + n * np.log(2) - profile[0] + profile[1]
    assert_allclose(fm.objective, expected, rtol=1e-11, atol=1e-10)


# -- the optimum ---------------------------------------------------------------------------------


@few
@given(simulated, randoms)
def test_gradient_vanishes_at_the_optimum(design, random):
    weights = random.uniform(0.2, 5.0, len(design.data))
    fm = fit(design, weights=weights)
    m = designs.dense(design.formula, design.data, design.reml, weights)
    gradient = oracle.evaluate(m, fm.theta).gradient
    zero = fm.theta == 0
    assert np.all(gradient[zero] >= 0)  # a multiplier: the criterion rises with the variance
    # In log γ, whose information is at most about q/2: a decrement of 1e-12 leaves less than this.
    assert_allclose((fm.theta**2 * gradient)[~zero], 0, atol=1e-5)


@few
@given(simulated, randoms)
def test_zero_variance_is_ordinary_least_squares(design, random):
    m = designs.dense(design.formula, design.data, design.reml)
    # Noise at right angles to all groups: their sums are zero, and any variance is too much.
    Z = np.hstack([m.X, *m.Z.values()])
    noise = random.normal(size=len(m.y))
    noise -= Z @ np.linalg.lstsq(Z, noise)[0]
    y = m.X @ np.arange(1.0, m.X.shape[1] + 1) + noise
    fm = fit(design, design.data.assign(y=y))
    beta, rss, *_ = np.linalg.lstsq(m.X, y)
    assert fm.singular
    assert np.all(fm.theta == 0)
    assert_allclose(fm.fixef(), beta, rtol=1e-10)
    assert_allclose(fm.sigma**2, rss[0] / degrees_of_freedom(fm, design), rtol=1e-9)
    assert_allclose(fm.vcov(), fm.sigma**2 * np.linalg.inv(m.X.T @ m.X), rtol=1e-8, atol=1e-12)
    assert_allclose(fm.fitted(), m.X @ beta, rtol=1e-9, atol=1e-9)


# -- other fits of a fit -------------------------------------------------------------------------


@few
@given(simulated, randoms)
def test_refit_equals_fit(design, random):
    y = design.data["y"].to_numpy() + random.normal(size=len(design.data))
    before = fit(design)
    objective = before.objective
    assert_same(before.refit(y), fit(design, design.data.assign(y=y)))
    assert before.objective == objective  # a fit is a value


@few
@given(simulated)
def test_update_of_the_criterion_equals_fit(design):
    assert_same(fit(design).update(reml=not design.reml), fit(design, reml=not design.reml))


def test_conditional_means_are_named_by_level():
    """A wrong order of levels would go unseen by criteria that do not depend on it."""
    data = pd.DataFrame({"g": list("cccaaabbb"), "y": [9.0, 8, 9, 1, 2, 1, 5, 5, 4]})
    effects = mm.lmer("y ~ 1 + (1 | g)", data).ranef()["g"]["(Intercept)"]
    assert effects["a"] < effects["b"] < effects["c"]
    assert effects.sum() == pytest.approx(0, abs=1e-9)
