"""Run the example of a card, showing code and output as an interactive session does."""

from __future__ import annotations

import ast
from typing import Any


def run_session(code: str, names: dict[str, Any] | None = None) -> None:
    """Print and execute Python statements, one after the other.

    The code is the package's own (the text of a card), never a user's.

    Parameters
    ----------
    code : str
        Statements; the value of one that is an expression is printed.
    names : dict, optional
        The variables of the session, which the statements read and change.
    """
    lines = code.splitlines()
    if names is None:
        names = {"__name__": "__session__"}
    shown = 0
    for statement in ast.parse(code).body:
        end = statement.end_lineno or statement.lineno
        for number in range(shown, end):
            print("... " if number >= statement.lineno else ">>> ", lines[number], sep="")
        shown = end
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), "<example>", "eval"), names)
            if value is not None:
                print(repr(value))
        else:
            exec(compile(ast.Module([statement], []), "<example>", "exec"), names)
