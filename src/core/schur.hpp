// The Schur complement of the leading term,
//
//     S = I + s (N_22 - N_21 K N_12) s,    s = diag(theta) on the trailing levels,
//                                          K = diag(gamma_1 / d),  d = 1 + gamma_1 n,
//
// its Cholesky factor, and of its inverse what the traces need. Two ways: a dense matrix, or a
// sparse factor in a fill-reducing order with the inverse on the factor's pattern.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cross_products.hpp"
#include "elimination.hpp"

namespace mm {

// What the factorisation will cost, known before any number is computed.
struct SchurPlan {
    enum class Method { none, small, dense, sparse };
    Method method = Method::none;
    size_t dimension = 0;
    size_t leading_cells = 0;  // of the leading term's levels with others
    double clique_work = 0.0;  // sum over leading levels of (trailing cells in the row)^2
    double nonzeros = 0.0;     // of the factor
    double flops = 0.0;        // of factor and inverse
    double bytes = 0.0;        // of factor and inverse
    double seconds = 0.0;      // of an evaluation with derivatives on two cores like ours
    double dense_bytes = 0.0;  // of a dense matrix and its inverse
    // A sparse factor was given up: it has at least so many nonzeros and takes so many flops.
    bool beyond = false;
    double sparse_nonzeros = 0.0, sparse_flops = 0.0;
    std::vector<Code> order;  // position -> trailing level
    Supernodes supernodes;    // of a sparse factor
};

const char* name(SchurPlan::Method method);

// `wanted`: "auto", "dense", "sparse" or "none"; `memory`: bytes beyond which a factor is not
// pursued; `stop` is asked now and then whether to end with Interrupted.
SchurPlan plan_schur(const CrossTabulation& N, const std::string& wanted, double memory,
                     const Stop& stop = {});

class Schur {
   public:
    virtual ~Schur() = default;
    // Returns false where S is not numerically positive definite.
    virtual bool factor(const double* s, const double* kappa) = 0;
    virtual double log_determinant() const = 0;
    virtual void forward(double* b, size_t ldb, size_t cols) const = 0;   // b <- L^-1 P b
    virtual void backward(double* b, size_t ldb, size_t cols) const = 0;  // b <- P' L^-T b
    virtual void invert() = 0;
    virtual double inverse_diagonal(size_t c) const = 0;
    // For each leading level j: a' s S^-1 s a with a the level's row of cell counts.
    virtual void quadratic_forms(const double* s, double* out) const = 0;
    // The factor, column-major dense or by compressed columns; rows in the plan's order.
    virtual void export_factor(std::vector<std::int64_t>& start, std::vector<Code>& index,
                               std::vector<double>& value) const = 0;
};

std::unique_ptr<Schur> make_schur(const CrossTabulation& N, const SchurPlan& plan);

}  // namespace mm
