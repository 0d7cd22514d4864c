"""compare.py: what counts as a regression, and the exit codes scripts rely on."""

import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from fisherdiag_report import benchmark_json  # noqa: E402
from fisherdiag_report.rank_test import p_value_greater  # noqa: E402


def document(benchmarks, context=None):
    """{name: [milliseconds]} as Google Benchmark writes it, with an aggregate that must be ignored."""
    entries = []
    for name, times in benchmarks.items():
        full = f"{name}/process_time/real_time"
        entries += [{"name": full, "run_name": full, "run_type": "iteration", "repetition_index": i, "real_time": t,
                     "cpu_time": 1.0, "time_unit": "ms", "flops": 2e9 / t} for i, t in enumerate(times)]
        entries.append({"name": full + "_median", "run_name": full, "run_type": "aggregate",
                        "aggregate_name": "median", "real_time": 1e9, "time_unit": "ms"})
    return {"context": context or {}, "benchmarks": entries}


def brute_force_p(a, b):
    """P(mean of b's permuted values ranks >= observed) by trying every split: the definition, for few values."""
    pooled = a + b

    def u(indices):
        chosen = [pooled[i] for i in indices]
        rest = [pooled[i] for i in range(len(pooled)) if i not in indices]
        return sum((y > x) + 0.5 * (y == x) for x in rest for y in chosen)

    observed = u(set(range(len(a), len(pooled))))
    splits = [u(set(c)) for c in itertools.combinations(range(len(pooled)), len(b))]
    return sum(value >= observed for value in splits) / len(splits)


class RankTest(unittest.TestCase):
    def test_separated_samples_reach_the_smallest_p(self):
        self.assertEqual(p_value_greater([1, 2, 3], [4, 5, 6]), 1 / 20)
        self.assertEqual(p_value_greater([4, 5, 6], [1, 2, 3]), 1)

    def test_equals_the_definition_with_and_without_ties(self):
        for a, b in (([1.0, 5.0, 2.5], [2.0, 6.0, 7.0, 3.0]), ([1.0, 2.0, 2.0, 3.0], [2.0, 3.0, 3.0, 9.0]),
                     ([1.0] * 4, [1.0] * 3)):
            self.assertAlmostEqual(p_value_greater(a, b), brute_force_p(a, b), places=12)


class BenchmarkJson(unittest.TestCase):
    def test_names_lose_what_google_benchmark_appends(self):
        name = "fisher/mlp-784-32-10/exact/threads:2"
        for suffix in ("", "/process_time/real_time", "/repeats:9/process_time/real_time", "/min_time:0.100/real_time"):
            self.assertEqual(benchmark_json.clean_name(name + suffix), name)

    def test_repetitions_are_grouped_and_aggregates_dropped(self):
        series = benchmark_json.series_of(document({"kernel/gemm/8x8/isa:avx2/threads:1": [1, 2, 4]}))
        (only,) = series.values()
        self.assertEqual(only.seconds, [0.001, 0.002, 0.004])
        self.assertEqual(only.median("flops"), 1e9)
        self.assertEqual((only.segments, only.tag("isa"), only.threads), (["kernel", "gemm", "8x8"], "avx2", 1))
        self.assertIsNone(only.median("no_such_counter"))


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, content):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def run_compare(self, before, after, *options):
        return subprocess.run([sys.executable, str(SCRIPTS / "compare.py"), self.write("a.json", before),
                               self.write("b.json", after), *options], capture_output=True, text=True, check=False)

    def code(self, before, after, *options):
        return self.run_compare(document({"x/threads:1": before}), document({"x/threads:1": after}), *options).returncode

    def test_slower_beyond_threshold_and_noise_fails(self):
        self.assertEqual(self.code([10, 10.1, 10.2], [11, 11.1, 11.2]), 1)

    def test_a_threshold_above_the_change_passes(self):
        self.assertEqual(self.code([10, 10.1, 10.2], [11, 11.1, 11.2], "--fail-above", "15%"), 0)

    def test_noise_with_a_slower_median_passes(self):
        self.assertEqual(self.code([10, 11, 14, 10.5, 10.2], [10.1, 12, 12.5, 10.3, 14]), 0)

    def test_a_small_but_certain_change_passes(self):
        self.assertEqual(self.code([10, 10.01, 10.02, 10.03], [10.1, 10.11, 10.12, 10.13]), 0)

    def test_faster_and_equal_pass(self):
        self.assertEqual(self.code([10, 10.1, 10.2], [5, 5.1, 5.2]), 0)
        self.assertEqual(self.code([10, 10.1, 10.2], [10, 10.1, 10.2]), 0)

    def test_one_slower_among_many_is_named(self):
        before = {f"b{i}": [1, 1.01, 1.02] for i in range(5)}
        after = dict(before, b3=[2, 2.01, 2.02])
        result = self.run_compare(document(before), document(after))
        self.assertEqual(result.returncode, 1)
        slower = [line.split()[0] for line in result.stdout.splitlines() if line.endswith("SLOWER")]
        self.assertEqual(slower, ["b3"])
        self.assertEqual(self.run_compare(document(before), document(after), "--filter", "b[0-2]").returncode, 0)

    def test_missing_benchmarks_are_shown(self):
        result = self.run_compare(document({"x": [1, 1, 1], "gone": [1, 1, 1]}), document({"x": [1, 1, 1]}))
        self.assertIn("missing in B", result.stdout)

    def test_another_machine_is_noted(self):
        result = self.run_compare(document({"x": [1, 1, 1]}, {"isa": "avx2"}), document({"x": [1, 1, 1]}, {"isa": "avx512"}))
        self.assertIn("isa differs: avx2 and avx512", result.stderr)

    def test_usage_errors_are_2(self):
        self.assertEqual(self.code([1], [1], "--fail-above", "five"), 2)
        self.assertEqual(self.code([1], [1], "--filter", "("), 2)

    def test_bad_files_are_3_with_one_sentence_naming_them(self):
        good = document({"x": [1, 1, 1]})
        for bad in ("", "{", "[]", "{}", '{"benchmarks": 3}', '{"benchmarks": [3]}', '{"benchmarks": [{"name": "x"}]}'):
            result = self.run_compare(good, bad)
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (3, 1), bad)
            self.assertIn("b.json", result.stderr)
        missing = subprocess.run([sys.executable, str(SCRIPTS / "compare.py"), "/no/such/a.json", "/no/such/b.json"],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(missing.returncode, 3)
        self.assertIn("/no/such/a.json", missing.stderr)

    def test_too_few_repetitions_or_nothing_in_common_are_3(self):
        self.assertEqual(self.code([1, 1], [9, 9]), 3)
        self.assertEqual(self.run_compare(document({"x": [1, 1, 1]}), document({"y": [1, 1, 1]})).returncode, 3)


if __name__ == "__main__":
    unittest.main()
