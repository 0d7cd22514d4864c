"""report.py: numbers computed from the measurements, sections that degrade, a page that needs nothing else."""

import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import fake_run  # noqa: E402
from fisherdiag_report import benchmark_json, results, text  # noqa: E402

DRAWS = all(importlib.util.find_spec(name) for name in ("matplotlib", "jinja2"))
if DRAWS:
    import matplotlib.pyplot
    from fisherdiag_report import findings, plots_cost, plots_examples, plots_machine, plots_values, sections


class WithFakeRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.run_folder = fake_run.write(self.folder / "run")


class Loading(WithFakeRun):
    def test_everything_is_found_under_its_name(self):
        measured = results.from_folder(self.run_folder)
        series = measured.fisher("mlp-784-32-10", "exact", threads=2)
        self.assertEqual(series.name, "fisher/mlp-784-32-10/exact/threads:2")
        self.assertEqual(len(series.seconds), 3)
        self.assertEqual(measured.runs["train"]["test_accuracy"], 0.8912)
        self.assertEqual((measured.all_threads(), measured.number("peak_flops_1_thread")), (2, 1.1e11))

    def test_a_forced_instruction_set_is_not_mistaken_for_the_default(self):
        measured = results.from_folder(self.run_folder)
        default = measured.fisher("mlp-784-32-10", "empirical")
        forced = measured.fisher("mlp-784-32-10", "empirical", isa="baseline")
        self.assertGreater(default.median("samples_per_second"), 2 * forced.median("samples_per_second"))
        self.assertEqual(measured.command_of(forced), "FISHERDIAG_ISA=baseline build/release/bench/fisherdiag-bench "
                         "--benchmark_filter='^fisher/mlp-784-32-10/empirical/threads:1(/|$)'")

    def test_results_json_gives_the_same_results_again(self):
        measured = results.from_folder(self.run_folder)
        again = results.from_document(json.loads(json.dumps(measured.document)))
        self.assertEqual(again.series, measured.series)
        self.assertEqual((again.runs, again.commands, again.about), (measured.runs, measured.commands, measured.about))

    def test_a_broken_file_is_named(self):
        (self.run_folder / "runs" / "train.json").write_text("{")
        with self.assertRaisesRegex(benchmark_json.BadFile, "train.json"):
            results.from_folder(self.run_folder)

    def test_parameters_of_a_model_name(self):
        for model, parameters in fake_run.SIZES.items():
            self.assertEqual(results.parameters_of(model), parameters)
        self.assertIsNone(results.parameters_of("some-network"))


class Numbers(unittest.TestCase):
    def test_as_people_read_them(self):
        self.assertEqual([text.si(v) for v in (0, 999, 1234567, 5.4e10)], ["0", "999", "1.23M", "54G"])
        self.assertEqual([text.significant(v) for v in (0.01234, 60000, 1.5e-7)], ["0.0123", "60,000", "1.50e-07"])
        self.assertEqual([text.seconds(v) for v in (2, 0.0031, 4e-6, 5e-9)], ["2 s", "3.1 ms", "4 µs", "5 ns"])
        self.assertEqual([text.times(v) for v in (1, 60.84, 123.4)], ["1.0×", "60.8×", "123×"])


