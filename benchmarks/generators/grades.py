"""Grade points of a university: students × instructors × departments, partially crossed.

It stands for ten years of a large university's records: students take about half of their courses
in their major and the rest anywhere, every instructor is at home in one department, and some teach
in a second. Few departments hold most students, and few instructors most of a department's.
"""

from __future__ import annotations

import numpy as np

from benchmarks.generators.draws import counts, draw, draw_within, repeat, scaled
from benchmarks.generators.table import Coded, Table, labels

#: Standard deviations of student, instructor, department and residual.
SIGMA = (0.555, 0.282, 0.301, 0.635)
MEAN = 3.2
IN_MAJOR = 0.5
IN_TWO_DEPARTMENTS = 0.08
MOST_COURSES = 80


def grades(
    rows: int = 1_685_394,
    students: int = 54_711,
    instructors: int = 7_915,
    departments: int = 102,
    *,
    scale: float = 1.0,
    seed: int = 1,
) -> Table:
    """Draw `gr_pt` by `id`, `instr` and `dept`, a row a course taken."""
    random = np.random.default_rng(seed)
    rows, students, instructors, departments = scaled(
        scale, rows, students, instructors, departments
    )
    size = random.lognormal(0.0, 1.0, departments)

    # Posts: an instructor in a department, those of a department together.
    home = repeat(counts(random, instructors, size))
    second = random.random(instructors) < IN_TWO_DEPARTMENTS
    elsewhere = draw(random, int(second.sum()), size)
    keep = elsewhere != home[second]
    department_of = np.concatenate([home, elsewhere[keep]])
    instructor_of = np.concatenate([np.arange(instructors), np.flatnonzero(second)[keep]])
    order = np.argsort(department_of, kind="stable")
    department_of, instructor_of = department_of[order], instructor_of[order]
    posts = len(order)

    # Courses taken: every post has one at least.
    taken = counts(random, rows, random.gamma(3.0, size=students), most=MOST_COURSES)
    student = repeat(taken)
    department = draw(random, rows, size)
    major = draw(random, students, size)[student]
    department = np.where(random.random(rows) < IN_MAJOR, major, department)
    post = draw_within(random, department, department_of, random.lognormal(0.0, 1.0, posts))
    post[random.choice(rows, size=posts, replace=False)] = np.arange(posts)
    instructor, department = instructor_of[post], department_of[post]

    sizes = (students, instructors, departments, rows)
    of_student, of_instructor, of_department, error = (
        sd * random.normal(size=levels) for sd, levels in zip(SIGMA, sizes, strict=True)
    )
    grade = MEAN + of_student[student] + of_instructor[instructor] + of_department[department]
    return Table(
        {
            "id": Coded(student, 900_000_001 + np.arange(students)),
            "instr": Coded(instructor, 10_000 + np.arange(instructors)),
            "dept": Coded(department, labels("DEPT", departments)),
            "gr_pt": grade + error,
        }
    )
