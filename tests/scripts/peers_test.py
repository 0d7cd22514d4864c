"""compare_peers: agreement tests that can fail, samples and weights, and its section of the report. No library needed."""

import gzip
import importlib.util
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
DRAWS = all(importlib.util.find_spec(name) for name in ("matplotlib", "jinja2"))
if HAS_NUMPY:
    import numpy as np
    from peers import agreement, client, data, methods, passes
if DRAWS:
    import matplotlib.pyplot
    from fisherdiag_report import benchmark_json, peers


@unittest.skipUnless(HAS_NUMPY, "needs NumPy")
class Agreement(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(7)
        self.exact = self.random.uniform(0, 1, 2000) ** 4

    def estimates(self, scale=1.0):
        """Independent, unbiased for scale × exact, each off by about a third."""
        noise = self.random.uniform(0, 2, (agreement.REPLICATES, self.exact.size))
        values = scale * self.exact * noise
        return values.mean(0), values.sum(1), (values ** 2).sum(1)

    def test_normwise_error(self):
        self.assertEqual(agreement.relative_error([3.0, 4.5], np.array([3.0, 4.0])), 0.1)
        self.assertEqual(agreement.relative_error([np.nan, 4.0], np.array([3.0, 4.0])), np.inf)

    def test_deterministic_methods(self):
        tolerance = methods.FLOAT_TOLERANCE
        self.assertTrue(agreement.deterministic(self.exact * (1 + 5e-5), self.exact, tolerance).agrees)
        for wrong in (self.exact * 1.001, self.exact / 1024, np.full_like(self.exact, np.nan)):
            self.assertFalse(agreement.deterministic(wrong, self.exact, tolerance).agrees)

    def test_unbiased_estimates_agree(self):
        verdict = agreement.monte_carlo(*self.estimates(), self.exact)
        self.assertTrue(verdict.agrees, verdict.detail)
        # Relative error of the mean: (1/√3) / √24 = 0.12, here over many parameters, so within a fifth of that.
        self.assertAlmostEqual(verdict.error, 0.118, delta=0.024)

    def test_a_wrong_scale_is_caught(self):
        # The trace's standard error is (1/√3)/√(24·2000·5/9) = 0.4%, so 5% is 12 of them.
        for scale in (0.95, 1.05, 2.0, 1 / 1024):
            self.assertFalse(agreement.monte_carlo(*self.estimates(scale), self.exact).agrees, scale)

    def test_a_wrong_quantity_with_the_right_trace_is_caught(self):
        self.assertFalse(agreement.monte_carlo(*self.estimates(), self.exact[::-1].copy()).agrees)

    def test_constant_estimates_are_no_estimates(self):
        count = agreement.REPLICATES
        constant = (2 * self.exact, [2 * self.exact.sum()] * count, [4 * (self.exact ** 2).sum()] * count)
        self.assertFalse(agreement.monte_carlo(*constant, self.exact).agrees)


@unittest.skipUnless(HAS_NUMPY, "needs NumPy")
class Samples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def idx(self, name, shape, values):
        content = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + bytes(values)
        path = self.folder / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    def test_images_plain_and_compressed(self):
        self.idx(data.IMAGES + ".gz", (2, 2, 2), [0, 255, 51, 0, 1, 2, 3, 4])
        self.idx(data.LABELS, (2,), [7, 3])
        inputs, labels = data.read_images(self.folder)
        self.assertEqual((inputs.shape, inputs.dtype, labels.tolist()), ((2, 4), np.float32, [7, 3]))
        self.assertEqual(inputs[0].tolist(), [0.0, 1.0, float(np.float32(51) / np.float32(255)), 0.0])

    def test_a_bad_file_is_named(self):
        with self.assertRaisesRegex(ValueError, "short.*4 elements, it has 3"):
            data.read_idx(self.idx("short", (2, 2), [1, 2, 3]))
        (self.folder / "other").write_bytes(b"PK34")
        with self.assertRaisesRegex(ValueError, "other"):
            data.read_idx(self.folder / "other")
        with self.assertRaisesRegex(FileNotFoundError, data.IMAGES):
            data.read_images(self.folder)

    def test_samples_are_repeated_in_turn(self):
        inputs, labels = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([4, 5, 6], dtype=np.int32)
        x, y = data.write_samples(self.folder, "pool", inputs, labels, 7)
        self.assertEqual(np.load(x)[:, 0].tolist(), [0, 2, 4, 0, 2, 4, 0])
        self.assertEqual(np.load(y).tolist(), [4, 5, 6, 4, 5, 6, 4])
        case = passes.Case("mlp-784-32-10", None, (x, y), None, self.folder)
        first = case.first_samples(2)
        self.assertEqual((np.load(first[0]).tolist(), np.load(first[1]).tolist()), ([[0, 1], [2, 3]], [4, 5]))

    def test_synthetic_samples_are_the_same_every_time(self):
        inputs, labels = data.synthetic(200)
        again, _ = data.synthetic(200)
        np.testing.assert_array_equal(inputs, again)
        self.assertEqual((inputs.dtype, labels.dtype, inputs.shape), (np.float32, np.int32, (200, data.FEATURES)))
        self.assertTrue(0.4 < (inputs == 0).mean() < 0.6)
        self.assertGreater(len(set(labels.tolist())), 5)

    def test_samples_near_a_kink_are_left_out(self):
        layers = [(np.array([[1.0, -1.0]]), np.array([0.5])), (np.array([[2.0]]), np.array([1.0]))]
        inputs = np.array([[0, 0], [0, 0.5], [0, 0.5 + 1e-6], [1, 0], [0, 3]], dtype=np.float32)
        logits, margin = data.logits_and_margin(layers, inputs)
        self.assertEqual(logits[:, 0].tolist()[3:], [4.0, 1.0])
        self.assertEqual((margin[0], margin[1], margin[4]), (0.5, 0.0, 2.5))
        self.assertEqual(data.away_from_kinks(layers, inputs, 2).tolist(), [0, 3])
        self.assertEqual(data.away_from_kinks(layers, inputs, 9).tolist(), [0, 3, 4])


@unittest.skipUnless(HAS_NUMPY, "needs NumPy")
class Plan(unittest.TestCase):
    def test_models(self):
        self.assertEqual(methods.parameters_of("mlp-784-256-256-10"), 269322)
        self.assertEqual(methods.arch_of("mlp-784-32-10"), "mlp:784-32-10")
        self.assertEqual(methods.tensor_names("mlp-784-32-10"), ["0.weight", "0.bias", "2.weight", "2.bias"])

    def test_stored_gradients_fit_in_memory(self):
        vmap = methods.find("torch-vmap")
        self.assertEqual(vmap.candidates(25450)[-1], 1024)
        # 20M parameters of 4 bytes: 16 samples take 1.28 GB, 64 would take 5.1.
        self.assertEqual(vmap.candidates(20037642), (4, 16))
        self.assertEqual(vmap.candidates(10 ** 12), (4,))
        self.assertEqual(methods.find("torch-squared").candidates(10 ** 12), (128, 512, 2048))

    def test_whole_batches_that_take_the_asked_time(self):
        settings = passes.Settings(rounds=5, seconds=0.5, pool=60000)
        self.assertEqual(settings.samples(10000, 512), 9 * 512)
        self.assertEqual(settings.samples(10, 512), 512)
        self.assertEqual(settings.samples(1e9, 512), 117 * 512)
        self.assertEqual(settings.samples(9, 1), 4)

    def test_our_runs_are_as_long_as_those_of_the_others(self):
        case = type("Case", (), {"check": "check", "first_samples": staticmethod(lambda count: count)})
        contestant = passes.Contestant("ours-empirical", "fisherdiag", "fisherdiag", "empirical")
        ours = passes.Ours(None, case, (0,), passes.Settings(rounds=5, seconds=0.5, pool=60000), contestant)
        ours.compute = lambda samples: {"samples_per_second": 900}
        for least, samples in ((1, 256), (2048, 2048), (4096, 4096), (100000, 32768)):
            ours.prepare(least)
            self.assertEqual((contestant.samples, ours.files), (samples, samples))

    def test_every_method_is_bound_to_the_same_cpus(self):
        self.assertEqual(len(client.chosen_cpus(1)), 1)
        limits = client.environment(3)
        self.assertEqual((limits["OMP_NUM_THREADS"], limits["MKL_NUM_THREADS"], limits["NPROC"]), ("3", "3", "3"))

    def test_a_method_that_cannot_run_is_noted(self):
        contestant = passes.Contestant("torch-vmap", "vmap", "torch", "empirical")
        entry = type("Entry", (), {"contestant": contestant})
        def fail():
            raise client.PeerError("out of memory")
        contestant.seconds = [1.0]
        self.assertFalse(passes.attempt(entry, lambda message: None, fail))
        self.assertFalse(passes.attempt(entry, lambda message: None, lambda: self.fail("it was asked again")))
        case = type("Case", (), {"model": "mlp-784-32-10"})
        record = contestant.record(case, 1)
        self.assertEqual((record["problem"], record["samples_per_second"]), ("out of memory", None))

    def test_a_worker_without_its_library_answers_in_one_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            worker = client.Worker(pathlib.Path(folder) / "log", client.chosen_cpus(1))
            self.addCleanup(worker.close)
            with self.assertRaisesRegex(client.PeerError, "Error: "):
                worker.ask("start", spec={"module": "jax", "method": "none", "weights": folder + "/none", "names": [],
                                          "x": "x", "y": "y", "threads": 1})


def entry(name, library, estimator, model, threads, rate, **other):
    return {"name": name, "label": f"{library} {name}", "library": library, "estimator": estimator, "model": model,
            "threads": threads, "samples_per_second": rate, "batch": 512, "memory_bytes": 5e6, "error": 2e-7, "problem": "",
            "seconds": [1.0], "samples": 100, **other}


def comparison():
    passes_ = []
    for model, scale in (("mlp-784-256-256-10", 1.0), ("mlp-784-32-10", 10.0)):
        for threads in (1, 2):
            passes_ += [entry(f"ours-{kind}", "fisherdiag", kind, model, threads, 9e4 * scale * threads)
                        for kind in ("empirical", "exact", "mc")]
            passes_ += [entry("torch-squared", "torch", "empirical", model, threads, 6e4 * scale),
                        entry("torch-squared-bf16", "torch", "empirical", model, threads, 18e4 * scale),
                        entry("backpack-exact", "backpack", "exact", model, threads, 2e4 * scale),
                        entry("jax-vmap", "jax", "empirical", model, threads, None, problem="no <memory>", batch=0)]
    step = {"model": "mlp-784-32-10", "threads": 1, "batch": 128, "problem": "", "torch_none": [1e-3, 2e-3, 1e-3],
            "torch_ewc": [1.4e-3, 2.8e-3, 1.5e-3], "ours_none": [1e-4] * 3, "ours_ewc": [1.02e-4] * 3}
    return {"mode": "quick", "date": "2024-01-01", "cpu": "Example <CPU>", "threads": 2, "data": "synthetic", "rounds": 3,
            "versions": {"torch": "2.0"}, "passes": passes_, "steps": [step]}


@unittest.skipUnless(DRAWS, "needs matplotlib and Jinja2")
class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(matplotlib.pyplot.close, "all")
        self.folder = pathlib.Path(folder.name)
        self.document = comparison()

    def test_ratios_pair_the_same_estimator_model_and_threads(self):
        found = {(e["model"], e["name"], e["threads"]): peers.ratio(self.document, e) for e in self.document["passes"]
                 if e["library"] != "fisherdiag"}
        self.assertEqual(found["mlp-784-32-10", "torch-squared", 1], 1.5)
        self.assertEqual(found["mlp-784-256-256-10", "backpack-exact", 2], 9.0)
        self.assertIsNone(found["mlp-784-32-10", "jax-vmap", 1])

    def test_bf16_stands_beside_our_bf16_where_there_is_one(self):
        theirs = next(e for e in self.document["passes"] if e["name"] == "torch-squared-bf16" and e["threads"] == 1)
        self.assertEqual(peers.ratio(self.document, theirs), 0.5)
        self.document["passes"].append(entry("ours-empirical-bf16", "fisherdiag", "empirical", theirs["model"], 1, 27e4))
        self.assertEqual(peers.ratio(self.document, theirs), 1.5)

    def test_the_section(self):
        section = peers.section(self.document)
        rows = section.tables[0].rows
        self.assertEqual([row[:2] for row in rows[:2]],
                         [["784-32-10", "jax jax-vmap"], ["784-32-10", "torch torch-squared"]])
        self.assertEqual(rows[1][2:5], ["600k", "900k", "1.50×"])
        steps_row = next(t for t in section.tables if "SGD" in t.caption).rows[0]
        self.assertEqual((steps_row[4], steps_row[7]), ("+40.0%", "+2.0%"))
        self.assertIn("Example &lt;CPU&gt;", section.paragraphs[0])
        self.assertEqual([key for key, _, _ in section.figures], ["peers"])

    def test_overhead_is_a_ratio_within_rounds(self):
        record = {"ours_none": [1.0, 2.0, 4.0], "ours_ewc": [1.1, 2.6, 4.4]}
        self.assertAlmostEqual(peers.overhead(record, "ours"), 0.1)
        self.assertIsNone(peers.overhead({"ours_none": [], "ours_ewc": []}, "ours"))

    def test_nothing_measured_draws_nothing(self):
        self.document.update(passes=[], steps=[])
        self.assertEqual(peers.section(self.document).figures, [])

    def report(self):
        source = self.folder / "run"
        source.mkdir(exist_ok=True)
        return subprocess.run([sys.executable, str(SCRIPTS / "report.py"), str(source), "--out", str(self.folder / "out")],
                              capture_output=True, text=True, check=False)

    def test_the_page_holds_it(self):
        self.assertEqual(self.report().returncode, 0)
        self.assertNotIn('id="peers"', (self.folder / "out" / "index.html").read_text())
        (self.folder / "out" / "peers.json").write_text(json.dumps(self.document))
        self.assertEqual(self.report().returncode, 0)
        page = (self.folder / "out" / "index.html").read_text()
        self.assertIn('id="peers"', page)
        self.assertIn("no &lt;memory&gt;", page)
        self.assertTrue((self.folder / "out" / "peers.png").exists())
        self.assertIn("1.50×", (self.folder / "out" / "summary.md").read_text())

    def test_a_broken_file_is_named(self):
        path = self.folder / peers.FILE
        self.assertIsNone(peers.read(path))
        for content in ("{", "[]", "{}"):
            path.write_text(content)
            with self.assertRaisesRegex(benchmark_json.BadFile, "peers.json"):
                peers.read(path)


class Script(unittest.TestCase):
    def run_script(self, *arguments):
        return subprocess.run([str(SCRIPTS / "compare_peers.sh"), *arguments], capture_output=True, text=True, check=False,
                              cwd="/")

    def test_help(self):
        result = self.run_script("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--quick", "--full", "--check", "--models", "--build-dir"):
            self.assertIn(option, result.stdout)

    def test_usage_errors(self):
        for arguments in (("--no-such-option",), ("--models",), ("--build-dir",), ("--build-dir", "/no/such/folder")):
            result = self.run_script(*arguments)
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), arguments)

    def test_a_build_without_binaries_is_one_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            result = self.run_script("--build-dir", folder)
        self.assertEqual((result.returncode, len(result.stderr.splitlines())), (1, 1), result.stderr)
        self.assertIn("fisherdiag", result.stderr)


if __name__ == "__main__":
    unittest.main()
