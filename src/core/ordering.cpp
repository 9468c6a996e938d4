#include "ordering.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

namespace mm {
namespace {

using List = std::vector<Code>;

constexpr size_t small_clique = 16;    // members up to which a clique is written as edges
constexpr size_t steps_a_check = 256;  // between two questions whether to stop
constexpr double entry_flops = 3.0;    // of factor and inverse, for a column of m entries: 3 m^2

// Vertices by degree: doubly linked lists, one a degree.
class DegreeQueue {
   public:
    explicit DegreeQueue(size_t n) : head_(n + 1, -1), next_(n, -1), last_(n, -1), degree_(n, -1) {}

    void insert(Code v, size_t degree) {
        degree_[v] = static_cast<Code>(degree);
        next_[v] = head_[degree];
        last_[v] = -1;
        if (head_[degree] >= 0) last_[head_[degree]] = v;
        head_[degree] = v;
        least_ = std::min(least_, degree);
    }
    void remove(Code v) {
        if (degree_[v] < 0) return;
        if (last_[v] >= 0)
            next_[last_[v]] = next_[v];
        else
            head_[degree_[v]] = next_[v];
        if (next_[v] >= 0) last_[next_[v]] = last_[v];
        degree_[v] = -1;
    }
    Code pop_least() {
        while (head_[least_] < 0) ++least_;
        const Code v = head_[least_];
        remove(v);
        return v;
    }
    size_t degree(Code v) const { return static_cast<size_t>(degree_[v]); }

   private:
    List head_, next_, last_, degree_;
    size_t least_ = 0;
};

// Every variable has a list of the elements (eliminated variables, or cliques) that it belongs to,
// then of the variables that it is tied to by an edge. The list never grows: what a variable gains,
// the new element, replaces at least one entry through which it was next to the pivot.
class QuotientGraph {
   public:
    QuotientGraph(const SparseRows& cliques, const SparseRows& transposed, Limits limits,
                  const Stop& stop)
        : n_(transposed.rows()),
          limits_(limits),
          stop_(stop),
          start_(n_ + 1, 0),
          elements_(n_, 0),
          length_(n_, 0),
          weight_(n_, 1),
          mark_(n_, -1),
          members_(n_),
          absorbed_(n_),
          queue_(n_) {
        find_cliques(cliques);
        find_edges(cliques, transposed);
        if (beyond_) return;
        put_dense_rows_aside();
        alive_.assign(members_.size(), 1);
        outside_.assign(members_.size(), 0);
        stamp_.assign(members_.size(), -1);
        size_.resize(members_.size());
        for (size_t e = 0; e < members_.size(); ++e)
            size_[e] = static_cast<std::int64_t>(members_[e].size());
        std::fill(mark_.begin(), mark_.end(), -1);
        for (size_t v = 0; v < n_; ++v)
            if (weight_[v] > 0) queue_.insert(static_cast<Code>(v), initial_degree(v));
    }

    Ordering eliminate_all() {
        Ordering out;
        size_t steps = 0;
        while (!beyond_ && out.order.size() + dense_.size() < n_) {
            if (++steps % steps_a_check == 0 && stop_ && stop_()) throw Interrupted();
            const Code pivot = queue_.pop_least();
            eliminate(pivot);
            emit(pivot, out.order);
        }
        out.beyond = beyond_;
        out.nonzeros = nonzeros_;
        out.flops = flops_;
        if (beyond_)
            out.order.clear();
        else
            out.order.insert(out.order.end(), dense_.begin(), dense_.end());
        return out;
    }

   private:
    // Large cliques stay elements; of rows with the same members one.
    void find_cliques(const SparseRows& cliques) {
        std::unordered_multimap<size_t, Code> known;
        large_.assign(cliques.rows(), -1);
        for (size_t r = 0; r < cliques.rows(); ++r) {
            const auto first = cliques.index.begin() + cliques.start[r];
            const auto last = cliques.index.begin() + cliques.start[r + 1];
            if (static_cast<size_t>(last - first) <= small_clique) continue;
            size_t hash = 0;
            for (auto c = first; c != last; ++c) hash = hash * 1000003u + static_cast<size_t>(*c);
            const auto [from, to] = known.equal_range(hash);
            if (std::any_of(from, to, [&](const auto& entry) {
                    const List& m = members_[entry.second];
                    return std::equal(m.begin(), m.end(), first, last);
                }))
                continue;
            large_[r] = static_cast<Code>(members_.size());
            known.emplace(hash, large_[r]);
            members_.emplace_back(first, last);
        }
    }

