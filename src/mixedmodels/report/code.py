"""The Python that fits a model again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixedmodels.columns import is_pandas
from mixedmodels.datasets.cards import CARDS
from mixedmodels.files import is_path

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel


def reproducing_code(model: LinearMixedModel, load: str | None = None) -> str:
    """Write the code that fits a model again.

    Parameters
    ----------
    model : LinearMixedModel
        The model.
    load : str, optional
        The expression that reads its data. By default that of a data set of the package, if the
        data are one, or a comment that says what they were.

    Returns
    -------
    str
        A program.
    """
    name = model.data_name if (model.data_name or "").isidentifier() else None
    name = name or "data"
    comment = ""
    if load is None:
        known = _known_set(model)
        load = f'mm.datasets.load("{known}")' if known else None
    if load is None and is_path(model.design.data):
        load = repr(str(model.design.data))
    if load is None:
        rows = model.design.n_total
        used = sorted({n for g in model.design.groupings for n in g.names})
        comment = f"# {name}: a data frame of {rows:,} rows, with {', '.join(map(ascii, used))}\n"
    imports = "import mixedmodels as mm\n"
    reading = comment if load is None else f"{name} = {load}\n"
    arguments = [repr(str(model.formula)), name, *_options(model)]
    call = f"fm = mm.lmer({', '.join(arguments)})\n"
    if model.refitted:
        call += "fm = fm.refit(y)  # y: the other response\n"
    return f"{imports}\n{reading}{call}print(fm)\n"


def _options(model: LinearMixedModel) -> list[str]:
    """List the arguments of `lmer` that are not its defaults."""
    options = model.options
    given = [] if model.reml else ["reml=False"]
    for name, default in (("missing", "drop"), ("method", "auto"), ("mc_error", 0.01)):
        value = getattr(options, name)
        if value != default:
            given.append(f"{name}={value!r}")
    if options.seed is not None:
        given.append(f"seed={int(options.seed)}")
    for name in ("weights", "offset", "start", "context"):
        extra: Any = getattr(options, name)
        if isinstance(extra, str):
            given.append(f"{name}={extra!r}")
        elif extra is not None:
            given.append(f"{name}={name}")
    return given


def _known_set(model: LinearMixedModel) -> str | None:
    """Name the data set of the package that the data are, to the last value."""
    data, name = model.design.data, model.design.data_name
    if name is None or name not in CARDS or not is_pandas(data):
        return None
    from mixedmodels.datasets.loading import read_pandas

    return name if data.equals(read_pandas(CARDS[name])) else None
