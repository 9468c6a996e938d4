"""CrossProducts → Plan: how a fit will be evaluated, and what it will cost, before it is made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels import _core
from mixedmodels.errors import ArgumentError, FitTooLargeError

if TYPE_CHECKING:
    from mixedmodels.cross_products import CrossProducts

METHODS = {"auto": "auto", "exact": "auto", "dense": "dense", "sparse": "sparse"}
# Exact evaluations are left for conjugate gradients where one would take longer than this.
MOST_SECONDS = 20.0
DENSE_FLOPS_PER_SECOND, SPARSE_FLOPS_PER_SECOND = 4e10, 8e8


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The way chosen to evaluate the criterion.

    Attributes
    ----------
    method : {"diagonal", "dense", "sparse", "iterative"}
        How the Schur complement of the largest term is factored: not at all where there is one
        term, as a dense matrix, as a sparse one in a fill-reducing order; or never, in an
        iterative fit.
    dimension : int
        Its order: the number of levels of all terms but the largest.
    nonzeros : int
        Entries of its Cholesky factor.
    bytes : int
        Memory for the factor and its inverse.
    flops : float
        Floating-point operations of one evaluation with derivatives.
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
    dimension: int
    nonzeros: int
    bytes: int
    flops: float
    reason: str
    mc_error: float = 0.01
    seed: int = 0

    def __repr__(self) -> str:
        if self.dimension == 0:
            return f"Plan: exact\n{self.reason}"
        if self.method == "iterative":
            return (
                f"Plan: iterative\n"
                f"conjugate gradients on a Schur complement of order {self.dimension}\n"
                f"Monte Carlo error at most {self.mc_error:g} standard errors, seed {self.seed}\n"
                f"{self.reason}"
            )
        return (
            f"Plan: exact, {self.method}\n"
            f"Schur complement of order {self.dimension}; its factor has {self.nonzeros} nonzeros\n"
            f"{format_bytes(self.bytes)} and {self.flops:.2g} flops for an evaluation\n"
            f"{self.reason}"
        )


def make_plan(
    data: CrossProducts, method: str = "auto", *, mc_error: float = 0.01, seed: int | None = None
) -> Plan:
    """Choose how to evaluate the criterion.

    Parameters
    ----------
    data : CrossProducts
        What is to be fitted.
    method : {"auto", "exact", "dense", "sparse", "iterative"}
        All but ``"auto"`` overrule the choice.
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
    if not isinstance(method, str) or method not in (*METHODS, "iterative"):
        raise ArgumentError(
            f"method must be one of {', '.join(METHODS)}, iterative; got {method!r}"
        )
    free = available_memory()
    crossed = len(data.labels) > 1
    if method == "iterative":
        if not crossed:
            raise ArgumentError("a model with one term is evaluated exactly; leave method='auto'")
        return _iterative(data, "asked for", mc_error, seed)
    core = data.structure.plan(METHODS[method], free)
    if method == "auto" and crossed:
        speed = SPARSE_FLOPS_PER_SECOND if core.method == "sparse" else DENSE_FLOPS_PER_SECOND
        seconds = core.flops / speed
        if core.bytes > free or seconds > MOST_SECONDS:
            reason = (
                f"a {core.method} factor would take {format_bytes(core.bytes)}, "
                f"an evaluation about {seconds:.0f} s"
            )
            return _iterative(data, reason, mc_error, seed)
    if core.bytes > free:
        raise FitTooLargeError(
            f"the {core.method} factor of the {core.dimension} levels of "
            f"{', '.join(data.labels[1:])} takes {format_bytes(core.bytes)}, and "
            f"{format_bytes(free)} are free; method='iterative' needs no factor"
        )
    return Plan(
        core,
        core.method,
        core.dimension,
        int(core.nonzeros),
        int(core.bytes),
        core.flops,
        _reason(core, METHODS[method], data.labels),
    )


def _iterative(data: CrossProducts, reason: str, mc_error: float, seed: int | None) -> Plan:
    if not 0.0 < mc_error < 1.0:
        raise ArgumentError(f"mc_error must be between 0 and 1; got {mc_error!r}")
    dimension = sum(data.levels[1:])
    vectors = 8 * (6 + 2) * 8 * dimension  # six blocks of eight vectors and their probes
    return Plan(
        data.structure.plan("none", 0.0),
        "iterative",
        dimension,
        0,
        vectors,
        0.0,
        reason,
        mc_error,
        0 if seed is None else int(seed),
    )


def _reason(core: _core.SchurPlan, wanted: str, labels: tuple[str, ...]) -> str:
    if core.method == "diagonal":
        return f"one term, {labels[0]}: Z'Z is diagonal, and no matrix is factored"
    if wanted != "auto":
        return "asked for"
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
