// The Python face of the core: a Structure (what does not depend on the response), CrossProducts,
// a plan, and fits. Arrays handed in stay with the caller and are kept alive here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "cross_products.hpp"
#include "downdate.hpp"
#include "equations.hpp"
#include "evaluation.hpp"
#include "fit.hpp"
#include "newton.hpp"
#include "profile.hpp"
#include "refits.hpp"
#include "row_sums.hpp"
#include "schur.hpp"
#include "state.hpp"
#include "threads.hpp"

namespace nb = nanobind;
using namespace mm;

namespace {

// Evaluations below this many flops take well under a millisecond.
constexpr double cheap_flops = 3e5, flops_a_level = 60.0;
// Of the decrement, where evaluations are dear: theta is then right to 1e-5 standard errors.
constexpr double dear_tolerance = 1e-10;
// Of many refits that are dear: the step that promises less leaves 1e-4 standard errors at most.
constexpr double refit_tolerance = 1e-6;

using Codes = nb::ndarray<const Code, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FortranMatrix = nb::ndarray<const double, nb::ndim<2>, nb::f_contig, nb::device::cpu>;

// Ctrl-C ends what is under way.
void end_if_interrupted() {
    nb::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

template <class T>
nb::object to_numpy(std::vector<T> values, std::vector<size_t> shape = {}) {
    if (shape.empty()) shape = {values.size()};
    auto* owned = new std::vector<T>(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    std::vector<std::int64_t> strides{1};
    if (shape.size() == 2) strides.push_back(static_cast<std::int64_t>(shape[0]));
    return nb::cast(nb::ndarray<nb::numpy, T>(owned->data(), shape.size(), shape.data(), owner,
                                              strides.data()));
}

nb::bytes to_bytes(const std::string& s) { return nb::bytes(s.data(), s.size()); }

nb::object to_numpy(const Matrix& m) { return to_numpy(m.values, {m.rows, m.cols}); }

struct PyStructure {
    std::vector<Codes> codes;
    FortranMatrix X;
    std::optional<Vector> weights;
    std::shared_ptr<const Structure> structure;

    // Of rows that were not kept.
    explicit PyStructure(std::shared_ptr<const Structure> summed) : structure(std::move(summed)) {}

    PyStructure(std::vector<Codes> codes_, std::vector<size_t> levels, FortranMatrix X_,
                std::optional<Vector> weights_)
        : codes(std::move(codes_)), X(std::move(X_)), weights(std::move(weights_)) {
        const size_t n = X.shape(0);
        if (codes.empty() || codes.size() != levels.size())
            throw std::invalid_argument("one number of levels is needed for each factor");
        std::vector<const Code*> pointers;
        for (size_t t = 0; t < codes.size(); ++t) {
            if (codes[t].shape(0) != n) throw std::invalid_argument("codes and X differ in length");
            const Code* c = codes[t].data();
            for (size_t i = 0; i < n; ++i)
                if (c[i] < 0 || static_cast<size_t>(c[i]) >= levels[t])
                    throw std::invalid_argument("a code is outside of its factor's levels");
            pointers.push_back(c);
        }
        if (weights && weights->shape(0) != n)
            throw std::invalid_argument("weights and X differ in length");
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        structure =
            std::make_shared<const Structure>(n, std::move(pointers), std::move(levels), X.data(),
                                              X.shape(1), weights ? weights->data() : nullptr);
    }
};

CrossProducts make_cross_products(const PyStructure& s, Vector y) {
    if (s.codes.empty()) throw std::invalid_argument("the rows were not kept");
    if (y.shape(0) != s.structure->n) throw std::invalid_argument("y and X differ in length");
    nb::gil_scoped_release release;
    const Watch watch(end_if_interrupted);
    return CrossProducts(s.structure, y.data());
}

// The sums without some rows; None where a subtraction would lose too many digits.
nb::object without_rows(const CrossProducts& data, Rows rows, Vector residual, Rows sizes) {
    const Structure& s = *data.structure;
    if (s.codes.empty()) throw std::invalid_argument("the rows were not kept");
    if (residual.shape(0) != s.n || sizes.shape(0) != s.N.q())
        throw std::invalid_argument("one residual a row and one size a level are needed");
    const std::span<const std::int64_t> removed(rows.data(), rows.shape(0));
    for (const std::int64_t i : removed)
        if (i < 0 || static_cast<size_t>(i) >= s.n)
            throw std::invalid_argument("there are not so many rows");
    std::optional<CrossProducts> products;
    {
        nb::gil_scoped_release release;
        products = without(data, removed, residual.data(), {sizes.data(), sizes.shape(0)});
    }
    if (!products) return nb::none();
    PyStructure structure(products->structure);
    return nb::make_tuple(std::move(structure), std::move(*products));
}

RowSums make_row_sums(std::vector<size_t> levels, FortranMatrix R0, Vector b0) {
    Matrix R(R0.shape(0), R0.shape(1));
    if (R.rows != R.cols || b0.shape(0) != R.cols || levels.empty())
        throw std::invalid_argument("R0 must be square, and b0 as long");
    std::copy_n(R0.data(), R.values.size(), R.values.begin());
    return RowSums(std::move(levels), std::move(R), {b0.data(), b0.data() + b0.shape(0)});
}

void add_rows(RowSums& sums, const std::vector<Codes>& codes, FortranMatrix X, Vector y,
              const std::optional<Vector>& weights) {
    const size_t m = X.shape(0);
    if (codes.size() != sums.terms() || X.shape(1) != sums.columns() || y.shape(0) != m ||
        (weights && weights->shape(0) != m))
        throw std::invalid_argument("codes, X, y and weights differ in length");
    std::vector<const Code*> pointers;
    for (const Codes& c : codes) {
        if (c.shape(0) != m) throw std::invalid_argument("codes and X differ in length");
        pointers.push_back(c.data());
    }
    nb::gil_scoped_release release;
    const Watch watch(end_if_interrupted);
    sums.add(pointers, X.data(), y.data(), weights ? weights->data() : nullptr, m);
}

// What `state` of CrossProducts has saved, without the rows.
nb::tuple restore_sums(const nb::bytes& state) {
    CrossProducts products = restore_products({state.c_str(), state.size()});
    PyStructure structure(products.structure);
    return nb::make_tuple(std::move(structure), std::move(products));
}

nb::tuple finish_rows(RowSums& sums) {
    std::optional<CrossProducts> products;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        products.emplace(sums.finish());
    }
    PyStructure structure(products->structure);
    return nb::make_tuple(std::move(structure), std::move(*products));
}

NewtonControl newton_control(const Structure& structure, const SchurPlan& plan, double tolerance,
                             int most_iterations) {
    NewtonControl control;
    control.most_iterations = most_iterations;
    control.cheap = plan.flops + flops_a_level * static_cast<double>(structure.N.q()) < cheap_flops;
    control.tolerance = control.cheap ? tolerance : std::max(tolerance, dear_tolerance);
    return control;
}

Fit fit(const CrossProducts& data, const SchurPlan& plan, bool reml,
        std::optional<std::vector<double>> start, double tolerance, int most_iterations,
        const std::optional<nb::callable>& on_iteration) {
    Evaluation evaluation(data, plan, reml);
    // The criterion is that of X itself, not of its orthonormal basis.
    const double shift = reml ? log_det_R(data.structure->basis.R) : 0.0;
    NewtonControl control = newton_control(*data.structure, plan, tolerance, most_iterations);
    control.on_iteration = [&](const Iteration& it) {
        nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (on_iteration)
            (*on_iteration)(it.number, it.evaluations, it.objective + shift, it.step, it.decrement,
                            it.gamma, it.gradient);
    };
    Fit out;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        out.optimum = newton(evaluation, start ? *start : moment_start(data), control);
        out.beta = original_beta(data, evaluation.beta);
        out.vcov = unscaled_covariance(evaluation.RX, data.structure->basis.R);
    }
    out.optimum.objective += shift;
    for (Iteration& it : out.optimum.trace) it.objective += shift;
    out.u = std::move(evaluation.u);
    out.r2 = evaluation.r2;
    out.nu = evaluation.nu();
    out.log_det_M = evaluation.log_det_M;
    out.log_det_X = evaluation.log_det_RX + log_det_R(data.structure->basis.R);
    out.yty = data.yty;
    return out;
}

nb::object information_at(const CrossProducts& data, const SchurPlan& plan, bool reml,
                          std::vector<double> gamma) {
    const size_t k = data.structure->N.terms();
    if (gamma.size() != k)
        throw std::invalid_argument("one variance ratio is needed for each term");
    std::vector<double> out;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        out = expected_information(data, plan, reml, Scale(*data.structure).inside(gamma));
    }
    return to_numpy(std::move(out), {k, k});
}

