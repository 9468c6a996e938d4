#include "downdate.hpp"

#include <algorithm>
#include <cmath>

namespace mm {
namespace {

// Less than this part of a square must not be what a subtraction leaves.
constexpr double least_remainder = 1e-6;

// Subtracts w from the cell of leading or trailing level `row` with trailing level `column`.
void subtract_cell(SparseRows& cells, size_t row, Code column, double w) {
    const auto begin = cells.index.begin();
    const auto place =
        std::lower_bound(begin + cells.start[row], begin + cells.start[row + 1], column) - begin;
    cells.value[static_cast<size_t>(place)] -= w;
}

}  // namespace

std::optional<CrossProducts> without(const CrossProducts& all, std::span<const std::int64_t> rows,
                                     const double* residual, std::span<const std::int64_t> sizes) {
    const Structure& from = *all.structure;
    const Matrix& Q = from.basis.Q;
    const size_t rank = Q.cols, width = rank + 1, q = from.N.q(), q0 = from.N.q_leading();
    const auto value = [&](size_t j, size_t i) { return j < rank ? Q(i, j) : residual[i]; };

    auto out = std::make_shared<Structure>();
    Structure& s = *out;
    s.n = from.n - rows.size();
    s.sum_weights = from.sum_weights;
    s.sum_log_weights = from.sum_log_weights;
    s.N = from.N;
    s.ZtX = from.ZtX;
    CrossProducts products(nullptr);
    products.Zty = all.Zty;
    products.yty_total = all.yty_total;

    // Squares and products of [Q, e], in all and about the means of the leading levels.
    Matrix total(width, width), about(width, width);
    for (size_t j = 0; j < rank; ++j) {
        total(j, j) = 1.0;
        for (size_t i = 0; i < rank; ++i) about(i, j) = from.within(i, j);
        about(j, rank) = about(rank, j) = all.within[j];
    }
    total(rank, rank) = all.yty;
    about(rank, rank) = all.within[rank];

    // The means of leading levels, of the rows taken away.
    std::vector<std::int64_t> left(sizes.begin(), sizes.end());
    std::vector<size_t> order(rows.begin(), rows.end());
    const Code* leading = from.codes[0];
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return leading[a] < leading[b]; });
    std::vector<double> mean(width), x(width);
    const auto subtract_square = [&](Matrix& sums, double w) {
        for (size_t j = 0; j < width; ++j)
            for (size_t i = 0; i < width; ++i) sums(i, j) -= w * x[i] * x[j];
    };
    for (size_t first = 0, last = 0; first < order.size(); first = last) {
        const auto level = static_cast<size_t>(leading[order[first]]);
        double here = 0.0;
        std::fill(mean.begin(), mean.end(), 0.0);
        for (; last < order.size() && static_cast<size_t>(leading[order[last]]) == level; ++last) {
            const size_t i = order[last];
            const double w = from.weights ? from.weights[i] : 1.0;
            here += w;
            s.sum_weights -= w;
            if (from.weights) s.sum_log_weights -= std::log(w);
            for (size_t j = 0; j < width; ++j) x[j] = value(j, i);
            subtract_square(total, w);
            for (size_t j = 0; j < width; ++j) mean[j] += w * x[j];
            double y = x[rank];
            for (size_t j = 0; j < rank; ++j) y += x[j] * all.beta0[j];
            products.yty_total -= w * y * y;
        }
        for (double& m : mean) m /= here;
        for (size_t a = first; a < last; ++a) {
            for (size_t j = 0; j < width; ++j) x[j] = value(j, order[a]) - mean[j];
            subtract_square(about, from.weights ? from.weights[order[a]] : 1.0);
        }
        left[level] -= static_cast<std::int64_t>(last - first);
        if (left[level] == 0) continue;
        // Between the mean of these rows and that of the rest of the level.
        const double rest = s.N.count[level] - here;
        for (size_t j = 0; j < width; ++j) {
            const double sum = j < rank ? from.ZtX(level, j) : all.Zty[level];
            x[j] = mean[j] - (sum - here * mean[j]) / rest;
        }
        subtract_square(about, here * rest / (here + rest));
    }

    // Counts, cells and sums of levels.
    const size_t terms = from.N.terms();
    for (const size_t i : order) {
        const double w = from.weights ? from.weights[i] : 1.0;
        for (size_t t = 0; t < terms; ++t) {
            const size_t l = from.N.offset[t] + static_cast<size_t>(from.codes[t][i]);
            if (t > 0) --left[l];
            s.N.count[l] -= w;
            for (size_t j = 0; j < rank; ++j) s.ZtX(l, j) -= w * Q(i, j);
            products.Zty[l] -= w * residual[i];
            for (size_t u = t + 1; u < terms; ++u) {
                const auto c = static_cast<Code>(from.N.offset[u] - q0) + from.codes[u][i];
                if (t == 0)
                    subtract_cell(s.N.leading, l, c, w);
                else
                    subtract_cell(s.N.trailing, l - q0, c, w);
            }
        }
    }
    for (size_t l = 0; l < q; ++l) {
        if (left[l] > 0) continue;
        s.N.count[l] = 0.0;
        for (size_t j = 0; j < rank; ++j) s.ZtX(l, j) = 0.0;
        products.Zty[l] = 0.0;
    }
    s.N.leading_t = transpose(s.N.leading, s.N.q_trailing());

    // A basis of what is left, Q T^-1 with T'T = Q'WQ, and what it leaves of e.
    std::vector<double> factor(total.values);
    if (!cholesky(factor.data(), width, width)) return std::nullopt;
    Matrix T(rank, rank);
    std::vector<double> c(rank);
    for (size_t j = 0; j < rank; ++j) {
        for (size_t i = j; i < rank; ++i) T(j, i) = factor[j * width + i];
        c[j] = factor[j * width + rank];
        if (!(T(j, j) * T(j, j) > least_remainder)) return std::nullopt;
    }
    const double root = factor[rank * width + rank];
    products.yty = root * root;
    if (!(products.yty > least_remainder * all.yty)) return std::nullopt;

    // A row of [Q, e] into one of the new basis and its residual.
    const auto turn = [&](double* v, size_t step) {
        for (size_t j = 0; j < rank; ++j) {
            for (size_t i = 0; i < j; ++i) v[j * step] -= T(i, j) * v[i * step];
            v[j * step] /= T(j, j);
        }
        for (size_t j = 0; j < rank; ++j) v[rank * step] -= c[j] * v[j * step];
    };
    for (size_t l = 0; l < q; ++l) {
        for (size_t j = 0; j < rank; ++j) x[j] = s.ZtX(l, j);
        x[rank] = products.Zty[l];
        turn(x.data(), 1);
        for (size_t j = 0; j < rank; ++j) s.ZtX(l, j) = x[j];
        products.Zty[l] = x[rank];
    }
    for (size_t j = 0; j < width; ++j) turn(about.col(j), 1);
    for (size_t i = 0; i < width; ++i) turn(about.values.data() + i, width);
    if (!(about(rank, rank) > least_remainder * all.within[rank])) return std::nullopt;
    s.within = Matrix(rank, rank);
    for (size_t j = 0; j < rank; ++j)
        for (size_t i = 0; i < rank; ++i) s.within(i, j) = about(std::min(i, j), std::max(i, j));
    for (size_t j = 0; j < width; ++j) products.within.push_back(about(j, rank));

    s.basis.kept = from.basis.kept;
    s.basis.dropped = from.basis.dropped;
    s.basis.R = Matrix(rank, rank);
    for (size_t j = 0; j < rank; ++j)
        for (size_t i = 0; i <= j; ++i)
            for (size_t l = i; l <= j; ++l) s.basis.R(i, j) += T(i, l) * from.basis.R(l, j);
    products.beta0 = c;
    for (size_t a = 0; a < rank; ++a)
        for (size_t b = a; b < rank; ++b) products.beta0[a] += T(a, b) * all.beta0[b];
    s.complete();
    products.structure = std::move(out);
    return products;
}

}  // namespace mm
