#include "selected_inverse.hpp"

#include <algorithm>

#include "threads.hpp"

namespace mm {
namespace {

constexpr size_t group = 256;             // columns gathered at a time
constexpr double parallel_entries = 1e5;  // gathered on several threads

class Inverse {
   public:
    Inverse(const Panels& panels, const Values& factor, const Values& inverse)
        : panels_(panels), factor_(factor), inverse_(inverse) {}

    // With Y = L_RJ L_JJ^-1:  Z_RJ = -Z_RR Y,  Z_JJ = L_JJ^-T L_JJ^-1 - Y'Z_RJ, both triangles.
    void invert_panel(size_t p, bool parallel) const {
        thread_local std::vector<double> T, Y, gathered;
        const Panel L = panels_.view(factor_, p), Z = panels_.view(inverse_, p);
        const size_t w = L.width, r = L.below;
        if (w == 1 && r == 0) {
            Z.values[0] = 1.0 / (L.values[0] * L.values[0]);
            return;
        }
        std::fill_n(Z.values, w * Z.ld, 0.0);
        T.resize(w * w);
        invert_triangle(L.values, w, L.ld, T.data());
        // Products are subtracted from zero: their signs change afterwards.
        subtract(parallel, w, w, w, {T.data(), w, 1}, {T.data(), w, 1}, Z.values, Z.ld);
        for (size_t j = 0; j < w; ++j)
            for (size_t i = 0; i < w; ++i) Z.column(j)[i] = -Z.column(j)[i];
        if (r == 0) return;
        Y.assign(r * w, 0.0);  // -Y
        subtract(parallel, r, w, w, {L.under(), 1, L.ld}, {T.data(), w, 1}, Y.data(), r);
        for (double& y : Y) y = -y;
        for (size_t from = 0, to; from < r; from = to) {
            to = group_end(L, from);
            const auto [G, ldg] = gather(L, from, to, parallel, gathered);
            subtract(parallel, r - from, w, to - from, {G, 1, ldg}, {Y.data() + from, r, 1},
                     Z.under() + from, Z.ld);
            if (to < r)
                subtract(parallel, to - from, w, r - to, {G + (to - from), ldg, 1},
                         {Y.data() + to, r, 1}, Z.under() + from, Z.ld);
        }
        subtract(parallel, w, w, r, {Y.data(), r, 1}, {Z.under(), Z.ld, 1}, Z.values, Z.ld);
    }

   private:
    // The end of the rows of L, from `from` on, that lie in the same panel.
    size_t block_end(const Panel& L, size_t from) const {
        const Code end = panels_.symbolic.first[panels_.of(L.rows[from]) + 1];
        size_t to = from + 1;
        while (to < L.below && L.rows[to] < end) ++to;
        return to;
    }

    // Blocks are taken together up to a number of columns.
    size_t group_end(const Panel& L, size_t from) const {
        size_t to = block_end(L, from);
        while (to < L.below) {
            const size_t next = block_end(L, to);
            if (next - from > group) break;
            to = next;
        }
        return to;
    }

    // Columns from..to of Z_RR, rows from `from` on, with R the rows of L below its diagonal block;
    // the square on the diagonal in full. A view of a panel where that is how it lies.
    std::pair<const double*, size_t> gather(const Panel& L, size_t from, size_t to, bool parallel,
                                            std::vector<double>& out) const {
        const size_t r = L.below, ld = r - from;
        std::vector<Code> local(r - from);
        for (size_t a = from, b; a < to; a = b) {
            b = block_end(L, a);
            const Panel Z = panels_.view(inverse_, panels_.of(L.rows[a]));
            locate(Z, L.rows + a, r - a, local.data());
            const auto start = static_cast<size_t>(local[0]);
            if (a == from && b == to && static_cast<size_t>(local[r - a - 1]) - start == r - a - 1)
                return {Z.column(start) + start, Z.ld};
            if (a == from) out.resize(ld * (to - from));
            const auto copy = [&](size_t j) {
                const double* z = Z.column(static_cast<size_t>(local[j - a]));
                double* g = out.data() + (j - from) * ld;
                for (size_t i = from; i < a; ++i)  // gathered already, across the diagonal
                    g[i - from] = out[(i - from) * ld + (j - from)];
                for (size_t i = a; i < r; ++i) g[i - from] = z[local[i - a]];
            };
            if (parallel && static_cast<double>(b - a) * static_cast<double>(ld) > parallel_entries)
                parallel_for(b - a, [&](size_t j) { copy(a + j); });
            else
                for (size_t j = a; j < b; ++j) copy(j);
        }
        return {out.data(), ld};
    }

    const Panels& panels_;
    const Values &factor_, &inverse_;
};

}  // namespace

void selected_inverse(const Panels& panels, const Values& factor, Values& inverse) {
    inverse.resize(panels.size());
    const Inverse by_panel(panels, factor, inverse);
    for (size_t i = panels.top.size(); i-- > 0;) by_panel.invert_panel(panels.top[i], true);
    parallel_for(panels.subtrees.size(), [&](size_t task) {
        const auto [from, to] = panels.subtrees[task];
        for (size_t p = to; p-- > from;) by_panel.invert_panel(p, false);
    });
}

}  // namespace mm
