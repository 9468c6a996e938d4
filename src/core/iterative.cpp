#include "iterative.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lanes.hpp"
#include "threads.hpp"

namespace mm {
namespace {

constexpr size_t L = lanes;
constexpr size_t most_border = 256;
constexpr std::int64_t ahead = 24;  // cells

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MM_CLONES [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#define MM_CLONES
#endif

// y_c -= s_c a_jc kappa_j sum_c' a_jc' s_c' x_c', for the leading levels from..to.
MM_CLONES
void apply_share(const SparseRows& A, const double* kappa, const double* s, const double* x,
                 double* y, size_t from, size_t to, bool unit) {
    const Code* index = A.index.data();
    const double* value = A.value.data();
    const auto end = A.start[to];
    for (size_t j = from; j < to; ++j) {
        const auto first = A.start[j], last = A.start[j + 1];
        // Levels lie anywhere in memory: those of the rows to come are called for in time.
        for (auto e = first + ahead; e < std::min(last + ahead, end); ++e) {
            const auto c = static_cast<size_t>(index[e]);
            __builtin_prefetch(x + c * L);
            __builtin_prefetch(y + c * L, 1);
        }
        Lanes t{};
        for (auto e = first; e < last; ++e) {
            const auto c = static_cast<size_t>(index[e]);
            t += (unit ? s[c] : s[c] * value[e]) * load(x + c * L);
        }
        t *= kappa[j];
        for (auto e = first; e < last; ++e) {
            const auto c = static_cast<size_t>(index[e]);
            store(y + c * L, load(y + c * L) - (unit ? s[c] : s[c] * value[e]) * t);
        }
    }
}

// Sums over the levels of x*y, lane by lane.
MM_CLONES
void lane_sums(const double* x, const double* y, size_t n, double* out) {
    Lanes total{};
    for (size_t start = 0; start < n; start += stretch) {
        Lanes sum{};
        for (size_t c = start; c < std::min(n, start + stretch); ++c)
            sum += load(x + c * L) * load(y + c * L);
        total += sum;
    }
    store(out, total);
}

// x += a p, r -= a q.
MM_CLONES
void advance(size_t n, const double* a, const double* p, const double* q, double* x, double* r) {
    const Lanes f = load(a);
    for (size_t c = 0; c < n; ++c) {
        store(x + c * L, load(x + c * L) + f * load(p + c * L));
        store(r + c * L, load(r + c * L) - f * load(q + c * L));
    }
}

// p = r + b p.
MM_CLONES
void turn(size_t n, const double* b, const double* r, double* p) {
    const Lanes f = load(b);
    for (size_t c = 0; c < n; ++c) store(p + c * L, load(r + c * L) + f * load(p + c * L));
}

}  // namespace

IterativeEvaluation::IterativeEvaluation(const CrossProducts& data, bool reml,
                                         IterativeControl control)
    : data_(data),
      structure_(*data.structure),
      N_(structure_.N),
      k_(N_.terms()),
      q_(N_.q()),
      q0_(N_.q_leading()),
      q2_(N_.q_trailing()),
      rank_(structure_.basis.kept.size()),
      reml_(reml),
      nu_(static_cast<double>(structure_.n) - (reml ? static_cast<double>(rank_) : 0.0)),
      control_(control),
      d_(q0_),
      kappa_(q0_),
      s_(q_),
      scale_(q2_),
      root_(q2_),
      partial_(shares) {
    control_.probes = (control_.probes + L - 1) / L * L;
    unit_cells_ = std::all_of(N_.leading.value.begin(), N_.leading.value.end(),
                              [](double v) { return v == 1.0; });
    // Shares of about the same number of cells.
    parts_.assign(shares + 1, q0_);
    parts_[0] = 0;
    for (size_t i = 1; i < shares; ++i) {
        const auto cells = static_cast<std::int64_t>(N_.leading.nonzeros() * i / shares);
        parts_[i] = static_cast<size_t>(
            std::lower_bound(N_.leading.start.begin(), N_.leading.start.end() - 1, cells) -
            N_.leading.start.begin());
    }
    term_of_.resize(q2_);
    for (size_t t = 1; t < k_; ++t)
        std::fill(term_of_.begin() + static_cast<std::ptrdiff_t>(N_.offset[t] - q0_),
                  term_of_.begin() + static_cast<std::ptrdiff_t>(N_.offset[t + 1] - q0_), t);
    probe_solved_.resize(control_.probes / L);
    // Terms are by decreasing levels, so that those of few are the last.
    for (size_t t = k_ - 1; t > 0 && border_ + N_.levels[t] <= most_border; --t)
        border_ += N_.levels[t];
    if (border_ == q2_) border_ = 0;
}

void IterativeEvaluation::add_probes(size_t count) {
    control_.probes += (count + L - 1) / L * L;
    probe_solved_.resize(control_.probes / L);
}

void IterativeEvaluation::set_scale(const double* gamma) {
    gamma_.assign(gamma, gamma + k_);
    for (size_t t = 0; t < k_; ++t)
        std::fill(s_.begin() + static_cast<std::ptrdiff_t>(N_.offset[t]),
                  s_.begin() + static_cast<std::ptrdiff_t>(N_.offset[t + 1]), std::sqrt(gamma[t]));
    for (size_t j = 0; j < q0_; ++j) {
        d_[j] = 1.0 + gamma[0] * N_.count[j];
        kappa_[j] = gamma[0] / d_[j];
    }
    for (size_t c = 0; c < q2_; ++c) {
        double explained = 0.0;
        for (auto e = N_.leading_t.start[c]; e < N_.leading_t.start[c + 1]; ++e)
            explained +=
                kappa_[N_.leading_t.index[e]] * N_.leading_t.value[e] * N_.leading_t.value[e];
        const double g = s_[q0_ + c] * s_[q0_ + c];
        root_[c] = 1.0 / std::sqrt(1.0 + g * (N_.count[q0_ + c] - explained));
        scale_[c] = s_[q0_ + c] * root_[c];
    }
    set_border();
}

void IterativeEvaluation::apply_preconditioned(const Block& x, Block& y) {
    work_ = x;
    precondition(work_);
    apply(work_, y);
    precondition_transposed(y);
}

// S scaled to a unit diagonal.
void IterativeEvaluation::apply(const Block& x, Block& y) {
    ++applications;
    parallel_for(shares, [&](size_t i) {
        partial_[i].assign(q2_ * L, 0.0);
        apply_share(N_.leading, kappa_.data(), scale_.data(), x.data(), partial_[i].data(),
                    parts_[i], parts_[i + 1], unit_cells_);
    });
    parallel_for((q2_ + stretch - 1) / stretch, [&](size_t part) {
        const size_t last = std::min(q2_, (part + 1) * stretch);
        for (size_t c = part * stretch; c < last; ++c) {
            const double g = root_[c] * root_[c] + scale_[c] * scale_[c] * N_.count[q0_ + c];
            for (size_t l = 0; l < L; ++l) {
                double sum = g * x[c * L + l];
                for (size_t i = 0; i < shares; ++i) sum += partial_[i][c * L + l];
                y[c * L + l] = sum;
            }
        }
    });
    for (size_t c = 0; c + 1 < N_.trailing.start.size(); ++c)
        for (auto e = N_.trailing.start[c]; e < N_.trailing.start[c + 1]; ++e) {
            const auto d = static_cast<size_t>(N_.trailing.index[e]);
            const double f = scale_[c] * scale_[d] * N_.trailing.value[e];
            for (size_t l = 0; l < L; ++l) {
                y[c * L + l] += f * x[d * L + l];
                y[d * L + l] += f * x[c * L + l];
            }
        }
}

int IterativeEvaluation::solve(const Block& b, Block& x, double tolerance, bool cold,
                               Recurrence* recurrence) {
    const size_t size = q2_ * L;
    Block r(b), p, q(size, 0.0);
    if (cold || x.size() != size) {
        x.assign(size, 0.0);
    } else {
        apply_preconditioned(x, q);
        for (size_t i = 0; i < size; ++i) r[i] -= q[i];
    }
    p = r;
    double bb[L], rr[L], pq[L], a[L], f[L];
    lane_sums(b.data(), b.data(), q2_, bb);
    lane_sums(r.data(), r.data(), q2_, rr);
    bool active[L];
    for (size_t l = 0; l < L; ++l) active[l] = rr[l] > tolerance * tolerance * bb[l];
    int iterations = 0;
    while (std::any_of(active, active + L, [](bool v) { return v; }) &&
           iterations < control_.most_iterations) {
        ++iterations;
        apply_preconditioned(p, q);
        lane_sums(p.data(), q.data(), q2_, pq);
        for (size_t l = 0; l < L; ++l) a[l] = active[l] ? rr[l] / pq[l] : 0.0;
        advance(q2_, a, p.data(), q.data(), x.data(), r.data());
        double next[L];
        lane_sums(r.data(), r.data(), q2_, next);
        for (size_t l = 0; l < L; ++l) {
            f[l] = active[l] ? next[l] / rr[l] : 0.0;
            if (recurrence && active[l]) {
                recurrence->alpha[l].push_back(a[l]);
                recurrence->beta[l].push_back(f[l]);
            }
            rr[l] = next[l];
            active[l] = active[l] && next[l] > tolerance * tolerance * bb[l];
        }
        turn(q2_, f, r.data(), p.data());
    }
    solver_iterations = std::max(solver_iterations, iterations);
    return iterations;
}

void IterativeEvaluation::spread(const std::vector<const double*>& z, const std::vector<double>& f,
                                 double sign, Block& y) {
    const SparseRows& A = N_.leading;
    parallel_for(shares, [&](size_t share) {
        Block& part = partial_[share];
        part.assign(q2_ * L, 0.0);
        for (size_t j = parts_[share]; j < parts_[share + 1]; ++j) {
            double t[L] = {};
            for (size_t l = 0; l < z.size(); ++l) t[l] = sign * f[j] * z[l][j];
            for (auto e = A.start[j]; e < A.start[j + 1]; ++e) {
                const auto c = static_cast<size_t>(A.index[e]);
                const double v = scale_[c] * A.value[e];
                for (size_t l = 0; l < L; ++l) part[c * L + l] += v * t[l];
            }
        }
    });
    for (const Block& part : partial_)
        for (size_t i = 0; i < y.size(); ++i) y[i] += part[i];
}

// Solutions, scaled as S is, for right-hand sides Lambda z of q values; reduced to the trailing
// levels they stay in right_.
std::vector<IterativeEvaluation::Block> IterativeEvaluation::solve_columns(
    const std::vector<const double*>& columns, bool keep) {
    const size_t blocks = (columns.size() + L - 1) / L;
    std::vector<Block> right(blocks), x(blocks);
    for (size_t b = 0; b < blocks; ++b) {
        const auto first = columns.begin() + static_cast<std::ptrdiff_t>(b * L);
        const std::vector<const double*> here(
            first, first + static_cast<std::ptrdiff_t>(std::min(L, columns.size() - b * L)));
        right[b].assign(q2_ * L, 0.0);
        for (size_t c = 0; c < q2_; ++c)
            for (size_t l = 0; l < here.size(); ++l)
                right[b][c * L + l] = scale_[c] * here[l][q0_ + c];
        spread(here, kappa_, -1.0, right[b]);
        Block reduced = right[b];
        precondition_transposed(reduced);
        if (keep && b < warm_.size()) x[b] = std::move(warm_[b]);
        solve(reduced, x[b], control_.tolerance, !keep, nullptr);
        if (keep) {
            warm_.resize(std::max(warm_.size(), b + 1));
            warm_[b] = x[b];
        }
        precondition(x[b]);
    }
    right_ = std::move(right);
    return x;
}

void IterativeEvaluation::evaluate(const double* gamma, bool log_determinant) {
    set_scale(gamma);
    solver_iterations = 0;
    fixed_effects();
    average_information();
    traces(log_determinant);
}

void IterativeEvaluation::fixed_effects() {
    const size_t m = rank_ + 1;
    std::vector<const double*> columns;
    for (size_t j = 0; j < rank_; ++j) columns.push_back(structure_.ZtX.col(j));
    columns.push_back(data_.Zty.data());
    solved_ = solve_columns(columns, true);

    // [X y]'V^-1[X y] = [I, y'y] - sum_j kappa_j z_j z_j' - b'S^-1 b
    std::vector<double> G(m * m, 0.0);
    parallel_for(m, [&](size_t j) {
        std::vector<double> weighted(q0_);
        for (size_t l = 0; l < q0_; ++l) weighted[l] = kappa_[l] * columns[j][l];
        for (size_t i = j; i < m; ++i) {
            double g = i != j ? 0.0 : i < rank_ ? 1.0 : data_.yty;
            g -= dot(columns[i], weighted.data(), q0_);
            const Block &bi = right_[i / L], &xj = solved_[j / L];
            double sum = 0.0;
            for (size_t c = 0; c < q2_; ++c) sum += bi[c * L + i % L] * xj[c * L + j % L];
            G[j * m + i] = g - sum;
        }
    });
    r2 = std::numeric_limits<double>::quiet_NaN();
    if (!solve_fixed_effects(G, rank_, *this)) return;

    u.assign(q_, 0.0);
    for (size_t c = 0; c < q2_; ++c) {
        double v = solved_[rank_ / L][c * L + rank_ % L];
        for (size_t j = 0; j < rank_; ++j) v -= beta[j] * solved_[j / L][c * L + j % L];
        u[q0_ + c] = root_[c] * v;
    }
    const double s0 = std::sqrt(gamma_[0]);
    for (size_t j = 0; j < q0_; ++j) {
        double v = data_.Zty[j];
        for (size_t i = 0; i < rank_; ++i) v -= beta[i] * columns[i][j];
        for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
            const size_t c = q0_ + static_cast<size_t>(N_.leading.index[e]);
            v -= N_.leading.value[e] * s_[c] * u[c];
        }
        u[j] = s0 * v / d_[j];
    }
    e_.resize(q_);
    for (size_t l = 0; l < q_; ++l) e_[l] = u[l] / s_[l];
    ee_.assign(k_, 0.0);
    for (size_t t = 0; t < k_; ++t) {
        const double* et = e_.data() + N_.offset[t];
        ee_[t] = dot(et, et, N_.levels[t]);
    }
}

void IterativeEvaluation::average_information() {
    Matrix NE(q_, k_);
    std::vector<double> only(q_);
    std::vector<const double*> columns;
    for (size_t t = 0; t < k_; ++t) {
        std::fill(only.begin(), only.end(), 0.0);
        std::copy_n(e_.data() + N_.offset[t], N_.levels[t], only.data() + N_.offset[t]);
        N_.multiply(only.data(), NE.col(t));
        columns.push_back(NE.col(t));
    }
    const std::vector<Block> rightX = right_;
    const std::vector<Block> x = solve_columns(columns, false);
    Matrix z(rank_, k_);
    for (size_t t = 0; t < k_; ++t) {
        const Block& b = right_[t / L];
        for (size_t j = 0; j < rank_; ++j) {
            const double* zx = structure_.ZtX.col(j);
            double v = dot(zx + N_.offset[t], e_.data() + N_.offset[t], N_.levels[t]) -
                       dot(kappa_.data(), zx, NE.col(t), q0_);
            for (size_t c = 0; c < q2_; ++c) v -= solved_[j / L][c * L + j % L] * b[c * L + t % L];
            for (size_t i = 0; i < j; ++i) v -= RX(i, j) * z(i, t);
            z(j, t) = v / RX(j, j);
        }
    }
    information.assign(k_ * k_, 0.0);
    for (size_t s = 0; s < k_; ++s)
        for (size_t t = 0; t <= s; ++t) {
            double Q = dot(e_.data() + N_.offset[s], NE.col(t) + N_.offset[s], N_.levels[s]) -
                       dot(kappa_.data(), NE.col(s), NE.col(t), q0_);
            for (size_t c = 0; c < q2_; ++c)
                Q -= right_[s / L][c * L + s % L] * x[t / L][c * L + t % L];
            if (rank_ > 0) Q -= dot(z.col(s), z.col(t), rank_);
            information[s * k_ + t] = information[t * k_ + s] =
                mm::average_information(nu_, r2, Q, ee_[s], ee_[t]);
        }
    right_ = rightX;
}

}  // namespace mm
