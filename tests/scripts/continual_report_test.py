"""The report's sections on continual learning, from a results file with known numbers."""

import json
import pathlib
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

try:
    import matplotlib.pyplot

    from fisherdiag_report import benchmark_json, continual, page, results
    DRAWS = True
except ImportError:
    DRAWS = False


def run(method, estimator, strength, seed, accuracy, validation=None, source=None):
    first = [0.99, 0.5]
    return {"method": method, "estimator": estimator, "lambda": strength, "lambda_from": source, "seed": seed,
            "average_accuracy": accuracy, "validation_accuracy": accuracy if validation is None else validation,
            "forgetting": 0.99 - (2 * accuracy - 0.97), "accuracy": [first, [2 * accuracy - 0.97, 0.97]], "validation": [],
            "fisher_traces": [], "seconds_training": 12.0, "seconds_fisher": 0.5 if estimator else 0.0,
            "seconds_penalty": 0.25 if strength else 0.0, "weights_sha256": ""}


def document(select="validation"):
    runs = []
    for seed in (1, 2):
        shift = 0.01 * (seed - 1)
        runs += [run("none", None, None, seed, 0.80 + shift), run("joint", None, None, seed, 0.96 + shift),
                 run("ewc-online", "exact", 1e3, seed, 0.95 + shift, 0.90), run("ewc-online", "exact", 1e4, seed, 0.93 + shift, 0.94),
                 run("ewc-online", "empirical", 2e6, seed, 0.94 + shift, source="exact:1e3")]
    runs.append(run("ewc-online", "exact", 1e4, 3, 0.99))
    return {"format": "fisherdiag continual", "version": "0.1.0", "plan": {"select": select}, "runs": runs,
            "settings": {"tasks": "split-fashion-mnist", "iterations": 500, "batch_size": 128, "learning_rate": 1e-3,
                         "optimizer_state": "keep"}}


@unittest.skipUnless(DRAWS, "needs matplotlib and Jinja2")
class ContinualReport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(matplotlib.pyplot.close, "all")
        self.folder = pathlib.Path(folder.name)

    def write(self, content):
        (self.folder / "continual-split-quick.json").write_text(content)

    def test_best_lambda_by_what_was_asked_for(self):
        self.assertEqual(continual.chosen(document())["ewc-online exact"][0], 1e4)
        # Seed 3 was run at one lambda only: it must not decide between the two.
        self.assertEqual(continual.chosen(document("test"))["ewc-online exact"][0], 1e3)

    def test_table(self):
        rows = {row[0]: row for row in continual.table_rows(document("test"))}
        self.assertEqual(list(rows), ["none", "ewc-online exact", "joint"])
        # 80 and 81: mean 80.5, deviation 1 / sqrt(2), error 0.5.
        self.assertEqual(rows["none"][1:3], ["2", "80.50 ± 0.50"])
        self.assertEqual(rows["ewc-online exact"][6:10], ["1e3", "12 s", "500 ms", "250 ms"])
        self.assertEqual(rows["ewc-online exact"][10:], ["99.12 ± 0.16", "1e5", "121 s"])
        self.assertEqual(rows["joint"][10:], ["–", "–", "–"])
        # Seed by seed the distances are the same: no error, however far the seeds are apart.
        self.assertEqual(rows["ewc-online exact"][3:5], ["+15.00 ± 0.00", "-1.00 ± 0.00"])
        self.assertEqual(rows["none"][3], "–")

    def test_translated_lambdas_stand_beside_the_best_of_the_list(self):
        data = document()
        self.assertEqual(continual.translations(data), [["ewc-online empirical", "exact:1e3", "2e6", "94.50 ± 0.50", "–", "–"]])
        data["runs"] += [run("ewc-online", "empirical", 1e6, seed, 0.95) for seed in (1, 2)]
        self.assertEqual(continual.translations(data)[0][4:], ["1e6", "95.00 ± 0.00"])

    def test_curves_show_what_was_measured(self):
        axis = continual.lambda_curves(document()).axes[0]
        line = axis.get_lines()[0]
        self.assertEqual(list(line.get_xdata()), [1e3, 1e4])
        self.assertAlmostEqual(line.get_ydata()[0], 95.5)
        self.assertAlmostEqual(line.get_ydata()[1], 93.5)  # without seed 3
        panel = continual.forgetting(document()).axes[0]
        self.assertEqual([len(curve.get_xdata()) for curve in panel.get_lines()], [2, 1])

    def test_page_has_the_section(self):
        self.write(json.dumps(document()))
        page.write(results.Results(), self.folder)
        written = (self.folder / "index.html").read_text()
        self.assertIn('id="continual-split-quick"', written)
        self.assertLess(written.index('id="continual-split-quick"'), written.index('id="commands"'))
        for figure in ("forgetting", "lambda"):
            self.assertTrue((self.folder / f"continual-split-quick-{figure}.png").exists())
        self.assertIn("80.50 ± 0.50", (self.folder / "summary.md").read_text())

    def test_other_files_are_refused_by_name(self):
        for content in ("{", "{}", "[]"):
            self.write(content)
            with self.assertRaisesRegex(benchmark_json.BadFile, "continual-split-quick.json"):
                continual.read(self.folder)


if __name__ == "__main__":
    unittest.main()
