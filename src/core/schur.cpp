#include "schur.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "dense.hpp"
#include "supernodal.hpp"
#include "threads.hpp"

namespace mm {
namespace {

constexpr double parallel_work = 1 << 18;

class NoSchur final : public Schur {
   public:
    bool factor(const double*, const double*) override { return true; }
    double log_determinant() const override { return 0.0; }
    void forward(double*, size_t, size_t) const override {}
    void backward(double*, size_t, size_t) const override {}
    void invert() override {}
    double inverse_diagonal(size_t) const override { return 0.0; }
    void quadratic_forms(const double*, double*) const override {}
    void export_factor(std::vector<std::int64_t>&, std::vector<Code>&,
                       std::vector<double>&) const override {}
};

// Lower triangle, column-major.
class DenseSchur final : public Schur {
   public:
    DenseSchur(const CrossTabulation& N, const SchurPlan& plan)
        : N_(N),
          n_(plan.dimension),
          small_(plan.method == SchurPlan::Method::small),
          work_(plan.clique_work),
          crossed_(!small_ && plan.clique_work > 0.1 * static_cast<double>(N.q_leading()) *
                                                     static_cast<double>(n_) *
                                                     static_cast<double>(n_)) {}

    bool factor(const double* s, const double* kappa) override {
        assemble(s, kappa);
        inverted_ = false;
        if (!(small_ ? cholesky(a_.data(), n_, n_) : cholesky_blocked(a_.data(), n_))) return false;
        log_determinant_ = 0.0;
        for (size_t c = 0; c < n_; ++c) log_determinant_ += 2.0 * std::log(a_[c * n_ + c]);
        return true;
    }

    double log_determinant() const override { return log_determinant_; }

    void forward(double* b, size_t ldb, size_t cols) const override {
        forward_solve(a_.data(), n_, n_, b, ldb, cols);
    }
    void backward(double* b, size_t ldb, size_t cols) const override {
        backward_solve(a_.data(), n_, n_, b, ldb, cols);
    }

    void invert() override {
        if (inverted_) return;
        if (small_) {
            inverse_ = a_;
            cholesky_inverse(inverse_.data(), n_, n_);
        } else {
            inverse_.resize(n_ * n_);
            inverse_blocked(a_.data(), inverse_.data(), n_);
        }
        inverted_ = true;
    }

    double inverse_diagonal(size_t c) const override { return inverse_[c * n_ + c]; }

    void quadratic_forms(const double* s, double* out) const override {
        if (crossed_) {
            quadratic_forms_by_blocks(s, out);
            return;
        }
        in_tasks(N_.q_leading(), [&](size_t j) {
            double total = 0.0;
            const auto first = N_.leading.start[j], last = N_.leading.start[j + 1];
            for (auto e = first; e < last; ++e) {
                const Code c = N_.leading.index[e];
                const double* column = inverse_.data() + static_cast<size_t>(c) * n_;
                const double v = s[c] * N_.leading.value[e];
                double sum = 0.5 * v * column[c];
                for (auto f = e + 1; f < last; ++f) {
                    const Code d = N_.leading.index[f];
                    sum += s[d] * N_.leading.value[f] * column[d];
                }
                total += 2.0 * v * sum;
            }
            out[j] = total;
        });
    }

    void export_factor(std::vector<std::int64_t>& start, std::vector<Code>& index,
                       std::vector<double>& value) const override {
        start.assign(1, 0);
        for (size_t c = 0; c < n_; ++c) {
            for (size_t r = c; r < n_; ++r) {
                index.push_back(static_cast<Code>(r));
                value.push_back(a_[c * n_ + r]);
            }
            start.push_back(static_cast<std::int64_t>(index.size()));
        }
    }

   private:
    static constexpr size_t block_rows = 256;

    // Calls task(i) for i in 0..count, on several threads if there is work enough.
    void in_tasks(size_t count, const std::function<void(size_t)>& task) const {
        constexpr size_t share = 64;
        if (work_ < parallel_work) {
            for (size_t i = 0; i < count; ++i) task(i);
            return;
        }
        parallel_for((count + share - 1) / share, [&](size_t part) {
            const size_t last = std::min(count, (part + 1) * share);
            for (size_t i = part * share; i < last; ++i) task(i);
        });
    }

