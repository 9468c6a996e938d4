// The profiled criterion at one value of gamma = theta^2, its gradient and average information.
//
//     M = Lambda' N Lambda + I = L L'        R_X' R_X = X'X - R_ZX' R_ZX
//     d = log|M| [+ log|R_X|^2] + nu (1 + log(2 pi r^2 / nu)) [- sum log w]
//
// with nu = n (ML) or n - p (REML); Bates, Maechler, Bolker & Walker 2015 (J. Stat. Softw. 67:1),
// eqs. 34 and 41, for the criteria, Gilmour, Thompson & Cullis 1995 (Biometrics 51:1440) for the
// average information. X stands for its orthonormal basis Q throughout.
#pragma once

#include <memory>
#include <vector>

#include "cross_products.hpp"
#include "fixed_effects.hpp"
#include "schur.hpp"

namespace mm {

class Evaluation : public FixedEffects {
   public:
    Evaluation(const CrossProducts& data, const SchurPlan& plan, bool reml);

    // The criterion at gamma (k values, zero allowed); infinity where M is not positive definite.
    // What does not depend on the response is kept: at the same gamma, another one costs little.
    double objective(const double* gamma);

    // After objective(), at gamma > 0: d'(gamma), k values, and the average information, k x k.
    void derivatives();

    // After objective(), at gamma > 0: h_t = tr(Z_t' P Z_t), k values.
    const std::vector<double>& traces();

    // After objective(): beta on the basis, spherical random effects u, rows of L^-1 P Lambda' Z'X.
    void solve();
    // Diagonal of M^-1, q values.
    std::vector<double> inverse_diagonal();

    const Structure& structure() const { return structure_; }
    const std::vector<double>& gamma() const { return gamma_; }
    size_t terms() const { return k_; }
    double nu() const { return nu_; }

    double value = 0.0, log_det_M = 0.0;
    std::vector<double> gradient, information, u;
    const Schur& schur() const { return *schur_; }
    const std::vector<double>& d() const { return d_; }

   private:
    // Factors M and solves for X, unless done. Returns false where M is not positive definite.
    bool stand_at(const double* gamma);
    // b (q values a column) <- L^-1 P Lambda b, the leading part divided by sqrt(d).
    void forward(double* b, size_t columns) const;
    // c <- the solution x of L' x = c.
    void backward(Matrix& c) const;

    const CrossProducts& data_;
    const Structure& structure_;
    const CrossTabulation& N_;
    size_t k_, q_, q0_, rank_;
    bool reml_;
    double nu_;
    std::unique_ptr<Schur> schur_;
    std::vector<double> gamma_, s_, d_, kappa_, quadratic_, e_;
    bool standing_ = false;
    std::vector<double> traces_;
    Matrix C_;  // L^-1 P Lambda [Z'X, Z'y]
};

}  // namespace mm
