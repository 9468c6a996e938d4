"""Names of the caller's variables, for printed forms that say which value they speak of."""

from __future__ import annotations

import sys


def caller_name(obj: object, depth: int = 1) -> str | None:
    """Find the name of the variable that holds `obj` further up the stack.

    Parameters
    ----------
    obj : object
        The value, looked for by identity.
    depth : int, default 1
        Whose variables: 0 are those of the function that asks, 1 those of its caller, and so on.

    Returns
    -------
    str or None
        The first name, local before global, that does not start with an underscore (a prompt
        keeps its last values under such names); None if there is none.

    Examples
    --------
    >>> def name_of(value):
    ...     return caller_name(value)
    >>> yields = [1545, 1440]
    >>> name_of(yields), name_of([1545, 1440])
    ('yields', None)
    """
    try:
        frame = sys._getframe(depth + 1)
    except (AttributeError, ValueError):  # an interpreter without frames, or too deep
        return None
    for variables in (frame.f_locals, frame.f_globals):
        for name, value in variables.items():
            if value is obj and name.isidentifier() and not name.startswith("_"):
                return name
    return None
