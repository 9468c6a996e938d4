#include "state.hpp"

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace mm {
namespace {

constexpr const char* not_a_state = "not the state of such a value";

class Writer {
   public:
    template <class T>
    void operator()(const T& x) {
        static_assert(std::is_trivially_copyable_v<T>);
        bytes.append(reinterpret_cast<const char*>(&x), sizeof x);
    }
    template <class T>
    void operator()(const std::vector<T>& x) {
        (*this)(static_cast<std::uint64_t>(x.size()));
        bytes.append(reinterpret_cast<const char*>(x.data()), x.size() * sizeof(T));
    }

    void operator()(const Matrix& x) {
        (*this)(x.rows);
        (*this)(x.cols);
        (*this)(x.values);
    }

    std::string bytes;
};

class Reader {
   public:
    explicit Reader(const std::string& bytes) : at_(bytes.data()), left_(bytes.size()) {}
    template <class T>
    void operator()(T& x) {
        take(&x, 1, sizeof x);
    }
    template <class T>
    void operator()(std::vector<T>& x) {
        std::uint64_t size = 0;
        (*this)(size);
        if (size > left_ / sizeof(T)) throw std::invalid_argument(not_a_state);
        x.resize(static_cast<size_t>(size));
        take(x.data(), x.size(), sizeof(T));
    }
    void operator()(Matrix& x) {
        (*this)(x.rows);
        (*this)(x.cols);
        (*this)(x.values);
        if (x.values.size() != x.rows * x.cols) throw std::invalid_argument(not_a_state);
    }
    bool at_end() const { return left_ == 0; }

   private:
    void take(void* to, size_t count, size_t size) {
        if (count > left_ / size) throw std::invalid_argument(not_a_state);
        if (count > 0) std::memcpy(to, at_, count * size);
        at_ += count * size;
        left_ -= count * size;
    }

    const char* at_;
    size_t left_;
};

// Every field, once.
template <class Plan, class Archive>
void visit(Plan& p, Archive& field) {
    field(p.method);
    field(p.dimension);
    field(p.leading_cells);
    field(p.clique_work);
    field(p.nonzeros);
    field(p.flops);
    field(p.bytes);
    field(p.seconds);
    field(p.dense_bytes);
    field(p.beyond);
    field(p.sparse_nonzeros);
    field(p.sparse_flops);
    field(p.order);
    auto& s = p.supernodes;
    field(s.order);
    field(s.count);
    field(s.first);
    field(s.row_start);
    field(s.rows);
    field(s.supernodes);
    field(s.front);
    field(s.beyond);
    field(s.nonzeros);
    field(s.flops);
    field(s.stored);
    field(s.seconds);
}

template <class Rows, class Archive>
void visit_rows(Rows& a, Archive& field) {
    field(a.start);
    field(a.index);
    field(a.value);
}

template <class Summed, class Archive>
void visit_structure(Summed& s, Archive& field) {
    field(s.n);
    field(s.sum_log_weights);
    field(s.sum_weights);
    field(s.N.levels);
    field(s.N.offset);
    field(s.N.count);
    visit_rows(s.N.leading, field);
    visit_rows(s.N.leading_t, field);
    visit_rows(s.N.trailing, field);
    field(s.N.squares);
    field(s.basis.R);
    field(s.basis.kept);
    field(s.basis.dropped);
    field(s.ZtX);
    field(s.within);
    field(s.fitted);
}

template <class Step, class Archive>
void visit_iteration(Step& i, Archive& field) {
    field(i.number);
    field(i.evaluations);
    field(i.objective);
    field(i.step);
    field(i.decrement);
    field(i.gamma);
    field(i.gradient);
}

template <class Fitted, class Archive>
void visit_fit(Fitted& f, Archive& field) {
    auto& o = f.optimum;
    field(o.ending);
    field(o.objective);
    field(o.decrement);
    field(o.gamma);
    field(o.gradient);
    field(o.information);
    field(o.evaluations);
    field(f.beta);
    field(f.u);
    field(f.vcov);
    field(f.r2);
    field(f.nu);
    field(f.log_det_M);
    field(f.log_det_X);
    field(f.yty);
}

template <class Products, class Archive>
void visit_products(Products& p, Archive& field) {
    field(p.beta0);
    field(p.Zty);
    field(p.yty);
    field(p.yty_total);
    field(p.within);
}

}  // namespace

std::string save(const SchurPlan& plan) {
    Writer writer;
    visit(plan, writer);
    return std::move(writer.bytes);
}

SchurPlan restore_plan(const std::string& bytes) {
    SchurPlan plan;
    Reader reader(bytes);
    visit(plan, reader);
    if (!reader.at_end()) throw std::invalid_argument(not_a_state);
    return plan;
}

std::string save(const Fit& fit) {
    Writer writer;
    visit_fit(fit, writer);
    writer(static_cast<std::uint64_t>(fit.optimum.trace.size()));
    for (const Iteration& i : fit.optimum.trace) visit_iteration(i, writer);
    return std::move(writer.bytes);
}

Fit restore_fit(const std::string& bytes) {
    Fit fit;
    Reader reader(bytes);
    visit_fit(fit, reader);
    std::uint64_t steps = 0;
    reader(steps);
    for (std::uint64_t i = 0; i < steps && !reader.at_end(); ++i)
        visit_iteration(fit.optimum.trace.emplace_back(), reader);
    if (!reader.at_end() || fit.optimum.trace.size() != steps)
        throw std::invalid_argument(not_a_state);
    return fit;
}

std::string save(const CrossProducts& products) {
    Writer writer;
    visit_structure(*products.structure, writer);
    visit_products(products, writer);
    return std::move(writer.bytes);
}

CrossProducts restore_products(const std::string& bytes) {
    Reader reader(bytes);
    auto structure = std::make_shared<Structure>();
    visit_structure(*structure, reader);
    CrossProducts products(nullptr);
    visit_products(products, reader);
    if (!reader.at_end()) throw std::invalid_argument(not_a_state);
    products.structure = std::move(structure);
    return products;
}

}  // namespace mm
