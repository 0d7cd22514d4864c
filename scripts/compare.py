#!/usr/bin/env python3
"""Compares two Google Benchmark JSON files, repetition by repetition.

    scripts/compare.py before.json after.json --fail-above 5%

A benchmark has become slower if its median time grew by more than the threshold AND a one-sided Mann-Whitney U test
over the repetitions finds the growth unlikely to be noise (p <= alpha; with three repetitions each: no overlap).

exit codes: 0 nothing became slower, 1 something did, 2 usage, 3 a file that cannot be used
"""

import argparse
import re
import sys

from fisherdiag_report import benchmark_json
from fisherdiag_report.rank_test import p_value_greater

# Fewer repetitions cannot reach p <= 0.05 however far apart they lie: 1 / C(6, 3) = 0.05.
MIN_REPETITIONS = 3

# A comparison says little when these differ.
CONTEXT_KEYS = ("cpu_model", "isa", "threads", "compiler", "project_build_type")


def fraction(text):
    """'5%' or '0.05' -> 0.05."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentage such as 5%")
    return value


def pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a regular expression: {error}") from error


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", metavar="A.json")
    parser.add_argument("after", metavar="B.json")
    parser.add_argument("--fail-above", type=fraction, default=0.05, metavar="P%", help="threshold (default 5%%)")
    parser.add_argument("--alpha", type=fraction, default=0.05, help="significance level of the test (default 0.05)")
    parser.add_argument("--filter", type=pattern, default=re.compile(""), metavar="REGEX",
                        help="compare only benchmarks whose name it matches")
    return parser.parse_args(arguments)


def judge(before, after, threshold, alpha):
    """(change of the median, p that it is noise or None, verdict) for two lists of seconds."""
    first, second = sorted(before), sorted(after)
    change = median(second) / median(first) - 1
    if min(len(first), len(second)) < MIN_REPETITIONS:
        return change, None, "too few repetitions"
    slower = p_value_greater(first, second)
    faster = p_value_greater(second, first)
    if change > threshold and slower <= alpha:
        return change, slower, "SLOWER"
    if change < -threshold and faster <= alpha:
        return change, faster, "faster"
    return change, min(slower, faster), "same"


def median(ordered):
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def with_unit(seconds):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def print_table(rows):
    header = ("benchmark", "A", "B", "change", "p", "verdict")
    table = [header] + rows
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        cells = [row[0].ljust(widths[0])] + [row[i].rjust(widths[i]) for i in range(1, 5)] + [row[5]]
        print("  ".join(cells))


def compare(before, after, options):
    """Prints the table; returns the list of verdicts of benchmarks in both files."""
    rows, verdicts = [], []
    for name, series in before.items():
        if not options.filter.search(name):
            continue
        if name not in after:
            rows.append((name, with_unit(series.median()), "-", "-", "-", "missing in B"))
            continue
        other = after[name]
        change, p, verdict = judge(series.seconds, other.seconds, options.fail_above, options.alpha)
        rows.append((name, with_unit(series.median()), with_unit(other.median()), f"{change:+.1%}",
                     "-" if p is None else f"{p:.3f}", verdict))
        verdicts.append(verdict)
    rows += [(name, "-", with_unit(series.median()), "-", "-", "only in B") for name, series in after.items()
             if name not in before and options.filter.search(name)]
    print_table(rows)
    return verdicts


def warn_about_context(before, after):
    for key in CONTEXT_KEYS:
        one, two = (document.get("context", {}).get(key) for document in (before, after))
        if one != two:
            print(f"compare.py: note: {key} differs: {one} and {two}", file=sys.stderr)


def main(arguments):
    options = parse_arguments(arguments)
    try:
        documents = [benchmark_json.read(path) for path in (options.before, options.after)]
        before, after = (benchmark_json.series_of(document, path)
                         for document, path in zip(documents, (options.before, options.after)))
        if any(min(series.seconds) <= 0 for series in (*before.values(), *after.values())):
            raise benchmark_json.BadFile("a benchmark has a time that is not positive")
    except benchmark_json.BadFile as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 3
    warn_about_context(*documents)
    verdicts = compare(before, after, options)
    judged = [verdict for verdict in verdicts if verdict != "too few repetitions"]
    if not judged:
        reason = f"fewer than {MIN_REPETITIONS} repetitions each" if verdicts else "no benchmark in common"
        print(f"compare.py: {options.before} and {options.after} cannot be compared: {reason}", file=sys.stderr)
        return 3
    slower = judged.count("SLOWER")
    print(f"\n{len(judged)} compared, {slower} slower by more than {options.fail_above:.1%} beyond noise, "
          f"{judged.count('faster')} faster")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