// Fits to many responses, which have no Python values of their own.
struct PyRefitter {
    Refitter refitter;

    PyRefitter(const PyStructure& s, const SchurPlan& plan, bool reml, std::vector<double> gamma,
               std::optional<std::vector<double>> information, double tolerance,
               int most_iterations)
        : refitter(checked(s), plan, reml,
                   {Scale(*s.structure).inside(std::move(gamma)),
                    information ? std::move(*information) : std::vector<double>()},
                   control(s, plan, tolerance, most_iterations)) {}

    static std::shared_ptr<const Structure> checked(const PyStructure& s) {
        if (s.codes.empty()) throw std::invalid_argument("the rows were not kept");
        return s.structure;
    }
    static NewtonControl control(const PyStructure& s, const SchurPlan& plan, double tolerance,
                                 int most_iterations) {
        NewtonControl c = newton_control(*s.structure, plan, tolerance, most_iterations);
        if (!c.cheap) c.last_step = refit_tolerance;
        return c;
    }
};

// Fits to the columns of Y.
nb::dict refit(PyRefitter& r, FortranMatrix Y, bool covariance) {
    if (Y.shape(0) != r.refitter.structure().n)
        throw std::invalid_argument("Y and X differ in length");
    Refits refits;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        refits = r.refitter.fit(Y.data(), Y.shape(1), covariance);
    }
    nb::dict out;
    out["gamma"] = to_numpy(refits.gamma);
    out["beta"] = to_numpy(refits.beta);
    out["standard_error"] = to_numpy(refits.standard_error);
    if (covariance) out["covariance"] = to_numpy(refits.covariance);
    out["objective"] = to_numpy(std::move(refits.objective));
    out["r2"] = to_numpy(std::move(refits.r2));
    out["log_det_M"] = to_numpy(std::move(refits.log_det_M));
    out["converged"] = to_numpy(std::move(refits.converged));
    out["nu"] = refits.nu;
    return out;
}

