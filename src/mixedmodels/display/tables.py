"""Tables: one immutable value, printed as text, Markdown, LaTeX or HTML."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

from mixedmodels.errors import ArgumentError

#: Left, right, and numbers: right-aligned, below a header that text output puts on the left.
_ALIGNMENTS = frozenset("lrn")

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "{}$&#_%"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
    }
)
_MARKDOWN = re.compile(r"([\\`*_<>\[\]|~&$])")
_NUMBER = re.compile(r"(< ?)?-?(\d+(\.\d+)?(e[+-]\d+)?|Inf)")


@dataclass(frozen=True, slots=True)
class Table:
    r"""A table of texts, already formatted.

    Parameters
    ----------
    headers : tuple of str
        The headers of the columns.
    rows : tuple of tuple of str
        The cells. Padding in front of a number is kept in text and dropped elsewhere.
    align : str, optional
        A letter a column: ``l`` left, ``r`` right, ``n`` numbers below a left-aligned header.
        Right by default.
    labels : tuple of str, optional
        The label of every row, in a column of its own, left-aligned and without a header.
    title : str, optional
        What the table shows; a colon at its end shows in plain text only.
    notes : tuple of str, optional
        Sentences below the table.

    Raises
    ------
    ArgumentError
        A row, `labels` or `align` does not fit the headers.

    Examples
    --------
    >>> table = Table(("Estimate",), (("1527.5",),), labels=("(Intercept)",))
    >>> print(table)
                Estimate
    (Intercept)   1527.5
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str = ""
    labels: tuple[str, ...] | None = None
    title: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.align:
            object.__setattr__(self, "align", "r" * len(self.headers))
        if len(self.align) != len(self.headers) or not _ALIGNMENTS.issuperset(self.align):
            raise ArgumentError(
                f"align must be one of l, r, n for each of {len(self.headers)} columns, "
                f"not {self.align!r}"
            )
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.headers):
                raise ArgumentError(
                    f"row {number} has {len(row)} cells for {len(self.headers)} columns"
                )
        if self.labels is not None and len(self.labels) != len(self.rows):
            raise ArgumentError(f"{len(self.labels)} labels for {len(self.rows)} rows")

    def to_text(self) -> str:
        """Plain text, columns separated by one blank.

        Returns
        -------
        str
            The lines, without blanks at their ends.
        """
        columns = [
            _text_column(header, cells, align)
            for header, cells, align in zip(self.headers, self._columns(), self.align, strict=True)
        ]
        if self.labels is not None:
            columns.insert(0, _text_column("", self.labels, "l"))
        lines = [" ".join(line).rstrip() for line in zip(*columns, strict=True)]
        head = [printable(self.title)] if self.title else []
        return "\n".join([*head, *lines, *map(printable, self.notes)])

    __str__ = to_text

    def to_markdown(self) -> str:
        """Markdown, a pipe table.

        Returns
        -------
        str
            The title, the table and the notes, as paragraphs.
        """
        stub = self.labels is not None
        rules = ["---"] * stub + ["---" if a == "l" else "---:" for a in self.align]
        lines = [
            "| " + " | ".join(map(escape_markdown, cells)) + " |"
            for cells in ([""] * stub + [*self.headers], *self._full_rows())
        ]
        lines.insert(1, "| " + " | ".join(rules) + " |")
        head = [f"**{escape_markdown(self._caption)}**"] if self.title else []
        return "\n\n".join([*head, "\n".join(lines), *map(escape_markdown, self.notes)])

    def to_latex(self) -> str:
        r"""LaTeX, for the package ``booktabs``.

        Returns
        -------
        str
            A ``tabular``, with the notes below its last rule; in a ``table`` with a caption
            where there is a title.
        """
        stub = self.labels is not None
        spec = "l" * stub + self.align.replace("n", "r")

        def line(cells: list[str]) -> str:
            return " & ".join(map(_latex_cell, cells)) + r" \\"

        tabular = [
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            line([""] * stub + [*self.headers]),
            r"\midrule",
            *map(line, self._full_rows()),
            r"\bottomrule",
            *(
                rf"\multicolumn{{{len(spec)}}}{{l}}{{\footnotesize {escape_latex(note)}}} \\"
                for note in self.notes
            ),
            r"\end{tabular}",
        ]
        if self.title:
            caption = rf"\caption{{{escape_latex(self._caption)}}}"
            tabular = [r"\begin{table}", r"\centering", caption, *tabular, r"\end{table}"]
        return "\n".join(tabular)

    def _repr_html_(self) -> str:
        span = len(self.headers) + (self.labels is not None)
        head = "".join(
            f'<th scope="col"{_html_style(a)}>{escape_html(h)}</th>'
            for h, a in zip(self.headers, self.align, strict=True)
        )
        corner = "" if self.labels is None else "<td></td>"
        body = "\n".join(f"<tr>{self._html_row(i)}</tr>" for i in range(len(self.rows)))
        parts = [
            f"<caption>{escape_html(self._caption)}</caption>" if self.title else "",
            f"<thead>\n<tr>{corner}{head}</tr>\n</thead>",
            f"<tbody>\n{body}\n</tbody>",
        ]
        if self.notes:
            notes = "<br />".join(map(escape_html, self.notes))
            parts.append(f'<tfoot>\n<tr><td colspan="{span}">{notes}</td></tr>\n</tfoot>')
        return "\n".join(["<table>", *filter(None, parts), "</table>"])

    @property
    def _caption(self) -> str:
        return self.title.rstrip(":")

    def _html_row(self, index: int) -> str:
        label = ""
        if self.labels is not None:
            label = f'<th scope="row"{_html_style("l")}>{escape_html(self.labels[index])}</th>'
        return label + "".join(
            f"<td{_html_style(a)}>{escape_html(cell)}</td>"
            for cell, a in zip(self.rows[index], self.align, strict=True)
        )

    def _columns(self) -> list[tuple[str, ...]]:
        return [tuple(row[j] for row in self.rows) for j in range(len(self.headers))]

    def _full_rows(self) -> list[list[str]]:
        """Join every row to its label."""
        if self.labels is None:
            return [list(row) for row in self.rows]
        return [[label, *row] for label, row in zip(self.labels, self.rows, strict=True)]


