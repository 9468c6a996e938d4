// The sums of cross_products.hpp over rows that come in batches and are not kept: memory is that
// of the levels and of their combinations that occur.
//
// X is made nearly orthonormal by an upper triangle found on a sample of the rows, Q0 = X R0^-1,
// and y nearly a residual, e0 = y - Q0 b0. What is left is corrected at the end from Q0'WQ0, which
// loses no digits while Q0 is well conditioned; where it is not, the sums say so and give a better
// R0 and b0 for another reading. Squares about the means of the leading levels are merged batch by
// batch (Chan, Golub & LeVeque 1983, Am. Stat. 37:242).
#pragma once

#include <memory>
#include <vector>

#include "cross_products.hpp"

namespace mm {

// The combinations of levels that occur, and the weights of their rows.
class Cells {
   public:
    explicit Cells(const std::vector<size_t>& levels) : levels_(levels), codes_(levels.size()) {}

    void add(const std::vector<const Code*>& codes, const double* weights, size_t from, size_t to);
    // Of every combination one cell, by leading level.
    void merge();
    size_t size() const { return weight_.size(); }
    std::vector<const Code*> codes() const;
    const double* weights() const { return weight_.data(); }

   private:
    std::vector<size_t> levels_;
    std::vector<std::vector<Code>> codes_;
    std::vector<double> weight_;
    size_t merged_ = 0;
};

class RowSums {
   public:
    // R0: p x p, upper; b0: p values, on the columns of Q0.
    RowSums(std::vector<size_t> levels, Matrix R0, std::vector<double> b0);

    // `m` rows; X is column-major with `m` rows, weights may be null.
    void add(const std::vector<const Code*>& codes, const double* X, const double* y,
             const double* weights, size_t m);

    // Whether what has been summed keeps its digits; called after all rows.
    bool sound();
    // A better R0 and b0 for another reading, after sound() has said no.
    const Matrix& better_R0() const { return better_R_; }
    const std::vector<double>& better_b0() const { return better_b_; }
    // The sums, once: the accumulators are given up.
    CrossProducts finish();

    size_t rows() const { return n_; }
    size_t terms() const { return levels_.size(); }
    size_t columns() const { return p_; }
    const std::vector<double>& squares() const { return squares_; }

   private:
    void add_chunk(const std::vector<const Code*>& codes, const double* X, size_t ldx,
                   const double* y, const double* weights, size_t from, size_t to);
    void factor();

    std::vector<size_t> levels_, offset_;
    size_t p_, width_;  // columns of X; and with y
    Matrix R0_;
    std::vector<double> b0_;
    Cells cells_;
    size_t n_ = 0;
    double sum_weights_ = 0.0, sum_log_weights_ = 0.0, yty_total_ = 0.0;
    bool weighted_ = false;
    std::vector<double> squares_;        // of the columns of X
    std::vector<double> count_;          // of the leading levels
    std::vector<double> sums_;           // q x width: Z'W[Q0, e0], the columns of a level together
    std::vector<double> total_, about_;  // width x width: [Q0, e0]'W[Q0, e0], and about the means
    Matrix T_;                           // Q0'WQ0 = T'T, on the columns kept
    std::vector<size_t> kept_, dropped_;
    std::vector<double> c_;  // Q'We0
    Matrix better_R_;
    std::vector<double> better_b_;
    std::vector<double> rows_;  // workspace: a chunk of [Q0, e0], times root weight
};

}  // namespace mm
