#include "elimination.hpp"

#include <algorithm>
#include <numeric>

namespace mm {
namespace {

using List = std::vector<Code>;

constexpr size_t widest = 256;  // columns of a panel: the depth of the matrix product

struct Columns {
    std::vector<std::int64_t> start;
    List index;
};

void check(const Stop& stop) {
    if (stop && stop()) throw Interrupted();
}

// Eliminating the first member of a clique ties the others together anyway: the factor is that of
// a graph with an edge from the first member to each other, no more edges than members.
Columns star_graph(const SparseRows& cliques, const List& position) {
    const size_t n = position.size();
    Columns out;
    out.start.assign(n + 1, 0);
    const auto visit = [&](const auto& edge) {
        for (size_t r = 0; r < cliques.rows(); ++r) {
            const auto from = cliques.start[r], to = cliques.start[r + 1];
            if (to - from < 2) continue;
            Code least = position[cliques.index[from]];
            for (auto e = from + 1; e < to; ++e)
                least = std::min(least, position[cliques.index[e]]);
            for (auto e = from; e < to; ++e)
                if (const Code p = position[cliques.index[e]]; p != least) edge(least, p);
        }
    };
    visit([&](Code f, Code) { ++out.start[f + 1]; });
    std::partial_sum(out.start.begin(), out.start.end(), out.start.begin());
    out.index.resize(static_cast<size_t>(out.start[n]));
    auto fill = out.start;
    visit([&](Code f, Code p) { out.index[fill[f]++] = p; });
    // Edges that several cliques have, once.
    List mark(n, -1);
    std::int64_t kept = 0;
    for (size_t f = 0; f < n; ++f) {
        const auto from = out.start[f], to = out.start[f + 1];
        out.start[f] = kept;
        for (auto e = from; e < to; ++e) {
            const Code p = out.index[e];
            if (mark[p] == static_cast<Code>(f)) continue;
            mark[p] = static_cast<Code>(f);
            out.index[kept++] = p;
        }
    }
    out.start[n] = kept;
    out.index.resize(static_cast<size_t>(kept));
    return out;
}

Columns transpose(const Columns& a) {
    const size_t n = a.start.size() - 1;
    Columns out;
    out.start.assign(n + 1, 0);
    for (Code i : a.index) ++out.start[i + 1];
    std::partial_sum(out.start.begin(), out.start.end(), out.start.begin());
    out.index.resize(a.index.size());
    auto fill = out.start;
    for (size_t j = 0; j < n; ++j)
        for (auto e = a.start[j]; e < a.start[j + 1]; ++e)
            out.index[fill[a.index[e]]++] = static_cast<Code>(j);
    return out;
}

// Liu (1986), ACM Trans. Math. Softw. 12:127: the parent of a column is the first row below its
// diagonal; paths already walked are shortened.
List elimination_tree(const Columns& upper) {
    const size_t n = upper.start.size() - 1;
    List parent(n, -1), ancestor(n, -1);
    for (size_t k = 0; k < n; ++k)
        for (auto e = upper.start[k]; e < upper.start[k + 1]; ++e)
            for (Code i = upper.index[e]; i >= 0 && i != static_cast<Code>(k);) {
                const Code next = ancestor[i];
                ancestor[i] = static_cast<Code>(k);
                if (next < 0) parent[i] = static_cast<Code>(k);
                i = next;
            }
    return parent;
}

// Lists of the children of each, and of the roots at n; later ones first.
struct Children {
    List head, next;
    explicit Children(const List& parent) : head(parent.size() + 1, -1), next(parent.size(), -1) {
        for (size_t c = 0; c < parent.size(); ++c) {
            const size_t p = parent[c] < 0 ? parent.size() : static_cast<size_t>(parent[c]);
            next[c] = head[p];
            head[p] = static_cast<Code>(c);
        }
    }
};

List postorder(const List& parent) {
    const size_t n = parent.size();
    Children children(parent);
    List out, stack;
    out.reserve(n);
    // Later before earlier, parents before children; read backwards, that is a postorder.
    for (Code root = children.head[n]; root >= 0; root = children.next[root]) {
        stack.push_back(root);
        while (!stack.empty()) {
            const Code v = stack.back();
            stack.pop_back();
            out.push_back(v);
            const size_t from = stack.size();
            for (Code c = children.head[v]; c >= 0; c = children.next[c]) stack.push_back(c);
            std::reverse(stack.begin() + static_cast<std::ptrdiff_t>(from), stack.end());
        }
    }
    std::reverse(out.begin(), out.end());
    return out;
}

// Gilbert, Ng & Peyton (1994), SIAM J. Matrix Anal. Appl. 15:1075. Row i of the factor is the
// subtree between the columns of its entries and i. A column has as many entries as there are row
// subtrees through it: the leaves of all row subtrees are summed up the tree, less one where two
// paths of one subtree meet. All in postorder.
List column_counts(const Columns& lower, const List& parent) {
    const size_t n = parent.size();
    List first(n), last_leaf(n, -1), last_first(n, -1), root(n);
    std::iota(first.begin(), first.end(), 0);
    std::iota(root.begin(), root.end(), 0);
    std::vector<std::int64_t> count(n, 1);
    for (size_t j = 0; j < n; ++j)
        if (const Code p = parent[j]; p >= 0) {
            first[p] = std::min(first[p], first[j]);
            count[p] = 0;  // not a leaf: its own diagonal is on the paths from below
        }
    const auto find = [&](Code i) {
        Code r = i;
        while (root[r] != r) r = root[r];
        while (root[i] != r) {
            const Code next = root[i];
            root[i] = r;
            i = next;
        }
        return r;
    };
    for (size_t j = 0; j < n; ++j) {
        if (parent[j] >= 0) --count[parent[j]];  // row j ends at j
        for (auto e = lower.start[j]; e < lower.start[j + 1]; ++e) {
            const Code i = lower.index[e];
            if (first[j] <= last_first[i]) continue;  // j is no leaf of row i's subtree
            ++count[j];
            if (last_leaf[i] >= 0) --count[find(last_leaf[i])];
            last_first[i] = first[j];
            last_leaf[i] = static_cast<Code>(j);
        }
        if (parent[j] >= 0) root[j] = parent[j];
    }
    List out(n);
    for (size_t j = 0; j < n; ++j) {
        if (parent[j] >= 0) count[parent[j]] += count[j];
        out[j] = static_cast<Code>(count[j]);
    }
    return out;
}

// Whether a supernode of this width, so filled, is better than two.
bool worth_merging(double width, double zeros, double entries) {
    const double share = zeros / entries;
    return (width <= 4 && (zeros <= 32 || share < 0.5)) || (width <= 16 && share < 0.3) ||
           (width <= 48 && share < 0.2) || (width <= 512 && share < 0.08) || share < 0.02;
}

struct Merged {
    List first;   // of the columns of each supernode before merging; the number of columns last
    List into;    // the supernode that it became part of, itself if it did not
    List parent;  // of those that remain
};

Merged merge_supernodes(const List& parent, const List& count) {
    const size_t n = parent.size();
    Merged out;
    List of(n);
    for (size_t j = 0; j < n; ++j) {
        if (j == 0 || parent[j - 1] != static_cast<Code>(j) || count[j - 1] != count[j] + 1)
            out.first.push_back(static_cast<Code>(j));
        of[j] = static_cast<Code>(out.first.size() - 1);
    }
    const size_t m = out.first.size();
    out.first.push_back(static_cast<Code>(n));
    out.parent.assign(m, -1);
    std::vector<double> width(m), below(m), filled(m, 0.0);
    for (size_t s = 0; s < m; ++s) {
        const Code last = out.first[s + 1] - 1;
        if (parent[last] >= 0) out.parent[s] = of[parent[last]];
        width[s] = out.first[s + 1] - out.first[s];
        below[s] = count[last] - 1;
        for (Code j = out.first[s]; j <= last; ++j) filled[s] += count[j];
    }
    out.into.resize(m);
    std::iota(out.into.begin(), out.into.end(), 0);
    const Children children(out.parent);
    List sorted;
    for (size_t p = 0; p < m; ++p) {
        sorted.clear();
        for (Code c = children.head[p]; c >= 0; c = children.next[c]) sorted.push_back(c);
        std::stable_sort(sorted.begin(), sorted.end(),
                         [&](Code a, Code b) { return below[a] > below[b]; });
        for (Code c : sorted) {
            const double w = width[p] + width[c];
            const double entries = 0.5 * w * (w + 1.0) + w * below[p];
            const double sum = filled[p] + filled[c];
            if (!worth_merging(w, entries - sum, entries)) continue;
            width[p] = w;
            filled[p] = sum;
            out.into[c] = static_cast<Code>(p);
        }
    }
    for (size_t s = m; s-- > 0;) out.into[s] = out.into[out.into[s]];
    for (size_t s = 0; s < m; ++s)
        if (out.parent[s] >= 0) out.parent[s] = out.into[out.parent[s]];
    return out;
}

// Time of a panel: what a call, an entry and a flop take; small products do not reach full speed.
double panel_seconds(double w, double r) {
    const double flops = 3.0 * w * (w + r) * (w + r);
    const double speed = 7e10 * w / (w + 24.0);
    return 3e-7 + 4e-9 * w * (w + r) + 2e-9 * r * r + flops / speed;
}

void account(Supernodes& out) {
    for (size_t p = 0; p < out.panels(); ++p) {
        const auto w = static_cast<double>(out.width(p)), r = static_cast<double>(out.below(p));
        const double m = w + r;
        out.stored += w * m;
        out.flops += m * (m + 1.0) * (2.0 * m + 1.0) / 2.0 - r * (r + 1.0) * (2.0 * r + 1.0) / 2.0;
        out.seconds += panel_seconds(w, r);
    }
}

}  // namespace

Supernodes analyse(const SparseRows& cliques, const std::vector<Code>& order, Limits limits,
                   const Stop& stop) {
    const size_t n = order.size();
    Supernodes out;
    List position(n);
    for (size_t k = 0; k < n; ++k) position[order[k]] = static_cast<Code>(k);
    check(stop);
    Columns lower = star_graph(cliques, position);
    check(stop);
    List parent, count;
    {
        // The same in postorder.
        const List tree = elimination_tree(transpose(lower));
        const List post = postorder(tree);
        List label(n);
        for (size_t k = 0; k < n; ++k) label[post[k]] = static_cast<Code>(k);
        Columns ordered;
        ordered.start.assign(1, 0);
        ordered.index.reserve(lower.index.size());
        parent.resize(n);
        out.order.resize(n);
        for (size_t k = 0; k < n; ++k) {
            const Code j = post[k];
            out.order[k] = order[j];
            parent[k] = tree[j] < 0 ? -1 : label[tree[j]];
            for (auto e = lower.start[j]; e < lower.start[j + 1]; ++e)
                ordered.index.push_back(label[lower.index[e]]);
            ordered.start.push_back(static_cast<std::int64_t>(ordered.index.size()));
        }
        lower = std::move(ordered);
    }
    check(stop);
    count = column_counts(lower, parent);
    for (Code c : count) {
        const auto m = static_cast<double>(c);
        out.nonzeros += m;
        out.flops += 3.0 * m * m;
    }
    if (out.nonzeros > limits.nonzeros || out.flops > limits.flops) {
        out.beyond = true;
        out.count = std::move(count);
        return out;
    }
    check(stop);

    const Merged merged = merge_supernodes(parent, count);
    const size_t m = merged.into.size();
    // Columns of what became one supernode in a run, where the last of its parts was: parts that
    // are moved jump over columns that are not above them.
    std::vector<std::int64_t> part(m + 1, 0);
    for (size_t s = 0; s < m; ++s)
        part[merged.into[s] + 1] += merged.first[s + 1] - merged.first[s];
    std::partial_sum(part.begin(), part.end(), part.begin());
    List label(n), final_order(n);
    out.count.resize(n);
    {
        auto fill = part;
        for (size_t s = 0; s < m; ++s)
            for (Code j = merged.first[s]; j < merged.first[s + 1]; ++j)
                label[j] = static_cast<Code>(fill[merged.into[s]]++);
        for (size_t j = 0; j < n; ++j) {
            final_order[label[j]] = out.order[j];
            out.count[label[j]] = count[j];
        }
        out.order = std::move(final_order);
    }

    // Rows of a supernode: those of its columns' edges and of its children, less its own columns.
    List column(n);  // position -> column before merging
    for (size_t j = 0; j < n; ++j) column[label[j]] = static_cast<Code>(j);
    const Children children([&] {
        List tree = merged.parent;
        for (size_t s = 0; s < m; ++s)
            if (merged.into[s] != static_cast<Code>(s)) tree[s] = -1;
        return tree;
    }());
    std::vector<std::int64_t> from(m, 0), to(m, 0);
    List all, mark(n, -1);
    out.first.assign(1, 0);
    out.row_start.assign(1, 0);
    for (size_t s = 0; s < m; ++s) {
        if (merged.into[s] != static_cast<Code>(s)) continue;
        if (s % 4096 == 0) check(stop);
        const auto begin = static_cast<Code>(part[s]), end = static_cast<Code>(part[s + 1]);
        from[s] = static_cast<std::int64_t>(all.size());
        const auto take = [&](Code p) {
            if (p < end || mark[p] == static_cast<Code>(s)) return;
            mark[p] = static_cast<Code>(s);
            all.push_back(p);
        };
        for (Code p = begin; p < end; ++p) {
            const Code j = column[p];
            for (auto e = lower.start[j]; e < lower.start[j + 1]; ++e) take(label[lower.index[e]]);
        }
        for (Code c = children.head[s]; c >= 0; c = children.next[c])
            for (auto e = from[c]; e < to[c]; ++e) take(all[e]);
        to[s] = static_cast<std::int64_t>(all.size());
        std::sort(all.begin() + from[s], all.end());

        ++out.supernodes;
        const auto below = static_cast<size_t>(to[s] - from[s]);
        const auto width = static_cast<size_t>(end - begin);
        out.front = std::max(out.front, width + below);
        const size_t pieces = (width + widest - 1) / widest;
        for (size_t k = 1; k <= pieces; ++k) {
            const auto cut = static_cast<Code>(static_cast<size_t>(begin) + width * k / pieces);
            out.first.push_back(cut);
            for (Code p = cut; p < end; ++p) out.rows.push_back(p);
            out.rows.insert(out.rows.end(), all.begin() + from[s], all.begin() + to[s]);
            out.row_start.push_back(static_cast<std::int64_t>(out.rows.size()));
        }
    }
    out.flops = 0.0;
    account(out);
    return out;
}

// A column is its own entries and those of its children in the elimination tree.
void column_pattern(const SparseRows& cliques, const SparseRows& transposed,
                    const std::vector<Code>& order, std::vector<std::int64_t>& start,
                    std::vector<Code>& index) {
    const size_t n = order.size();
    List position(n), mark(n, -1), head(n, -1), next(n, -1);
    for (size_t k = 0; k < n; ++k) position[order[k]] = static_cast<Code>(k);
    start.assign(1, 0);
    index.clear();
    for (size_t k = 0; k < n; ++k) {
        const auto here = static_cast<Code>(k);
        index.push_back(here);
        const auto take = [&](Code p) {
            if (p <= here || mark[p] == here) return;
            mark[p] = here;
            index.push_back(p);
        };
        for (auto e = transposed.start[order[k]]; e < transposed.start[order[k] + 1]; ++e) {
            const Code r = transposed.index[e];
            for (auto f = cliques.start[r]; f < cliques.start[r + 1]; ++f)
                take(position[cliques.index[f]]);
        }
        for (Code c = head[k]; c >= 0; c = next[c])
            for (auto e = start[c]; e < start[c + 1]; ++e) take(index[e]);
        const auto first = index.begin() + start[k] + 1;
        std::sort(first, index.end());
        if (first != index.end()) {
            next[k] = head[*first];
            head[*first] = here;
        }
        start.push_back(static_cast<std::int64_t>(index.size()));
    }
}

}  // namespace mm
