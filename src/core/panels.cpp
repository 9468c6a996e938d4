#include "panels.hpp"

#include <algorithm>

namespace mm {
namespace {

constexpr size_t shares = 64;  // of the work, at most so much of it in a subtree

}  // namespace

Panels::Panels(const Supernodes& symbolic_)
    : symbolic(symbolic_), panel_of_(symbolic_.order.size()), start_(1, 0) {
    for (size_t p = 0; p < count(); ++p) {
        const size_t w = symbolic.width(p);
        std::fill_n(panel_of_.begin() + symbolic.first[p], w, static_cast<Code>(p));
        start_.push_back(start_.back() + w * (w + symbolic.below(p)));
    }
    share_out();
}

void Panels::share_out() {
    const size_t panels = count();
    std::vector<double> work(panels, 0.0);
    std::vector<size_t> size(panels, 1), parent(panels, panels);
    double total = 0.0;
    for (size_t p = 0; p < panels; ++p) {
        const auto w = static_cast<double>(symbolic.width(p));
        const double m = w + static_cast<double>(symbolic.below(p));
        const double own = 1000.0 + 3.0 * w * m * m;
        total += own;
        work[p] += own;
        if (symbolic.below(p) == 0) continue;
        parent[p] = static_cast<size_t>(panel_of_[symbolic.rows[symbolic.row_start[p]]]);
        work[parent[p]] += work[p];
        size[parent[p]] += size[p];
    }
    const double most = total / shares;
    double together = 0.0;
    for (size_t p = panels; p > 0;) {
        const size_t root = p - 1;
        if (work[root] > most) {
            top.push_back(root);
            p = root;
            continue;
        }
        const size_t from = p - size[root];
        if (!subtrees.empty() && subtrees.back().first == p && together + work[root] <= most) {
            subtrees.back().first = from;
            together += work[root];
        } else {
            subtrees.emplace_back(from, p);
            together = work[root];
        }
        p = from;
    }
    std::reverse(top.begin(), top.end());
    std::reverse(subtrees.begin(), subtrees.end());
}

void locate(const Panel& P, const Code* positions, size_t count, Code* local) {
    const auto end = static_cast<Code>(P.first + P.width);
    size_t i = 0;
    for (; i < count && positions[i] < end; ++i)
        local[i] = positions[i] - static_cast<Code>(P.first);
    const Code* at = P.rows;
    for (; i < count; ++i, ++at) {
        if (*at != positions[i]) at = std::lower_bound(at, P.rows + P.below, positions[i]);
        local[i] = static_cast<Code>(P.width) + static_cast<Code>(at - P.rows);
    }
}

void subtract(bool parallel, size_t m, size_t n, size_t k, Strided A, Strided B, double* C,
              size_t ldc) {
    if (m * n * k > plain) {
        (parallel ? subtract_product_parallel : subtract_product)(m, n, k, A, B, C, ldc);
        return;
    }
    for (size_t j = 0; j < n; ++j)
        for (size_t l = 0; l < k; ++l) {
            const double f = B.values[j * B.row + l * B.column];
            const double* a = A.values + l * A.column;
            double* c = C + j * ldc;
            for (size_t i = 0; i < m; ++i) c[i] -= f * a[i * A.row];
        }
}

}  // namespace mm
