"""CrossProducts → Plan: how a fit will be evaluated, and what it will cost, before it is made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels import _core
from mixedmodels.errors import ArgumentError, FitTooLargeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.cross_products import CrossProducts

METHODS = ("auto", "exact", "dense", "sparse", "hybrid", "iterative")
# Evaluations from the moments to the optimum, and of an iterative optimum made exact.
_NEWTON_EVALUATIONS, _POLISHING_EVALUATIONS = 6, 3
# What exactness may cost: seconds that nobody minds, or so many times an iterative fit.
_PATIENCE_SECONDS, _PATIENCE = 5.0, 2.0
# The factor alone, of an evaluation with derivatives.
_FACTOR_SHARE = 1 / 3
# Iterations of conjugate gradients as a rule, and measured seconds a cell for eight vectors.
_CG_ITERATIONS, _CELL_SECONDS = 25, 2e-9
_PROBES, _LANES = 16, 8


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The way chosen to evaluate the criterion.

    Attributes
    ----------
    method : {"diagonal", "dense", "sparse", "hybrid", "iterative"}
        How the Schur complement of the largest term is factored: not at all where there is one
        term, as a dense matrix, as a sparse one in a fill-reducing order; after an iterative fit
        to make it exact; or never.
    levels : tuple of int
        Of each term. The largest term's are eliminated first.
    dimension : int
        The order of the Schur complement: the number of levels of all terms but the largest.
    cells : int
        Nonzeros of Z'WZ below its diagonal: combinations of levels of two terms that occur.
    nonzeros : int
        Entries of the Cholesky factor of the Schur complement; 0 if there is none.
    bytes : int
        Memory for the factor and its inverse, or for the vectors of an iterative fit.
    flops : float
        Floating-point operations of one exact evaluation with derivatives.
    seconds : float
        What a fit will take, by measured speeds of two cores; right to a factor of three or so.
    reason : str
        Why this method.
    mc_error : float
        Of an iterative fit: the Monte Carlo error allowed to each variance component, as a part
        of its standard error.
    seed : int
        Of its probes.
    """

    core: _core.SchurPlan
    method: str
    levels: tuple[int, ...]
    dimension: int
    cells: int
    nonzeros: int
    bytes: int
    flops: float
    seconds: float
    reason: str
    mc_error: float = 0.01
    seed: int = 0

    @property
    def has_factor(self) -> bool:
        """Whether a factor goes into memory and takes little time, if only once.

        An iterative fit then has an exact criterion and exact conditional standard deviations.
        """
        return self.method != "iterative" or self.nonzeros > 0

    @property
    def L_nonzeros(self) -> int | None:
        """Entries of the whole factor L, of order q; None if there is none."""
        if not self.has_factor:
            return None
        # Below the diagonal of the first columns stand the cells of the largest term.
        return self.levels[0] + self.core.leading_cells + self.nonzeros

    @property
    def column_counts(self) -> NDArray[np.int64]:
        """Entries of each column of the Schur complement's factor, in the order of elimination."""
        if not self.has_factor or self.dimension == 0:
            return np.empty(0, dtype=np.int64)
        counts = self.core.column_counts.astype(np.int64)
        return counts if counts.size else np.arange(self.dimension, 0, -1)

    @property
    def order(self) -> NDArray[np.int64]:
        """The levels of all terms but the largest, numbered from 0, as they are eliminated."""
        return self.core.order.astype(np.int64)

    def __repr__(self) -> str:
        if self.dimension == 0:
            return f"Plan: exact\n{self.reason}"
        head = {"iterative": "iterative", "hybrid": f"hybrid, {self.core.method}"}
        first = f"Plan: {head.get(self.method, 'exact, ' + self.method)}"
        schur = f"Schur complement of order {self.dimension:,}"
        lines = [first]
        if self.method == "iterative":
            criterion = "exact, by one factorisation" if self.has_factor else "estimated"
            lines += [
                f"conjugate gradients on a {schur} and {self.cells:,} cells",
                f"Monte Carlo error at most {self.mc_error:g} standard errors, seed {self.seed}; "
                f"criterion {criterion}",
                f"{format_bytes(self.bytes)}, about {format_seconds(self.seconds)} for a fit",
            ]
        else:
            counts = self.column_counts
            lines += [
                f"L of order {sum(self.levels):,} with {self.L_nonzeros:,} nonzeros",
                f"{schur}; its factor has {self.nonzeros:,} nonzeros, "
                f"{int(np.median(counts)):,} a column as a median, {int(counts.max()):,} at most",
                f"{format_bytes(self.bytes)} and {self.flops:.2g} flops for an evaluation, "
                f"about {format_seconds(self.seconds)} for a fit",
            ]
        return "\n".join([*lines, self.reason])