def printable(text: str) -> str:
    r"""Escape what would break a line or command a terminal.

    Parameters
    ----------
    text : str
        Any text; names of columns and levels are the data's own and may hold anything.

    Returns
    -------
    str
        The text with control characters, line separators and lone surrogates as ``\x..``.
    """
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}
        else c
        for c in text
    )


def escape_markdown(text: str) -> str:
    """Escape a text for Markdown, blanks at its ends dropped."""
    return _MARKDOWN.sub(r"\\\1", printable(text).strip())


def escape_latex(text: str) -> str:
    """Escape a text for LaTeX, blanks at its ends dropped."""
    return printable(text).strip().translate(_LATEX)


def escape_html(text: str) -> str:
    """Escape a text for HTML, blanks at its ends dropped."""
    return html.escape(printable(text).strip())


def _latex_cell(cell: str) -> str:
    escaped = escape_latex(cell)
    # A hyphen is not a minus sign.
    return escaped.replace("-", "$-$") if _NUMBER.fullmatch(cell.strip()) else escaped


def _html_style(align: str) -> str:
    return f' style="text-align: {"left" if align == "l" else "right"}"'


def _text_column(header: str, cells: tuple[str, ...], align: str) -> list[str]:
    """Pad a header and the cells below it to one width."""
    cells = tuple(map(printable, cells))
    if align == "n":
        block = max(map(_width, cells), default=0)
        cells = tuple(_pad(cell, block, "r") for cell in cells)
    texts = [printable(header), *cells]
    width = max(map(_width, texts))
    return [_pad(text, width, align) for text in texts]


def _pad(text: str, width: int, align: str) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if align == "r" else text + blanks


def _width(text: str) -> int:
    """Columns a text takes in a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
