"""Annual achievement tests of a state: students × teachers of schools in districts, four years.

It stands for the longitudinal files that value-added models are fitted to. A student is tested in
one to four consecutive years and grades, each with another teacher of the school; between two years
8 % of the students move to another school of their district and 2 % to any in the state. Classes
are dealt out evenly to the teachers of a grade.
"""

from __future__ import annotations

import numpy as np

from benchmarks.generators.draws import (
    Codes,
    counts,
    cover,
    draw,
    draw_within,
    identifiers,
    repeat,
    scaled,
)
from benchmarks.generators.table import Coded, Table, labels

#: Standard deviations of student, teacher and residual.
SIGMA = (0.75, 0.2, 0.45)
YEARS = ["2006-07", "2007-08", "2008-09", "2009-10"]
GRADES = ["3", "4", "5", "6", "7", "8"]
MOVE_IN_DISTRICT, MOVE_IN_STATE = 0.08, 0.02
TEACHERS_A_SCHOOL, SCHOOLS_A_DISTRICT = 18, 7
#: Factors of a student: labels, their shares, their effects.
STUDENT_FACTORS = {
    "sex": (("F", "M"), (0.49, 0.51), (0.0, -0.05)),
    "ethnicity": (
        ("asian", "black", "hispanic", "multiple", "native", "white"),
        (0.05, 0.17, 0.24, 0.03, 0.01, 0.5),
        (0.2, -0.25, -0.2, 0.0, -0.2, 0.0),
    ),
    "lunch": (("free", "paid", "reduced"), (0.38, 0.53, 0.09), (-0.2, 0.1, -0.1)),
    "learner": (("english", "other"), (0.9, 0.1), (0.0, -0.4)),
    "special": (("no", "yes"), (0.88, 0.12), (0.0, -0.6)),
}
URBANICITY = ("city", "rural", "suburb", "town")


def achievement(
    rows: int = 5_212_017,
    students: int = 1_876_788,
    teachers: int = 47_480,
    *,
    scale: float = 1.0,
    seed: int = 1,
) -> Table:
    """Draw `score` by `student`, `teacher`, `year` and covariates of all these, a row a test."""
    random = np.random.default_rng(seed)
    rows, students, teachers = scaled(scale, rows, students, teachers)
    schools = max(1, teachers // TEACHERS_A_SCHOOL)
    districts = max(1, schools // SCHOOLS_A_DISTRICT)
    district_of = repeat(counts(random, schools, random.lognormal(0.0, 1.0, districts)))
    staff = counts(
        random, teachers, random.gamma(4.0, size=schools), least=min(len(GRADES), teachers)
    )
    school_of = repeat(staff)

    tested = counts(random, rows, np.ones(students), most=len(YEARS))
    first_year = random.integers(0, len(YEARS) - tested + 1)
    first_grade = random.integers(0, len(GRADES) - tested + 1)
    student = repeat(tested)
    visit = np.arange(rows) - np.repeat(np.cumsum(tested) - tested, tested)
    year = (first_year[student] + visit).astype(np.int32)
    grade = (first_grade[student] + visit).astype(np.int32)
    school = _schools(random, tested, staff.astype(float), district_of)[student, visit]
    teacher = cover(random, _deal(random, school, grade, year, staff), teachers)
    school = school_of[teacher]

    columns: dict[str, Coded | np.ndarray] = {}
    score = 0.02 * year + 0.3 * grade
    for name, (names, shares, effects) in STUDENT_FACTORS.items():
        code = draw(random, students, np.array(shares))[student]
        columns[name] = Coded(code, list(names))
        score += np.array(effects)[code]
    absences = random.poisson(6.0, rows)
    poverty = np.clip(random.beta(2.0, 2.5, schools), 0.02, 0.98)[school]
    room = (teacher.astype(np.int64) * len(YEARS)) + year
    class_size = np.bincount(room)[room]
    urbanicity = random.permutation(np.arange(districts, dtype=np.int32) % len(URBANICITY))
    score += -0.01 * absences - 0.4 * poverty - 0.002 * class_size
    columns |= {
        "absences": absences,
        "poverty": poverty,
        "class_size": class_size,
        "urbanicity": Coded(urbanicity[district_of[school]], list(URBANICITY)),
        "year": Coded(year, YEARS),
        "grade": Coded(grade, GRADES),
        "student": Coded(student, identifiers(random, students, 1_000_000_000)),
        "teacher": Coded(teacher, labels("T", teachers)),
    }
    of_student, of_teacher, error = (
        sd * random.normal(size=levels)
        for sd, levels in zip(SIGMA, (students, teachers, rows), strict=True)
    )
    columns["score"] = score + of_student[student] + of_teacher[teacher] + error
    # The files of the years follow each other, each by teacher.
    return _ordered(columns, np.argsort(room + teachers * len(YEARS) * year.astype(np.int64)))


def _schools(
    random: np.random.Generator, tested: np.ndarray, size: np.ndarray, district_of: Codes
) -> np.ndarray:
    """Give the school of each student at each test, moves and all."""
    students = len(tested)
    school = np.empty((students, len(YEARS)), dtype=np.int32)
    school[:, 0] = draw(random, students, size)
    for visit in range(1, len(YEARS)):
        school[:, visit] = school[:, visit - 1]
        chance = random.random(students)
        within = chance < MOVE_IN_DISTRICT
        districts = district_of[school[within, visit]]
        school[within, visit] = draw_within(random, districts, district_of, size)
        across = (chance >= MOVE_IN_DISTRICT) & (chance < MOVE_IN_DISTRICT + MOVE_IN_STATE)
        school[across, visit] = draw(random, int(across.sum()), size)
    return school


def _deal(
    random: np.random.Generator, school: Codes, grade: Codes, year: Codes, staff: np.ndarray
) -> Codes:
    """Deal the students of a school, grade and year out to the teachers of that grade.

    Teacher i of a school teaches grade i, i + 6, …
    """
    group = (school.astype(np.int64) * len(GRADES) + grade) * len(YEARS) + year
    order = random.permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    ordered = group[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, len(ordered)))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    in_grade = np.maximum(1, (staff[school] - grade + len(GRADES) - 1) // len(GRADES))
    offset = np.minimum(grade + len(GRADES) * (rank % in_grade), staff[school] - 1)
    return ((np.cumsum(staff) - staff)[school] + offset).astype(np.int32)


def _ordered(columns: dict[str, Coded | np.ndarray], order: np.ndarray) -> Table:
    return Table(
        {
            name: Coded(column.codes[order], column.labels)
            if isinstance(column, Coded)
            else column[order]
            for name, column in columns.items()
        }
    )