// A fit without a factorisation; the criterion comes with a Monte Carlo error.
nb::tuple fit_iterative(const CrossProducts& data, bool reml,
                        std::optional<std::vector<double>> start, double monte_carlo,
                        std::uint64_t seed, bool log_determinant, const SchurPlan* plan,
                        const std::optional<nb::callable>& on_iteration) {
    IterativeControl settings;
    settings.seed = seed;
    EquationsControl control;
    control.monte_carlo = monte_carlo;
    control.log_determinant = log_determinant && !plan;
    control.on_iteration = [&](const Iteration& it) {
        nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (on_iteration)
            (*on_iteration)(it.number, it.evaluations, it.objective, it.step, it.decrement,
                            it.gamma, it.gradient);
    };
    Fit out;
    std::vector<double> shares;
    size_t probes = 0;
    long applications = 0;
    double error = 0.0;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        IterativeEvaluation evaluation(data, reml, settings);
        Solution solution =
            solve_equations(evaluation, data, start ? *start : moment_start(data), control);
        const Structure& s = *data.structure;
        out.optimum = std::move(solution.optimum);
        shares = std::move(solution.monte_carlo);
        out.beta = original_beta(data, evaluation.beta);
        out.vcov = unscaled_covariance(evaluation.RX, s.basis.R);
        out.u = std::move(evaluation.u);
        out.r2 = evaluation.r2;
        out.nu = evaluation.nu();
        out.yty = data.yty;
        out.log_det_M = evaluation.log_det_M;
        if (log_determinant && plan) {  // one factorisation, at the end
            Evaluation exact(data, *plan, reml);
            exact.objective(out.optimum.gamma.data());
            out.log_det_M = exact.log_det_M;
        }
        out.log_det_X = evaluation.log_det_RX + log_det_R(s.basis.R);
        out.optimum.objective =
            out.log_det_M + (reml ? out.log_det_X : 0.0) +
            out.nu * (1.0 + std::log(2.0 * std::numbers::pi * out.r2 / out.nu)) - s.sum_log_weights;
        error = evaluation.log_det_M_error;
        probes = evaluation.probes();
        applications = evaluation.applications;
    }
    return nb::make_tuple(std::move(out), to_numpy(std::move(shares)), probes, error, applications);
}

