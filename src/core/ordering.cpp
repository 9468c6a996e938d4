#include "ordering.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace mm {
namespace {

using List = std::vector<Code>;

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

class QuotientGraph {
   public:
    QuotientGraph(const SparseRows& cliques, size_t n)
        : n_(n), elements_(n), members_(n), weight_(n, 1), inside_(n, 0), queue_(n) {
        // Rows with the same members are one clique; n_ first element ids are kept for pivots.
        std::unordered_multimap<size_t, Code> known;
        for (size_t r = 0; r < cliques.rows(); ++r) {
            const auto first = cliques.index.begin() + cliques.start[r];
            const auto last = cliques.index.begin() + cliques.start[r + 1];
            if (last - first < 2) continue;
            size_t hash = 0;
            for (auto c = first; c != last; ++c) hash = hash * 1000003u + static_cast<size_t>(*c);
            const auto [from, to] = known.equal_range(hash);
            if (std::any_of(from, to, [&](const auto& entry) {
                    const List& m = members_[entry.second];
                    return std::equal(m.begin(), m.end(), first, last);
                }))
                continue;
            const Code e = static_cast<Code>(members_.size());
            members_.emplace_back(first, last);
            known.emplace(hash, e);
            for (auto c = first; c != last; ++c) elements_[*c].push_back(e);
        }
        alive_.assign(members_.size(), 1);
        outside_.assign(members_.size(), 0);
        stamp_.assign(members_.size(), 0);
        absorbed_.resize(n);
        for (size_t v = 0; v < n; ++v) queue_.insert(static_cast<Code>(v), initial_degree(v));
    }

    List eliminate_all(double most_nonzeros) {
        List order;
        order.reserve(n_);
        while (order.size() < n_) {
            const Code pivot = queue_.pop_least();
            const double merged = weight_[pivot];
            eliminate(pivot);
            nonzeros_ += merged * (0.5 * (merged + 1.0) + static_cast<double>(front_));
            if (nonzeros_ > most_nonzeros) return {};
            emit(pivot, order);
        }
        return order;
    }

   private:
    size_t initial_degree(size_t v) const {
        size_t d = 0;
        for (Code e : elements_[v]) d += members_[e].size() - 1;
        return std::min(d, n_ - 1);
    }

    void emit(Code pivot, List& order) const {
        List stack{pivot};
        while (!stack.empty()) {
            const Code v = stack.back();
            stack.pop_back();
            order.push_back(v);
            stack.insert(stack.end(), absorbed_[v].begin(), absorbed_[v].end());
        }
    }

    // The pivot's neighbours become one element; what it was made of is gone.
    void eliminate(Code pivot) {
        List& lp = members_[pivot];
        lp.clear();
        const int mark = ++mark_;
        inside_[pivot] = mark;
        size_t size = 0;
        const auto take = [&](Code v) {
            if (weight_[v] == 0 || inside_[v] == mark) return;
            inside_[v] = mark;
            lp.push_back(v);
            size += static_cast<size_t>(weight_[v]);
        };
        for (Code e : elements_[pivot]) {
            for (Code v : members_[e]) take(v);
            alive_[e] = 0;
            List().swap(members_[e]);
        }
        List().swap(elements_[pivot]);
        front_ = size;
        remaining_ -= static_cast<size_t>(weight_[pivot]);
        weight_[pivot] = 0;
        alive_[pivot] = 1;

        // outside_[e] = |L_e \ L_p| for every element next to the new one.
        for (Code v : lp)
            for (Code e : elements_[v]) {
                if (!alive_[e]) continue;
                if (stamp_[e] != mark) {
                    stamp_[e] = mark;
                    outside_[e] = 0;
                    auto& m = members_[e];
                    std::erase_if(m, [&](Code u) { return weight_[u] == 0; });
                    for (Code u : m) outside_[e] += weight_[u];
                }
                outside_[e] -= weight_[v];
            }
        for (Code v : lp) {
            queue_.remove(v);
            auto& ev = elements_[v];
            size_t degree = 0;
            size_t kept = 0;
            for (Code e : ev) {
                if (!alive_[e]) continue;
                if (outside_[e] <= 0) {  // swallowed whole by the new element
                    alive_[e] = 0;
                    List().swap(members_[e]);
                    continue;
                }
                degree += static_cast<size_t>(outside_[e]);
                ev[kept++] = e;
            }
            ev.resize(kept);
            ev.push_back(pivot);
            degree += size - static_cast<size_t>(weight_[v]);
            approximate_.emplace_back(v, std::min(degree, remaining_ - 1));
        }
        merge_indistinguishable(lp);
        for (const auto& [v, degree] : approximate_)
            if (weight_[v] != 0) queue_.insert(v, std::min(degree, n_ - 1));
        approximate_.clear();
        std::erase_if(lp, [&](Code v) { return weight_[v] == 0; });
    }

    // Variables with the same neighbours are eliminated together.
    void merge_indistinguishable(const List& lp) {
        buckets_.clear();
        for (Code v : lp) {
            size_t hash = elements_[v].size();
            for (Code e : elements_[v]) hash += static_cast<size_t>(e);
            buckets_.emplace_back(hash, v);
        }
        std::sort(buckets_.begin(), buckets_.end());
        for (size_t i = 0; i < buckets_.size(); ++i) {
            const Code v = buckets_[i].second;
            if (weight_[v] == 0) continue;
            bool sorted = false;
            for (size_t j = i + 1; j < buckets_.size() && buckets_[j].first == buckets_[i].first;
                 ++j) {
                const Code u = buckets_[j].second;
                if (weight_[u] == 0) continue;
                if (!sorted) {
                    std::sort(elements_[v].begin(), elements_[v].end());
                    sorted = true;
                }
                std::sort(elements_[u].begin(), elements_[u].end());
                if (elements_[u] != elements_[v]) continue;
                weight_[v] += weight_[u];
                weight_[u] = 0;
                absorbed_[v].push_back(u);
                List().swap(elements_[u]);
            }
        }
    }

    size_t n_;
    size_t remaining_ = n_;
    std::vector<List> elements_, members_, absorbed_;
    std::vector<int> weight_;  // of a supervariable; 0 once eliminated or merged
    std::vector<int> inside_, stamp_;
    std::vector<std::int64_t> outside_;
    std::vector<char> alive_;
    std::vector<std::pair<Code, size_t>> approximate_;
    std::vector<std::pair<size_t, Code>> buckets_;
    DegreeQueue queue_;
    int mark_ = 0;
    size_t front_ = 0;  // rows below the diagonal in the pivot's columns
    double nonzeros_ = 0.0;
};

}  // namespace

std::vector<Code> minimum_degree(const SparseRows& cliques, size_t vertices, double most_nonzeros) {
    if (vertices == 0) return {};
    return QuotientGraph(cliques, vertices).eliminate_all(most_nonzeros);
}

}  // namespace mm
