"""Numbers and tables as text that copies into markdown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from benchmarks.results import Measured

NOTHING = "—"


def significant(value: float, digits: int = 3) -> str:
    """Round to some digits, without an exponent."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 10 ** (digits - 1) else f"{rounded:#.{digits}g}"


def duration(seconds: Measured | float | None) -> str:
    if seconds is None:
        return NOTHING
    measured = seconds if isinstance(seconds, Measured) else Measured(seconds)
    value = measured.value
    if value >= 1:
        number, unit = value, "s"
    elif value >= 1e-3:
        number, unit = value * 1e3, "ms"
    else:
        number, unit = value * 1e6, "µs"
    return ("> " if measured.at_least else "") + f"{significant(number)} {unit}"


def factor(ratio: Measured | None) -> str:
    if ratio is None:
        return NOTHING
    return ("> " if ratio.at_least else "") + f"{significant(ratio.value)} ×"


def megabytes(value: float) -> str:
    return f"{value:,.0f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a markdown table: the first column to the left, the others to the right."""
    widths = [max(map(_width, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell + " " * (width - _width(cell)) if i == 0 else " " * (width - _width(cell)) + cell
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    ruler = [":" + "-" * (w - 1) if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(ruler), *map(line, rows)])


def _width(text: str) -> int:
    return sum(not unicodedata.combining(letter) for letter in text)
