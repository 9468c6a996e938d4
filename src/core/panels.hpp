// Where the numbers of a supernodal factor lie, and which parts of the tree are independent tasks.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "dense.hpp"
#include "elimination.hpp"

namespace mm {

struct Panel {
    size_t first, width, below, ld;
    const Code* rows;  // below
    double* values;    // column-major: the diagonal block, then the rows
    double* column(size_t j) const { return values + j * ld; }
    double* under() const { return values + width; }
};

// The places in a panel of ascending positions that all are in it.
void locate(const Panel& P, const Code* positions, size_t count, Code* local);

// An array that is not filled when it is made, so that the threads that fill it place it.
class Values {
   public:
    void resize(size_t size) {
        if (size == size_) return;
        values_.reset();
        values_ = std::make_unique_for_overwrite<double[]>(size);
        size_ = size;
    }
    double* data() const { return values_.get(); }

   private:
    std::unique_ptr<double[]> values_;
    size_t size_ = 0;
};

class Panels {
   public:
    explicit Panels(const Supernodes& symbolic);

    size_t count() const { return symbolic.panels(); }
    size_t size() const { return start_.back(); }
    size_t of(Code position) const { return static_cast<size_t>(panel_of_[position]); }
    Panel view(const Values& values, size_t p) const {
        const size_t w = symbolic.width(p), below = symbolic.below(p);
        return {static_cast<size_t>(symbolic.first[p]),
                w,
                below,
                w + below,
                symbolic.rows.data() + symbolic.row_start[p],
                values.data() + start_[p]};
    }

    const Supernodes& symbolic;
    // Subtrees from..to that are independent tasks, consecutive small ones together, and the rest,
    // the top of the tree. They depend on the work alone, not on the number of threads.
    std::vector<std::pair<size_t, size_t>> subtrees;
    std::vector<size_t> top;

   private:
    void share_out();

    std::vector<Code> panel_of_;  // of a position
    std::vector<size_t> start_;   // of the panels' values
};

constexpr size_t plain = 1500;  // multiplications below which loops beat packing

// C <- C - A B', by loops where it is small, on several threads if asked for.
void subtract(bool parallel, size_t m, size_t n, size_t k, Strided A, Strided B, double* C,
              size_t ldc);

}  // namespace mm
