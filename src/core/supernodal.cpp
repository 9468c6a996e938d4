#include "supernodal.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "dense.hpp"
#include "threads.hpp"

namespace mm {
namespace {

using List = std::vector<Code>;

constexpr size_t shares = 64;           // of the work, at most so much of it in a subtree
constexpr size_t plain = 1500;          // multiplications below which loops beat packing
constexpr size_t rows_of_task = 96;     // of a panel at the top of the tree
constexpr size_t columns_of_task = 16;  // of its assembly
constexpr size_t group = 256;           // columns of the inverse gathered at a time
constexpr double parallel_entries = 1e6;

// C <- C - A B'
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

struct Panel {
    size_t first, width, below, ld;
    const Code* rows;  // below
    double* values;    // column-major: the diagonal block, then the rows
    double* column(size_t j) const { return values + j * ld; }
    double* under() const { return values + width; }
};

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

class SupernodalSchur final : public Schur {
   public:
    SupernodalSchur(const CrossTabulation& N, const Supernodes& symbolic)
        : N_(N),
          symbolic_(symbolic),
          n_(symbolic.order.size()),
          below_(transpose(N.trailing, n_)),
          position_(n_),
          panel_of_(n_),
          start_(1, 0) {
        for (size_t k = 0; k < n_; ++k) position_[symbolic.order[k]] = static_cast<Code>(k);
        for (size_t p = 0; p < symbolic.panels(); ++p) {
            const size_t w = symbolic.width(p);
            std::fill_n(panel_of_.begin() + symbolic.first[p], w, static_cast<Code>(p));
            start_.push_back(start_.back() + w * (w + symbolic.below(p)));
        }
        share_out();
        factor_.resize(start_.back());
    }

    bool factor(const double* s, const double* kappa) override {
        inverted_ = false;
        const size_t panels = symbolic_.panels();
        head_.assign(panels, -1);
        next_.assign(panels, -1);
        done_.assign(panels, 0);
        std::atomic<bool> positive{true};
        parallel_for(subtrees_.size(), [&](size_t task) {
            const auto [from, to] = subtrees_[task];
            for (size_t p = from; p < to && positive; ++p) {
                const Panel P = panel(factor_, p);
                assemble(P, 0, P.width, s, kappa, local_rows(P));
                if (!eliminate(p, P, to, false)) positive = false;
            }
        });
        if (!positive) return false;
        // What the subtrees still have to give, in their order.
        for (const auto& [from, to] : subtrees_)
            for (size_t p = from; p < to; ++p) wait(p, panels);
        assemble_top(s, kappa);
        for (size_t p : top_)
            if (!eliminate(p, panel(factor_, p), panels, true)) return false;
        log_determinant_ = 0.0;
        for (size_t p = 0; p < panels; ++p) {
            const Panel P = panel(factor_, p);
            for (size_t j = 0; j < P.width; ++j) log_determinant_ += 2.0 * std::log(P.column(j)[j]);
        }
        return true;
    }

    double log_determinant() const override { return log_determinant_; }

    void forward(double* b, size_t ldb, size_t cols) const override {
        by_columns(cols, [&](size_t c) {
            double* bc = b + c * ldb;
            std::vector<double> x(n_), sum;
            for (size_t k = 0; k < n_; ++k) x[k] = bc[symbolic_.order[k]];
            for (size_t p = 0; p < symbolic_.panels(); ++p) {
                const Panel P = panel(factor_, p);
                double* xp = x.data() + P.first;
                forward_solve(P.values, P.width, P.ld, xp, n_, 1);
                sum.assign(P.below, 0.0);
                for (size_t j = 0; j < P.width; ++j) {
                    const double v = xp[j], *l = P.under() + j * P.ld;
                    for (size_t i = 0; i < P.below; ++i) sum[i] += l[i] * v;
                }
                for (size_t i = 0; i < P.below; ++i) x[P.rows[i]] -= sum[i];
            }
            std::copy(x.begin(), x.end(), bc);
        });
    }

    void backward(double* b, size_t ldb, size_t cols) const override {
        by_columns(cols, [&](size_t c) {
            double* bc = b + c * ldb;
            std::vector<double> x(bc, bc + n_), rows;
            for (size_t p = symbolic_.panels(); p-- > 0;) {
                const Panel P = panel(factor_, p);
                double* xp = x.data() + P.first;
                rows.resize(P.below);
                for (size_t i = 0; i < P.below; ++i) rows[i] = x[P.rows[i]];
                for (size_t j = 0; j < P.width; ++j)
                    xp[j] -= dot(P.under() + j * P.ld, rows.data(), P.below);
                backward_solve(P.values, P.width, P.ld, xp, n_, 1);
            }
            for (size_t k = 0; k < n_; ++k) bc[symbolic_.order[k]] = x[k];
        });
    }