nb::dict evaluate(const CrossProducts& data, const SchurPlan& plan, std::vector<double> gamma,
                  bool reml, bool derivatives) {
    if (gamma.size() != data.structure->N.terms())
        throw std::invalid_argument("one variance ratio is needed for each term");
    Evaluation e(data, plan, reml);
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        e.objective(gamma.data());
        if (derivatives) e.derivatives();
    }
    nb::dict out;
    out["objective"] = e.value + (reml ? log_det_R(data.structure->basis.R) : 0.0);
    out["log_det_M"] = e.log_det_M;
    out["r2"] = e.r2;
    if (derivatives) {
        const size_t k = gamma.size();
        out["gradient"] = to_numpy(e.gradient);
        out["information"] = to_numpy(e.information, {k, k});
    }
    return out;
}

nb::object inverse_diagonal(const CrossProducts& data, const SchurPlan& plan,
                            std::vector<double> gamma) {
    Evaluation e(data, plan, false);
    std::vector<double> out;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        e.objective(gamma.data());
        out = e.inverse_diagonal();
    }
    return to_numpy(std::move(out));
}

// Conditional variances without a factorisation: of some levels, or estimates of all with errors.
nb::object iterative_inverse_diagonal(const CrossProducts& data, std::vector<double> gamma,
                                      std::vector<size_t> levels) {
    const size_t q = data.structure->N.q();
    if (std::any_of(levels.begin(), levels.end(), [&](size_t l) { return l >= q; }))
        throw std::invalid_argument("there are not so many levels");
    std::vector<double> out;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        out = IterativeEvaluation(data, false, {}).inverse_diagonal(gamma.data(), levels);
    }
    return to_numpy(std::move(out));
}

nb::tuple estimate_inverse_diagonal(const CrossProducts& data, std::vector<double> gamma,
                                    size_t probes, std::uint64_t seed) {
    IterativeControl control;
    control.seed = seed;
    IterativeEvaluation::Estimate out;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        out = IterativeEvaluation(data, false, control)
                  .estimate_inverse_diagonal(gamma.data(), probes);
    }
    return nb::make_tuple(to_numpy(std::move(out.value)), to_numpy(std::move(out.error)));
}

