"""The large models: which data, which formula, and what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LargeModel:
    """A model of one of the generated designs.

    `patience` multiplies the time limit of rivals that would end, and with which a target compares.
    `exact` asks of our fit the exact optimum too, after the summary.
    `seconds`, `megabytes` and `exact_seconds` are what is to be reached.
    """

    name: str
    design: str
    response: str
    fixed: str
    groups: tuple[str, ...]
    seconds: float
    megabytes: float | None = None
    nested: str | None = None
    patience: Mapping[str, float] = field(default_factory=dict)
    exact: bool = False
    exact_seconds: float | None = None

    @property
    def rival_formula(self) -> str:
        """A term a factor, which every program reads."""
        return f"{self.response} ~ {self.fixed}" + "".join(f" + (1 | {g})" for g in self.groups)

    @property
    def formula(self) -> str:
        if self.nested is None:
            return self.rival_formula
        return f"{self.response} ~ {self.fixed} + (1 | {self.nested})"


LARGE = {
    model.name: model
    for model in (
        LargeModel(
            "grades",
            "grades",
            "gr_pt",
            "1",
            ("id", "instr", "dept"),
            seconds=10,
            megabytes=1500,
            patience={"mixedlm": 8.0, "gpboost": 4.0},
            exact=True,
            exact_seconds=40,
        ),
        LargeModel(
            "achievement",
            "achievement",
            "score",
            "year + grade + sex + ethnicity + lunch + learner + special + absences + poverty"
            " + class_size + urbanicity + lunch:poverty + sex:learner + sex:special",
            ("student", "teacher"),
            seconds=60,
            megabytes=8000,
        ),
        LargeModel(
            "ratings",
            "ratings",
            "rating",
            "1",
            ("userId", "movieId"),
            seconds=40,
            megabytes=8000,
        ),
        LargeModel(
            "nested",
            "nested",
            "y",
            "x",
            ("c", "b", "a"),
            nested="a/b/c",
            seconds=30,
        ),
        LargeModel(
            "worker-firm",
            "worker_firm",
            "log_wage",
            "experience",
            ("worker", "firm"),
            seconds=30,
            megabytes=4000,
        ),
    )
}