    void invert() override {
        if (inverted_) return;
        inverse_.resize(start_.back());
        for (size_t i = top_.size(); i-- > 0;) invert_panel(top_[i], true);
        parallel_for(subtrees_.size(), [&](size_t task) {
            const auto [from, to] = subtrees_[task];
            for (size_t p = to; p-- > from;) invert_panel(p, false);
        });
        inverted_ = true;
    }

    double inverse_diagonal(size_t c) const override {
        const auto k = static_cast<size_t>(position_[c]);
        const Panel P = panel(inverse_, static_cast<size_t>(panel_of_[k]));
        return P.column(k - P.first)[k - P.first];
    }

    // The members of a row of cells are, panel after panel, columns of it and rows below them.
    void quadratic_forms(const double* s, double* out) const override {
        constexpr size_t rows = 512;
        const size_t q = N_.q_leading();
        parallel_for((q + rows - 1) / rows, [&](size_t task) {
            std::vector<std::pair<Code, double>> cells;  // positions, ascending
            List positions, local;
            for (size_t j = task * rows; j < std::min(q, (task + 1) * rows); ++j) {
                cells.clear();
                for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
                    const Code c = N_.leading.index[e];
                    cells.emplace_back(position_[c], s[c] * N_.leading.value[e]);
                }
                std::sort(cells.begin(), cells.end());
                positions.clear();
                for (const auto& cell : cells) positions.push_back(cell.first);
                local.resize(cells.size());
                double total = 0.0;
                for (size_t a = 0; a < cells.size();) {
                    const Panel Z = panel(inverse_, static_cast<size_t>(panel_of_[positions[a]]));
                    locate(Z, positions.data() + a, cells.size() - a, local.data() + a);
                    for (;
                         a < cells.size() && static_cast<size_t>(positions[a]) < Z.first + Z.width;
                         ++a) {
                        const double* z = Z.column(static_cast<size_t>(local[a]));
                        double sum = 0.5 * cells[a].second * z[local[a]];
                        for (size_t k = a + 1; k < cells.size(); ++k)
                            sum += cells[k].second * z[local[k]];
                        total += 2.0 * cells[a].second * sum;
                    }
                }
                out[j] = total;
            }
        });
    }

    void export_factor(std::vector<std::int64_t>& start, std::vector<Code>& index,
                       std::vector<double>& value) const override {
        column_pattern(N_.leading, N_.leading_t, symbolic_.order, start, index);
        value.resize(index.size());
        parallel_for(symbolic_.panels(), [&](size_t p) {
            const Panel P = panel(factor_, p);
            List local;
            for (size_t j = 0; j < P.width; ++j) {
                const auto from = start[P.first + j], to = start[P.first + j + 1];
                local.resize(static_cast<size_t>(to - from));
                locate(P, index.data() + from, local.size(), local.data());
                for (auto e = from; e < to; ++e) value[e] = P.column(j)[local[e - from]];
            }
        });
    }

   private:
    struct Update {  // of a panel by rows from..to of an earlier one, and those below them
        size_t panel, from, to;
    };

    Panel panel(const Values& values, size_t p) const {
        const size_t w = symbolic_.width(p), below = symbolic_.below(p);
        return {static_cast<size_t>(symbolic_.first[p]),
                w,
                below,
                w + below,
                symbolic_.rows.data() + symbolic_.row_start[p],
                values.data() + start_[p]};
    }

    // Subtrees that are independent tasks, consecutive small ones together, and the rest, the top.
    // They depend on the work alone, not on the number of threads.
    void share_out() {
        const size_t panels = symbolic_.panels();
        std::vector<double> work(panels, 0.0);
        std::vector<size_t> size(panels, 1), parent(panels, panels);
        double total = 0.0;
        for (size_t p = 0; p < panels; ++p) {
            const auto w = static_cast<double>(symbolic_.width(p));
            const double m = w + static_cast<double>(symbolic_.below(p));
            const double own = 1000.0 + 3.0 * w * m * m;
            total += own;
            work[p] += own;
            if (symbolic_.below(p) == 0) continue;
            parent[p] = static_cast<size_t>(panel_of_[symbolic_.rows[symbolic_.row_start[p]]]);
            work[parent[p]] += work[p];
            size[parent[p]] += size[p];
        }
        const double most = total / shares;
        double together = 0.0;
        for (size_t p = panels; p > 0;) {
            const size_t root = p - 1;
            if (work[root] > most) {
                top_.push_back(root);
                p = root;
                continue;
            }
            const size_t from = p - size[root];
            if (!subtrees_.empty() && subtrees_.back().first == p &&
                together + work[root] <= most) {
                subtrees_.back().first = from;
                together += work[root];
            } else {
                subtrees_.emplace_back(from, p);
                together = work[root];
            }
            p = from;
        }
        std::reverse(top_.begin(), top_.end());
        std::reverse(subtrees_.begin(), subtrees_.end());
    }