// Profiles of parameters, each (x, zeta, slope, everything along it, [at zero, lower, upper]); and
// gamma where the criterion is lower than at the one given, if that is met.
nb::tuple profile(const CrossProducts& data, const SchurPlan& plan, bool reml,
                  std::vector<double> gamma, const std::vector<size_t>& parameters,
                  const std::vector<double>& targets, const std::vector<bool>& exact,
                  const std::optional<nb::callable>& on_point) {
    const size_t k = data.structure->N.terms(), p = data.structure->basis.kept.size();
    if (gamma.size() != k)
        throw std::invalid_argument("one variance ratio is needed for each term");
    if (targets.empty() || targets.size() != exact.size() || !(targets[0] > 0.0) ||
        !std::is_sorted(targets.begin(), targets.end()))
        throw std::invalid_argument("targets must be positive and ascend");
    for (const size_t parameter : parameters)
        if (parameter > k + p || (reml && parameter > k))
            throw std::invalid_argument("there is no profile of that parameter");
    std::vector<Target> goals;
    for (size_t i = 0; i < targets.size(); ++i) goals.push_back({targets[i], exact[i]});
    const auto tell = [&](size_t parameter, double zeta) {
        nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (on_point) (*on_point)(parameter, zeta);
    };
    Profiler profiler(data, plan, reml, std::move(gamma), std::move(goals), tell);
    nb::list out;
    for (const size_t parameter : parameters) {
        Profile curve;
        {
            nb::gil_scoped_release release;
            const Watch watch(end_if_interrupted);
            curve = profiler.profile(parameter);
        }
        if (profiler.lower_at) break;
        const size_t m = curve.points.size(), columns = k + 1 + p;
        std::vector<double> x, zeta, slope, all(m * columns);
        for (size_t i = 0; i < m; ++i) {
            const ProfilePoint& point = curve.points[i];
            x.push_back(point.x);
            zeta.push_back(point.zeta);
            slope.push_back(point.slope);
            for (size_t j = 0; j <= k; ++j) all[j * m + i] = point.sds[j];
            for (size_t j = 0; j < p; ++j) all[(k + 1 + j) * m + i] = point.beta[j];
        }
        out.append(nb::make_tuple(
            to_numpy(std::move(x)), to_numpy(std::move(zeta)), to_numpy(std::move(slope)),
            to_numpy(std::move(all), {m, columns}), curve.at_zero, curve.lower, curve.upper));
    }
    return nb::make_tuple(out, profiler.lower_at);
}

// d of the leading term, and the factor of the Schur complement by compressed columns.
nb::tuple factor(const CrossProducts& data, const SchurPlan& plan, std::vector<double> gamma) {
    Evaluation e(data, plan, false);
    std::vector<std::int64_t> start;
    std::vector<Code> index;
    std::vector<double> value;
    {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        e.objective(gamma.data());
        e.schur().export_factor(start, index, value);
    }
    return nb::make_tuple(to_numpy(e.d()), to_numpy(std::move(start)), to_numpy(std::move(index)),
                          to_numpy(std::move(value)));
}

// Ctrl-C ends the analysis too.
SchurPlan plan_or_interrupt(const CrossTabulation& N, const std::string& method, double memory) {
    try {
        nb::gil_scoped_release release;
        const Watch watch(end_if_interrupted);
        return plan_schur(N, method, memory, [] {
            nb::gil_scoped_acquire acquire;
            return PyErr_CheckSignals() != 0;
        });
    } catch (const Interrupted&) {
        throw nb::python_error();
    }
}

