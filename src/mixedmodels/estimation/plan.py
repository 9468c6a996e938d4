"""CrossProducts → Plan: how a fit will be evaluated, and what it will cost, before it is made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixedmodels import _core
from mixedmodels.errors import ArgumentError, FitTooLargeError

if TYPE_CHECKING:
    from mixedmodels.cross_products import CrossProducts

Method = Literal["auto", "exact", "dense", "sparse"]

METHODS = {"auto": "auto", "exact": "auto", "dense": "dense", "sparse": "sparse"}


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The way chosen to evaluate the criterion.

    Attributes
    ----------
    method : {"diagonal", "dense", "sparse"}
        How the Schur complement of the largest term is factored: not at all where there is one
        term, as a dense matrix, or as a sparse one in a fill-reducing order.
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
    """

    core: _core.SchurPlan
    method: str
    dimension: int
    nonzeros: int
    bytes: int
    flops: float
    reason: str

    def __repr__(self) -> str:
        if self.dimension == 0:
            return f"Plan: exact\n{self.reason}"
        return (
            f"Plan: exact, {self.method}\n"
            f"Schur complement of order {self.dimension}; its factor has {self.nonzeros} nonzeros\n"
            f"{format_bytes(self.bytes)} and {self.flops:.2g} flops for an evaluation\n"
            f"{self.reason}"
        )


def make_plan(data: CrossProducts, method: str = "auto") -> Plan:
    """Choose how to evaluate the criterion.

    Parameters
    ----------
    data : CrossProducts
        What is to be fitted.
    method : {"auto", "exact", "dense", "sparse"}
        ``"dense"`` and ``"sparse"`` overrule the choice.

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
    free = available_memory()
    core = data.structure.plan(METHODS[method], free)
    if core.bytes > free:
        raise FitTooLargeError(
            f"the {core.method} factor of the {core.dimension} levels of "
            f"{', '.join(data.labels[1:])} takes {format_bytes(core.bytes)}, and "
            f"{format_bytes(free)} are free; a model without one of these terms, "
            "or on a part of the rows, would fit"
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
