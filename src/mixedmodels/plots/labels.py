"""Texts for axes: names with their units, and labels of levels that may hold anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mixedmodels.datasets.cards import CARDS
from mixedmodels.display.tables import printable

if TYPE_CHECKING:
    from mixedmodels.estimates import Estimates

LONGEST_LABEL = 28


def plain(text: object) -> str:
    """Make a text safe to draw: no mathematics between dollars, no control characters."""
    return printable(str(text)).replace("$", r"\$")


def shortened(text: object) -> str:
    """Make the label of a level safe to draw, and cut it where it is long."""
    words = str(text)
    if len(words) > LONGEST_LABEL:
        words = words[: LONGEST_LABEL - 1] + "…"
    return plain(words)


def unit_of(column: str, data_name: str | None) -> str:
    """Return the unit that the card of a data set has for a column; empty where none is known."""
    card = CARDS.get(data_name or "")
    known = None if card is None else card.columns.get(column)
    return "" if known is None else known.unit


def unit_of_response(model: Estimates) -> str:
    """Return the unit of a model's response; a refitted one may be in any."""
    if model.refitted:
        return ""
    return unit_of(model.design.response_name, model.design.data_name)


def with_unit(name: str, unit: str) -> str:
    """Write a name with its unit, as on an axis."""
    return f"{plain(name)} ({unit})" if unit else plain(name)


def squared(unit: str) -> str:
    """Write the unit of a variance."""
    if not unit:
        return ""
    return f"{unit}²" if unit.isalpha() else f"({unit})²"


def listed(names: Iterable[str]) -> str:
    """Join names for an error, the first dozen of them."""
    names = list(names)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more
