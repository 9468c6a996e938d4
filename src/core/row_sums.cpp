#include "row_sums.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "dense.hpp"
#include "threads.hpp"

namespace mm {
namespace {

// A column that loses all but this part of its length to the columns before it is redundant.
constexpr double rank_tolerance = 1e-10;
// A column of Q0 that loses more than this to those before it has lost digits too.
constexpr double sound_remainder = 1e-2;
constexpr size_t chunk = 1 << 16;  // rows summed at a time
constexpr size_t block = 512;      // rows made orthogonal at a time
constexpr size_t shares = 16;      // of a chunk's groups; fixed, so that the digits are too
// Combinations of levels gathered before they are merged.
constexpr size_t most_pending = 1 << 20;

// G <- G + A'A for `rows` rows of `width` values, by way of the product that subtracts.
void subtract_gram(const double* rows, size_t count, size_t width, std::vector<double>& G) {
    if (count == 0) return;
    subtract_product(width, width, count, {rows, 1, width}, {rows, 1, width}, G.data(), width);
}

}  // namespace

// -- cells -----------------------------------------------------------------------------------

void Cells::add(const std::vector<const Code*>& codes, const double* weights, size_t from,
                size_t to) {
    for (size_t t = 0; t < codes_.size(); ++t)
        codes_[t].insert(codes_[t].end(), codes[t] + from, codes[t] + to);
    if (weights)
        weight_.insert(weight_.end(), weights + from, weights + to);
    else
        weight_.insert(weight_.end(), to - from, 1.0);
    if (size() > 2 * merged_ + most_pending) merge();
}

void Cells::merge() {
    const size_t n = size(), k = codes_.size();
    if (merged_ == n) return;
    std::vector<std::int64_t> start(levels_[0] + 1, 0);
    for (const Code c : codes_[0]) ++start[static_cast<size_t>(c) + 1];
    for (size_t l = 0; l < levels_[0]; ++l) start[l + 1] += start[l];
    std::vector<std::uint32_t> order;
    if (n > 0xffffffffu) throw std::length_error("more than 2^32 combinations of levels");
    order.resize(n);
    std::vector<std::int64_t> next(start.begin(), start.end() - 1);
    for (size_t i = 0; i < n; ++i)
        order[static_cast<size_t>(next[codes_[0][i]]++)] = static_cast<std::uint32_t>(i);
    const auto before = [&](std::uint32_t a, std::uint32_t b) {
        for (size_t t = 1; t < k; ++t)
            if (codes_[t][a] != codes_[t][b]) return codes_[t][a] < codes_[t][b];
        return a < b;
    };
    parallel_for(shares, [&](size_t share) {
        for (size_t l = share * levels_[0] / shares; l < (share + 1) * levels_[0] / shares; ++l)
            std::sort(order.begin() + start[l], order.begin() + start[l + 1], before);
    });
    std::vector<char> first(n);
    for (size_t i = 0; i < n; ++i) {
        first[i] = i == 0;
        for (size_t t = 0; t < k && !first[i]; ++t)
            first[i] = codes_[t][order[i]] != codes_[t][order[i - 1]];
    }
    size_t cells = 0;
    std::vector<double> weight;
    for (size_t i = 0; i < n; ++i) {
        if (first[i]) {
            ++cells;
            weight.push_back(0.0);
        }
        weight.back() += weight_[order[i]];
    }
    weight_ = std::move(weight);
    for (auto& codes : codes_) {
        std::vector<Code> kept;
        kept.reserve(cells);
        for (size_t i = 0; i < n; ++i)
            if (first[i]) kept.push_back(codes[order[i]]);
        codes = std::move(kept);
    }
    merged_ = cells;
}

std::vector<const Code*> Cells::codes() const {
    std::vector<const Code*> pointers;
    for (const auto& codes : codes_) pointers.push_back(codes.data());
    return pointers;
}

// -- rows ------------------------------------------------------------------------------------

RowSums::RowSums(std::vector<size_t> levels, Matrix R0, std::vector<double> b0)
    : levels_(std::move(levels)),
      offset_(levels_.size() + 1, 0),
      p_(R0.cols),
      width_(p_ + 1),
      R0_(std::move(R0)),
      b0_(std::move(b0)),
      cells_(levels_),
      squares_(p_, 0.0),
      count_(levels_[0], 0.0),
      total_(width_ * width_, 0.0),
      about_(width_ * width_, 0.0) {
    std::partial_sum(levels_.begin(), levels_.end(), offset_.begin() + 1);
    sums_.assign(offset_.back() * width_, 0.0);
}

void RowSums::add(const std::vector<const Code*>& codes, const double* X, const double* y,
                  const double* weights, size_t m) {
    for (size_t t = 0; t < codes.size(); ++t)
        for (size_t i = 0; i < m; ++i)
            if (codes[t][i] < 0 || static_cast<size_t>(codes[t][i]) >= levels_[t])
                throw std::invalid_argument("a code is outside of its factor's levels");
    cells_.add(codes, weights, 0, m);
    for (size_t from = 0; from < m; from += chunk)
        add_chunk(codes, X, m, y, weights, from, std::min(m, from + chunk));
    n_ += m;
    weighted_ = weighted_ || weights;
}

void RowSums::add_chunk(const std::vector<const Code*>& codes, const double* X, size_t ldx,
                        const double* y, const double* weights, size_t from, size_t to) {
    const size_t m = to - from, w = width_;
    rows_.resize(m * w);
    const size_t blocks = (m + block - 1) / block;
    std::vector<double> square(blocks * w, 0.0), weight(2 * blocks, 0.0);
    parallel_for(blocks, [&](size_t b) {
        const size_t begin = b * block, here = std::min(block, m - begin);
        std::vector<double> q(w * block), root(block, 1.0);
        for (size_t i = 0; i < here; ++i) {
            const double v = weights ? weights[from + begin + i] : 1.0;
            weight[2 * b] += v;
            if (!weights) continue;
            weight[2 * b + 1] += std::log(v);
            root[i] = std::sqrt(v);
        }
        for (size_t j = 0; j < w; ++j) {
            double* v = q.data() + j * block;
            const double* x = j < p_ ? X + j * ldx + from + begin : y + from + begin;
            double sum = 0.0;
            for (size_t i = 0; i < here; ++i) {
                v[i] = x[i] * root[i];
                sum += v[i] * v[i];
            }
            square[b * w + j] = sum;
            for (size_t c = 0; c < std::min(j, p_); ++c) {
                const double f = j < p_ ? R0_(c, j) : b0_[c];
                if (f == 0.0) continue;
                const double* qc = q.data() + c * block;
                for (size_t i = 0; i < here; ++i) v[i] -= f * qc[i];
            }
            if (j == p_) break;
            const double scale = 1.0 / R0_(j, j);
            for (size_t i = 0; i < here; ++i) v[i] *= scale;
        }
        for (size_t i = 0; i < here; ++i)
            for (size_t j = 0; j < w; ++j) rows_[(begin + i) * w + j] = q[j * block + i];
    });
    for (size_t b = 0; b < blocks; ++b) {
        for (size_t j = 0; j < p_; ++j) squares_[j] += square[b * w + j];
        yty_total_ += square[b * w + p_];
        sum_weights_ += weight[2 * b];
        sum_log_weights_ += weight[2 * b + 1];
    }

    // Rows by leading level.
    std::vector<std::uint64_t> order(m);
    for (size_t i = 0; i < m; ++i)
        order[i] = (static_cast<std::uint64_t>(codes[0][from + i]) << 32) | i;
    std::sort(order.begin(), order.end());
    std::vector<size_t> group;  // where each level begins
    for (size_t i = 0; i < m; ++i)
        if (i == 0 || order[i] >> 32 != order[i - 1] >> 32) group.push_back(i);
    const size_t groups = group.size();
    group.push_back(m);
    const auto row_of = [&](size_t i) { return static_cast<size_t>(order[i] & 0xffffffffu); };
    const auto root_of = [&](size_t row) { return weights ? std::sqrt(weights[from + row]) : 1.0; };

    const size_t terms = codes.size();
    std::vector<std::vector<double>> total(shares), about(shares);
    parallel_for(shares + terms - 1, [&](size_t task) {
        if (task >= shares) {  // the sums of a trailing term
            const size_t t = task - shares + 1;
            for (size_t i = 0; i < m; ++i) {
                double* sum =
                    sums_.data() + (offset_[t] + static_cast<size_t>(codes[t][from + i])) * w;
                const double* row = rows_.data() + i * w;
                const double f = root_of(i);
                for (size_t j = 0; j < w; ++j) sum[j] += f * row[j];
            }
            return;
        }
        total[task].assign(w * w, 0.0);
        about[task].assign(w * w, 0.0);
        const size_t first = task * m / shares, last = (task + 1) * m / shares;
        subtract_gram(rows_.data() + first * w, last - first, w, total[task]);

        std::vector<double> centred, mean(w);
        for (size_t g = task * groups / shares; g < (task + 1) * groups / shares; ++g) {
            const size_t level = order[group[g]] >> 32;
            double here = 0.0;
            std::fill(mean.begin(), mean.end(), 0.0);
            for (size_t i = group[g]; i < group[g + 1]; ++i) {
                const double* row = rows_.data() + row_of(i) * w;
                const double f = root_of(row_of(i));
                here += f * f;
                for (size_t j = 0; j < w; ++j) mean[j] += f * row[j];
            }
            double* sum = sums_.data() + level * w;
            const double before = count_[level];
            const size_t at = centred.size();
            if (before > 0.0) {  // from the mean so far to that of these rows
                const double f = std::sqrt(before * here / (before + here));
                for (size_t j = 0; j < w; ++j)
                    centred.push_back(f * (mean[j] / here - sum[j] / before));
            }
            for (size_t j = 0; j < w; ++j) {
                sum[j] += mean[j];
                mean[j] /= here;
            }
            count_[level] += here;
            if (group[g + 1] - group[g] > 1)
                for (size_t i = group[g]; i < group[g + 1]; ++i) {
                    const double* row = rows_.data() + row_of(i) * w;
                    const double f = root_of(row_of(i));
                    for (size_t j = 0; j < w; ++j) centred.push_back(row[j] - f * mean[j]);
                }
            // Not all at once, so that it stays in the caches.
            if (centred.size() > at && centred.size() > 4096 * w) {
                subtract_gram(centred.data(), centred.size() / w, w, about[task]);
                centred.clear();
            }
        }
        subtract_gram(centred.data(), centred.size() / w, w, about[task]);
    });
    for (size_t s = 0; s < shares; ++s)
        for (size_t i = 0; i < w * w; ++i) {
            total_[i] -= total[s][i];
            about_[i] -= about[s][i];
        }
}

// T, which columns it keeps, and c. A column is redundant if little of X's is left of it.
void RowSums::factor() {
    T_ = Matrix(p_, p_);
    kept_.clear();
    dropped_.clear();
    c_.assign(p_, 0.0);
    const auto G = [&](size_t i, size_t j) { return total_[j * width_ + i]; };
    for (size_t j = 0; j < p_; ++j) {
        double left = G(j, j);
        for (const size_t i : kept_) {
            double v = G(i, j);
            for (const size_t l : kept_) {
                if (l >= i) break;
                v -= T_(l, i) * T_(l, j);
            }
            T_(i, j) = v / T_(i, i);
            left -= T_(i, j) * T_(i, j);
        }
        T_(j, j) = std::sqrt(std::max(left, 0.0));
        if (!(R0_(j, j) * T_(j, j) > rank_tolerance * std::sqrt(squares_[j]))) {
            dropped_.push_back(j);
            continue;
        }
        kept_.push_back(j);
        double v = G(j, p_);
        for (const size_t i : kept_)
            if (i < j) v -= T_(i, j) * c_[i];
        c_[j] = v / T_(j, j);
    }
}

bool RowSums::sound() {
    factor();
    const auto length = [&](size_t j) { return std::sqrt(total_[j * width_ + j]); };
    bool good = true;
    for (const size_t j : kept_) good = good && T_(j, j) > sound_remainder * length(j);
    // Nothing of y may have been given to a column that is not kept.
    for (const size_t j : dropped_) good = good && b0_[j] == 0.0;
    // A column may only be called redundant for what is seen of it, not for what a difference left.
    for (const size_t j : dropped_)
        good = good && !(R0_(j, j) * length(j) > 100.0 * rank_tolerance * std::sqrt(squares_[j]));
    double cc = 0.0;
    for (const size_t j : kept_) cc += c_[j] * c_[j];
    good = good && cc <= 0.5 * total_[p_ * width_ + p_];
    if (good) return true;

    Matrix T(T_);
    for (size_t j = 0; j < p_; ++j) {
        T(j, j) = std::max(T(j, j), 1e-8 * length(j));
        if (!(T(j, j) > 0.0)) T(j, j) = 1.0;
    }
    better_R_ = Matrix(p_, p_);
    better_b_.assign(p_, 0.0);
    for (size_t j = 0; j < p_; ++j) {
        for (size_t i = 0; i <= j; ++i)
            for (size_t l = i; l <= j; ++l) better_R_(i, j) += T(i, l) * R0_(l, j);
        better_b_[j] = c_[j];
        for (size_t l = j; l < p_; ++l) better_b_[j] += T(j, l) * b0_[l];
    }
    for (const size_t j : dropped_) better_b_[j] = 0.0;
    return false;
}

CrossProducts RowSums::finish() {
    factor();
    cells_.merge();
    const size_t rank = kept_.size(), q = offset_.back(), w = width_;
    auto out = std::make_shared<Structure>();
    Structure& s = *out;
    s.n = n_;
    s.sum_weights = sum_weights_;
    s.sum_log_weights = sum_log_weights_;
    s.N = cross_tabulate(cells_.codes(), levels_, cells_.size(), cells_.weights());
    cells_ = Cells(levels_);
    s.basis.kept = kept_;
    s.basis.dropped = dropped_;
    s.basis.R = Matrix(rank, rank);
    Matrix T(rank, rank);
    std::vector<double> c(rank);
    for (size_t b = 0; b < rank; ++b) {
        c[b] = c_[kept_[b]];
        for (size_t a = 0; a <= b; ++a) {
            T(a, b) = T_(kept_[a], kept_[b]);
            for (size_t l = kept_[a]; l <= kept_[b]; ++l)
                s.basis.R(a, b) += T_(kept_[a], l) * R0_(l, kept_[b]);
        }
    }
    // A row of [Q0, e0] into one of [Q, e].
    const auto turn = [&](const double* from, double* to, size_t step) {
        for (size_t j = 0; j < rank; ++j) {
            double v = from[kept_[j]];
            for (size_t i = 0; i < j; ++i) v -= T(i, j) * to[i * step];
            to[j * step] = v / T(j, j);
        }
        double e = from[p_];
        for (size_t j = 0; j < rank; ++j) e -= c[j] * to[j * step];
        to[rank * step] = e;
    };
    CrossProducts products(nullptr);
    products.Zty.resize(q);
    s.ZtX = Matrix(q, rank);
    constexpr size_t levels_at_once = 1 << 12;
    parallel_for((q + levels_at_once - 1) / levels_at_once, [&](size_t part) {
        std::vector<double> z(rank + 1);
        for (size_t l = part * levels_at_once; l < std::min(q, (part + 1) * levels_at_once); ++l) {
            turn(sums_.data() + l * w, z.data(), 1);
            for (size_t j = 0; j < rank; ++j) s.ZtX(l, j) = z[j];
            products.Zty[l] = z[rank];
        }
    });
    std::vector<double>().swap(sums_);
    std::vector<double>().swap(rows_);

    // Both sides of the squares about the means.
    Matrix half(rank + 1, w), about(rank + 1, rank + 1);
    for (size_t j = 0; j < w; ++j) turn(about_.data() + j * w, half.col(j), 1);
    std::vector<double> row(w);
    for (size_t i = 0; i <= rank; ++i) {
        for (size_t j = 0; j < w; ++j) row[j] = half(i, j);
        turn(row.data(), about.col(i), 1);
    }
    s.within = Matrix(rank, rank);
    for (size_t j = 0; j < rank; ++j)
        for (size_t i = 0; i < rank; ++i) s.within(i, j) = about(std::min(i, j), std::max(i, j));
    for (size_t j = 0; j <= rank; ++j) products.within.push_back(about(j, rank));

    products.yty = total_[p_ * w + p_];
    for (size_t j = 0; j < rank; ++j) products.yty -= c[j] * c[j];
    products.yty_total = yty_total_;
    products.beta0 = c;
    for (size_t a = 0; a < rank; ++a)
        for (size_t b = a; b < rank; ++b) products.beta0[a] += T(a, b) * b0_[kept_[b]];
    s.complete();
    products.structure = std::move(out);
    return products;
}

}  // namespace mm
