#include "cross_products.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "threads.hpp"

namespace mm {
namespace {

// A column that loses all but this part of its length to the columns before it is redundant.
constexpr double rank_tolerance = 1e-10;
// Below this many operations a team of threads costs more than it brings.
constexpr size_t parallel_work = 1 << 19;

// Rows of one task, the same whatever the number of threads.
constexpr size_t stretch = 8192;

// v <- v - Q Q'Wv for the first `rank` columns of Q; adds Q'Wv to r.
void project_out(const Matrix& Q, size_t rank, const double* weights, size_t n, double* v,
                 double* r) {
    const size_t parts = (n + stretch - 1) / stretch;
    std::vector<double> sums(parts * rank);
    const auto each = [&](const std::function<void(size_t, size_t, size_t)>& task) {
        const auto part = [&](size_t i) { task(i, i * stretch, std::min(n, (i + 1) * stretch)); };
        if (n * rank > parallel_work)
            parallel_for(parts, part);
        else
            for (size_t i = 0; i < parts; ++i) part(i);
    };
    each([&](size_t part, size_t from, size_t to) {
        for (size_t j = 0; j < rank; ++j)
            sums[part * rank + j] = weights
                                        ? dot(weights + from, Q.col(j) + from, v + from, to - from)
                                        : dot(Q.col(j) + from, v + from, to - from);
    });
    std::vector<double> total(rank, 0.0);
    for (size_t part = 0; part < parts; ++part)
        for (size_t j = 0; j < rank; ++j) total[j] += sums[part * rank + j];
    each([&](size_t, size_t from, size_t to) {
        for (size_t j = 0; j < rank; ++j) {
            const double f = total[j];
            const double* q = Q.col(j);
            for (size_t i = from; i < to; ++i) v[i] -= f * q[i];
        }
    });
    for (size_t j = 0; j < rank; ++j) r[j] += total[j];
}

Basis orthonormalise(const double* X, size_t n, size_t p, const Structure& s) {
    Basis b;
    Matrix Q(n, p), R(p, p);
    size_t rank = 0;
    for (size_t j = 0; j < p; ++j) {
        double* v = Q.col(rank);
        std::copy_n(X + j * n, n, v);
        const double before = std::sqrt(s.inner(v, v));
        // Classical Gram-Schmidt, twice: the second pass makes Q orthogonal to rounding (Giraud,
        // Langou, Rozloznik & van den Eshof 2005). Three times, as the first may lose all digits.
        for (int pass = 0; pass < 3; ++pass) project_out(Q, rank, s.weights, n, v, R.col(rank));
        const double after = std::sqrt(s.inner(v, v));
        if (!(after > rank_tolerance * before)) {
            for (size_t i = 0; i < rank; ++i) R(i, rank) = 0.0;
            b.dropped.push_back(j);
            continue;
        }
        R(rank, rank) = after;
        for (size_t l = 0; l < n; ++l) v[l] /= after;
        b.kept.push_back(j);
        ++rank;
    }
    Q.cols = rank;
    Q.values.resize(n * rank);
    b.Q = std::move(Q);
    b.R = Matrix(rank, rank);
    for (size_t j = 0; j < rank; ++j)
        for (size_t i = 0; i <= j; ++i) b.R(i, j) = R(i, j);
    return b;
}

// Rows of the data by level: a counting sort.
void sort_by_level(const Code* code, size_t n, size_t levels, std::vector<std::int64_t>& start,
                   std::vector<std::int64_t>& rows) {
    start.assign(levels + 1, 0);
    for (size_t i = 0; i < n; ++i) ++start[code[i] + 1];
    for (size_t l = 0; l < levels; ++l) start[l + 1] += start[l];
    rows.resize(n);
    std::vector<std::int64_t> next(start.begin(), start.end() - 1);
    for (size_t i = 0; i < n; ++i) rows[next[code[i]]++] = static_cast<std::int64_t>(i);
}

// Cross-tabulates one factor with several others at once, row by row of the first.
SparseRows tabulate(const Code* row_code, size_t row_levels,
                    const std::vector<const Code*>& col_code, const std::vector<size_t>& col_offset,
                    size_t columns, size_t n, const double* weights) {
    SparseRows a;
    a.start.assign(row_levels + 1, 0);
    if (col_code.empty()) return a;
    std::vector<std::int64_t> start, rows;
    sort_by_level(row_code, n, row_levels, start, rows);
    std::vector<double> sum(columns, 0.0);
    std::vector<char> seen(columns, 0);
    std::vector<Code> touched;
    for (size_t l = 0; l < row_levels; ++l) {
        touched.clear();
        for (auto k = start[l]; k < start[l + 1]; ++k) {
            const auto i = rows[k];
            const double w = weights ? weights[i] : 1.0;
            for (size_t t = 0; t < col_code.size(); ++t) {
                const Code c = static_cast<Code>(col_offset[t] + col_code[t][i]);
                if (!seen[c]) {
                    seen[c] = 1;
                    touched.push_back(c);
                }
                sum[c] += w;
            }
        }
        std::sort(touched.begin(), touched.end());
        for (Code c : touched) {
            a.index.push_back(c);
            a.value.push_back(sum[c]);
            sum[c] = 0.0;
            seen[c] = 0;
        }
        a.start[l + 1] = static_cast<std::int64_t>(a.index.size());
    }
    return a;
}

}  // namespace

CrossTabulation cross_tabulate(const std::vector<const Code*>& codes, std::vector<size_t> levels,
                               size_t n, const double* weights) {
    CrossTabulation N;
    N.levels = std::move(levels);
    const size_t k = N.terms();
    N.offset.assign(k + 1, 0);
    for (size_t t = 0; t < k; ++t) N.offset[t + 1] = N.offset[t] + N.levels[t];
    N.count.assign(N.offset[k], 0.0);
    for (size_t t = 0; t < k; ++t) {
        double* count = N.count.data() + N.offset[t];
        for (size_t i = 0; i < n; ++i) count[codes[t][i]] += weights ? weights[i] : 1.0;
    }

    const size_t q0 = N.q_leading(), q2 = N.q_trailing();
    std::vector<size_t> trailing_offset;
    for (size_t t = 1; t < k; ++t) trailing_offset.push_back(N.offset[t] - q0);
    N.leading =
        tabulate(codes[0], q0, {codes.begin() + 1, codes.end()}, trailing_offset, q2, n, weights);
    N.leading_t = transpose(N.leading, q2);

    N.trailing.start.assign(1, 0);
    for (size_t t = 1; t < k; ++t) {
        const auto part =
            tabulate(codes[t], N.levels[t], {codes.begin() + t + 1, codes.end()},
                     {trailing_offset.begin() + t, trailing_offset.end()}, q2, n, weights);
        const auto base = static_cast<std::int64_t>(N.trailing.nonzeros());
        for (size_t l = 0; l < part.rows(); ++l)
            N.trailing.start.push_back(base + part.start[l + 1]);
        N.trailing.index.insert(N.trailing.index.end(), part.index.begin(), part.index.end());
        N.trailing.value.insert(N.trailing.value.end(), part.value.begin(), part.value.end());
    }

    std::vector<size_t> term_of(q2);
    for (size_t t = 1; t < k; ++t)
        for (size_t c = N.offset[t]; c < N.offset[t + 1]; ++c) term_of[c - q0] = t;
    N.squares.assign(k * k, 0.0);
    for (size_t t = 0; t < k; ++t)
        for (size_t l = N.offset[t]; l < N.offset[t + 1]; ++l) N.squares[t * k + t] += N.count[l];
    const auto add = [&](size_t s, size_t ls, size_t t, size_t lt, double value) {
        N.squares[s * k + t] += value * value / N.count[ls];
        N.squares[t * k + s] += value * value / N.count[lt];
    };
    for (size_t l = 0; l < q0; ++l)
        for (auto e = N.leading.start[l]; e < N.leading.start[l + 1]; ++e)
            add(0, l, term_of[N.leading.index[e]], q0 + N.leading.index[e], N.leading.value[e]);
    for (size_t c = 0; c < q2; ++c)
        for (auto e = N.trailing.start[c]; e < N.trailing.start[c + 1]; ++e)
            add(term_of[c], q0 + c, term_of[N.trailing.index[e]], q0 + N.trailing.index[e],
                N.trailing.value[e]);
    return N;
}

SparseRows transpose(const SparseRows& a, size_t columns) {
    SparseRows t;
    t.start.assign(columns + 1, 0);
    for (Code c : a.index) ++t.start[c + 1];
    for (size_t c = 0; c < columns; ++c) t.start[c + 1] += t.start[c];
    t.index.resize(a.nonzeros());
    t.value.resize(a.nonzeros());
    std::vector<std::int64_t> next(t.start.begin(), t.start.end() - 1);
    for (size_t r = 0; r < a.rows(); ++r)
        for (auto e = a.start[r]; e < a.start[r + 1]; ++e) {
            const auto to = next[a.index[e]]++;
            t.index[to] = static_cast<Code>(r);
            t.value[to] = a.value[e];
        }
    return t;
}

void CrossTabulation::multiply(const double* x, double* y) const {
    const size_t q0 = q_leading();
    for (size_t l = 0; l < q(); ++l) y[l] = count[l] * x[l];
    for (size_t l = 0; l < q0; ++l) {
        double sum = 0.0;
        for (auto e = leading.start[l]; e < leading.start[l + 1]; ++e) {
            const size_t c = q0 + leading.index[e];
            sum += leading.value[e] * x[c];
            y[c] += leading.value[e] * x[l];
        }
        y[l] += sum;
    }
    for (size_t c = 0; c + 1 < trailing.start.size(); ++c)
        for (auto e = trailing.start[c]; e < trailing.start[c + 1]; ++e) {
            const size_t r = q0 + c, s = q0 + trailing.index[e];
            y[r] += trailing.value[e] * x[s];
            y[s] += trailing.value[e] * x[r];
        }
}

Structure::Structure(size_t n_, std::vector<const Code*> codes_, std::vector<size_t> levels,
                     const double* X, size_t p, const double* weights_)
    : n(n_), codes(std::move(codes_)), weights(weights_) {
    sum_weights = static_cast<double>(n);
    if (weights) {
        sum_weights = 0.0;
        for (size_t i = 0; i < n; ++i) {
            sum_weights += weights[i];
            sum_log_weights += std::log(weights[i]);
        }
    }
    N = cross_tabulate(codes, std::move(levels), n, weights);
    basis = orthonormalise(X, n, p, *this);
    const size_t rank = basis.Q.cols;
    ZtX = Matrix(N.q(), rank);
    within = Matrix(rank, rank);
    const auto sum_column = [&](size_t j) {
        group_sums(basis.Q.col(j), ZtX.col(j));
        const std::vector<double> c = centred(basis.Q.col(j), ZtX.col(j));
        for (size_t i = 0; i <= j; ++i) within(i, j) = inner(basis.Q.col(i), c.data());
    };
    if (n * rank > parallel_work)
        parallel_for(rank, sum_column);
    else
        for (size_t j = 0; j < rank; ++j) sum_column(j);
    for (size_t j = 0; j < rank; ++j)
        for (size_t i = j + 1; i < rank; ++i) within(i, j) = within(j, i);
    complete();
}

void Structure::complete() {
    // The trace of the projection of Z_t on X: q_t where X fits every level.
    for (size_t t = 0; t < N.terms(); ++t) {
        double trace = 0.0;
        for (size_t j = 0; j < ZtX.cols; ++j)
            for (size_t l = N.offset[t]; l < N.offset[t + 1]; ++l)
                if (N.count[l] > 0.0) trace += ZtX(l, j) * ZtX(l, j) / N.count[l];
        fitted.push_back(trace);
    }
}

std::vector<double> Structure::centred(const double* x, const double* sums) const {
    std::vector<double> mean(N.q_leading()), c(n);
    for (size_t l = 0; l < mean.size(); ++l) mean[l] = sums[l] / N.count[l];
    for (size_t i = 0; i < n; ++i) c[i] = x[i] - mean[codes[0][i]];
    // A mean is off by the rounding of its sum; a second pass takes away what that has left.
    std::fill(mean.begin(), mean.end(), 0.0);
    for (size_t i = 0; i < n; ++i) mean[codes[0][i]] += (weights ? weights[i] : 1.0) * c[i];
    for (size_t l = 0; l < mean.size(); ++l) mean[l] /= N.count[l];
    for (size_t i = 0; i < n; ++i) c[i] -= mean[codes[0][i]];
    return c;
}

double Structure::inner(const double* x, const double* y) const {
    return weights ? dot(weights, x, y, n) : dot(x, y, n);
}

void Structure::group_sums(const double* x, double* sums) const {
    std::fill_n(sums, N.q(), 0.0);
    for (size_t t = 0; t < codes.size(); ++t) {
        const Code* code = codes[t];
        double* sum = sums + N.offset[t];
        if (weights)
            for (size_t i = 0; i < n; ++i) sum[code[i]] += weights[i] * x[i];
        else
            for (size_t i = 0; i < n; ++i) sum[code[i]] += x[i];
    }
}

CrossProducts::CrossProducts(std::shared_ptr<const Structure> structure_, const double* y)
    : structure(std::move(structure_)) {
    const Structure& s = *structure;
    const Matrix& Q = s.basis.Q;
    beta0.assign(Q.cols, 0.0);
    std::vector<double> e(y, y + s.n);
    yty_total = s.inner(y, y);
    for (int pass = 0; pass < 2; ++pass)
        project_out(Q, Q.cols, s.weights, s.n, e.data(), beta0.data());
    Zty.resize(s.N.q());
    s.group_sums(e.data(), Zty.data());
    yty = s.inner(e.data(), e.data());
    const std::vector<double> c = s.centred(e.data(), Zty.data());
    for (size_t j = 0; j < Q.cols; ++j) within.push_back(s.inner(Q.col(j), c.data()));
    within.push_back(s.inner(c.data(), c.data()));
}

}  // namespace mm
