"""The linear hypotheses by which a whole term is tested: sequential, type II and type III.

A term F is contained in another if both have the same numeric variables and the other has all of
F's factors and more (Goodnight 1978). Rows are those of the estimable coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mixedmodels.factors import Factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixedmodels.fixed_effects import FixedEffects
    from mixedmodels.model import LinearMixedModel

Floats: TypeAlias = "NDArray[np.float64]"

#: Singular values below this part of the largest count as zero.
_ZERO = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class TermColumns:
    """The terms of the fixed effects, and the columns of X that are theirs.

    Attributes
    ----------
    model : LinearMixedModel
    labels : tuple of str
        The terms as R writes them.
    columns : tuple of ndarray of int
        Of each term, which of the kept columns are its own.
    containing : tuple of tuple of int
        Of each term, the terms that contain it.
    """

    model: LinearMixedModel
    labels: tuple[str, ...]
    columns: tuple[NDArray[np.int64], ...]
    containing: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, model: LinearMixedModel) -> TermColumns:
        """Find the terms of a model."""
        spec, fixed = model.design.spec, model.formula.fixed
        kept = np.asarray(model.cross_products.structure.kept, dtype=np.int64)
        columns = tuple(
            np.flatnonzero((kept >= part.start) & (kept < part.stop)) for part in spec.term_columns
        )
        return cls(model, fixed.labels, columns, _containing(spec))

    @property
    def triangle(self) -> Floats:
        """R of the kept columns, X = QR with Q'Q = I: without the weights, if there are any."""
        structure = self.model.cross_products.structure
        if self.model.options.weights is None:
            return structure.R
        X = self.model.design.in_memory().X[:, structure.kept]
        return np.asarray(np.linalg.qr(X, mode="r"))


def marginal(terms: TermColumns, which: Sequence[int]) -> dict[str, Floats]:
    """Hypothesise that the coefficients of a term are zero beside all others."""
    identity = np.eye(terms.model.cross_products.rank)
    return {terms.labels[t]: identity[terms.columns[t]] for t in which}


def deleted(terms: TermColumns, t: int) -> Floats:
    """Hypothesise that the model is the one without a term, redundant columns considered."""
    structure = terms.model.cross_products.structure
    if not structure.dropped:
        return marginal(terms, [t])[terms.labels[t]]
    spec = terms.model.design.spec
    own = spec.term_columns[t]
    rest = [j for j in range(len(spec.names)) if not own.start <= j < own.stop]
    rows = _null_space(_kept_to_all(terms.model)[:, rest].T).T
    return rows


def sequential(terms: TermColumns) -> dict[str, Floats]:
    """Hypothesise of each term that it adds nothing to those before it (type I)."""
    R = terms.triangle
    rows = R / np.diagonal(R)[:, None]
    return {label: rows[own] for label, own in zip(terms.labels, terms.columns, strict=True)}


def type_two(terms: TermColumns) -> dict[str, Floats]:
    """Hypothesise of each term that it adds nothing to those that do not contain it."""
    if len(terms.labels) == 1:
        return sequential(terms)
    R = terms.triangle
    found: dict[str, Floats] = {}
    for t, label in enumerate(terms.labels):
        if not terms.containing[t]:
            found |= marginal(terms, [t])
            continue
        own = terms.columns[t]
        last = np.concatenate([terms.columns[s] for s in terms.containing[t]])
        first = np.setdiff1d(np.arange(len(R)), np.concatenate([own, last]))
        order = np.concatenate([first, own, last])
        triangle = np.linalg.qr(R[:, order], mode="r")[len(first) : len(first) + len(own)]
        rows = np.empty((len(own), len(R)))
        rows[:, order] = triangle / np.diagonal(triangle, len(first))[:, None]
        found[label] = rows
    return found


def type_three(terms: TermColumns) -> dict[str, Floats]:
    """Hypothesise of each term that it is zero averaged over the terms that contain it (type III).

    With a column for every level of every term, the hypothesis is an estimable function l'α that
    involves the term and those that contain it only, and is orthogonal to all that involve none but
    the latter (Goodnight 1978). Contrasts do not matter, as α is that of the levels themselves.
    """
    if len(terms.labels) == 1:
        return sequential(terms)
    M, parts = _levels_to_columns(terms)
    everything = np.arange(M.shape[1])
    found = {}
    for t, label in enumerate(terms.labels):
        above = [parts[s] for s in terms.containing[t]]
        with_own = np.concatenate([parts[t], *above])
        own = _null_space(M[:, np.setdiff1d(everything, with_own)].T)
        higher = np.concatenate(above) if above else everything[:0]
        contained = _null_space(M[:, np.setdiff1d(everything, higher)].T)
        rows = (own @ _null_space((M.T @ contained).T @ (M.T @ own))).T
        found[label] = _by_differences(rows, rows @ M[:, parts[t]])
    return found


