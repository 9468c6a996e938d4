"""Exact derivatives of the criterion and of the fixed effects' covariance in the variances.

The parameters are φ = (σ₁², …, σ_k², σ²) in y ~ N(Xβ, V), V = Σ φ_t K_t with K_t = Z_tZ_t' and,
last, K = W⁻¹. With P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ the second derivatives of the REML criterion are
−tr(PK_sPK_t) + 2 y'PK_sPK_tPy (Harville 1977, section 5).

None of it needs a matrix of n rows. The levels of the leading term are eliminated first, their
block of Z'V⁻¹Z being diagonal but for what comes from the others; what is left are the q₂ × q₂
matrices of the trailing terms. The residual's derivatives follow from the others', as V is linear
in φ: Σ φ_t PK_tP = P.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mixedmodels.errors import DataError, FitTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from mixedmodels.cross_products import CrossProducts

Floats: TypeAlias = "NDArray[np.float64]"

#: Trailing levels beyond which no inverse of their matrix is formed: 4,000 take 1 GB and 11 s.
MOST_TRAILING = 4000

#: Of the squared residual that the conjugate gradients leave.
_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Derivatives:
    """Derivatives at variances φ, in an orthonormal basis Q of the columns of X.

    Attributes
    ----------
    variances : ndarray (k + 1,)
        φ, the residual's last.
    covariance : ndarray (p, p)
        C = (Q'V⁻¹Q)⁻¹.
    slopes : ndarray (k + 1, p, p)
        Q'V⁻¹K_tV⁻¹Q; the derivative of C is C slope C.
    curvatures : ndarray (k + 1, k + 1, p, p)
        Q'V⁻¹K_sV⁻¹K_tV⁻¹Q.
    average : ndarray (k + 1, k + 1)
        y'PK_sPK_tPy, twice the average information.
    traces, projected_traces : ndarray (k + 1, k + 1), or None
        tr(V⁻¹K_sV⁻¹K_t) and tr(PK_sPK_t); None where the inverse would be too large.
    """

    variances: Floats
    covariance: Floats
    slopes: Floats
    curvatures: Floats
    average: Floats
    traces: Floats | None
    projected_traces: Floats | None

    def hessian(self, reml: bool) -> Floats | None:
        """Second derivatives of the criterion in φ; None without the traces."""
        traces = self.projected_traces if reml else self.traces
        return None if traces is None else 2.0 * self.average - traces


def derivatives(sums: CrossProducts, gamma: Floats, sigma2: float) -> Derivatives:
    """Compute the derivatives at given variances.

    Parameters
    ----------
    sums : CrossProducts
        The sums over the data.
    gamma : ndarray (k,)
        Variance ratios σ_t²/σ².
    sigma2 : float
        The residual variance σ².

    Returns
    -------
    Derivatives
    """
    inverse = _Inverse(sums, gamma)
    structure, rank, n = sums.structure, sums.rank, sums.n
    k = len(gamma)
    parts = inverse.parts
    # In units of σ², and with the response as one more column beside Q.
    columns = np.column_stack([structure.ZtX, sums.response.Zty])
    inner = np.eye(rank + 1)
    inner[rank, rank] = sums.response.yty
    products, H = inverse.quadratic(columns, inner)
    C = _inverse_of(products[:rank, :rank])
    beta = C @ products[:rank, rank]
    # From here on the last column is that of the residuals y − Qβ.
    to_residuals = np.eye(rank + 1)
    to_residuals[:rank, rank] = -beta
    products = to_residuals.T @ products @ to_residuals
    H = H @ to_residuals

    slopes = np.empty((k + 1, rank + 1, rank + 1))
    curves = np.empty((k + 1, k + 1, rank + 1, rank + 1))
    for t, part in enumerate(parts):
        slopes[t] = H[part].T @ H[part]
        only = np.zeros_like(H)
        only[part] = H[part]
        GH = inverse.apply(only)
        for s in range(k):
            curves[s, t] = H[parts[s]].T @ GH[parts[s]]
    slopes[k] = products - np.einsum("t,tij->ij", gamma, slopes[:k])
    for t in range(k):
        curves[t, k] = slopes[t] - np.einsum("s,sij->ij", gamma, curves[t, :k])
        curves[k, t] = curves[t, k].T
    curves[k, k] = slopes[k] - np.einsum("s,sij->ij", gamma, curves[k, :k])

    A, e = slopes[:, :rank, :rank], slopes[:, :rank, rank]
    average = curves[:, :, rank, rank] - np.einsum("si,ij,tj->st", e, C, e)
    curves = curves[:, :, :rank, :rank]
    CA = C @ A
    traces = projected = None
    if inverse.dense is not None:
        single, double = inverse.traces()
        traces = _with_residual(single, double, gamma, n)
        # tr(PK_sPK_t) = tr(V⁻¹K_sV⁻¹K_t) − 2 tr(C curve) + tr(C slope C slope)
        cross = np.einsum("ij,stji->st", C, curves)[:k, :k]
        both = np.einsum("sij,tji->st", CA[:k], CA[:k])
        projected = _with_residual(
            single - np.einsum("sii->s", CA[:k]), double - 2.0 * cross + both, gamma, n - rank
        )
        traces, projected = traces / sigma2**2, projected / sigma2**2
    return Derivatives(
        variances=sigma2 * np.append(gamma, 1.0),
        covariance=sigma2 * C,
        slopes=A / sigma2**2,
        curvatures=curves / sigma2**3,
        average=average / sigma2**3,
        traces=traces,
        projected_traces=projected,
    )


def _with_residual(single: Floats, double: Floats, gamma: Floats, total: int) -> Floats:
    """Add the residual's row and column to tr(PK_sPK_t), given tr(PK_t) and tr(PV) = total."""
    k = len(gamma)
    full = np.empty((k + 1, k + 1))
    full[:k, :k] = double
    full[:k, k] = full[k, :k] = single - double @ gamma
    full[k, k] = total - gamma @ single - full[k, :k] @ gamma
    return full


def _inverse_of(matrix: Floats) -> Floats:
    """Invert a positive definite matrix."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    if not matrix.size:
        return matrix
    try:
        factor = cho_factor(matrix, lower=True)
    except LinAlgError:
        raise DataError(
            "the covariance of the fixed effects has no digits left, so small is the residual "
            "variance beside the others; use ddf='normal' or 'bootstrap'"
        ) from None
    inverse: Floats = cho_solve(factor, np.eye(len(matrix)))
    return (inverse + inverse.T) / 2.0


class _Inverse:
    """G = Z'V⁻¹Z, in units of σ² and never formed: its products and traces.

    Without the trailing terms V is V₁ = W⁻¹ + γ₁Z₁Z₁', and N = Z₂'V₁⁻¹Z₂. Then S = I + ΛNΛ,
    A = ΛS⁻¹Λ, and by Woodbury V⁻¹ = V₁⁻¹ − V₁⁻¹Z₂ A Z₂'V₁⁻¹. So V⁻¹Z₂ = V₁⁻¹Z₂F with F = I − AN,
    which is ΛS⁻¹Λ⁻¹, without loss of digits, where no variance is zero.
    """

    def __init__(self, sums: CrossProducts, gamma: Floats) -> None:
        from scipy.sparse import csr_array, diags_array

        structure, levels = sums.structure, sums.levels
        self.q1, q2 = levels[0], sum(levels[1:])
        self.gamma = gamma
        ends = np.cumsum([0, *levels])
        self.parts = [slice(a, b) for a, b in pairwise(ends)]
        self.count = structure.count[: self.q1]
        #: Z₁'V₁⁻¹ = shrink · Z₁'W, level by level
        self.shrink = 1.0 / (1.0 + gamma[0] * self.count)
        start, index, value = structure.leading
        self.B = csr_array((value, index, start), shape=(self.q1, q2))
        start, index, value = structure.trailing
        off = csr_array((value, index, start), shape=(q2, q2))
        self.N22: csr_array = off + off.T + diags_array(structure.count[self.q1 :])
        self.scale = np.sqrt(np.repeat(gamma[1:], levels[1:]))
        self.positive = self.scale > 0.0
        self.divisor = np.where(self.positive, self.scale, 1.0)
        self.dense: Floats | None = None  # S⁻¹
        if q2 <= MOST_TRAILING:
            self.N = self.N22.toarray() - self._weighted(gamma[0] * self.shrink)
            S = self.scale[:, None] * self.N * self.scale + np.eye(q2)
            self.dense = _inverse_of(S)
        else:
            diagonal = self.N22.diagonal() - self.B.power(2).T @ (gamma[0] * self.shrink)
            self.diagonal = 1.0 + self.scale**2 * diagonal

    def _weighted(self, weights: Floats) -> Floats:
        """B' diag(weights) B."""
        from scipy.sparse import diags_array

        product: Floats = (self.B.T @ (diags_array(weights) @ self.B)).toarray()
        return product

    def _solve(self, x: Floats) -> Floats:
        """Return S⁻¹x, by conjugate gradients where the inverse is not formed."""
        if self.dense is not None:
            return self.dense @ x
        return conjugate_gradients(self._times_S, x, self.diagonal)

    def _times_A_and_Ft(self, x: Floats) -> tuple[Floats, Floats]:
        """Return A x and F'x."""
        solved = self._solve(self.scale[:, None] * x)
        Ax = self.scale[:, None] * solved
        if self.positive.all():
            return Ax, solved / self.scale[:, None]
        rest = x - self._times_N(Ax)
        return Ax, np.where(self.positive[:, None], solved / self.divisor[:, None], rest)

    def _times_F(self, x: Floats) -> Floats:
        """Return F x."""
        right = np.where(self.positive[:, None], x / self.divisor[:, None], 0.0)
        if not self.positive.all():
            rest = np.where(self.positive[:, None], 0.0, x)
            right = right - self.scale[:, None] * self._times_N(rest)
            return rest + self.scale[:, None] * self._solve(right)
        return self.scale[:, None] * self._solve(right)

    def _times_S(self, x: Floats) -> Floats:
        return x + self.scale[:, None] * self._times_N(self.scale[:, None] * x)

    def _times_N(self, x: Floats) -> Floats:
        inner = self.B.T @ ((self.gamma[0] * self.shrink)[:, None] * (self.B @ x))
        product: Floats = self.N22 @ x - inner
        return product

    def quadratic(self, columns: Floats, inner: Floats) -> tuple[Floats, Floats]:
        """x'V⁻¹x and Z'V⁻¹x of columns x, given Z'Wx and x'Wx."""
        first, second = columns[: self.q1], columns[self.q1 :]
        shrunk = self.shrink[:, None] * first
        U = second - self.gamma[0] * (self.B.T @ shrunk)  # Z₂'V₁⁻¹x
        AU, second = self._times_A_and_Ft(U)
        products = inner - self.gamma[0] * first.T @ shrunk - U.T @ AU
        H = np.concatenate([shrunk - self.shrink[:, None] * (self.B @ AU), second])
        return (products + products.T) / 2.0, H

    def apply(self, x: Floats) -> Floats:
        """Return G x."""
        shrink = self.shrink[:, None]
        first, second = x[: self.q1], x[self.q1 :]
        U = self.B.T @ (shrink * first)
        AU, FU = self._times_A_and_Ft(U)
        Fx = self._times_F(second)
        top = self.count[:, None] * shrink * first + shrink * (self.B @ (Fx - AU))
        return np.concatenate([top, FU + self._times_N(Fx)])

    def traces(self) -> tuple[Floats, Floats]:
        """tr(G_tt) and ‖G_st‖² of every pair of terms."""
        assert self.dense is not None
        A = self.scale[:, None] * self.dense * self.scale
        k = len(self.gamma)
        single, double = np.empty(k), np.empty((k, k))
        e, ne = self.shrink, self.count * self.shrink
        U = self._weighted(e**2)
        AU = A @ U
        single[0] = ne.sum() - np.trace(AU)
        double[0, 0] = (
            np.sum(ne**2) - 2.0 * np.sum(A * self._weighted(ne * e**2)) + np.sum(AU * AU.T)
        )
        if k == 1:
            return single, double
        if self.positive.all():
            F = self.scale[:, None] * self.dense / self.scale
        else:
            F = self._times_F(np.eye(len(A)))
        G = self.N @ F
        across = np.sum(F * (U @ F), axis=0)
        squares = G**2
        parts = [slice(p.start - self.q1, p.stop - self.q1) for p in self.parts[1:]]
        for t, part in enumerate(parts, start=1):
            single[t] = np.trace(G[part, part])
            double[0, t] = double[t, 0] = across[part].sum()
            for s, other in enumerate(parts, start=1):
                double[s, t] = squares[other, part].sum()
        return single, double


def conjugate_gradients(
    times: Callable[[Floats], Floats], right: Floats, diagonal: Floats, most: int = 2000
) -> Floats:
    """Solve for several right-hand sides at once, preconditioned by the diagonal."""
    x = np.zeros_like(right)
    r = right.copy()
    z = r / diagonal[:, None]
    p = z.copy()
    rz = np.sum(r * z, axis=0)
    goal = _TOLERANCE**2 * np.where(rz > 0, rz, 1.0)
    for _ in range(most):
        if np.all(rz <= goal):
            return x
        Sp = times(p)
        step = rz / np.where(rz > 0, np.sum(p * Sp, axis=0), 1.0)
        x += step * p
        r -= step * Sp
        z = r / diagonal[:, None]
        new = np.sum(r * z, axis=0)
        p = z + np.where(rz > 0, new / np.where(rz > 0, rz, 1.0), 0.0) * p
        rz = new
    raise FitTooLargeError(
        f"the random effects could not be solved for in {most} steps; use ddf='normal', which "
        "needs no derivatives"
    )