def make_plan(
    data: CrossProducts, method: str = "auto", *, mc_error: float = 0.01, seed: int | None = None
) -> Plan:
    """Choose how to evaluate the criterion.

    Parameters
    ----------
    data : CrossProducts
        What is to be fitted.
    method : {"auto", "exact", "dense", "sparse", "hybrid", "iterative"}
        All but ``"auto"`` overrule the choice: ``"exact"`` that between a factor and none,
        ``"dense"`` and ``"sparse"`` also that of the factor; ``"hybrid"`` makes an iterative
        optimum exact.
    mc_error : float, default 0.01
        Monte Carlo error allowed to an iterative fit, in standard errors.
    seed : int, optional
        Of an iterative fit's probes; 0 by default.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentError
        If `method` is none of these.
    FitTooLargeError
        If the factor would not go into memory.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if not 0.0 < mc_error < 1.0:
        raise ArgumentError(f"mc_error must be between 0 and 1; got {mc_error!r}")
    ways = _Ways(data, mc_error, 0 if seed is None else int(seed))
    crossed = len(data.labels) > 1
    if method in ("iterative", "hybrid") and not crossed:
        raise ArgumentError("a model with one term is evaluated exactly; leave method='auto'")
    if method == "iterative":
        return ways.iterative("asked for")
    core = data.structure.plan(method if method in ("dense", "sparse") else "auto", ways.memory)
    fits = core.bytes <= ways.memory and not (core.beyond and core.method == "sparse")
    if method == "auto" and crossed:
        patience = max(_PATIENCE_SECONDS, _PATIENCE * ways.iterative_seconds)
        polishing = _POLISHING_EVALUATIONS * core.seconds
        if fits and _NEWTON_EVALUATIONS * core.seconds <= patience:
            return ways.exact(core, _reason(core, data.labels))
        if fits and polishing <= max(_PATIENCE_SECONDS, ways.iterative_seconds):
            return ways.hybrid(
                core, f"an exact evaluation takes about {format_seconds(core.seconds)}: few of them"
            )
        once = core.seconds * _FACTOR_SHARE
        return ways.iterative(
            f"a {core.method} factor would take {format_bytes(core.bytes)}, an exact evaluation "
            f"about {format_seconds(core.seconds)}",
            core if fits and once <= max(_PATIENCE_SECONDS, ways.iterative_seconds) else None,
        )
    if not fits:
        raise FitTooLargeError(
            f"the {core.method} factor of the {core.dimension:,} levels of "
            f"{', '.join(data.labels[1:])} takes {format_bytes(core.bytes)} for its "
            f"{core.nonzeros:,.0f} nonzeros and their inverse, and {format_bytes(ways.memory)} are "
            f"free; method='iterative' takes {format_bytes(ways.vector_bytes)}"
        )
    if method == "hybrid":
        return ways.hybrid(core, "asked for")
    asked = method in ("dense", "sparse") and crossed
    return ways.exact(core, "asked for" if asked else _reason(core, data.labels))


class _Ways:
    """The plans that could be made for some cross-products."""

    def __init__(self, data: CrossProducts, mc_error: float, seed: int) -> None:
        self.data, self.mc_error, self.seed = data, mc_error, seed
        self.memory = available_memory()
        self.dimension = sum(data.levels[1:])
        self.cells = data.structure.cells
        blocks = sum(
            -(-vectors // _LANES) for vectors in (data.rank + 1, len(data.labels), _PROBES)
        )
        self.iterative_seconds = (
            (_NEWTON_EVALUATIONS + 1) * _CG_ITERATIONS * blocks * self.cells * _CELL_SECONDS
        )
        # Right-hand sides, solutions, warm starts and what conjugate gradients need.
        self.vector_bytes = 8 * _LANES * (3 * blocks + 10) * self.dimension

    def exact(self, core: _core.SchurPlan, reason: str) -> Plan:
        seconds = _NEWTON_EVALUATIONS * core.seconds
        return self._plan(core, core.method, int(core.bytes), core.flops, seconds, reason)

    def hybrid(self, core: _core.SchurPlan, reason: str) -> Plan:
        seconds = self.iterative_seconds + _POLISHING_EVALUATIONS * core.seconds
        return self._plan(core, "hybrid", int(core.bytes), core.flops, seconds, reason)

    def iterative(self, reason: str, core: _core.SchurPlan | None = None) -> Plan:
        if core is None:
            core = self.data.structure.plan("none", 0.0)
        seconds = self.iterative_seconds + _FACTOR_SHARE * core.seconds
        # Of the factor only one half, without its inverse.
        memory = self.vector_bytes + int(core.bytes / 2)
        return self._plan(core, "iterative", memory, 0.0, seconds, reason)

    def _plan(
        self,
        core: _core.SchurPlan,
        method: str,
        memory: int,
        flops: float,
        seconds: float,
        reason: str,
    ) -> Plan:
        return Plan(
            core=core,
            method=method,
            levels=self.data.levels,
            dimension=core.dimension,
            cells=self.cells,
            nonzeros=int(core.nonzeros),
            bytes=memory,
            flops=flops,
            seconds=seconds,
            reason=reason,
            mc_error=self.mc_error,
            seed=self.seed,
        )


def _reason(core: _core.SchurPlan, labels: tuple[str, ...]) -> str:
    if core.method == "diagonal":
        return f"one term, {labels[0]}: Z'Z is diagonal, and no matrix is factored"
    if core.method == "sparse":
        share = core.nonzeros / (0.5 * core.dimension * (core.dimension + 1))
        return (
            f"{labels[0]} eliminated; the factor fills {share:.1%} of a triangle: sparse costs less"
        )
    return f"{labels[0]} eliminated; what is left is small or well filled: dense costs less"


def available_memory() -> float:
    """Bytes of memory that can still be taken, or infinity where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024.0 * float(line.split()[1])
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return float(np.inf)


def format_bytes(count: float) -> str:
    """Write a number of bytes with a unit, three digits at most."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000.0
    return f"{count:.3g} TB"


def format_seconds(seconds: float) -> str:
    """Write a time with a unit, two digits."""
    for unit, size, most in (("ms", 1e-3, 0.95), ("s", 1.0, 99.5), ("min", 60.0, 5970.0)):
        if seconds < most:
            two_digits = float(f"{seconds / size:.2g}")
            return f"{two_digits:g} {unit}" if seconds >= 1e-3 else "less than 1 ms"
    return f"{seconds / 3600:,.0f} h"
