"""Ratings of movies by users: two large crossed factors, both long-tailed.

It stands for MovieLens 25M: users have twenty ratings at least and some have thousands, half of
the movies have a handful and the best known are rated by half of the users, no user rates a movie
twice, and a rating is a whole number of half stars from 0.5 to 5.
"""

from __future__ import annotations

import numpy as np

from benchmarks.generators.draws import Floats, counts, draw, repeat, scaled
from benchmarks.generators.table import Coded, Table

#: Standard deviations of user, movie and residual, before rounding to half stars.
SIGMA = (0.44, 0.5, 0.85)
MEAN = 3.5
FEWEST = 20
#: The power of the weights from one round of draws to the next.
FLATTER = 0.9


def ratings(
    rows: int = 25_000_095,
    users: int = 162_541,
    movies: int = 59_047,
    *,
    scale: float = 1.0,
    seed: int = 1,
) -> Table:
    """Draw `rating` by `userId` and `movieId`, a row a rating, in order of users and movies."""
    random = np.random.default_rng(seed)
    rows, users, movies = scaled(scale, rows, users, movies)
    given = counts(
        random,
        rows,
        random.lognormal(0.0, 1.3, users),
        least=min(FEWEST, rows // users),
        most=movies // 2,
    )
    popularity = np.minimum(random.lognormal(np.log(6.0), 2.9, movies), 0.5 * users)
    user, movie = _pairs(random, given, popularity)

    of_user, of_movie, error = (
        sd * random.normal(size=size) for sd, size in zip(SIGMA, (users, movies, rows), strict=True)
    )
    liking = MEAN + of_user[user] + of_movie[movie] + error
    numbers = np.sort(random.choice(7 * movies // 2, size=movies, replace=False))
    return Table(
        {
            "userId": Coded(user, 1 + np.arange(users)),
            "movieId": Coded(movie, 1 + numbers),
            "rating": np.clip(np.round(2.0 * liking) / 2.0, 0.5, 5.0),
        }
    )


def _pairs(
    random: np.random.Generator, given: np.ndarray, popularity: Floats
) -> tuple[np.ndarray, np.ndarray]:
    """Draw distinct pairs: of each user the number given, of each movie one at least.

    What comes twice is drawn again, from weights that grow flatter, since the popular movies are
    those that a user already has.
    """
    users, movies = len(given), len(popularity)
    first = random.choice(repeat(given), size=movies, replace=False, shuffle=True)
    pairs = np.sort(first.astype(np.int64) * movies + np.arange(movies))
    weights = popularity
    while len(pairs) < given.sum():
        lacking = repeat(given - np.bincount(pairs // movies, minlength=users))
        drawn = lacking.astype(np.int64) * movies + draw(random, len(lacking), weights)
        # Two sorted runs: a stable sort merges them.
        pairs = np.sort(np.concatenate([pairs, np.sort(drawn)]), kind="stable")
        pairs = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])]
        weights = weights**FLATTER
    return (pairs // movies).astype(np.int32), (pairs % movies).astype(np.int32)