@unittest.skipUnless(DRAWS, "needs matplotlib and Jinja2")
class Content(WithFakeRun):
    def setUp(self):
        super().setUp()
        self.measured = results.from_folder(self.run_folder)
        self.addCleanup(matplotlib.pyplot.close, "all")

    def test_cost_ratio_against_classes(self):
        ratios = plots_cost.exact_cost_ratios(self.measured)
        self.assertEqual([classes for classes, _, _ in ratios], [2, 10, 100, 1000])
        # fake_run: cost 1 at C = 2 and 1.6 at C = 10, plus a fixed 20 µs that the ratio of 10 ms hides to 3 digits.
        self.assertAlmostEqual(ratios[0][1], 1.0, places=2)
        self.assertAlmostEqual(ratios[1][1], 1.6, places=2)

    def test_penalty_bytes_and_overhead(self):
        points = plots_cost.penalty_overheads(self.measured)["ewc-merged"]
        for parameters, series, plain in points:
            self.assertEqual(plots_cost.extra_bytes(series), 8 * parameters)
            self.assertGreater(series.median(), plain.median())

    def test_speedup_over_one_thread(self):
        count, factor, _ = plots_machine.speedups(self.measured, "empirical")["mlp-784-4096-4096-10"][-1]
        self.assertEqual(count, 2)
        self.assertAlmostEqual(factor, 1.9, places=3)  # 2 × 0.95 by construction

    def test_error_table_has_every_draw_and_seed(self):
        table = plots_values.errors(self.measured)
        self.assertEqual(list(table["sketch"]), [1, 2, 4, 8, 16, 32, 64])
        self.assertEqual(sorted(error for _, error in table["mc"][4]), sorted([0.15, 0.135, 0.1725]))

    def test_presets_stand_in_a_section_of_their_own(self):
        section = sections.presets(self.measured)
        self.assertEqual([row[:3] for row in section.tables[0].rows],
                         [["lenet5", "empirical", "1"], ["lenet5", "exact", "1"], ["cnn-s", "empirical", "1"],
                          ["cnn-s", "exact", "1"]])
        self.assertEqual([key for key, _, _ in section.figures], ["presets"])

    def test_headlines_quote_the_numbers(self):
        page = "\n".join(findings.headlines(self.measured))
        for quoted in ("12.0×", "1.6×</b> at 10", "Spearman correlation of <b>0.970</b>", "1.90×", "about 25 draws",
                       "trace is <b>1.5×</b>"):
            self.assertIn(quoted, page)

    def test_shares_above_the_peak_are_seen_and_explained(self):
        measured = results.from_folder(self.run_folder)
        for series in measured.family("fisher"):
            series.counters["peak_fraction"] = [1.25] * len(series.seconds)
        self.assertIn("125% of the core's multiply-add peak: products with zeros are left out", findings.speed(measured))
        figure = plots_cost.passes(measured)
        self.addCleanup(matplotlib.pyplot.close, figure)
        self.assertGreater(figure.axes[1].get_ylim()[1], 125)

    def test_an_overhead_within_the_spread_is_not_quoted(self):
        sentence = findings.penalty(self.measured)  # fake_run: 4% between medians, repetitions 5% apart
        self.assertIn("nothing measurable", sentence)
        for _, series, _ in plots_cost.penalty_overheads(self.measured)["ewc-merged"]:
            series.seconds = [2 * second for second in series.seconds]
        self.assertRegex(findings.penalty(self.measured), r"<b>10[78]\.\d%</b> at 25k")

    def test_roofline_leaves_out_forced_instruction_sets(self):
        labels = [point[0] for point in plots_machine.roofline_points(self.measured)]
        self.assertEqual(labels.count("gemm/512x784x256"), 1)

    def test_arithmetic_intensity(self):
        intensity = {point[0]: point[2] for point in plots_machine.roofline_points(self.measured)}
        # 2·512·784·256 flop over three matrices of floats, each moved once
        self.assertAlmostEqual(intensity["gemm/512x784x256"], 205520896 / (4 * (401408 + 200704 + 131072)))
        self.assertEqual(intensity["penalty/269322"], 0.3)

    def test_hot_dogs_with_and_without_the_prior(self):
        plain, prior = plots_examples.hotdog(fake_run.hotdog()).axes
        self.assertEqual((plain.get_title(loc="left"), prior.get_title(loc="left")), ("without a prior", "prior of 0.5 on θ₁"))
        self.assertEqual(plain.get_xlim() + plain.get_ylim(), prior.get_xlim() + prior.get_ylim())
        for axis, longest, diagonal in ((plain, 3, 2), (prior, 5, 4)):
            drawn = {patch.get_label(): patch for patch in axis.patches if not patch.get_fill()}
            self.assertEqual(len(drawn), 4)
            for level, factor in (("68%", 1), ("95%", 1.6)):
                self.assertAlmostEqual(drawn[f"F⁻¹, {level}"].width, 2 * longest * factor)
                self.assertAlmostEqual(drawn[f"F⁻¹, {level}"].height, 2 * factor)
                self.assertAlmostEqual(drawn[f"1/F$_{{ii}}$, the diagonal, {level}"].width, 2 * diagonal * factor)
                self.assertEqual(drawn[f"1/F$_{{ii}}$, the diagonal, {level}"].angle, 90)

    def test_hot_dogs_without_any_prior_are_one_panel(self):
        found = dict(fake_run.hotdog(), prior=None)
        self.assertEqual(len(plots_examples.hotdog(found).axes), 1)
        self.assertEqual(plots_examples.variants(found), [("without a prior", "")])

    def test_paths_end_where_they_ended_and_regions_are_framed(self):
        axis, = plots_examples.paths(fake_run.paths()).axes
        lines = {line.get_label(): line.get_xydata().tolist() for line in axis.get_lines()}
        self.assertEqual([lines[name] for name in ("no penalty", "L2", "EWC")], [[[0, 0], [2, 2]], [[0, 0], [1, 1]], [[0, 0], [0, 2]]])
        # Inner squares reach from -1 to 3, and 8% of that is left around.
        for value, expected in zip(axis.get_xlim() + axis.get_ylim(), (-1.32, 3.32) * 2):
            self.assertAlmostEqual(value, expected)

    def test_tables_of_the_worked_examples(self):
        hotdog, ends = sections.worked_examples(self.measured).tables
        self.assertEqual([row[1:] for row in hotdog.rows[:2]], [["θ₁", "0.894", "1", "1.25×"], ["θ₂", "2", "2.24", "1.25×"]])
        self.assertEqual(hotdog.rows[3], ["prior of 0.5 on θ₁", "θ₂", "2", "2.05", "1.05×"])
        self.assertEqual(ends.rows, [["no penalty", "–", "2.000", "0.000", "B"], ["L2", "0.25", "0.300", "0.200", "neither"],
                                     ["EWC", "2", "0.070", "0.090", "both"]])
        del self.measured.runs["toy-paths"]
        section = sections.worked_examples(self.measured)
        self.assertEqual(([stem for stem, _, _ in section.figures], len(section.tables)), (["hotdog"], 1))

    def test_routes_that_disagree_are_said(self):
        self.measured.runs["toy-hotdog"]["agree"] = False
        self.assertIn("do not agree", sections.worked_examples(self.measured).paragraphs[0])

    def test_an_empty_run_says_what_is_missing_in_every_section(self):
        for section in sections.all_sections(results.Results()):
            self.assertEqual((section.figures, section.tables), ([], []))
            self.assertIn("Not measured in this run", section.paragraphs[0], section.key)
        self.assertEqual(findings.headlines(results.Results()), [])

    def test_any_file_may_be_missing(self):
        for path in [*self.run_folder.glob("*.*"), self.run_folder / "runs"]:
            copy = self.folder / "copy"
            shutil.copytree(self.run_folder, copy)
            gone = copy / path.name
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            sections.all_sections(results.from_folder(copy))
            findings.headlines(results.from_folder(copy))
            shutil.rmtree(copy)