    void find_edges(const SparseRows& cliques, const SparseRows& transposed) {
        for (size_t v = 0; v < n_; ++v) {
            if (v % (16 * steps_a_check) == 0 && stop_ && stop_()) throw Interrupted();
            mark_[v] = static_cast<Code>(v);
            for (auto e = transposed.start[v]; e < transposed.start[v + 1]; ++e)
                if (const Code large = large_[transposed.index[e]]; large >= 0) {
                    list_.push_back(large);
                    ++elements_[v];
                }
            for (auto e = transposed.start[v]; e < transposed.start[v + 1]; ++e) {
                const Code r = transposed.index[e];
                const auto first = cliques.start[r], last = cliques.start[r + 1];
                if (static_cast<size_t>(last - first) > small_clique) continue;
                for (auto f = first; f < last; ++f) {
                    const Code u = cliques.index[f];
                    if (mark_[u] == static_cast<Code>(v)) continue;
                    mark_[u] = static_cast<Code>(v);
                    list_.push_back(u);
                }
            }
            start_[v + 1] = static_cast<std::int64_t>(list_.size());
            length_[v] = static_cast<Code>(start_[v + 1] - start_[v]);
            // The factor has an entry for each edge at least.
            edges_ += 0.5 * static_cast<double>(length_[v] - elements_[v]);
            if (edges_ + static_cast<double>(n_) > limits_.nonzeros) {
                nonzeros_ = edges_ + static_cast<double>(n_);
                flops_ = entry_flops * nonzeros_ * nonzeros_ / static_cast<double>(n_);
                beyond_ = true;
                return;
            }
        }
        List().swap(large_);
    }

    // What is next to nearly everything is eliminated last, and is in nobody's way until then.
    void put_dense_rows_aside() {
        const auto much =
            static_cast<size_t>(std::max(40.0, 10.0 * std::sqrt(static_cast<double>(n_))));
        std::vector<size_t> degree(n_);
        for (size_t v = 0; v < n_; ++v) {
            degree[v] = initial_degree(v);
            if (degree[v] > much) dense_.push_back(static_cast<Code>(v));
        }
        if (dense_.empty()) return;
        std::stable_sort(dense_.begin(), dense_.end(),
                         [&](Code a, Code b) { return degree[a] < degree[b]; });
        for (Code v : dense_) weight_[v] = 0;
        for (List& m : members_) std::erase_if(m, [&](Code v) { return weight_[v] == 0; });
        for (size_t v = 0; v < n_; ++v) {
            Code* list = list_.data() + start_[v];
            Code* end = std::remove_if(list + elements_[v], list + length_[v],
                                       [&](Code u) { return weight_[u] == 0; });
            length_[v] = static_cast<Code>(end - list);
        }
        remaining_ -= dense_.size();
        const auto d = static_cast<double>(dense_.size());
        nonzeros_ += 0.5 * d * (d + 1.0);
        flops_ += entry_flops * d * d * d / 3.0;
    }

    size_t initial_degree(size_t v) const {
        const Code* list = list_.data() + start_[v];
        auto d = static_cast<size_t>(length_[v] - elements_[v]);
        for (Code e = 0; e < elements_[v]; ++e) d += members_[list[e]].size() - 1;
        return std::min(d, n_ - 1);
    }

    void emit(Code pivot, List& order) {
        List stack{pivot};
        while (!stack.empty()) {
            const Code v = stack.back();
            stack.pop_back();
            order.push_back(v);
            stack.insert(stack.end(), absorbed_[v].begin(), absorbed_[v].end());
        }
    }

    void kill(Code e) {
        alive_[e] = 0;
        List().swap(members_[e]);
    }

    // The pivot's neighbours become one element; what it was made of is gone.
    void eliminate(Code pivot) {
        List& lp = members_[pivot];
        lp.clear();
        const Code mark = ++marks_;
        mark_[pivot] = mark;
        std::int64_t size = 0;
        const auto take = [&](Code v) {
            if (weight_[v] == 0 || mark_[v] == mark) return;
            mark_[v] = mark;
            lp.push_back(v);
            size += weight_[v];
        };
        const Code* list = list_.data() + start_[pivot];
        for (Code i = 0; i < elements_[pivot]; ++i) {
            if (!alive_[list[i]]) continue;
            for (Code v : members_[list[i]]) take(v);
            kill(list[i]);
        }
        for (Code i = elements_[pivot]; i < length_[pivot]; ++i) take(list[i]);
        auto merged = static_cast<std::int64_t>(weight_[pivot]);
        weight_[pivot] = 0;
        alive_[pivot] = 1;

        // outside_[e] = |L_e \ L_p| for every element next to the new one.
        for (Code v : lp) {
            const Code* lv = list_.data() + start_[v];
            for (Code i = 0; i < elements_[v]; ++i) {
                const Code e = lv[i];
                if (!alive_[e]) continue;
                if (stamp_[e] != mark) {
                    stamp_[e] = mark;
                    outside_[e] = size_[e];
                }
                outside_[e] -= weight_[v];
            }
        }
        candidates_.clear();
        for (Code v : lp) {
            const size_t before = queue_.degree(v);
            queue_.remove(v);
            const size_t beyond = tie(v, pivot, mark);
            if (beyond == 0) {  // no neighbours but the pivot's: eliminated with it
                merged += weight_[v];
                size -= weight_[v];
                weight_[v] = 0;
                absorbed_[pivot].push_back(v);
            } else {
                candidates_.push_back({hash_, v, std::min(before, beyond), before});
            }
        }
        remaining_ -= static_cast<size_t>(merged);
        merge_indistinguishable();
        for (const Candidate& c : candidates_) {
            if (weight_[c.vertex] == 0) continue;
            const auto next = static_cast<size_t>(size - weight_[c.vertex]);
            queue_.insert(c.vertex, std::min(c.beyond + next, remaining_ - 1));
        }
        std::erase_if(lp, [&](Code v) { return weight_[v] == 0; });
        size_[pivot] = size;
        if (lp.empty()) alive_[pivot] = 0;
        account(static_cast<double>(merged), static_cast<double>(size));
    }

