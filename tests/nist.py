"""The nine sets SmLs01 to SmLs09 of NIST's StRD for one-way analysis of variance, generated.

Nine treatments of J values each, of which all leading digits but the last are the same. Certified:
within mean square 0.01, between mean square J/100. A literal such as 1000000000000.4 is no double:
`exact_mean_squares` says what the certified values become for the doubles nearest to the literals.
"""

from fractions import Fraction

import numpy as np
import pandas as pd

TREATMENTS = 9
REPLICATES = (21, 201, 2001)
BASES = (14, 1_000_000_4, 1_000_000_000_000_4)  # in tenths, so that all is exact in integers

# name: (base in tenths, J)
SETS = {
    f"SmLs0{3 * i + j + 1}": (base, J)
    for i, base in enumerate(BASES)
    for j, J in enumerate(REPLICATES)
}


def observations(name):
    """Return the data of a set: factor `treatment` and response `y`, the doubles nearest to it."""
    base, J = SETS[name]
    treatment = np.repeat(np.arange(TREATMENTS), J)
    replicate = np.tile(np.arange(J), TREATMENTS)
    level = base + np.where(treatment == 0, 0, np.where(treatment % 2 == 1, -1, 1))
    step = np.where(replicate == 0, 0, np.where(replicate % 2 == 1, -1, 1))
    # A quotient of integers below 2⁵³ is rounded once, as the literal is.
    return pd.DataFrame({"treatment": [f"t{t + 1}" for t in treatment], "y": (level + step) / 10})


def certified_mean_squares(name):
    """Return the certified mean squares between and within the treatments."""
    return Fraction(SETS[name][1], 100), Fraction(1, 100)


def exact_mean_squares(name):
    """Return the mean squares between and within, in rational arithmetic on the doubles."""
    J = SETS[name][1]
    y = [Fraction(value) for value in observations(name)["y"]]
    groups = [y[start : start + J] for start in range(0, len(y), J)]
    means = [sum(group) / J for group in groups]
    mean = sum(means) / TREATMENTS
    between = J * sum((m - mean) ** 2 for m in means) / (TREATMENTS - 1)
    within = sum(sum((v - m) ** 2 for v in g) for g, m in zip(groups, means, strict=True))
    return between, within / (TREATMENTS * (J - 1))


def variances(name, mean_squares):
    """Return the REML estimates of a balanced one-way layout: between treatments, and residual."""
    between, within = mean_squares(name)
    return max(between - within, 0) / SETS[name][1], within


def digits(value, reference):
    """Return the log relative error, −log₁₀ |value − reference| / |reference|, at most 15."""
    error = abs(Fraction(value) - reference) / abs(reference)
    return min(15.0, -np.log10(float(error))) if error else 15.0