@unittest.skipUnless(DRAWS, "needs matplotlib and Jinja2")
class Page(WithFakeRun):
    def report(self, source, out):
        return subprocess.run([sys.executable, str(SCRIPTS / "report.py"), str(source), "--out", str(out)],
                              capture_output=True, text=True, check=False)

    def test_files_and_independence(self):
        out = self.folder / "report"
        self.assertEqual(self.report(self.run_folder, out).returncode, 0)
        names = sorted(path.name for path in out.iterdir())
        figures = {"passes", "presets", "exact_cost", "values", "error_time", "penalty", "scaling", "isa", "roofline",
                   "hotdog", "paths"}
        self.assertEqual(names, sorted({"index.html", "summary.md", "results.json"} | {f + ".png" for f in figures}))
        page = (out / "index.html").read_text()
        self.assertEqual(re.findall(r'(?:src|href)="(?!data:image/png;base64,|#)', page), [])
        self.assertEqual(page.count("data:image/png;base64,"), len(figures))
        self.assertIn("Example &lt;CPU&gt; 3000", page)
        order = [page.index(f'id="{key}"') for key in ("machine", "cost", "presets", "values", "sampling", "penalty", "scaling",
                                                       "isa", "roofline", "examples", "commands")]
        self.assertEqual(order, sorted(order))
        self.assertIn("context", json.loads((out / "results.json").read_text()))
        self.assertNotRegex((out / "summary.md").read_text(), r"</?(b|code|em)>")
        self.assertEqual(self.report(out / "results.json", self.folder / "again").returncode, 0)

    def test_bad_input_is_3_with_one_sentence(self):
        bad = self.folder / "bad.json"
        bad.write_text("{}")
        for source, out in ((bad, self.folder / "x"), (self.folder / "none.json", self.folder / "x"),
                            (self.run_folder, bad / "below")):
            result = self.report(source, out)
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (3, 1), result.stderr)


if __name__ == "__main__":
    unittest.main()
