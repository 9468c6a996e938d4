"""Numbers as R prints them.

The published output of mixed models is R's, and readers compare digit by digit. R formats the
numbers of a vector *together*: as few decimals as let every number show `digits` significant
digits, trailing zeros aside, and scientific notation where that is narrower.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mixedmodels.errors import ArgumentError

#: Decimal digits that every double carries.
_DOUBLE_DIGITS = 15


class _Significant(NamedTuple):
    """What one number needs to show its significant digits."""

    nonzero: int  # significant digits without trailing zeros
    exponent: int  # power of ten of the first of them
    left: int  # digits before the decimal point, in fixed notation


def _significant(value: float, digits: int) -> _Significant:
    # Python's "e" format rounds the exact binary value correctly, ties to even.
    mantissa, power = f"{abs(value):.{digits - 1}e}".split("e")
    count = max(1, len(mantissa.rstrip("0").replace(".", "")))
    exponent = int(power)
    left = exponent + 1
    # 9996 to three digits is 1e+04, but in fixed notation it stays 9996, one digit narrower.
    if exponent > 0 and abs(value) < 10.0**exponent - 0.5 / 10.0 ** max(0, digits - exponent):
        left -= 1
    return _Significant(count, exponent, max(1, left))


def format_real(
    values: Iterable[float], digits: int = 7, *, min_decimals: int = 0, na: str = "NA"
) -> list[str]:
    """Format numbers together, as R's ``format()`` does.

    Parameters
    ----------
    values : iterable of float
        The numbers; a missing value is a NaN.
    digits : int, default 7
        Significant digits, 1 to 15, shown of the number that needs the most decimals.
    min_decimals : int, default 0
        Decimals to show at least, in fixed notation.
    na : str, default "NA"
        What a missing value looks like.

    Returns
    -------
    list of str
        Texts of one width.

    Raises
    ------
    ArgumentError
        `digits` is not from 1 to 15.

    Examples
    --------
    >>> format_real([99.2307, 77.4921, 1028.23], digits=4)
    ['  99.23', '  77.49', '1028.23']
    >>> format_real([1e-10, 1.0], digits=3)
    ['1e-10', '1e+00']
    """
    if not 1 <= digits <= _DOUBLE_DIGITS:
        raise ArgumentError(f"digits must be from 1 to {_DOUBLE_DIGITS}, not {digits}")
    numbers = [float(value) + 0.0 for value in values]  # + 0.0 makes -0.0 an ordinary zero
    notation = _common_notation([x for x in numbers if math.isfinite(x)], digits, min_decimals)
    texts = [_text(x, notation, na) for x in numbers]
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


def _text(value: float, notation: str, na: str) -> str:
    if math.isnan(value):
        return na
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return format(value, notation)


def _common_notation(numbers: Sequence[float], digits: int, min_decimals: int) -> str:
    """Find the format specification shared by all of `numbers`, fixed unless that is wider."""
    if not numbers:
        return ".0f"
    needs = [_significant(x, digits) for x in numbers]
    decimals = max(0, *(need.nonzero - need.exponent - 1 for need in needs))
    left = max(need.left + (x < 0) for x, need in zip(numbers, needs, strict=True))
    fixed_width = left + decimals + (decimals > 0)

    mantissa = max(need.nonzero for need in needs) - 1
    negative = any(x < 0 for x in numbers)
    wide_exponent = any(abs(need.exponent) >= 100 for need in needs)
    scientific_width = negative + 1 + (mantissa > 0) + mantissa + 4 + wide_exponent
    if fixed_width <= scientific_width:
        return f".{max(decimals, min_decimals)}f"
    return f".{mantissa}e"


def round_decimal(value: float, places: int) -> float:
    """Round to the nearer of the two neighbouring decimals, the even one of a tie, as R does.

    Unlike Python's ``round``, the distances to the neighbours are taken in double precision,
    so that a tie among decimals is a tie although its binary value is a little off.

    Parameters
    ----------
    value : float
        The number.
    places : int
        Decimals to keep, not negative.

    Returns
    -------
    float
        The rounded number.

    Examples
    --------
    >>> round_decimal(5.015, 2), round(5.015, 2)
    (5.02, 5.01)
    """
    size = abs(value)
    if size == 0 or not math.isfinite(value) or places > sys.float_info.max_10_exp:
        return value
    if places + math.ceil(math.log10(size)) > _DOUBLE_DIGITS:
        return value
    scale = 10.0**places
    floor = math.floor(size * scale)
    below, above = floor / scale, math.ceil(size * scale) / scale
    down, up = size - below, above - size
    nearest = below if down < up or (down == up and floor % 2 == 0) else above
    return math.copysign(nearest, value)


def zap_small(values: Sequence[float], digits: int) -> list[float]:
    """Round numbers to the decimal at which the largest shows about `digits` digits.

    Parameters
    ----------
    values : sequence of float
        The numbers; missing ones stay missing.
    digits : int
        Significant digits of the largest.

    Returns
    -------
    list of float
        The rounded numbers; what is negligible beside the largest is zero.

    Examples
    --------
    >>> zap_small([11403.499, 1e-9], digits=5)
    [11403.5, 0.0]
    """
    largest = max((abs(x) for x in values if math.isfinite(x)), default=0.0)
    places = digits if largest == 0 else math.floor(digits - math.log10(largest) + 0.5)
    return [round_decimal(x, max(0, places)) for x in values]


def format_pvalue(
    values: Iterable[float],
    digits: int = 4,
    *,
    eps: float = sys.float_info.epsilon,
    na: str = "NA",
) -> list[str]:
    """Format p-values: small ones in scientific notation, those below `eps` as ``< eps``.

    Parameters
    ----------
    values : iterable of float
        The p-values; a missing one is a NaN.
    digits : int, default 4
        Significant digits.
    eps : float, default 2.2e-16
        The smallest p-value to be told from zero.
    na : str, default "NA"
        What a missing value looks like.

    Returns
    -------
    list of str
        The texts, not padded to one width.

    Examples
    --------
    >>> format_pvalue([0.52340012, 0.00054151, 1e-20])
    ['0.5234001', '0.0005415', '< 2.2e-16']
    """
    values = [float(value) for value in values]
    fixed = [x for x in values if x >= eps and _shown_fixed(x, digits)]
    small = [x for x in values if x >= eps and not _shown_fixed(x, digits)]
    texts = dict(zip(fixed, format_real(fixed, digits), strict=True))
    texts |= zip(small, format_real(small, digits), strict=True)
    limit = _below(eps, digits, max(map(len, texts.values()), default=0))
    return [na if math.isnan(x) else texts.get(x, limit) for x in values]


def _shown_fixed(pvalue: float, digits: int) -> bool:
    exponent = math.floor(math.log10(pvalue))
    return exponent >= -3 or (exponent == -4 and digits > 1)


def _below(eps: float, digits: int, width: int) -> str:
    """Write "less than `eps`", with fewer digits where the other p-values are narrow."""
    digits = max(1, digits - 2)
    if width and digits > 1 and digits + 6 > width:
        digits = max(1, width - 7)
    tight = digits == 1 and width <= 6
    return ("<" if tight else "< ") + format_real([eps], digits)[0]


class CoefficientColumns(NamedTuple):
    """The formatted columns of a table of coefficients."""

    estimates: list[str]
    standard_errors: list[str]
    statistics: list[str]


def format_coefficients(
    estimates: Sequence[float],
    standard_errors: Sequence[float],
    statistics: Sequence[float],
    digits: int = 4,
) -> CoefficientColumns:
    """Format a table of coefficients as R's ``printCoefmat()`` does.

    Estimates and standard errors share their decimals, so that the smallest of them shows
    `digits` significant digits; none but a zero looks like one.

    Parameters
    ----------
    estimates, standard_errors, statistics : sequence of float
        The columns, of one length; NaN is missing.
    digits : int, default 4
        Significant digits.

    Returns
    -------
    CoefficientColumns
        The three columns as texts.

    Examples
    --------
    >>> format_coefficients([5.6656], [0.66698574], [8.494334])
    CoefficientColumns(estimates=['5.666'], standard_errors=['0.667'], statistics=['8.494'])
    """
    cells = [*estimates, *standard_errors]
    sizes = [abs(x) for x in cells if math.isfinite(x) and x != 0]
    smallest = math.floor(math.log10(min(sizes))) if sizes else 0
    places = max(1, digits - 1 - smallest)
    texts = format_real([round_decimal(x, places) for x in cells], digits)
    tests = [round_decimal(x, max(1, min(5, digits - 1))) for x in statistics]
    return CoefficientColumns(
        texts[: len(estimates)], texts[len(estimates) :], format_real(tests, digits)
    )
