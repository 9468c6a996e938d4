#include "evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace mm {

Evaluation::Evaluation(const CrossProducts& data, const SchurPlan& plan, bool reml)
    : data_(data),
      structure_(*data.structure),
      N_(structure_.N),
      k_(N_.terms()),
      q_(N_.q()),
      q0_(N_.q_leading()),
      rank_(structure_.basis.kept.size()),
      reml_(reml),
      nu_(static_cast<double>(structure_.n) - (reml ? static_cast<double>(rank_) : 0.0)),
      schur_(make_schur(N_, plan)),
      s_(q_),
      d_(q0_),
      kappa_(q0_) {}

bool Evaluation::stand_at(const double* gamma) {
    if (standing_ && std::equal(gamma, gamma + k_, gamma_.begin())) return true;
    standing_ = false;
    traces_.clear();
    gamma_.assign(gamma, gamma + k_);
    for (size_t t = 0; t < k_; ++t)
        std::fill(s_.begin() + static_cast<std::ptrdiff_t>(N_.offset[t]),
                  s_.begin() + static_cast<std::ptrdiff_t>(N_.offset[t + 1]), std::sqrt(gamma[t]));
    log_det_M = 0.0;
    for (size_t j = 0; j < q0_; ++j) {
        d_[j] = 1.0 + gamma[0] * N_.count[j];
        kappa_[j] = gamma[0] / d_[j];
        log_det_M += std::log(d_[j]);
    }
    if (!schur_->factor(s_.data() + q0_, kappa_.data())) return false;
    log_det_M += schur_->log_determinant();
    C_.rows = q_;
    C_.cols = rank_ + 1;
    C_.values.resize(q_ * C_.cols);
    std::copy(structure_.ZtX.values.begin(), structure_.ZtX.values.end(), C_.values.begin());
    forward(C_.values.data(), rank_);
    return standing_ = true;
}

double Evaluation::objective(const double* gamma) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (!stand_at(gamma)) return value = infinity;
    const size_t m = rank_ + 1;
    std::copy(data_.Zty.begin(), data_.Zty.end(), C_.col(rank_));
    forward(C_.col(rank_), 1);

    // The Cholesky factor of [X y]'V^-1[X y] holds R_X, c_beta and r. The leading term's part is
    // the variation within its levels plus that of their sums over n_j d_j: nothing cancels,
    // however large gamma is.
    std::vector<double> G(m * m, 0.0);
    std::vector<double> between(q0_);
    for (size_t l = 0; l < q0_; ++l)  // a level may have lost its rows
        between[l] = N_.count[l] > 0.0 ? 1.0 / (N_.count[l] * d_[l]) : 0.0;
    const auto sums = [&](size_t i) {
        return i < rank_ ? structure_.ZtX.col(i) : data_.Zty.data();
    };
    for (size_t j = 0; j < m; ++j)
        for (size_t i = j; i < m; ++i) {
            const double within = i < rank_ ? structure_.within(i, j) : data_.within[j];
            G[j * m + i] = within + dot(between.data(), sums(i), sums(j), q0_) -
                           dot(C_.col(i) + q0_, C_.col(j) + q0_, q_ - q0_);
        }
    if (!solve_fixed_effects(G, rank_, *this)) return value = infinity;
    value = log_det_M + (reml_ ? log_det_RX : 0.0) +
            nu_ * (1.0 + std::log(2.0 * std::numbers::pi * r2 / nu_)) - structure_.sum_log_weights;
    return value;
}

void Evaluation::forward(double* b, size_t columns) const {
    const SparseRows& A = N_.leading;
    const double s0 = std::sqrt(gamma_[0]);
    for (size_t c = 0; c < columns; ++c) {
        double* x = b + c * q_;
        for (size_t l = q0_; l < q_; ++l) x[l] *= s_[l];
        double* x2 = x + q0_;
        for (size_t j = 0; j < q0_; ++j) {
            const double v = s0 * x[j];
            const double f = s0 * v / d_[j];
            x[j] = v / std::sqrt(d_[j]);
            if (f != 0.0 && !A.index.empty())
                for (auto e = A.start[j]; e < A.start[j + 1]; ++e)
                    x2[A.index[e]] -= f * A.value[e] * s_[q0_ + static_cast<size_t>(A.index[e])];
        }
    }
    if (q_ > q0_ && columns > 0) schur_->forward(b + q0_, q_, columns);
}

void Evaluation::backward(Matrix& c) const {
    const SparseRows& A = N_.leading;
    const double s0 = std::sqrt(gamma_[0]);
    if (q_ > q0_) schur_->backward(c.values.data() + q0_, q_, c.cols);
    for (size_t k = 0; k < c.cols; ++k) {
        double* x = c.col(k);
        const double* x2 = x + q0_;
        for (size_t j = 0; j < q0_; ++j) {
            double sum = 0.0;
            if (!A.index.empty())
                for (auto e = A.start[j]; e < A.start[j + 1]; ++e)
                    sum += A.value[e] * s_[q0_ + static_cast<size_t>(A.index[e])] * x2[A.index[e]];
            x[j] = x[j] / std::sqrt(d_[j]) - s0 * sum / d_[j];
        }
    }
}

