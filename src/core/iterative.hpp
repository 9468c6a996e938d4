// The estimating equations at one gamma without a factorisation: conjugate gradients on the Schur
// complement, never formed but applied through the cross-tabulations, and traces from fixed probes
// (Hutchinson 1990, Commun. Stat. Simul. 19:433). Several right-hand sides go side by side.
//
// S is preconditioned by P = R'R, which has its diagonal, all of its rows that belong to factors of
// few levels (the border E), and zeros elsewhere. In the scale in which diag S = I,
//
//     R = [ I  S_dE ]     C'C = S_EE - S_Ed S_dE
//         [ 0    C  ]
//
// and conjugate gradients see R^-T S R^-1. P^-1 is known, and with w a probe, z = R^-1 w and
// v = R^-1 (R^-T S R^-1)^-1 w, so is the mean of z z': the traces take v - z for their probes.
#pragma once

#include <cstdint>
#include <vector>

#include "cross_products.hpp"
#include "fixed_effects.hpp"
#include "lanes.hpp"

namespace mm {

struct IterativeControl {
    size_t probes = 16;
    std::uint64_t seed = 0;
    double tolerance = 1e-10;       // of the residual of an exact right-hand side, relative
    double probe_tolerance = 1e-6;  // of a probe's
    int most_iterations = 2000;
};

class IterativeEvaluation : public FixedEffects {
   public:
    IterativeEvaluation(const CrossProducts& data, bool reml, IterativeControl control);

    // All of what follows, at gamma > 0. `log_determinant`: also log|S|, from scratch.
    void evaluate(const double* gamma, bool log_determinant);
    // At gamma >= 0, of M^-1: the diagonal at some of the q levels, by a solve each; or all of it,
    // estimated from so many probes, with its Monte Carlo error.
    std::vector<double> inverse_diagonal(const double* gamma, const std::vector<size_t>& levels);
    struct Estimate {
        std::vector<double> value, error;
    };
    Estimate estimate_inverse_diagonal(const double* gamma, size_t probes);
    // More probes from now on; those there are stay.
    void add_probes(size_t count);

    size_t terms() const { return k_; }
    double nu() const { return nu_; }
    size_t probes() const { return control_.probes; }
    // Covariance (k x k) of the gradient's Monte Carlo error.
    std::vector<double> gradient_error() const;

    std::vector<double> gradient, information, u;
    double log_det_M = 0.0, log_det_M_error = 0.0;  // after log_determinant only
    int solver_iterations = 0;                      // of the slowest right-hand side
    long applications = 0;                          // of S to `lanes` vectors, since the beginning

   private:
    using Block = std::vector<double>;  // q_trailing x lanes, the lanes of a level together

    // Lanczos coefficients of the solves of one block.
    struct Recurrence {
        std::vector<double> alpha[lanes], beta[lanes];
    };

    void set_scale(const double* gamma);
    void apply(const Block& x, Block& y);
    // y <- y + sign * s N_21 diag(f) z: the leading levels' part of a right-hand side
    void spread(const std::vector<const double*>& z, const std::vector<double>& f, double sign,
                Block& y);
    int solve(const Block& b, Block& x, double tolerance, bool cold, Recurrence* recurrence);
    std::vector<Block> solve_columns(const std::vector<const double*>& columns, bool keep);
    void fixed_effects();
    void average_information();
    void traces(bool log_determinant);
    Block probe_block(size_t block) const;
    void set_border();
    std::vector<double> known_rows() const;
    double known_form(size_t j, const std::vector<double>& rows, std::vector<double>& work) const;
    void known_traces(std::vector<double>& h) const;
    void precondition(Block& x) const;             // x <- R^-1 x
    void precondition_transposed(Block& x) const;  // x <- R^-T x
    void apply_preconditioned(const Block& x, Block& y);

    const CrossProducts& data_;
    const Structure& structure_;
    const CrossTabulation& N_;
    size_t k_, q_, q0_, q2_, rank_;
    bool reml_, unit_cells_ = true;
    double nu_;
    IterativeControl control_;
    std::vector<size_t> parts_;                          // bounds of shares of the leading levels
    std::vector<size_t> term_of_;                        // of each trailing level
    std::vector<double> gamma_, d_, kappa_, s_, scale_;  // scale_: theta / sqrt(diag S)
    std::vector<double> root_;                           // 1 / sqrt(diag S)
    std::vector<Block> right_, solved_;  // of [X y]: reduced right-hand sides and solutions
    std::vector<Block> probe_solved_;    // warm starts
    std::vector<double> e_, ee_;
    std::vector<double> samples_;  // probes x k: each probe's part of the gradient
    std::vector<Block> partial_;   // workspace: one a share
    std::vector<Block> warm_;      // solutions before the preconditioner
    size_t border_ = 0;            // levels in the border, the last of the trailing ones
    std::vector<double> SdE_;      // (q_trailing - border) x border, rows together
    Matrix C_;                     // border x border: C', lower
    double log_det_border_ = 0.0;
    Block work_;
};

}  // namespace mm
