#include "held.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "fit.hpp"

namespace mm {
namespace {

// Of the decrement: the criterion is then right to half of it.
constexpr double tolerance = 1e-9, least_tolerance = 1e-6;
// Below this, a decrement that no longer falls is made of rounding errors.
constexpr double rounding = 1e-8;
constexpr int most_iterations = 100, most_halvings = 40;
constexpr double sufficient_decrease = 1e-4;

}  // namespace

HeldVariance::HeldVariance(const CrossProducts& data, const SchurPlan& plan, bool reml,
                           size_t which, const std::vector<double>& start)
    : data_(data),
      evaluation_(data, plan, reml),
      scale_(*data.structure),
      k_(data.structure->N.terms()),
      which_(which),
      reml_(reml) {
    evaluation_.objective(start.data());
    const double s = evaluation_.r2 / evaluation_.nu();
    for (const double ratio : start) start_.push_back(ratio * s);
    start_.push_back(s);
    point_ = start_;
}

double HeldVariance::criterion(const std::vector<double>& point) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const double s = point[k_];
    if (!(s > 0.0)) return infinity;
    gamma.assign(point.begin(), point.end() - 1);
    for (double& ratio : gamma) ratio /= s;
    gamma = scale_.inside(std::move(gamma));
    if (!std::isfinite(evaluation_.objective(gamma.data()))) return infinity;
    return evaluation_.log_det_M + (reml_ ? evaluation_.log_det_RX : 0.0) +
           evaluation_.nu() * std::log(2.0 * std::numbers::pi * s) + evaluation_.r2 / s -
           data_.structure->sum_log_weights;
}

// With f_t = Z_t e_t and f_0 = e the residuals, P f_0 = e - sum gamma_t P f_t.
void HeldVariance::differentiate() {
    evaluation_.derivatives();
    const double s = point_[k_], nu = evaluation_.nu(), r2 = evaluation_.r2;
    const size_t m = k_ + 1;
    std::vector<double> ee(k_), Q(m * m);
    g_.assign(m, 0.0);
    double h_share = 0.0, ee_share = 0.0;
    const CrossTabulation& N = data_.structure->N;
    for (size_t t = 0; t < k_; ++t) {
        const double* u = evaluation_.u.data() + N.offset[t];
        ee[t] = dot(u, u, N.levels[t]) / gamma[t];
        const double h = evaluation_.gradient[t] + nu * ee[t] / r2;
        g_[t] = (h - ee[t] / s) / s;
        h_share += gamma[t] * h;
        ee_share += gamma[t] * ee[t];
    }
    g_[k_] = (nu - h_share - (r2 - ee_share) / s) / s;
    for (size_t t = 0; t < k_; ++t)
        for (size_t w = 0; w < k_; ++w)
            Q[t * m + w] =
                r2 * (evaluation_.information[t * k_ + w] / nu + (ee[t] / r2) * (ee[w] / r2));
    double rest = r2 - ee_share;
    for (size_t t = 0; t < k_; ++t) {
        double q = ee[t];
        for (size_t w = 0; w < k_; ++w) q -= gamma[w] * Q[t * m + w];
        Q[t * m + k_] = Q[k_ * m + t] = q;
        rest -= gamma[t] * q;
    }
    Q[k_ * m + k_] = rest;
    A_ = std::move(Q);
    for (double& a : A_) a /= s * s * s;
}

std::vector<double> HeldVariance::others(const std::vector<double>& all) const {
    std::vector<double> out(all);
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(which_));
    return out;
}

std::vector<double> HeldVariance::others_of_matrix(const std::vector<double>& all) const {
    std::vector<double> out;
    for (size_t i = 0; i <= k_; ++i)
        for (size_t j = 0; j <= k_; ++j)
            if (i != which_ && j != which_) out.push_back(all[i * (k_ + 1) + j]);
    return out;
}

