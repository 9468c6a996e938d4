"""Sparse Schur complements: order, symbolic analysis, factor and inverse on the pattern."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixedmodels import _core

MEMORY = 4e9


def structure(codes):
    """Make the structure of factors, in order of their numbers of levels, and a constant."""
    codes = [np.unique(c, return_inverse=True)[1].astype(np.int32) for c in codes]
    codes.sort(key=lambda c: -c.max())
    X = np.asfortranarray(np.ones((len(codes[0]), 1)))
    return _core.Structure(codes, [int(c.max()) + 1 for c in codes], X, None)


def moves(firms, per_firm, neighbour, seed=1):
    """Draw workers, each once at a firm and once at a neighbour of it."""
    rng = np.random.default_rng(seed)
    firm = np.resize(np.arange(firms), firms * per_firm)
    worker = np.arange(len(firm))
    return [np.tile(worker, 2), np.concatenate([firm, neighbour(rng, firm)])]


def line(firms, reach, seed=1):
    """Firms along a line: a band matrix."""

    def neighbour(rng, firm):
        return np.clip(firm + rng.integers(-reach, reach + 1, len(firm)), 0, firms - 1)

    return moves(firms, 6, neighbour, seed)


def grid(side, reach=1, seed=1):
    """Firms on a square grid: separators that grow towards the root."""

    def neighbour(rng, firm):
        x, y = np.divmod(firm, side)
        step = rng.integers(-reach, reach + 1, (2, len(firm)))
        return np.clip(x + step[0], 0, side - 1) * side + np.clip(y + step[1], 0, side - 1)

    return moves(side * side, 6, neighbour, seed)


def crossed(n, levels, seed=1):
    rng = np.random.default_rng(seed)
    return [np.concatenate([np.arange(q), rng.integers(0, q, n - q)]) for q in levels]


def nested_and_crossed(seed=1):
    """Pupils in classes in schools, and teachers who move among neighbouring schools."""
    rng = np.random.default_rng(seed)
    pupil = np.repeat(np.arange(6000), 2)
    group = pupil // 12
    school = group // 5
    teacher = np.minimum(2 * school + rng.integers(0, 4, len(pupil)), 199)
    return [pupil, group, school, teacher]


def apart(*designs):
    """Lay several designs of as many factors side by side, with no level in common."""
    return [
        np.concatenate([(codes + 10**6 * i) for i, codes in enumerate(factor)])
        for factor in zip(*designs, strict=True)
    ]


ROWS = np.arange(3000)
DESIGNS = {
    "line": lambda: line(400, 8),
    "grid": lambda: grid(25),
    "3,000 columns, wide supernodes": lambda: grid(55, reach=4),
    "one supernode of several panels": lambda: crossed(9000, (900, 700)),
    "nested": lambda: [ROWS // 2, ROWS // 10, ROWS // 60],
    "forest of single columns": lambda: [ROWS // 2, ROWS // 20],
    "nested and crossed": nested_and_crossed,
    "a row next to everything": lambda: [*line(400, 3), np.tile(np.arange(2400) % 3, 2)],
    "disconnected": lambda: apart(line(90, 5), grid(9), crossed(500, (80, 60)), line(2, 1)),
    "large cliques": lambda: [np.repeat(np.arange(90), 40), (np.arange(3600) * 7) % 3600 // 9],
}


@pytest.mark.parametrize("design", DESIGNS)
def test_sparse_is_dense(design):
    s = structure(DESIGNS[design]())
    data = s.cross_products(np.random.default_rng(0).normal(size=s.n))
    gamma = np.array([0.7, 0.3, 1.6, 0.1])[: len(s.levels)]
    plans = [s.plan(method, MEMORY) for method in ("sparse", "dense")]
    assert [p.method for p in plans] == ["sparse", "dense"]
    got, expected = (_core.evaluate(data, p, gamma, True, True) for p in plans)
    assert got["objective"] == pytest.approx(expected["objective"], rel=1e-12)
    scale = np.abs(expected["gradient"]).max()
    assert_allclose(got["gradient"], expected["gradient"], rtol=1e-10, atol=1e-10 * scale)
    assert_allclose(got["information"], expected["information"], rtol=1e-9)
    inverse = [_core.inverse_diagonal(data, p, gamma) for p in plans]
    assert_allclose(*inverse, rtol=1e-11)


def schur_complement(codes, gamma):
    """Compute S densely, and its dimension, from indicators."""
    codes = sorted((np.unique(c, return_inverse=True)[1] for c in codes), key=lambda c: -c.max())
    Z = np.hstack([np.eye(c.max() + 1)[c] for c in codes])
    theta = np.repeat(np.sqrt(gamma), [c.max() + 1 for c in codes])
    M = theta[:, None] * (Z.T @ Z) * theta + np.eye(len(theta))
    q = codes[0].max() + 1
    return M[q:, q:] - M[q:, :q] / np.diagonal(M)[:q] @ M[:q, q:]


@pytest.mark.parametrize(
    "codes",
    [line(60, 4), grid(9), crossed(400, (90, 70)), [ROWS[:600] // 2, ROWS[:600] // 6]],
    ids=["line", "grid", "crossed", "forest"],
)
def test_factor_times_its_transpose(codes):
    gamma = np.array([0.7, 0.3])
    s = structure(codes)
    plan = s.plan("sparse", MEMORY)
    data = s.cross_products(np.sin(np.arange(s.n)))
    _, start, index, value = _core.factor(data, plan, gamma)
    n = plan.dimension
    L = np.zeros((n, n))
    L[index, np.repeat(np.arange(n), np.diff(start))] = value
    S = schur_complement(codes, gamma)[np.ix_(plan.order, plan.order)]
    assert_allclose(L @ L.T, S, atol=1e-12 * np.abs(S).max())
    assert len(index) == plan.nonzeros
    assert all(np.all(np.diff(index[a:b]) > 0) for a, b in pairwise(start))


def counts_by_elimination(S):
    """Count the entries of each column by eliminating one after the other."""
    filled = S != 0
    out = []
    for k in range(len(filled)):
        below = k + 1 + np.flatnonzero(filled[k + 1 :, k])
        filled[np.ix_(below, below)] = True
        out.append(1 + len(below))
    return out


@pytest.mark.parametrize("seed", range(12))
def test_column_counts_are_those_of_elimination(seed):
    rng = np.random.default_rng(seed)
    trailing = int(rng.integers(2, 60))
    rows = int(rng.integers(60, 250))
    if seed % 2:
        codes = crossed(rows + trailing, (int(trailing + rows // 3), trailing), seed)
    else:
        codes = [np.arange(rows) // 2, rng.integers(0, trailing, rows)]
        codes.append(codes[1] % 3)
    s = structure(codes)
    plan = s.plan("sparse", MEMORY)
    assert np.array_equal(np.sort(plan.order), np.arange(plan.dimension))
    S = schur_complement(codes, np.ones(len(codes)))[np.ix_(plan.order, plan.order)]
    expected = counts_by_elimination(np.abs(S) > 1e-12)
    assert plan.column_counts.tolist() == expected
    assert plan.nonzeros == sum(expected)


@pytest.mark.parametrize("design", ["nested", "forest of single columns"])
def test_nested_factors_do_not_fill(design):
    codes = DESIGNS[design]()
    plan = structure(codes).plan("sparse", MEMORY)
    S = schur_complement(codes, np.ones(len(codes)))
    assert plan.nonzeros == np.count_nonzero(np.tril(np.abs(S) > 1e-12))


def test_order_of_a_grid_and_of_a_band():
    # A band fills within itself; a grid of side k takes O(k^2 log k).
    plan = structure(line(2000, 10)).plan("sparse", MEMORY)
    assert plan.nonzeros < 2000 * 21 * 1.6
    plan = structure(grid(60)).plan("sparse", MEMORY)
    assert plan.nonzeros < 4 * 3600 * np.log2(3600)


def evaluated(threads, s, data, plan):
    before = _core.thread_count()
    try:
        _core.set_thread_count(threads)
        gamma = np.full(len(s.levels), 0.4)
        out = _core.evaluate(data, plan, gamma, True, True)
        inverse = _core.inverse_diagonal(data, plan, gamma)
    finally:
        _core.set_thread_count(before)
    return [out["objective"], *out["gradient"], *out["information"].ravel(), *inverse]


@pytest.mark.parametrize("design", ["3,000 columns, wide supernodes", "nested and crossed"])
def test_any_number_of_threads_gives_the_same_digits(design):
    s = structure(DESIGNS[design]())
    data = s.cross_products(np.cos(np.arange(s.n)))
    plan = s.plan("sparse", MEMORY)
    one, *others = (evaluated(t, s, data, plan) for t in (1, 2, 3))
    assert all(other == one for other in others)


def test_plan_is_pickled():
    s = structure(grid(25))
    data = s.cross_products(np.cos(np.arange(s.n)))
    plan = s.plan("sparse", MEMORY)
    again = pickle.loads(pickle.dumps(plan))
    for name in ("method", "dimension", "nonzeros", "flops", "bytes", "supernodes", "front"):
        assert getattr(again, name) == getattr(plan, name)
    assert evaluated(1, s, data, again) == evaluated(1, s, data, plan)


# -- limits --------------------------------------------------------------------------------------


def hopeless(levels=12_000, seed=1):
    """Workers who move to any firm at all: S fills in."""
    rng = np.random.default_rng(seed)
    worker = np.repeat(np.arange(5 * levels), 3)
    return structure([worker, rng.integers(0, levels, len(worker))])


def test_a_factor_beyond_memory_is_given_up_soon():
    s = hopeless()
    start = time.perf_counter()
    plan = s.plan("sparse", 1e8)
    assert time.perf_counter() - start < 5
    assert plan.beyond
    assert plan.method == "dense"
    # Known so far: more than fits, not more than there can be.
    assert 1e8 / 16 < plan.sparse_nonzeros <= 12_000 * 12_001 / 2
    assert 0 < plan.sparse_flops <= 12_000**3 * 1.1
    assert plan.bytes == 16 * 12_000**2


def test_predictions_are_of_what_is_stored():
    plan = structure(grid(55, reach=4)).plan("sparse", MEMORY)
    counts = plan.column_counts.astype(float)
    assert not plan.beyond
    assert plan.nonzeros == counts.sum()
    assert counts.max() <= plan.front < 1.2 * counts.max()
    # Zeros that are stored and worked on are counted too.
    assert 16 * counts.sum() < plan.bytes < 2.5 * 16 * counts.sum()
    assert 3 * (counts**2).sum() < plan.flops < 1.5 * 3 * (counts**2).sum()
    assert plan.supernodes < plan.dimension / 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_analysis_can_be_interrupted():
    assert threading.current_thread() is threading.main_thread()
    s = hopeless(40_000)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    start = time.perf_counter()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            s.plan("sparse", np.inf)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - start < 3
