#include "refits.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "threads.hpp"

namespace mm {
namespace {

// Responses of one task: enough that a task is worth handing out, few enough to share them evenly.
constexpr size_t most_of_task = 64;
// Where rounding ends a descent earlier, this is converged.
constexpr double least_tolerance = 1e-8;

}  // namespace

// Fits one after another, in the same workspace.
class Refitter::Worker {
   public:
    Worker(const std::shared_ptr<const Structure>& structure, const SchurPlan& plan, bool reml,
           const Start& start)
        : data_(structure),
          evaluation_(data_, plan, reml),
          at_start_(data_, plan, reml),
          start_(start) {}

    void fit(const double* y, const NewtonControl& control, size_t at, Refits& out) {
        data_ = CrossProducts(data_.structure, y);
        // What X fits perfectly has no variances.
        if (!(data_.yty > 1e-28 * data_.yty_total) || !std::isfinite(data_.yty)) return;
        const Optimum optimum = newton(evaluation_, first(), control);
        if (optimum.ending == Ending::perfect_fit) return;
        const Structure& s = *data_.structure;
        const Matrix& R = s.basis.R;
        const size_t p = R.cols;
        std::copy(optimum.gamma.begin(), optimum.gamma.end(), out.gamma.col(at));
        const std::vector<double> beta = original_beta(data_, evaluation_.beta);
        std::copy(beta.begin(), beta.end(), out.beta.col(at));
        const Matrix V = unscaled_covariance(evaluation_.RX, R);
        for (size_t j = 0; j < p; ++j) out.standard_error(j, at) = std::sqrt(V(j, j));
        if (out.covariance.cols)
            std::copy(V.values.begin(), V.values.end(), out.covariance.col(at));
        out.objective[at] = optimum.objective;
        out.r2[at] = evaluation_.r2;
        out.log_det_M[at] = evaluation_.log_det_M;
        out.converged[at] =
            optimum.ending == Ending::converged || optimum.decrement <= least_tolerance;
    }

   private:
    // The end of the first step.
    std::vector<double> first() {
        at_start_.objective(start_.gamma.data());
        at_start_.derivatives();
        std::vector<double> to =
            bounded_step(start_.gamma, at_start_.gradient,
                         start_.information.empty() ? at_start_.information : start_.information);
        for (size_t t = 0; t < to.size(); ++t) {
            to[t] += start_.gamma[t];
            if (!std::isfinite(to[t])) return start_.gamma;
        }
        return to;
    }

    CrossProducts data_;
    Evaluation evaluation_, at_start_;
    const Start& start_;
};

namespace {

Matrix unknown(size_t rows, size_t cols) {
    Matrix m(rows, cols);
    std::fill(m.values.begin(), m.values.end(), std::numeric_limits<double>::quiet_NaN());
    return m;
}

}  // namespace

std::vector<double> expected_information(const CrossProducts& data, const SchurPlan& plan,
                                         bool reml, const std::vector<double>& gamma) {
    constexpr double part = 1e-3;
    const size_t k = gamma.size();
    const Scale unit(*data.structure);
    Evaluation evaluation(data, plan, reml);
    evaluation.objective(gamma.data());
    const std::vector<double> h = evaluation.traces();
    std::vector<double> E(k * k);
    for (size_t t = 0; t < k; ++t) {
        std::vector<double> moved = gamma;
        moved[t] += part * std::max(gamma[t], unit[t]);
        evaluation.objective(moved.data());
        for (size_t s = 0; s < k; ++s)
            E[t * k + s] = (h[s] - evaluation.traces()[s]) / (moved[t] - gamma[t]) -
                           h[s] * h[t] / evaluation.nu();
    }
    for (size_t s = 0; s < k; ++s)
        for (size_t t = 0; t < s; ++t)
            E[s * k + t] = E[t * k + s] = 0.5 * (E[s * k + t] + E[t * k + s]);
    return E;
}

Refitter::Refitter(std::shared_ptr<const Structure> structure, const SchurPlan& plan, bool reml,
                   Start start, NewtonControl control)
    : structure_(std::move(structure)),
      plan_(plan),
      reml_(reml),
      start_(std::move(start)),
      control_(std::move(control)) {}

Refitter::~Refitter() = default;

std::unique_ptr<Refitter::Worker> Refitter::take() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto worker = std::move(idle_.back());
            idle_.pop_back();
            return worker;
        }
    }
    return std::make_unique<Worker>(structure_, plan_, reml_, start_);
}

void Refitter::put_back(std::unique_ptr<Worker> worker) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(worker));
}

Refits Refitter::fit(const double* Y, size_t count, bool covariance) {
    const size_t n = structure_->n, k = structure_->N.terms(), p = structure_->basis.kept.size();
    Refits out;
    out.gamma = unknown(k, count);
    out.beta = unknown(p, count);
    out.standard_error = unknown(p, count);
    out.covariance = unknown(p * p, covariance ? count : 0);
    out.objective = out.r2 = out.log_det_M = unknown(count, 1).values;
    out.converged.assign(count, 0);
    out.nu = static_cast<double>(n) - (reml_ ? static_cast<double>(p) : 0.0);

    const size_t share = std::clamp<size_t>(count / (4 * thread_count()), 1, most_of_task);
    const size_t tasks = (count + share - 1) / share;
    std::vector<std::exception_ptr> failure(tasks);  // tasks must not throw
    parallel_for(tasks, [&](size_t task) {
        try {
            auto worker = take();
            for (size_t i = task * share; i < std::min(count, (task + 1) * share); ++i)
                worker->fit(Y + i * n, control_, i, out);
            put_back(std::move(worker));
        } catch (...) {
            failure[task] = std::current_exception();
        }
    });
    for (const auto& error : failure)
        if (error) std::rethrow_exception(error);
    const double shift = reml_ ? log_det_R(structure_->basis.R) : 0.0;
    for (double& value : out.objective) value += shift;
    return out;
}

}  // namespace mm