nb::tuple sparse(const SparseRows& a) {
    return nb::make_tuple(to_numpy(a.start), to_numpy(a.index), to_numpy(a.value));
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The numerical core of mixedmodels.";
    m.def("set_thread_count", &set_thread_count, nb::arg("count"));
    m.def("thread_count", &thread_count);

    nb::class_<PyStructure>(m, "Structure")
        .def(nb::init<std::vector<Codes>, std::vector<size_t>, FortranMatrix,
                      std::optional<Vector>>(),
             nb::arg("codes"), nb::arg("levels"), nb::arg("X"), nb::arg("weights").none())
        .def_prop_ro("n", [](const PyStructure& s) { return s.structure->n; })
        .def_prop_ro("q", [](const PyStructure& s) { return s.structure->N.q(); })
        .def_prop_ro("levels", [](const PyStructure& s) { return s.structure->N.levels; })
        .def_prop_ro("kept", [](const PyStructure& s) { return s.structure->basis.kept; })
        .def_prop_ro("dropped", [](const PyStructure& s) { return s.structure->basis.dropped; })
        .def_prop_ro("R", [](const PyStructure& s) { return to_numpy(s.structure->basis.R); })
        .def_prop_ro("Q", [](const PyStructure& s) { return to_numpy(s.structure->basis.Q); })
        .def_prop_ro("ZtX", [](const PyStructure& s) { return to_numpy(s.structure->ZtX); })
        .def_prop_ro("count", [](const PyStructure& s) { return to_numpy(s.structure->N.count); })
        .def_prop_ro("cells",
                     [](const PyStructure& s) {
                         return s.structure->N.leading.nonzeros() +
                                s.structure->N.trailing.nonzeros();
                     })
        .def_prop_ro("leading", [](const PyStructure& s) { return sparse(s.structure->N.leading); })
        .def_prop_ro("trailing",
                     [](const PyStructure& s) { return sparse(s.structure->N.trailing); })
        .def_prop_ro("fitted", [](const PyStructure& s) { return s.structure->fitted; })
        .def_prop_ro("sum_log_weights",
                     [](const PyStructure& s) { return s.structure->sum_log_weights; })
        .def(
            "plan",
            [](const PyStructure& s, const std::string& method, double memory) {
                return plan_or_interrupt(s.structure->N, method, memory);
            },
            nb::arg("method"), nb::arg("memory"))
        .def("cross_products", &make_cross_products, nb::arg("y"));

    nb::class_<RowSums>(m, "RowSums")
        .def(
            "__init__",
            [](RowSums* self, std::vector<size_t> levels, FortranMatrix R0, Vector b0) {
                new (self) RowSums(make_row_sums(std::move(levels), R0, b0));
            },
            nb::arg("levels"), nb::arg("R0"), nb::arg("b0"))
        .def("add", &add_rows, nb::arg("codes"), nb::arg("X"), nb::arg("y"),
             nb::arg("weights").none())
        .def("sound", &RowSums::sound)
        .def_prop_ro("better_R0", [](const RowSums& s) { return to_numpy(s.better_R0()); })
        .def_prop_ro("better_b0", [](const RowSums& s) { return to_numpy(s.better_b0()); })
        .def_prop_ro("squares", [](const RowSums& s) { return to_numpy(s.squares()); })
        .def_prop_ro("rows", &RowSums::rows)
        .def("finish", &finish_rows);

    nb::class_<SchurPlan>(m, "SchurPlan")
        .def("__getstate__", [](const SchurPlan& p) { return to_bytes(save(p)); })
        .def("__setstate__",
             [](SchurPlan& p, const nb::bytes& state) {
                 new (&p) SchurPlan(restore_plan({state.c_str(), state.size()}));
             })
        .def_prop_ro("method", [](const SchurPlan& p) { return std::string(name(p.method)); })
        .def_ro("dimension", &SchurPlan::dimension)
        .def_ro("nonzeros", &SchurPlan::nonzeros)
        .def_ro("flops", &SchurPlan::flops)
        .def_ro("bytes", &SchurPlan::bytes)
        .def_ro("seconds", &SchurPlan::seconds)
        .def_ro("dense_bytes", &SchurPlan::dense_bytes)
        .def_ro("clique_work", &SchurPlan::clique_work)
        .def_ro("beyond", &SchurPlan::beyond)
        .def_ro("sparse_nonzeros", &SchurPlan::sparse_nonzeros)
        .def_ro("sparse_flops", &SchurPlan::sparse_flops)
        .def_prop_ro("supernodes", [](const SchurPlan& p) { return p.supernodes.supernodes; })
        .def_prop_ro("front", [](const SchurPlan& p) { return p.supernodes.front; })
        .def_prop_ro("column_counts",
                     [](const SchurPlan& p) { return to_numpy(p.supernodes.count); })
        .def_ro("leading_cells", &SchurPlan::leading_cells)
        .def_prop_ro("order", [](const SchurPlan& p) { return to_numpy(p.order); });

    nb::class_<CrossProducts>(m, "CrossProducts")
        .def_ro("yty", &CrossProducts::yty)
        .def_ro("yty_total", &CrossProducts::yty_total)
        .def_prop_ro("Zty", [](const CrossProducts& c) { return to_numpy(c.Zty); })
        .def("state", [](const CrossProducts& c) { return to_bytes(save(c)); })
        .def("moment_start", [](const CrossProducts& c) { return to_numpy(moment_start(c)); });

    nb::class_<Fit>(m, "Fit")
        .def("__getstate__", [](const Fit& f) { return to_bytes(save(f)); })
        .def("__setstate__",
             [](Fit& f, const nb::bytes& state) {
                 new (&f) Fit(restore_fit({state.c_str(), state.size()}));
             })
        .def_prop_ro("objective", [](const Fit& f) { return f.optimum.objective; })
        .def_prop_ro("ending", [](const Fit& f) { return name(f.optimum.ending); })
        .def_prop_ro("evaluations", [](const Fit& f) { return f.optimum.evaluations; })
        .def_prop_ro("decrement", [](const Fit& f) { return f.optimum.decrement; })
        .def_prop_ro("gamma", [](const Fit& f) { return to_numpy(f.optimum.gamma); })
        .def_prop_ro("gradient", [](const Fit& f) { return to_numpy(f.optimum.gradient); })
        .def_prop_ro("information",
                     [](const Fit& f) {
                         const size_t k = f.optimum.gamma.size();
                         return to_numpy(f.optimum.information, {k, k});
                     })
        .def_prop_ro(
            "trace",
            [](const Fit& f) {
                nb::list rows;
                for (const Iteration& it : f.optimum.trace)
                    rows.append(nb::make_tuple(it.number, it.evaluations, it.objective, it.step,
                                               it.decrement, it.gamma, it.gradient));
                return rows;
            })
        .def_prop_ro("beta", [](const Fit& f) { return to_numpy(f.beta); })
        .def_prop_ro("u", [](const Fit& f) { return to_numpy(f.u); })
        .def_prop_ro("unscaled_covariance", [](const Fit& f) { return to_numpy(f.vcov); })
        .def_ro("r2", &Fit::r2)
        .def_ro("nu", &Fit::nu)
        .def_ro("yty", &Fit::yty)
        .def_ro("log_det_M", &Fit::log_det_M)
        .def_ro("log_det_X", &Fit::log_det_X);

    m.def("fit", &fit, nb::arg("data"), nb::arg("plan"), nb::arg("reml"), nb::arg("start").none(),
          nb::arg("tolerance"), nb::arg("most_iterations"), nb::arg("on_iteration").none());
    m.def("expected_information", &information_at, nb::arg("data"), nb::arg("plan"),
          nb::arg("reml"), nb::arg("gamma"));
    nb::class_<PyRefitter>(m, "Refitter")
        .def(nb::init<const PyStructure&, const SchurPlan&, bool, std::vector<double>,
                      std::optional<std::vector<double>>, double, int>(),
             nb::arg("structure"), nb::arg("plan"), nb::arg("reml"), nb::arg("start"),
             nb::arg("information").none(), nb::arg("tolerance"), nb::arg("most_iterations"),
             nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
        .def("fit", &refit, nb::arg("Y"), nb::arg("covariance"));
    m.def("fit_iterative", &fit_iterative, nb::arg("data"), nb::arg("reml"),
          nb::arg("start").none(), nb::arg("monte_carlo"), nb::arg("seed"),
          nb::arg("log_determinant"), nb::arg("plan").none(), nb::arg("on_iteration").none());
    m.def("evaluate", &evaluate, nb::arg("data"), nb::arg("plan"), nb::arg("gamma"),
          nb::arg("reml"), nb::arg("derivatives"));
    m.def("profile", &profile, nb::arg("data"), nb::arg("plan"), nb::arg("reml"), nb::arg("gamma"),
          nb::arg("parameters"), nb::arg("targets"), nb::arg("exact"), nb::arg("on_point").none());
    m.def("inverse_diagonal", &inverse_diagonal, nb::arg("data"), nb::arg("plan"),
          nb::arg("gamma"));
    m.def("iterative_inverse_diagonal", &iterative_inverse_diagonal, nb::arg("data"),
          nb::arg("gamma"), nb::arg("levels"));
    m.def("estimate_inverse_diagonal", &estimate_inverse_diagonal, nb::arg("data"),
          nb::arg("gamma"), nb::arg("probes"), nb::arg("seed"));
    m.def("without_rows", &without_rows, nb::arg("data"), nb::arg("rows"), nb::arg("residual"),
          nb::arg("sizes"));
    m.def("restore_sums", &restore_sums, nb::arg("state"));
    m.def("factor", &factor, nb::arg("data"), nb::arg("plan"), nb::arg("gamma"));
}