void Evaluation::solve() {
    Matrix c(q_, 1);
    for (size_t l = 0; l < q_; ++l) {
        double v = C_(l, rank_);
        for (size_t j = 0; j < rank_; ++j) v -= C_(l, j) * beta[j];
        c(l, 0) = v;
    }
    backward(c);
    u = std::move(c.values);
}

const std::vector<double>& Evaluation::traces() {
    if (!traces_.empty()) return traces_;
    schur_->invert();
    quadratic_.resize(q0_);
    const bool crossed = q_ > q0_;
    if (crossed) schur_->quadratic_forms(s_.data() + q0_, quadratic_.data());

    // h_t = tr(Z_t' P Z_t): the leading term's without cancellation, the others' from T_t.
    std::vector<double> h(k_, 0.0);
    for (size_t j = 0; j < q0_; ++j) {
        h[0] += N_.count[j] / d_[j];
        if (crossed) h[0] -= quadratic_[j] / (d_[j] * d_[j]);
    }
    for (size_t t = 1; t < k_; ++t) {
        double trace = 0.0;
        for (size_t l = N_.offset[t]; l < N_.offset[t + 1]; ++l)
            trace += 1.0 - schur_->inverse_diagonal(l - q0_);
        h[t] = trace / gamma_[t];
    }
    if (reml_ && rank_ > 0) {
        // W = M^-1 Lambda Z'X R_X^-1
        Matrix W(q_, rank_);
        for (size_t j = 0; j < rank_; ++j) {
            double* w = W.col(j);
            std::copy_n(C_.col(j), q_, w);
            for (size_t i = 0; i < j; ++i) {
                const double f = RX(i, j);
                const double* wi = W.col(i);
                for (size_t l = 0; l < q_; ++l) w[l] -= f * wi[l];
            }
            for (size_t l = 0; l < q_; ++l) w[l] /= RX(j, j);
        }
        backward(W);
        for (size_t t = 0; t < k_; ++t) {
            const size_t first = N_.offset[t], levels = N_.levels[t];
            double sum = 0.0;
            for (size_t j = 0; j < rank_; ++j)
                sum += dot(W.col(j) + first, W.col(j) + first, levels);
            h[t] -= sum / gamma_[t];
        }
    }
    return traces_ = std::move(h);
}

void Evaluation::derivatives() {
    solve();
    traces();
    e_.resize(q_);
    for (size_t l = 0; l < q_; ++l) e_[l] = u[l] / s_[l];
    std::vector<double> ee(k_);
    gradient.resize(k_);
    for (size_t t = 0; t < k_; ++t) {
        const double* et = e_.data() + N_.offset[t];
        ee[t] = dot(et, et, N_.levels[t]);
        gradient[t] = traces_[t] - nu_ * ee[t] / r2;
    }

    // Q_st = f_s' P f_t with f_t = Z_t e_t, from N alone.
    Matrix F(q_, k_), NE(q_, k_);
    std::vector<double> only(q_);
    for (size_t t = 0; t < k_; ++t) {
        std::fill(only.begin(), only.end(), 0.0);
        std::copy_n(e_.data() + N_.offset[t], N_.levels[t], only.data() + N_.offset[t]);
        N_.multiply(only.data(), NE.col(t));
    }
    F.values = NE.values;
    forward(F.values.data(), k_);
    Matrix z(rank_, k_);
    for (size_t t = 0; t < k_; ++t)
        for (size_t j = 0; j < rank_; ++j) {
            double v =
                dot(structure_.ZtX.col(j) + N_.offset[t], e_.data() + N_.offset[t], N_.levels[t]) -
                dot(C_.col(j), F.col(t), q_);
            for (size_t i = 0; i < j; ++i) v -= RX(i, j) * z(i, t);
            z(j, t) = v / RX(j, j);
        }
    information.assign(k_ * k_, 0.0);
    for (size_t s = 0; s < k_; ++s)
        for (size_t t = 0; t <= s; ++t) {
            double Q = dot(e_.data() + N_.offset[s], NE.col(t) + N_.offset[s], N_.levels[s]) -
                       dot(F.col(s), F.col(t), q_);
            if (rank_ > 0) Q -= dot(z.col(s), z.col(t), rank_);
            information[s * k_ + t] = information[t * k_ + s] =
                average_information(nu_, r2, Q, ee[s], ee[t]);
        }
}

std::vector<double> Evaluation::inverse_diagonal() {
    schur_->invert();
    std::vector<double> out(q_);
    quadratic_.assign(q0_, 0.0);
    if (q_ > q0_) schur_->quadratic_forms(s_.data() + q0_, quadratic_.data());
    for (size_t j = 0; j < q0_; ++j)
        out[j] = 1.0 / d_[j] + gamma_[0] * quadratic_[j] / (d_[j] * d_[j]);
    for (size_t l = q0_; l < q_; ++l) out[l] = schur_->inverse_diagonal(l - q0_);
    return out;
}

}  // namespace mm
