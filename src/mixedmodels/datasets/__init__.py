"""The data sets that the package ships, each with a card and an example.

Examples
--------
>>> import mixedmodels as mm
>>> dyestuff = mm.datasets.load("dyestuff")
>>> dyestuff.groupby("Batch", observed=True)["Yield"].mean()
Batch
A    1505.0
B    1528.0
C    1564.0
D    1498.0
E    1600.0
F    1470.0
Name: Yield, dtype: float64
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from mixedmodels.datasets.card import Card, Column
from mixedmodels.datasets.cards import CARDS, find_card
from mixedmodels.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["Card", "Column", "describe", "example", "list", "load"]


# The name is right where it is used, `mm.datasets.list()`; nothing here needs the builtin.
def list() -> pd.DataFrame:  # noqa: A001
    """List the data sets.

    Returns
    -------
    pandas.DataFrame
        One row a data set: `name`, `title` and the number of `rows`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.datasets.list().head(3)
             name                                      title  rows
    0    dyestuff                 Yield of dyestuff by batch    30
    1   dyestuff2  Constructed yields with no batch variance    30
    2  penicillin            Variation in penicillin testing   144
    """
    import pandas as pd

    return pd.DataFrame(
        [(card.name, card.title, card.rows) for card in CARDS.values()],
        columns=["name", "title", "rows"],
    )


@overload
def load(name: str, backend: Literal["pandas"] = "pandas") -> pd.DataFrame: ...
@overload
def load(name: str, backend: Literal["polars"]) -> pl.DataFrame: ...
@overload
def load(name: str, backend: Literal["pyarrow"]) -> pa.Table: ...
def load(
    name: str, backend: Literal["pandas", "polars", "pyarrow"] = "pandas"
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Load a data set.

    Parameters
    ----------
    name : str
        One of those in `list`.
    backend : {"pandas", "polars", "pyarrow"}
        The library to get the data frame from.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        A new one at each call. Factors are categoricals (polars: ``Enum``, pyarrow: dictionary
        arrays) with strings as levels, in the order that the card gives. A pandas frame has
        its name in ``attrs["name"]``.

    Raises
    ------
    UnknownDatasetError
        If there is no data set of that name.
    ArgumentError
        If `backend` is none of the three, or is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.datasets.load("sleepstudy").head(3)
       Reaction  Days Subject
    0  249.5600     0     308
    1  258.7047     1     308
    2  250.8006     2     308
    """
    from mixedmodels.datasets import loading

    card = find_card(name)
    readers = {
        "pandas": loading.read_pandas,
        "polars": loading.read_polars,
        "pyarrow": loading.read_pyarrow,
    }
    read = readers.get(backend) if isinstance(backend, str) else None
    if read is None:
        choices = ", ".join(map(repr, readers))
        raise ArgumentError(f"backend={backend!r} is not known; it may be {choices}.")
    try:
        return read(card)
    except ModuleNotFoundError as error:
        package = error.name or backend
        raise ArgumentError(
            f"backend={backend!r} needs {package}, which is not installed: "
            f"`pip install {package}`, or take backend='pandas'."
        ) from error


def describe(name: str) -> Card:
    """Describe a data set: what was measured, its columns, source, terms and an example.

    Parameters
    ----------
    name : str
        One of those in `list`.

    Returns
    -------
    Card
        Prints as text, shows as HTML in a notebook, and has ``to_markdown()``.

    Raises
    ------
    UnknownDatasetError
        If there is no data set of that name.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> card = mm.datasets.describe("penicillin")
    >>> card.title
    'Variation in penicillin testing'
    >>> card.columns["diameter"].unit
    'mm'
    """
    return find_card(name)


def example(name: str) -> None:
    """Run the example of a data set, printing its code and its output.

    Parameters
    ----------
    name : str
        One of those in `list`.

    Raises
    ------
    UnknownDatasetError
        If there is no data set of that name.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.datasets.example("dyestuff")  # doctest: +SKIP
    """
    from mixedmodels.datasets.session import run_session

    run_session(find_card(name).code)
