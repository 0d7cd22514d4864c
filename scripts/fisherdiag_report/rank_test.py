"""Mann-Whitney's U test, exact, without SciPy."""

from math import comb


def midranks_doubled(values):
    """Twice the rank of each value (ties share the mean rank): integers, so that sums are exact."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for position in range(start, end):
            ranks[order[position]] = start + 1 + end
        start = end
    return ranks


def p_value_greater(a, b):
    """Probability, if a and b came from one distribution, that b ranks at least this high above a (one-sided).

    The permutation distribution of b's rank sum is counted in full, ties included: exact for any sample sizes.
    """
    ranks = midranks_doubled(list(a) + list(b))
    observed = sum(ranks[len(a):])
    # ways[k][s]: subsets of k values whose doubled ranks add up to s
    ways = [{} for _ in range(len(b) + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for k in range(len(b), 0, -1):
            for total, count in ways[k - 1].items():
                ways[k][total + rank] = ways[k].get(total + rank, 0) + count
    extreme = sum(count for total, count in ways[len(b)].items() if total >= observed)
    return extreme / comb(len(ranks), len(b))