def _containing(spec: FixedEffects) -> tuple[tuple[int, ...], ...]:
    terms = [frozenset(term) for term in spec.formula.fixed.terms]
    numeric = frozenset(v for v, x in spec.predictors.items() if x.levels is None)
    return tuple(
        tuple(s for s, other in enumerate(terms) if term < other and not (other - term) & numeric)
        for term in terms
    )


def _levels_to_columns(terms: TermColumns) -> tuple[Floats, list[NDArray[np.int64]]]:
    """Return M with D = XM, D having a column for every level; and the columns of each term in D.

    That X spans the columns of D is so by the coding of terms, whatever the data; so a few made-up
    rows, every combination of levels of every term among them, tell M.
    """
    spec = terms.model.design.spec
    p = len(spec.names)
    random = np.random.default_rng(0)
    copies = 1
    while True:
        values, n = _made_up(spec, copies, random)
        X = spec.assemble(values, n)
        if np.linalg.matrix_rank(X) == p or copies > 64:
            break
        copies *= 2
    blocks: list[Floats] = [np.eye(p)[:, : int(spec.formula.fixed.intercept)]]
    for own, every in zip(spec.term_columns, spec.every_level(values), strict=True):
        block = np.asarray(np.linalg.lstsq(X, every, rcond=None)[0])
        # In `x:a + a:b` R gives b contrasts, as if x:a spanned a: the term is what its columns are.
        spanned = np.allclose(X @ block, every, atol=1e-8)
        blocks.append(block if spanned else np.eye(p)[:, own])
    M = np.concatenate(blocks, axis=1)
    M[np.abs(M) < 1e-12] = 0.0
    ends = np.cumsum([block.shape[1] for block in blocks])
    parts = [np.arange(a, b) for a, b in pairwise(ends)]
    return _kept_to_all(terms.model) @ M, parts


def _kept_to_all(model: LinearMixedModel) -> Floats:
    """Return [I A], in the order of the columns, with X = X_kept [I A] in these data."""
    structure = model.cross_products.structure
    kept, dropped = list(structure.kept), list(structure.dropped)
    full = np.zeros((len(kept), len(kept) + len(dropped)))
    full[:, kept] = np.eye(len(kept))
    if dropped:
        X = model.design.in_memory().X
        scale = np.linalg.norm(X, axis=0)
        unit = X / np.where(scale > 0.0, scale, 1.0)
        A = np.linalg.lstsq(unit[:, kept], unit[:, dropped], rcond=None)[0]
        A[np.abs(A) < 1e-10] = 0.0
        full[:, dropped] = A * scale[dropped] / scale[kept][:, None]
    return full


def _made_up(
    spec: FixedEffects, copies: int, random: np.random.Generator
) -> tuple[dict[int, Floats | Factor], int]:
    """Make up values of the variables: for every term, all combinations of its levels."""
    levels = {v: len(x.levels) for v, x in spec.predictors.items() if x.levels is not None}
    codes: list[dict[int, NDArray[np.int64]]] = []
    sizes = []
    for term in [(), *spec.formula.fixed.terms]:
        shape = [levels[v] for v in term if v in levels]
        width = int(np.prod([len(spec.predictors[v].suffixes) for v in term if v not in levels]))
        grid = np.indices([*shape, max(1, width) * copies]).reshape(len(shape) + 1, -1)
        sizes.append(grid.shape[1])
        codes.append(dict(zip([v for v in term if v in levels], grid, strict=False)))
    values: dict[int, Floats | Factor] = {}
    n = sum(sizes)
    for v, predictor in spec.predictors.items():
        if predictor.levels is None:
            width = len(predictor.suffixes)
            values[v] = random.normal(size=n if width == 1 else (n, width))
            continue
        pieces = [
            code.get(v, random.integers(levels[v], size=size))
            for code, size in zip(codes, sizes, strict=True)
        ]
        values[v] = Factor(np.concatenate(pieces).astype(np.int32), predictor.levels)
    return values, n


def _null_space(matrix: Floats) -> Floats:
    """Orthonormal columns that a matrix sends to zero."""
    if not matrix.size:
        return np.eye(matrix.shape[1])
    _, size, right = np.linalg.svd(matrix)
    rank = int(np.sum(size > _ZERO * max(1.0, size[0])))
    return right[rank:].T


def _by_differences(rows: Floats, own: Floats) -> Floats:
    """Combine rows so that each compares a later level of the term with the first.

    Satterthwaite's degrees of freedom of several rows depend on which rows span the hypothesis.
    """
    chosen: list[int] = []
    for j in reversed(range(own.shape[1])):
        if len(chosen) == len(rows):
            break
        if np.linalg.matrix_rank(own[:, [j, *chosen]], tol=_ZERO) == len(chosen) + 1:
            chosen.insert(0, j)
    if not chosen:
        return rows
    combined = np.asarray(np.linalg.solve(own[:, chosen], rows))
    combined[np.abs(combined) < 1e-12] = 0.0
    return combined