    void assemble(const double* s, const double* kappa) {
        a_.assign(n_ * n_, 0.0);
        in_tasks(n_, [&](size_t c) {
            double* column = a_.data() + c * n_;
            column[c] = 1.0 + s[c] * s[c] * N_.count[N_.q_leading() + c];
            for (auto e = N_.trailing.start[c]; e < N_.trailing.start[c + 1]; ++e) {
                const Code d = N_.trailing.index[e];
                column[d] += s[c] * s[d] * N_.trailing.value[e];
            }
            if (crossed_ || small_) return;
            for (auto e = N_.leading_t.start[c]; e < N_.leading_t.start[c + 1]; ++e) {
                const Code j = N_.leading_t.index[e];
                const double f = kappa[j] * s[c] * N_.leading_t.value[e];
                const auto last = N_.leading.index.begin() + N_.leading.start[j + 1];
                auto g = std::lower_bound(N_.leading.index.begin() + N_.leading.start[j], last,
                                          static_cast<Code>(c)) -
                         N_.leading.index.begin();
                for (; g < N_.leading.start[j + 1]; ++g) {
                    const Code d = N_.leading.index[g];
                    column[d] -= f * s[d] * N_.leading.value[g];
                }
            }
        });
        if (crossed_) subtract_by_blocks(s, kappa);
        if (small_) subtract_by_rows(s, kappa);
    }

    // All fits into the nearest cache: no column is worth looking for.
    void subtract_by_rows(const double* s, const double* kappa) {
        for (size_t j = 0; j < N_.q_leading(); ++j) {
            const auto last = N_.leading.start[j + 1];
            for (auto e = N_.leading.start[j]; e < last; ++e) {
                const Code c = N_.leading.index[e];
                const double f = kappa[j] * s[c] * N_.leading.value[e];
                double* column = a_.data() + static_cast<size_t>(c) * n_;
                for (auto g = e; g < last; ++g) {
                    const Code d = N_.leading.index[g];
                    column[d] -= f * s[d] * N_.leading.value[g];
                }
            }
        }
    }

    // Where most cells are filled, rows of cells as a dense matrix and one product beat loops.
    void fill_block(const double* s, const double* kappa, size_t from, size_t to,
                    std::vector<double>& block) const {
        block.assign(n_ * (to - from), 0.0);
        for (size_t j = from; j < to; ++j)
            for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
                const Code c = N_.leading.index[e];
                block[(j - from) * n_ + static_cast<size_t>(c)] =
                    (kappa ? std::sqrt(kappa[j]) : 1.0) * s[c] * N_.leading.value[e];
            }
    }

    void subtract_by_blocks(const double* s, const double* kappa) {
        constexpr size_t columns = 128;
        std::vector<double> block;
        for (size_t from = 0; from < N_.q_leading(); from += block_rows) {
            const size_t to = std::min(N_.q_leading(), from + block_rows);
            fill_block(s, kappa, from, to, block);
            for (size_t c = 0; c < n_; c += columns)
                subtract_product_parallel(n_ - c, std::min(columns, n_ - c), to - from,
                                          {block.data() + c, 1, n_}, {block.data() + c, 1, n_},
                                          a_.data() + c * n_ + c, n_);
        }
    }

    void quadratic_forms_by_blocks(const double* s, double* out) const {
        std::vector<double> block, product;
        for (size_t from = 0; from < N_.q_leading(); from += block_rows) {
            const size_t to = std::min(N_.q_leading(), from + block_rows);
            fill_block(s, nullptr, from, to, block);
            product.assign(block.size(), 0.0);
            subtract_product_parallel(n_, to - from, n_, {inverse_.data(), 1, n_},
                                      {block.data(), n_, 1}, product.data(), n_);
            for (size_t j = from; j < to; ++j)
                out[j] = -dot(block.data() + (j - from) * n_, product.data() + (j - from) * n_, n_);
        }
    }

    const CrossTabulation& N_;
    size_t n_;
    bool small_;
    double work_;
    bool crossed_;
    bool inverted_ = false;
    double log_determinant_ = 0.0;
    std::vector<double> a_, inverse_;
};

}  // namespace

std::unique_ptr<Schur> make_schur(const CrossTabulation& N, const SchurPlan& plan) {
    switch (plan.method) {
        case SchurPlan::Method::none:
            return std::make_unique<NoSchur>();
        case SchurPlan::Method::small:
        case SchurPlan::Method::dense:
            return std::make_unique<DenseSchur>(N, plan);
        case SchurPlan::Method::sparse:
            return make_supernodal(N, plan.supernodes);
    }
    return nullptr;
}

}  // namespace mm