bool HeldVariance::minimise(double x) {
    point_[which_] = x * x;
    value = criterion(point_);
    if (!std::isfinite(value)) return false;
    Correction correction(k_);
    std::vector<double> moved, before;
    double decrement = 0.0;
    for (int number = 0;; ++number) {
        differentiate();
        const std::vector<double> free = others(point_), g = others(g_), A = others_of_matrix(A_);
        if (!moved.empty()) {
            std::vector<double> change(g);
            for (size_t t = 0; t < k_; ++t) change[t] -= before[t];
            correction.learn(A, moved, change);
        }
        const std::vector<double> step = bounded_step(free, g, correction.corrected(A));
        const double descent = -dot(g.data(), step.data(), k_);
        if (!std::isfinite(descent)) return false;
        const bool stalled = number > 0 && descent < rounding && descent > 0.5 * decrement;
        decrement = descent;
        if (descent < tolerance || stalled) break;
        if (number == most_iterations) return false;

        const double noise = 4e-15 * (std::abs(value) + evaluation_.nu());
        std::vector<double> trial(point_);
        double next = 0.0, taken = 1.0;
        int halvings = 0;
        for (; halvings < most_halvings; ++halvings, taken *= 0.5) {
            for (size_t t = 0, i = 0; i <= k_; ++i) {
                if (i == which_) continue;
                const bool to_zero = taken == 1.0 && step[t] == -free[t];
                trial[i] = to_zero ? 0.0 : point_[i] + taken * step[t];
                ++t;
            }
            next = criterion(trial);
            if (next <= value - sufficient_decrease * taken * descent + noise) break;
        }
        if (halvings == most_halvings) {
            if (descent > least_tolerance) return false;
            criterion(point_);
            break;
        }
        moved = others(trial);
        for (size_t t = 0; t < k_; ++t) moved[t] -= free[t];
        before = g;
        point_ = trial;
        value = next;
    }
    slope = 2.0 * x * g_[which_];
    sds.clear();
    for (const double v : point_) sds.push_back(std::sqrt(v));
    for (size_t t = 0; t < k_; ++t) gamma[t] = point_[t] / point_[k_];
    beta = original_beta(data_, evaluation_.beta);
    return true;
}

double HeldVariance::curvature() const {
    const size_t m = k_ + 1;
    std::vector<size_t> order;
    for (size_t i = 0; i <= k_; ++i)
        if (i != which_ && point_[i] > 0.0) order.push_back(i);
    order.push_back(which_);
    // The last pivot is what is left of the held one.
    const size_t l = order.size();
    std::vector<double> L(l * l), scale(l);
    for (size_t i = 0; i < l; ++i) scale[i] = 1.0 / std::sqrt(A_[order[i] * m + order[i]]);
    for (size_t j = 0; j < l; ++j)
        for (size_t i = j; i < l; ++i)
            L[j * l + i] = A_[order[i] * m + order[j]] * scale[i] * scale[j];
    const double all = A_[which_ * m + which_];
    if (!cholesky(L.data(), l, l)) return all;
    return all * L[l * l - 1] * L[l * l - 1];
}

