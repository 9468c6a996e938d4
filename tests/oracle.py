"""A dense oracle, O(n³): V = W⁻¹ + Σ γ_t Z_t Z_t' itself, γ_t = θ_t², with no cleverness."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.optimize import minimize, root


def model(y, X, Z, reml=True, weights=None):
    """Put dense parts together: `Z` is {group: frame of 0/1 columns}, kept most levels first."""
    Z = dict(sorted(Z.items(), key=lambda item: -item[1].shape[1]))
    w = np.ones(len(y)) if weights is None else np.asarray(weights)
    return SimpleNamespace(y=y, X=X, Z=Z, W_inverse=np.diag(1 / w), reml=reml)


def evaluate(m, theta):
    """Compute objective, its gradient in γ, β and its covariance, σ, b and sd(b | y, β) at θ."""
    gamma = dict(zip(m.Z, np.square(theta), strict=True))
    Z = {name: frame.to_numpy() for name, frame in m.Z.items()}
    Vi = np.linalg.inv(m.W_inverse + sum(gamma[t] * Z[t] @ Z[t].T for t in Z))
    XVX = m.X.T @ Vi @ m.X
    beta = np.linalg.solve(XVX, m.X.T @ Vi @ m.y)
    e, nu = Vi @ (m.y - m.X @ beta), len(m.y) - m.reml * len(beta)
    r2 = e @ (m.y - m.X @ beta)
    P = Vi - m.reml * Vi @ m.X @ np.linalg.solve(XVX, m.X.T @ Vi)
    logdet = m.reml * np.linalg.slogdet(XVX)[1] - np.linalg.slogdet(Vi)[1]
    var = {t: gamma[t] - gamma[t] ** 2 * np.sum(Z[t] * (Vi @ Z[t]), axis=0) for t in Z}
    return SimpleNamespace(
        theta=np.asarray(theta),
        objective=logdet + nu * (1 + np.log(2 * np.pi * r2 / nu)),
        gradient=np.array([np.sum(z * (P @ z)) - nu / r2 * sum((e @ z) ** 2) for z in Z.values()]),
        beta=beta,
        vcov=r2 / nu * np.linalg.inv(XVX),
        sigma=np.sqrt(r2 / nu),
        ranef={t: gamma[t] * m.Z[t].T @ e for t in Z},
        condsd={t: pd.Series(np.sqrt(r2 / nu * var[t].clip(0)), m.Z[t].columns) for t in Z},
    )


def best_optimum(m, starts=(0.1, 0.7, 3.0)):
    """Find the best of many starts, on every face (some terms held at zero), and polish it."""

    def criterion(gamma, free):  # in γ: the gradient in θ vanishes at 0, whatever the data say
        fit = evaluate(m, np.sqrt(np.abs(gamma) @ free))
        return fit.objective, free @ fit.gradient

    fits, tight = [evaluate(m, np.zeros(len(m.Z)))], {"ftol": 0, "gtol": 1e-9}
    for start in product((0.0, *starts), repeat=len(m.Z)):
        if len(free := np.eye(len(start))[np.array(start) > 0]):
            gamma, bounds = free @ np.square(start), [(0, None)] * len(free)
            x = minimize(criterion, gamma, (free,), jac=True, bounds=bounds, options=tight).x
            fits.append(evaluate(m, np.sqrt(x @ free)))
    # Of equals, the one whose θ · gradient is smallest: it is 0 where θ is, and at the optimum.
    best = min(fits, key=lambda f: (round(f.objective, 9), np.abs(f.theta * f.gradient).sum()))
    if len(free := np.eye(len(start))[best.theta > 0]):
        x = root(lambda x: criterion(x, free)[1], free @ best.theta**2, tol=1e-13).x
        return evaluate(m, np.sqrt(np.abs(x) @ free))
    return best
