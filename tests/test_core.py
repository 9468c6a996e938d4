"""The core against dense algebra: criterion, derivatives, factor, inverse, moments."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from mixedmodels import _core

METHODS = ("dense", "sparse")


def make(codes, X, weights=None):
    codes = [np.ascontiguousarray(c, dtype=np.int32) for c in codes]
    levels = [int(c.max()) + 1 for c in codes]
    return _core.Structure(codes, levels, np.asfortranarray(X), weights)


def design(seed, n, levels, p=2, *, nested=False, weighted=False):
    """Codes by decreasing number of levels, X with an intercept, y and weights."""
    rng = np.random.default_rng(seed)
    codes = [np.concatenate([np.arange(q), rng.integers(0, q, n - q)]) for q in levels]
    if nested:
        for inner, outer in zip(range(len(levels) - 1), range(1, len(levels)), strict=True):
            codes[outer] = rng.permutation(np.resize(np.arange(levels[outer]), levels[inner]))[
                codes[inner]
            ]
    X = np.column_stack([np.ones(n)] + [rng.normal(size=n) for _ in range(p - 1)])
    y = rng.normal(size=n) + sum(rng.normal(size=q)[c] for q, c in zip(levels, codes, strict=True))
    weights = rng.uniform(0.5, 2.0, n) if weighted else None
    return codes, X, y, weights


def indicators(codes):
    return np.hstack([np.eye(c.max() + 1)[c] for c in codes])


def dense_M(codes, gamma, weights):
    Z = indicators(codes)
    W = np.eye(Z.shape[0]) if weights is None else np.diag(weights)
    theta = np.repeat(np.sqrt(gamma), [c.max() + 1 for c in codes])
    return theta[:, None] * (Z.T @ W @ Z) * theta + np.eye(Z.shape[1])


def dense_criterion(codes, X, y, weights, gamma, reml):
    """-2 log-likelihood profiled over beta and sigma, from V alone."""
    n, p = X.shape
    Z = indicators(codes)
    V = np.diag(np.ones(n) if weights is None else 1.0 / weights)
    V = V + (Z * np.repeat(gamma, [c.max() + 1 for c in codes])) @ Z.T
    XVX = X.T @ np.linalg.solve(V, X)
    residual = y - X @ np.linalg.solve(XVX, X.T @ np.linalg.solve(V, y))
    nu = n - p if reml else n
    quadratic = residual @ np.linalg.solve(V, residual)
    value = np.linalg.slogdet(V)[1] + nu * (1 + np.log(2 * np.pi * quadratic / nu))
    return value + (np.linalg.slogdet(XVX)[1] if reml else 0.0)


CASES = {
    "one term": ((40, (7,)), {}),
    "crossed": ((150, (12, 8)), {}),
    "crossed, 3 terms": ((200, (25, 9, 6)), {}),
    "nested": ((200, (60, 12, 4)), {"nested": True}),
    "weighted": ((120, (15, 9)), {"weighted": True}),
    "no covariates": ((60, (9, 5)), {"p": 1}),
    "more than 40 trailing levels": ((600, (90, 70)), {}),
    "fully crossed, by blocks": ((6000, (80, 60)), {}),
}


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_criterion_and_derivatives(case, method, reml):
    (n, levels), options = CASES[case]
    codes, X, y, weights = design(3, n, levels, **options)
    structure = make(codes, X, weights)
    data, plan = structure.cross_products(y), structure.plan(method, 1e10)
    gamma = np.array([0.7, 0.2, 1.5])[: len(levels)]
    out = _core.evaluate(data, plan, gamma, reml, True)
    if n <= 1000:  # V is n x n
        expected = dense_criterion(codes, X, y, weights, gamma, reml)
        assert out["objective"] == pytest.approx(expected, rel=1e-12)

    def gradient(g):
        return _core.evaluate(data, plan, g, reml, True)["gradient"]

    def value(g):
        return _core.evaluate(data, plan, g, reml, False)["objective"]

    # Central differences of a smooth function: h^2 and rounding/h balance near 1e-5.
    step = 1e-5 * np.eye(len(gamma))
    differences = [(value(gamma + h) - value(gamma - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(out["gradient"], differences, rtol=1e-5, atol=1e-5)
    hessian = np.array([(gradient(gamma + h) - gradient(gamma - h)) / 2e-5 for h in step])
    # The average of the Hessian H and its expectation E is A: so 2A - H, which is E, has the
    # trace tr(PK PK) on its diagonal, positive.
    assert np.all(np.diagonal(2 * out["information"] - hessian) > 0)
    assert np.all(np.linalg.eigvalsh(out["information"]) > -1e-10)


def test_average_information_is_the_published_quadratic_form():
    codes, X, y, _ = design(5, 90, (9, 6))
    n, p = X.shape
    structure = make(codes, X)
    gamma = np.array([0.6, 1.1])
    out = _core.evaluate(
        structure.cross_products(y), structure.plan("dense", 1e10), gamma, True, True
    )
    K = [np.eye(c.max() + 1)[c] @ np.eye(c.max() + 1)[c].T for c in codes]
    V = np.eye(n) + sum(g * k for g, k in zip(gamma, K, strict=True))
    Vi = np.linalg.inv(V)
    P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    Py = P @ y
    r2, nu = y @ Py, n - p
    A = [
        [nu * ((k @ Py) @ P @ (m @ Py) / r2 - (Py @ k @ Py) * (Py @ m @ Py) / r2**2) for m in K]
        for k in K
    ]
    np.testing.assert_allclose(out["information"], A, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_inverse_diagonal_and_factor(case, method):
    (n, levels), options = CASES[case]
    codes, X, y, weights = design(4, n, levels, **options)
    structure = make(codes, X, weights)
    data, plan = structure.cross_products(y), structure.plan(method, 1e10)
    gamma = np.array([0.3, 2.0, 0.9])[: len(levels)]
    M = dense_M(codes, gamma, weights)
    np.testing.assert_allclose(
        _core.inverse_diagonal(data, plan, gamma), np.diagonal(np.linalg.inv(M)), rtol=1e-9
    )
    logdet = _core.evaluate(data, plan, gamma, False, False)["log_det_M"]
    assert logdet == pytest.approx(np.linalg.slogdet(M)[1], rel=1e-12)


def test_nested_factors_have_no_fill():
    codes, X, _, _ = design(6, 5000, (2000, 400, 50), nested=True)
    structure = make(codes, X)
    plan = structure.plan("auto", 1e10)
    assert plan.method == "sparse"
    # A class has one school: one entry below the diagonal for each of the 400, and the diagonal.
    assert plan.nonzeros == 400 + 450
    assert sorted(plan.order) == list(range(450))


def test_redundant_columns_are_found():
    codes, X, _, _ = design(7, 50, (6,), p=3)
    X = np.column_stack([X, X[:, 0] + 2 * X[:, 1], 1e9 * X[:, 2], X[:, 2] ** 2])
    structure = make(codes, X)
    assert list(structure.kept) == [0, 1, 2, 5]
    assert list(structure.dropped) == [3, 4]
    kept = X[:, structure.kept]
    np.testing.assert_allclose(structure.Q @ structure.R, kept, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(structure.Q.T @ structure.Q, np.eye(4), atol=1e-14)


def test_cross_tabulation():
    codes, X, _, weights = design(8, 70, (9, 5, 3), weighted=True)
    structure = make(codes, X, weights)
    N = indicators(codes).T @ np.diag(weights) @ indicators(codes)
    np.testing.assert_allclose(structure.count, np.diagonal(N), rtol=1e-14)
    start, index, value = structure.leading
    table = np.zeros((9, 8))
    for row in range(9):
        table[row, index[start[row] : start[row + 1]]] = value[start[row] : start[row + 1]]
    np.testing.assert_allclose(table, N[:9, 9:], rtol=1e-14)
    np.testing.assert_allclose(structure.ZtX, indicators(codes).T @ np.diag(weights) @ structure.Q)


def test_moments_find_the_variances_of_large_data():
    rng = np.random.default_rng(9)
    n, levels = 200_000, (3000, 500)
    codes = [np.concatenate([np.arange(q), rng.integers(0, q, n - q)]) for q in levels]
    y = 2 * rng.normal(size=3000)[codes[0]] + 0.5 * rng.normal(size=500)[codes[1]]
    y += rng.normal(size=n)
    structure = make(codes, np.ones((n, 1)))
    start = structure.cross_products(y).moment_start()
    # Standard errors of the two ratios are about 0.1 and 0.016; the seed is fixed.
    np.testing.assert_allclose(start, [4.0, 0.25], rtol=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": [np.array([0, 1, 5], np.int32)]}, "outside"),
        ({"codes": [np.array([0, 1], np.int32)]}, "length"),
        ({"codes": []}, "factor"),
        ({"weights": np.ones(2)}, "length"),
    ],
)
def test_core_refuses_what_would_crash_it(change, message):
    arguments = {
        "codes": [np.array([0, 1, 1], np.int32)],
        "levels": [2],
        "X": np.asfortranarray(np.ones((3, 1))),
        "weights": None,
    } | change
    with pytest.raises(ValueError, match=message):
        _core.Structure(**arguments)


def test_any_number_of_threads_the_same_digits():
    script = """
import numpy as np, mixedmodels as mm
rng = np.random.default_rng(0)
n = 60_000
data = {"g": rng.integers(0, 3000, n), "h": np.arange(n) % 40, "x": rng.normal(size=n)}
data["y"] = data["x"] + rng.normal(size=3000)[data["g"]] + rng.normal(size=n)
fm = mm.lmer("y ~ x + (1 | g) + (1 | h)", data)
print(fm.objective.hex(), [t.hex() for t in fm.theta], [b.hex() for b in fm.beta])
"""
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(answers) == 1
    assert "0x1" in answers.pop()