HeldCoefficient::HeldCoefficient(const CrossProducts& data, const SchurPlan& plan, size_t which,
                                 const std::vector<double>& start)
    : which_(which), start_(start), rest_(nullptr), held_(nullptr) {
    const Structure& full = *data.structure;
    const size_t p = full.basis.kept.size(), last = p - 1, q = full.N.q();
    Matrix R(p, p), ZtX = full.ZtX, within = full.within;
    for (size_t c = 0; c < p; ++c) {
        const size_t from = c < which ? c : c < last ? c + 1 : which;
        std::copy_n(full.basis.R.col(from), p, R.col(c));
    }
    std::vector<double> beta0 = data.beta0, response_within = data.within;
    // Plane rotations of neighbouring columns of the basis make R triangular again.
    for (size_t c = which; c < last; ++c) {
        const double length = std::hypot(R(c, c), R(c + 1, c));
        const double a = R(c, c) / length, b = R(c + 1, c) / length;
        const auto turn = [&](double& x, double& y) {
            const double v = a * x + b * y;
            y = a * y - b * x;
            x = v;
        };
        for (size_t j = 0; j < p; ++j) turn(R(c, j), R(c + 1, j));
        for (size_t l = 0; l < q; ++l) turn(ZtX(l, c), ZtX(l, c + 1));
        for (size_t j = 0; j < p; ++j) turn(within(j, c), within(j, c + 1));
        for (size_t j = 0; j < p; ++j) turn(within(c, j), within(c + 1, j));
        turn(beta0[c], beta0[c + 1]);
        turn(response_within[c], response_within[c + 1]);
    }
    column_.assign(ZtX.col(last), ZtX.col(last) + q);
    column_within_.assign(within.col(last), within.col(last) + p);
    share_.assign(R.col(last), R.col(last) + last);
    unit_ = R(last, last);
    beta0_ = beta0[last];

    auto reduced = std::make_shared<Structure>();
    reduced->n = full.n;
    reduced->sum_log_weights = full.sum_log_weights;
    reduced->sum_weights = full.sum_weights;
    reduced->N = full.N;
    reduced->basis.kept.resize(last);
    reduced->basis.R = Matrix(last, last);
    reduced->within = Matrix(last, last);
    for (size_t j = 0; j < last; ++j)
        for (size_t i = 0; i < last; ++i) {
            reduced->basis.R(i, j) = R(i, j);
            reduced->within(i, j) = within(i, j);
        }
    ZtX.cols = last;
    ZtX.values.resize(q * last);
    reduced->ZtX = std::move(ZtX);

    rest_.structure = held_.structure = structure_ = std::move(reduced);
    rest_.beta0.assign(beta0.begin(), beta0.end() - 1);
    rest_.Zty = data.Zty;
    rest_.yty = data.yty;
    rest_.within = std::move(response_within);
    evaluation_.emplace(held_, plan, false);
    gamma = start;
}

bool HeldCoefficient::minimise(double x) {
    const size_t last = share_.size(), q = column_.size();
    const double t = beta0_ - x * unit_;  // of the last column of the basis in the response
    held_.beta0 = rest_.beta0;
    for (size_t i = 0; i < last; ++i) held_.beta0[i] -= x * share_[i];
    held_.Zty = rest_.Zty;
    for (size_t l = 0; l < q; ++l) held_.Zty[l] += t * column_[l];
    held_.yty = held_.yty_total = rest_.yty + t * t;
    held_.within.assign(rest_.within.begin(), rest_.within.begin() + last);
    for (size_t i = 0; i < last; ++i) held_.within[i] += t * column_within_[i];
    held_.within.push_back(rest_.within[last + 1] +
                           t * (2.0 * rest_.within[last] + t * column_within_[last]));

    NewtonControl control;
    control.tolerance = tolerance;
    control.most_iterations = most_iterations;
    const Optimum optimum = newton(*evaluation_, gamma, control);
    if (!(optimum.decrement < least_tolerance) || optimum.ending == Ending::perfect_fit)
        return false;
    gamma = optimum.gamma;
    value = optimum.objective;
    // r^2 falls with x by twice the share of the column in the residuals y - X beta - Z b.
    const Evaluation& e = *evaluation_;
    double share = t;
    const CrossTabulation& N = structure_->N;
    for (size_t s = 0; s < N.terms(); ++s)
        share -= std::sqrt(gamma[s]) *
                 dot(column_.data() + N.offset[s], e.u.data() + N.offset[s], N.levels[s]);
    slope = -2.0 * unit_ * share * e.nu() / e.r2;
    const double sigma = std::sqrt(e.r2 / e.nu());
    sds.clear();
    for (const double ratio : gamma) sds.push_back(std::sqrt(ratio) * sigma);
    sds.push_back(sigma);
    beta = original_beta(held_, e.beta);
    beta.insert(beta.begin() + static_cast<std::ptrdiff_t>(which_), x);
    return true;
}

}  // namespace mm
