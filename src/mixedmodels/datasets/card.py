"""What the package knows of a data set: its documentation card and the columns on it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

Kind = Literal["factor", "ordered factor", "number", "integer"]

WIDTH = 80
MANY_LEVELS = 15


@dataclass(frozen=True)
class Column:
    """One column of a data set.

    Parameters
    ----------
    name : str
        The name of the column.
    kind : {"factor", "ordered factor", "number", "integer"}
        What it holds.
    description : str
        What was recorded.
    unit : str
        The unit of measurement, as one writes it on an axis; empty for a pure number.
    levels : tuple of str
        The labels of a factor, in order. Empty where they are whole numbers in increasing order
        and too many to write down.
    nlevels : int
        How many levels a factor has.
    """

    name: str
    kind: Kind
    description: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    nlevels: int = 0

    @property
    def is_factor(self) -> bool:
        """Whether the column holds labels, not numbers."""
        return self.nlevels > 0

    @property
    def type(self) -> str:
        """The kind in words, with the levels of a factor."""
        if not self.is_factor:
            return self.kind
        words = f"{self.kind}, {self.nlevels} levels"
        if not self.levels:
            return words
        separator = " < " if self.kind == "ordered factor" else ", "
        shown = self.levels
        if len(shown) > MANY_LEVELS:
            shown = (*shown[:3], "…", shown[-1])
        return f"{words}: {separator.join(shown)}"


@dataclass(frozen=True, repr=False)
class Card:
    """The documentation of a data set; prints as text.

    Parameters
    ----------
    name : str
        The name to load it by.
    title : str
        One line.
    story : str
        What was measured, how, and what for.
    rows : int
        The number of observations.
    fields : tuple of Column
        Its columns, in order.
    source : str
        Where the data were first published.
    terms : str
        How they reached this package and on which terms.
    example : str
        Python statements; the package is there as ``mm``, the data under their own name.
    """

    name: str
    title: str
    story: str
    rows: int
    fields: tuple[Column, ...]
    source: str
    terms: str
    example: str

    @property
    def columns(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.fields}

    @property
    def code(self) -> str:
        """The example as a program that runs by itself."""
        return (
            "import mixedmodels as mm\n"
            f'{self.name} = mm.datasets.load("{self.name}")\n'
            f"{self.example}"
        )

    def __str__(self) -> str:
        width = max(len(column.name) for column in self.fields)
        lines = [f"{self.name}: {self.title}", "", *_wrap(self.story, 2), ""]
        lines.append(f"Columns ({self.rows} rows)")
        for column in self.fields:
            unit = f" ({column.unit})" if column.unit else ""
            head, *rest = _wrap(column.type + unit, width + 4)
            lines += [f"  {column.name:{width}}{head[width + 2 :]}", *rest]
            lines += _wrap(column.description, width + 4)
        for title, text in (("Source", self.source), ("Terms", self.terms)):
            lines += ["", title, *_wrap(text, 2)]
        lines += ["", "Example", *(f"  {line}" for line in self.code.splitlines())]
        return "\n".join(lines)

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Return the card as Markdown.

        Returns
        -------
        str
        """
        rows = [("column", "type", "unit", "description"), ("---",) * 4, *self._table()]
        return "\n".join(
            [
                f"### `{self.name}`: {self.title}",
                "",
                *_wrap(self.story),
                "",
                f"{self.rows} rows.",
                "",
                *(f"| {' | '.join(row)} |" for row in rows),
                "",
                *_wrap(f"**Source:** {self.source}"),
                "",
                *_wrap(f"**Terms:** {self.terms}"),
                "",
                "```python",
                *self.code.splitlines(),
                "```",
            ]
        )

    def _repr_html_(self) -> str:
        from html import escape

        def row(cells: tuple[str, ...], tag: str = "td") -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        return "\n".join(
            [
                f"<h3><code>{self.name}</code>: {escape(self.title)}</h3>",
                f"<p>{escape(self.story)}</p>",
                f"<p>{self.rows} rows.</p>",
                "<table>",
                row(("column", "type", "unit", "description"), "th"),
                *(row(cells) for cells in self._table()),
                "</table>",
                f"<p><b>Source:</b> {escape(self.source)}</p>",
                f"<p><b>Terms:</b> {escape(self.terms)}</p>",
                f"<pre>{escape(self.code)}</pre>",
            ]
        )

    def _table(self) -> list[tuple[str, str, str, str]]:
        return [(c.name, c.type, c.unit, c.description) for c in self.fields]


def _wrap(text: str, indent: int = 0) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