    // Position -> row of the panel, for the panel's own positions.
    const List& local_rows(const Panel& P) const {
        thread_local List local;
        if (local.size() < n_) local.resize(n_);
        for (size_t j = 0; j < P.width; ++j) local[P.first + j] = static_cast<Code>(j);
        for (size_t i = 0; i < P.below; ++i) local[P.rows[i]] = static_cast<Code>(P.width + i);
        return local;
    }

    // Columns from..to of a panel of S.
    void assemble(const Panel& P, size_t from, size_t to, const double* s, const double* kappa,
                  const List& local) const {
        for (size_t j = from; j < to; ++j) {
            const auto here = static_cast<Code>(P.first + j);
            const Code c = symbolic_.order[here];
            double* column = P.column(j);
            std::fill_n(column, P.ld, 0.0);
            column[j] = 1.0 + s[c] * s[c] * N_.count[N_.q_leading() + static_cast<size_t>(c)];
            const auto add = [&](const SparseRows& half) {
                for (auto e = half.start[c]; e < half.start[c + 1]; ++e) {
                    const Code d = half.index[e];
                    if (position_[d] > here)
                        column[local[position_[d]]] += s[c] * s[d] * half.value[e];
                }
            };
            add(N_.trailing);
            add(below_);
            for (auto e = N_.leading_t.start[c]; e < N_.leading_t.start[c + 1]; ++e) {
                const Code l = N_.leading_t.index[e];
                const double f = kappa[l] * s[c] * N_.leading_t.value[e];
                for (auto g = N_.leading.start[l]; g < N_.leading.start[l + 1]; ++g) {
                    const Code d = N_.leading.index[g];
                    if (position_[d] >= here)
                        column[local[position_[d]]] -= f * s[d] * N_.leading.value[g];
                }
            }
        }
    }

    void assemble_top(const double* s, const double* kappa) const {
        std::vector<std::pair<size_t, size_t>> tasks;
        for (size_t p : top_)
            for (size_t j = 0; j < symbolic_.width(p); j += columns_of_task)
                tasks.emplace_back(p, j);
        parallel_for(tasks.size(), [&](size_t task) {
            const auto [p, j] = tasks[task];
            const Panel P = panel(factor_, p);
            assemble(P, j, std::min(P.width, j + columns_of_task), s, kappa, local_rows(P));
        });
    }

    // Panel p has given its first done_[p] rows: it waits for the panel of the next, if that is
    // before `end`.
    void wait(size_t p, size_t end) {
        const auto row = symbolic_.row_start[p] + done_[p];
        if (row >= symbolic_.row_start[p + 1]) return;
        const auto target = static_cast<size_t>(panel_of_[symbolic_.rows[row]]);
        if (target >= end) return;
        next_[p] = head_[target];
        head_[target] = static_cast<Code>(p);
    }

    // Updates by all that wait for the panel, then its own factor.
    bool eliminate(size_t p, const Panel& P, size_t end, bool parallel) {
        thread_local std::vector<Update> updates;
        updates.clear();
        const auto stop = static_cast<Code>(P.first + P.width);
        for (Code d = head_[p], following; d >= 0; d = following) {
            following = next_[d];
            const Code* rows = symbolic_.rows.data() + symbolic_.row_start[d];
            auto to = static_cast<size_t>(done_[d]);
            const size_t from = to, below = symbolic_.below(d);
            while (to < below && rows[to] < stop) ++to;
            updates.push_back({static_cast<size_t>(d), from, to});
            done_[d] = static_cast<Code>(to);
            wait(static_cast<size_t>(d), end);
        }
        const List& local = local_rows(P);
        if (!parallel) {
            apply(P, updates, 0, P.ld, local);
            if (!factor_diagonal(P.values, P.width, P.ld)) return false;
            if (P.below > 0) solve_panel(P.values, P.ld, P.width, P.under(), P.below, P.ld);
        } else {
            const auto& given = updates;
            parallel_for((P.ld + rows_of_task - 1) / rows_of_task, [&](size_t task) {
                const size_t row = task * rows_of_task;
                apply(P, given, row, std::min(P.ld, row + rows_of_task), local);
            });
            if (!factor_diagonal(P.values, P.width, P.ld)) return false;
            parallel_for((P.below + rows_of_task - 1) / rows_of_task, [&](size_t task) {
                const size_t row = task * rows_of_task;
                solve_panel(P.values, P.ld, P.width, P.under() + row,
                            std::min(rows_of_task, P.below - row), P.ld);
            });
        }
        wait(p, end);
        return true;
    }

