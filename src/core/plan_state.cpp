#include "plan_state.hpp"

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace mm {
namespace {

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
        if (size > left_ / sizeof(T)) throw std::invalid_argument("not the state of a plan");
        x.resize(static_cast<size_t>(size));
        take(x.data(), x.size(), sizeof(T));
    }
    bool at_end() const { return left_ == 0; }

   private:
    void take(void* to, size_t count, size_t size) {
        if (count > left_ / size) throw std::invalid_argument("not the state of a plan");
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

}  // namespace

std::string save(const SchurPlan& plan) {
    Writer writer;
    visit(plan, writer);
    return std::move(writer.bytes);
}

SchurPlan restore(const std::string& bytes) {
    SchurPlan plan;
    Reader reader(bytes);
    visit(plan, reader);
    if (!reader.at_end()) throw std::invalid_argument("not the state of a plan");
    return plan;
}

}  // namespace mm
