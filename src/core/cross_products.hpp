// Everything a fit needs of the data. The rows are read once, here.
//
// Terms are ordered by decreasing number of levels. The levels of the first term ("leading") give a
// diagonal block of Z'WZ; the levels of all other terms ("trailing") are numbered on in one run and
// are the columns of the Schur complement.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "matrix.hpp"

namespace mm {

// Compressed sparse rows.
struct SparseRows {
    std::vector<std::int64_t> start;  // rows + 1
    std::vector<Code> index;
    std::vector<double> value;

    size_t rows() const { return start.empty() ? 0 : start.size() - 1; }
    size_t nonzeros() const { return index.size(); }
};

SparseRows transpose(const SparseRows& a, size_t columns);

// Z'WZ: weighted counts of the levels, and cross-tabulations of the terms.
struct CrossTabulation {
    std::vector<size_t> levels;   // of each term
    std::vector<size_t> offset;   // of each term's first level in 0..q, and q itself
    std::vector<double> count;    // q: the diagonal of Z'WZ
    SparseRows leading;           // leading level x trailing levels, indices ascending in a row
    SparseRows leading_t;         // its transpose
    SparseRows trailing;          // strictly upper triangle among trailing levels
    std::vector<double> squares;  // k x k: sum over cells of N_lm^2 / n_l, for the moments

    size_t terms() const { return levels.size(); }
    size_t q() const { return count.size(); }
    size_t q_leading() const { return levels[0]; }
    size_t q_trailing() const { return q() - levels[0]; }
    // y <- Z'WZ x
    void multiply(const double* x, double* y) const;
};

// `n` rows, or combinations of levels with the weights of their rows (null: all one).
CrossTabulation cross_tabulate(const std::vector<const Code*>& codes, std::vector<size_t> levels,
                               size_t n, const double* weights);

// An orthonormal basis of the columns of X: X[:, kept] = Q R with Q'WQ = I.
struct Basis {
    Matrix Q, R;
    std::vector<size_t> kept, dropped;
};

// The part that does not depend on the response. The arrays of codes, X and weights belong to the
// caller, who keeps them alive; where the rows came in batches (row_sums.hpp) there are none.
struct Structure {
    size_t n = 0;
    std::vector<const Code*> codes;
    const double* weights = nullptr;  // null: all one
    double sum_log_weights = 0.0, sum_weights = 0.0;
    CrossTabulation N;
    Basis basis;
    Matrix ZtX;                  // q x rank: Z'WQ
    Matrix within;               // rank x rank: Q'WQ about the means of the leading levels
    std::vector<double> fitted;  // of each term: dimensions of its levels' span within that of X

    Structure() = default;
    Structure(size_t n, std::vector<const Code*> codes, std::vector<size_t> levels, const double* X,
              size_t p, const double* weights);
    // What follows from the rest.
    void complete();
    double inner(const double* x, const double* y) const;
    // Z'Wx into q values
    void group_sums(const double* x, double* sums) const;
    // x minus the weighted mean of its leading level, from its group sums
    std::vector<double> centred(const double* x, const double* sums) const;
};

// The part that does: the response is first regressed on X, so that large means cost no digits.
struct CrossProducts {
    std::shared_ptr<const Structure> structure;
    std::vector<double> beta0;   // rank: Q'Wy
    std::vector<double> Zty;     // q: Z'W(y - Q beta0)
    double yty = 0.0;            // (y - Q beta0)'W(y - Q beta0)
    double yty_total = 0.0;      // y'Wy
    std::vector<double> within;  // rank + 1: [Q, y - Q beta0]'W(y - Q beta0) about the same means

    // Nothing yet, or the sums of a response.
    explicit CrossProducts(std::shared_ptr<const Structure> structure)
        : structure(std::move(structure)) {}
    CrossProducts(std::shared_ptr<const Structure> structure, const double* y);
};

}  // namespace mm