    // The part of the updates that falls into the panel's rows first..last.
    void apply(const Panel& P, const std::vector<Update>& updates, size_t first, size_t last,
               const List& local) const {
        thread_local std::vector<double> product;
        for (const Update& u : updates) {
            const Panel D = panel(factor_, u.panel);
            const Code* from = D.rows + u.from;
            const Code* to = D.rows + D.below;
            const auto above = [&](Code row, size_t limit) {
                return static_cast<size_t>(local[row]) < limit;
            };
            if (first > 0) from = std::lower_bound(from, to, first, above);
            if (last < P.ld) to = std::lower_bound(from, to, last, above);
            if (from == to) continue;
            const auto m = static_cast<size_t>(to - from);
            const size_t n = u.to - u.from;
            const double* rows = D.under() + (from - D.rows);
            const double* columns = D.under() + u.from;
            const auto start = static_cast<size_t>(local[*from]);
            const Code first_column = D.rows[u.from];
            double* target = P.column(static_cast<size_t>(first_column) - P.first);
            // Where the rows and columns are neighbours in the panel too, straight into it.
            if (static_cast<size_t>(local[to[-1]]) - start == m - 1 &&
                static_cast<size_t>(D.rows[u.to - 1] - first_column) == n - 1) {
                subtract(false, m, n, D.width, {rows, 1, D.ld}, {columns, 1, D.ld}, target + start,
                         P.ld);
                continue;
            }
            if (m * n * D.width <= plain) {
                for (size_t j = 0; j < n; ++j) {
                    double* column =
                        target + static_cast<size_t>(D.rows[u.from + j] - first_column) * P.ld;
                    for (size_t k = 0; k < D.width; ++k) {
                        const double f = columns[k * D.ld + j], *l = rows + k * D.ld;
                        for (size_t i = 0; i < m; ++i) column[local[from[i]]] -= f * l[i];
                    }
                }
                continue;
            }
            product.assign(m * n, 0.0);
            subtract_product(m, n, D.width, {rows, 1, D.ld}, {columns, 1, D.ld}, product.data(), m);
            for (size_t j = 0; j < n; ++j) {
                double* column =
                    target + static_cast<size_t>(D.rows[u.from + j] - first_column) * P.ld;
                for (size_t i = 0; i < m; ++i) column[local[from[i]]] += product[j * m + i];
            }
        }
    }

    // With Y = L_RJ L_JJ^-1:  Z_RJ = -Z_RR Y,  Z_JJ = L_JJ^-T L_JJ^-1 - Y'Z_RJ, both triangles.
    void invert_panel(size_t p, bool parallel) {
        thread_local std::vector<double> T, Y, gathered;
        const Panel L = panel(factor_, p), Z = panel(inverse_, p);
        const size_t w = L.width, r = L.below;
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

    // The end of the rows of L, from `from` on, that lie in the same panel.
    size_t block_end(const Panel& L, size_t from) const {
        const auto p = static_cast<size_t>(panel_of_[L.rows[from]]);
        const Code end = symbolic_.first[p + 1];
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
        List local(r - from);
        for (size_t a = from, b; a < to; a = b) {
            b = block_end(L, a);
            const Panel Z = panel(inverse_, static_cast<size_t>(panel_of_[L.rows[a]]));
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
            if (parallel && static_cast<double>(b - a) * static_cast<double>(ld) > 1e5)
                parallel_for(b - a, [&](size_t j) { copy(a + j); });
            else
                for (size_t j = a; j < b; ++j) copy(j);
        }
        return {out.data(), ld};
    }

    // The places in a panel of ascending positions that all are in it.
    static void locate(const Panel& P, const Code* positions, size_t count, Code* local) {
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

    void by_columns(size_t count, const std::function<void(size_t)>& task) const {
        if (static_cast<double>(start_.back()) * static_cast<double>(count) > parallel_entries)
            parallel_for(count, task);
        else
            for (size_t c = 0; c < count; ++c) task(c);
    }

    const CrossTabulation& N_;
    const Supernodes& symbolic_;
    size_t n_;
    SparseRows below_;
    List position_, panel_of_;
    std::vector<size_t> start_;  // of the panels' values
    std::vector<std::pair<size_t, size_t>> subtrees_;
    std::vector<size_t> top_;
    List head_, next_;  // panels that wait for a panel: the first, and the next after each
    List done_;         // rows of a panel that have been used
    Values factor_, inverse_;
    bool inverted_ = false;
    double log_determinant_ = 0.0;
};

}  // namespace

std::unique_ptr<Schur> make_supernodal(const CrossTabulation& N, const Supernodes& supernodes) {
    return std::make_unique<SupernodalSchur>(N, supernodes);
}

}  // namespace mm