    // What v is tied to now: the new element, and what is not part of it. Returns the weight of
    // the latter, an upper bound.
    size_t tie(Code v, Code pivot, Code mark) {
        Code* lv = list_.data() + start_[v];
        size_t degree = 0;
        hash_ = static_cast<size_t>(pivot);
        kept_.clear();
        for (Code i = 0; i < elements_[v]; ++i) {
            const Code e = lv[i];
            if (!alive_[e]) continue;
            if (outside_[e] <= 0) {  // swallowed whole by the new element
                kill(e);
                continue;
            }
            degree += static_cast<size_t>(outside_[e]);
            kept_.push_back(e);
            hash_ += static_cast<size_t>(e);
        }
        kept_.push_back(pivot);
        const size_t elements = kept_.size();
        for (Code i = elements_[v]; i < length_[v]; ++i) {
            const Code u = lv[i];
            if (weight_[u] == 0 || mark_[u] == mark) continue;
            degree += static_cast<size_t>(weight_[u]);
            kept_.push_back(u);
            hash_ += static_cast<size_t>(u);
        }
        elements_[v] = static_cast<Code>(elements);
        length_[v] = static_cast<Code>(kept_.size());
        std::copy(kept_.begin(), kept_.end(), lv);
        return degree;
    }

    // Variables with the same neighbours are eliminated together.
    void merge_indistinguishable() {
        std::sort(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
            return a.hash < b.hash || (a.hash == b.hash && a.vertex < b.vertex);
        });
        for (size_t i = 0; i < candidates_.size(); ++i) {
            const Code v = candidates_[i].vertex;
            if (weight_[v] == 0) continue;
            bool marked = false;
            for (size_t j = i + 1;
                 j < candidates_.size() && candidates_[j].hash == candidates_[i].hash; ++j) {
                const Code u = candidates_[j].vertex;
                if (weight_[u] == 0 || length_[u] != length_[v] || elements_[u] != elements_[v])
                    continue;
                const Code* lv = list_.data() + start_[v];
                if (!marked) {
                    ++same_;
                    same_mark_.resize(members_.size(), 0);
                    same_variable_.resize(n_, 0);
                    for (Code k = 0; k < length_[v]; ++k)
                        (k < elements_[v] ? same_mark_ : same_variable_)[lv[k]] = same_;
                    marked = true;
                }
                const Code* lu = list_.data() + start_[u];
                bool equal = true;
                for (Code k = 0; equal && k < length_[u]; ++k)
                    equal = (k < elements_[u] ? same_mark_ : same_variable_)[lu[k]] == same_;
                if (!equal) continue;
                weight_[v] += weight_[u];
                weight_[u] = 0;
                absorbed_[v].push_back(u);
            }
        }
    }

    // Columns of `merged` variables with `below` rows under them, and the dense rows.
    void account(double merged, double below) {
        const double rest = below + static_cast<double>(dense_.size());
        const double m = merged + rest;
        nonzeros_ += merged * (0.5 * (merged + 1.0) + rest);
        flops_ += entry_flops / 3.0 * (m * m * m - rest * rest * rest);
        // The neighbours of a pivot become a clique: a triangle of entries still to come.
        const double triangle = 0.5 * below * (below + 1.0);
        if (nonzeros_ + triangle > limits_.nonzeros ||
            flops_ + entry_flops / 3.0 * below * below * below > limits_.flops) {
            nonzeros_ += triangle;
            flops_ += entry_flops / 3.0 * below * below * below;
            beyond_ = true;
        }
    }

    struct Candidate {
        size_t hash;
        Code vertex;
        size_t beyond, before;
    };

    size_t n_;
    Limits limits_;
    const Stop& stop_;
    size_t remaining_ = n_;
    std::vector<std::int64_t> start_;  // of the variables' lists
    List list_, elements_, length_;
    List weight_;  // of a supervariable; 0 once eliminated, merged or put aside
    List mark_, large_, dense_, kept_, stamp_, same_mark_, same_variable_;
    std::vector<List> members_, absorbed_;  // of elements; of supervariables
    std::vector<std::int64_t> outside_, size_;
    std::vector<char> alive_;
    std::vector<Candidate> candidates_;
    DegreeQueue queue_;
    Code marks_ = -1, same_ = 0;
    size_t hash_ = 0;
    bool beyond_ = false;
    double edges_ = 0.0, nonzeros_ = 0.0, flops_ = 0.0;
};

}  // namespace

Ordering minimum_degree(const SparseRows& cliques, const SparseRows& transposed, Limits limits,
                        const Stop& stop) {
    return QuotientGraph(cliques, transposed, limits, stop).eliminate_all();
}

}  // namespace mm
