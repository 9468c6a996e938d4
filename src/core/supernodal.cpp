#include "supernodal.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "selected_inverse.hpp"
#include "threads.hpp"

namespace mm {
namespace {

using List = std::vector<Code>;

constexpr size_t rows_of_task = 192;      // of a tall panel at the top of the tree; else half
constexpr size_t columns_of_task = 16;    // of its assembly
constexpr size_t by_lanes = 32;           // rows above which a sum is taken in lanes
constexpr double parallel_entries = 1e6;  // times right-hand sides, of a triangular solve

class SupernodalSchur final : public Schur {
   public:
    SupernodalSchur(const CrossTabulation& N, const Supernodes& symbolic)
        : N_(N),
          symbolic_(symbolic),
          panels_(symbolic),
          n_(symbolic.order.size()),
          below_(transpose(N.trailing, n_)),
          position_(n_) {
        for (size_t k = 0; k < n_; ++k) position_[symbolic.order[k]] = static_cast<Code>(k);
        factor_.resize(panels_.size());
    }

    bool factor(const double* s, const double* kappa) override {
        inverted_ = false;
        const size_t panels = panels_.count();
        head_.assign(panels, -1);
        next_.assign(panels, -1);
        done_.assign(panels, 0);
        std::atomic<bool> positive{true};
        parallel_for(panels_.subtrees.size(), [&](size_t task) {
            const auto [from, to] = panels_.subtrees[task];
            for (size_t p = from; p < to && positive; ++p) {
                const Panel P = panels_.view(factor_, p);
                assemble(P, 0, P.width, s, kappa, local_rows(P));
                if (!eliminate(p, P, to, false)) positive = false;
            }
        });
        if (!positive) return false;
        // What the subtrees still have to give, in their order.
        for (const auto& [from, to] : panels_.subtrees)
            for (size_t p = from; p < to; ++p) wait(p, panels);
        assemble_top(s, kappa);
        for (size_t p : panels_.top)
            if (!eliminate(p, panels_.view(factor_, p), panels, true)) return false;
        log_determinant_ = 0.0;
        for (size_t p = 0; p < panels; ++p) {
            const Panel P = panels_.view(factor_, p);
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
            for (size_t p = 0; p < panels_.count(); ++p) {
                const Panel P = panels_.view(factor_, p);
                if (P.width == 1) {
                    const double v = x[P.first] /= P.values[0];
                    for (size_t i = 0; i < P.below; ++i) x[P.rows[i]] -= P.values[i + 1] * v;
                    continue;
                }
                sum.assign(P.ld, 0.0);
                for (size_t j = 0; j < P.width; ++j) {
                    const double* l = P.column(j);
                    const double v = x[P.first + j] = (x[P.first + j] - sum[j]) / l[j];
                    for (size_t i = j + 1; i < P.ld; ++i) sum[i] += l[i] * v;
                }
                for (size_t i = 0; i < P.below; ++i) x[P.rows[i]] -= sum[P.width + i];
            }
            std::copy(x.begin(), x.end(), bc);
        });
    }

    void backward(double* b, size_t ldb, size_t cols) const override {
        by_columns(cols, [&](size_t c) {
            double* bc = b + c * ldb;
            std::vector<double> x(bc, bc + n_), rows;
            for (size_t p = panels_.count(); p-- > 0;) {
                const Panel P = panels_.view(factor_, p);
                if (P.width == 1 && P.ld < by_lanes) {
                    double v = x[P.first];
                    for (size_t i = 0; i < P.below; ++i) v -= P.values[i + 1] * x[P.rows[i]];
                    x[P.first] = v / P.values[0];
                    continue;
                }
                rows.resize(P.ld);
                for (size_t i = 0; i < P.below; ++i) rows[P.width + i] = x[P.rows[i]];
                for (size_t j = P.width; j-- > 0;) {
                    const double* l = P.column(j);
                    double sum = 0.0;
                    if (P.ld < by_lanes)
                        for (size_t i = j + 1; i < P.ld; ++i) sum += l[i] * rows[i];
                    else
                        sum = dot(l + j + 1, rows.data() + j + 1, P.ld - j - 1);
                    rows[j] = x[P.first + j] = (x[P.first + j] - sum) / l[j];
                }
            }
            for (size_t k = 0; k < n_; ++k) bc[symbolic_.order[k]] = x[k];
        });
    }

    void invert() override {
        if (inverted_) return;
        selected_inverse(panels_, factor_, inverse_);
        inverted_ = true;
    }

    double inverse_diagonal(size_t c) const override {
        const auto k = static_cast<size_t>(position_[c]);
        const Panel P = panels_.view(inverse_, panels_.of(position_[c]));
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
                    const Panel Z = panels_.view(inverse_, panels_.of(positions[a]));
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
        parallel_for(panels_.count(), [&](size_t p) {
            const Panel P = panels_.view(factor_, p);
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
        for (size_t p : panels_.top)
            for (size_t j = 0; j < symbolic_.width(p); j += columns_of_task)
                tasks.emplace_back(p, j);
        parallel_for(tasks.size(), [&](size_t task) {
            const auto [p, j] = tasks[task];
            const Panel P = panels_.view(factor_, p);
            assemble(P, j, std::min(P.width, j + columns_of_task), s, kappa, local_rows(P));
        });
    }

    // Panel p has given its first done_[p] rows: it waits for the panel of the next, if that is
    // before `end`.
    void wait(size_t p, size_t end) {
        const auto row = symbolic_.row_start[p] + done_[p];
        if (row >= symbolic_.row_start[p + 1]) return;
        const auto target = panels_.of(symbolic_.rows[row]);
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
            const size_t share = P.ld < 8 * rows_of_task ? rows_of_task / 2 : rows_of_task;
            parallel_for((P.ld + share - 1) / share, [&](size_t task) {
                const size_t row = task * share;
                apply(P, given, row, std::min(P.ld, row + share), local);
            });
            if (!factor_diagonal(P.values, P.width, P.ld)) return false;
            parallel_for((P.below + share - 1) / share, [&](size_t task) {
                const size_t row = task * share;
                solve_panel(P.values, P.ld, P.width, P.under() + row,
                            std::min(share, P.below - row), P.ld);
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
            const Panel D = panels_.view(factor_, u.panel);
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

    void by_columns(size_t count, const std::function<void(size_t)>& task) const {
        if (static_cast<double>(panels_.size()) * static_cast<double>(count) > parallel_entries)
            parallel_for(count, task);
        else
            for (size_t c = 0; c < count; ++c) task(c);
    }

    const CrossTabulation& N_;
    const Supernodes& symbolic_;
    Panels panels_;
    size_t n_;
    SparseRows below_;
    List position_;     // of a trailing level
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
