"""The sections of the report, in the order a reader asks: text, figures and tables, not yet any markup."""

from dataclasses import dataclass, field

from . import plots_cost, plots_examples, plots_machine, plots_presets, plots_values, text
from .results import BASELINES, ESTIMATORS, ISAS, parameters_of, preset_models


@dataclass
class Table:
    """Rows of text; the first `labels` columns are words, the others numbers (aligned right)."""

    columns: list
    rows: list
    labels: int = 1
    caption: str = ""
    folded: bool = False


@dataclass
class Section:
    key: str
    title: str
    paragraphs: list = field(default_factory=list)
    figures: list = field(default_factory=list)  # (file stem, matplotlib figure, alternative text)
    tables: list = field(default_factory=list)

    def add_figure(self, stem, figure, description):
        if figure is not None:
            self.figures.append((stem, figure, description))

    def add_table(self, *arguments, **options):
        table = Table(*arguments, **options)
        if table.rows:
            self.tables.append(table)

    def finished(self, missing):
        """Itself; a section with nothing measured says so in one sentence."""
        if not self.figures and not self.tables:
            self.paragraphs = [f"Not measured in this run: {missing}."]
        return self


def machine(results):
    context, about, probe = results.context, results.about, results.runs.get("machine", {})
    caches = ", ".join(f"{name.replace('_', ' ').replace('l', 'L', 1)} {text.binary_size(size)}"
                       for name, size in probe.get("caches", {}).items() if size)

    def pair(stem, scale, unit):
        one, every = results.number(f"{stem}_1_thread"), results.number(f"{stem}_all_threads")
        if one is None:
            return None
        both = f"; {every / scale:.0f} {unit} on {results.all_threads()} threads" if every and results.all_threads() > 1 else ""
        return f"{one / scale:.0f} {unit} on 1 thread{both}"

    facts = (("Processor", context.get("cpu_model") or probe.get("cpu")), ("Threads", context.get("threads")),
             ("Caches", caches), ("Instruction set", context.get("isa")),
             ("Available instruction sets", context.get("isas")),
             ("Multiply-add peak, float32", pair("peak_flops", 1e9, "GFLOP/s")),
             ("Memory bandwidth (z = a·x + y)", pair("bandwidth", 1e9, "GB/s")),
             ("Compiler", context.get("compiler")), ("Build type", context.get("project_build_type")),
             ("fisherdiag", " ".join(filter(None, (context.get("fisherdiag_version"), context.get("git_commit"))))),
             ("Training data", about.get("train_data")), ("Test data", about.get("test_data")),
             ("Trained network", _training(results)), ("Run", about.get("mode")), ("Date", about.get("date")))
    section = Section("machine", "Machine and build")
    section.add_table(["", ""], [[name, str(value)] for name, value in facts if value], labels=2)
    if section.tables:
        section.paragraphs.append("Peak and bandwidth are measured in the benchmark process itself, never looked up; "
                                  "“% of peak” below always refers to them.")
    return section.finished("the benchmark wrote no context")


def _training(results):
    run = results.runs.get("train")
    if not run or "test_accuracy" not in run:
        return None
    seconds = f" after {run['seconds']:.0f} s" if "seconds" in run else ""
    return f"{results.about.get('arch', '')}: {text.percent(run['test_accuracy'], 1)} test accuracy{seconds}".strip(": ")


def cost(results):
    section = Section("cost", "What a Fisher pass costs")
    section.add_figure("passes", plots_cost.passes(results), "Samples per second and share of peak for each estimator "
                       "against the number of parameters")
    counts = [t for t in results.thread_counts() if t in (1, results.all_threads())]
    models = results.models("fisher")
    section.add_table(["samples/s, 1 thread"] + [text.model(model) for model in models],
                      [[variant] + [_rate(results.fisher(model, variant)) for model in models]
                       for variant in ESTIMATORS + BASELINES if any(results.fisher(model, variant) for model in models)])
    section.add_table(["1 thread", "estimator", "samples/s", "GFLOP/s", "% of peak", "peak memory", "bytes/parameter"],
                      [row[:3] + row[4:] + _memory(results, model, estimator) for model in models
                       for estimator in ("empirical", "exact") if results.fisher(model, estimator)
                       for row in [_pass_row(results, model, estimator, 1)]], labels=2)
    for threads in counts:
        rows = [_pass_row(results, model, variant, threads) for model in results.models("fisher")
                for variant in ESTIMATORS + BASELINES if results.fisher(model, variant, threads)]
        section.add_table(["model", "estimator", "samples/s", "± spread", "GFLOP/s", "% of peak"], rows,
                          labels=2, caption=f"Every pass, {threads} thread{'s' * (threads > 1)}", folded=True)
    section.add_table(["estimator", "samples", "seconds", "samples/s", "GFLOP/s", "peak memory"], _real_rows(results),
                      caption=f"The whole job on the trained network, {results.all_threads()} threads, "
                              f"data {results.about.get('train_data', 'as given')}")
    section.paragraphs.append(
        "<code>loop</code> and <code>materialized</code> are what most public code does: one sample at a time, and "
        "every per-sample gradient stored before squaring. Floating-point operations are the needed ones (multiply "
        "and add count one each), so a method that does more work gains nothing by it, and one that leaves out the "
        "zeros of a ReLU network can pass 100% of the peak. Bars and ± show the lowest and highest of the repetitions "
        "around their median. Peak memory is that of a whole <code>fisherdiag compute</code> process, program and "
        "libraries included; it does not grow with the number of samples.")
    return section.finished("no fisher/… benchmark")


def presets(results):
    section = Section("presets", "Weights used at many positions")
    section.add_figure("presets", plots_presets.passes(results), "Samples per second and share of peak for each estimator "
                       "and preset")
    rows = []
    for model in preset_models(results):
        for variant in ESTIMATORS + BASELINES:
            for threads in results.thread_counts():
                if results.fisher(model, variant, threads):
                    row = _pass_row(results, model, variant, threads)
                    rows.append(row[:2] + [str(threads)] + row[2:])
    section.add_table(["network", "estimator", "threads", "samples/s", "± spread", "GFLOP/s", "% of peak"], rows, labels=2)
    section.paragraphs.append(
        "A convolution uses each weight at every position, so a sample's gradient must be summed over positions before "
        "it is squared: the square no longer factorises, and the accumulation costs as much as a training step's weight "
        "gradient. <code>exact</code> does that once for each class but one; <code>sketch</code> and <code>mc</code> "
        "once for each draw. Operations are the needed ones, as above.")
    return section.finished("no fisher/… benchmark of a preset")


def _rate(series):
    return text.or_dash(series.median("samples_per_second") if series else None, text.si)


def _pass_row(results, model, variant, threads):
    series = results.fisher(model, variant, threads)
    rate, spread = series.median("samples_per_second"), series.spread("samples_per_second")
    return [text.model(model), variant, text.or_dash(rate, text.si),
            "–" if not rate else text.percent((spread[1] - spread[0]) / 2 / rate, 1),
            text.or_dash(series.median("flops"), lambda value: f"{value / 1e9:.1f}"),
            text.or_dash(series.median("peak_fraction"), text.percent)]


def _memory(results, model, estimator):
    """Of a process of the tool's own: the benchmark's holds its data and the bandwidth probe's arrays too."""
    peak = results.runs.get(f"memory-{text.model(model)}-{estimator}", {}).get("peak_rss_bytes")
    return [text.or_dash(peak, text.memory), text.or_dash(peak, lambda value: f"{value / parameters_of(model):.1f}")]


def _real_rows(results):
    rows = []
    for name in ("empirical", "exact", "mc-1", "mc-10", "sketch-1", "sketch-10", "predicted", "batched"):
        run = results.runs.get(f"compute-{name}")
        if run and run.get("seconds"):
            rows.append([name.replace("-", ", S = "), f"{run.get('samples', 0):,}", text.significant(run["seconds"]),
                         text.or_dash(run.get("samples_per_second"), text.si),
                         text.or_dash(run.get("flops"), lambda value, s=run["seconds"]: f"{value / s / 1e9:.1f}"),
                         text.or_dash(run.get("peak_rss_bytes"), text.memory)])
    return rows


def true_or_empirical(results):
    section = Section("values", "True versus empirical Fisher")
    section.add_figure("exact_cost", plots_cost.exact_cost(results), "Cost of exact over cost of empirical against the "
                       "number of classes")
    section.add_figure("values", plots_values.values(results), "Trace ratio, cosine and rank correlation with exact for "
                       "each parameter tensor")
    rows, per_tensor = [], []
    for name, diff in plots_values.differences(results).items():
        label = name.replace("-1", ", S = 1")
        rows.append([label] + _difference(diff.get("total", {})))
        per_tensor += [[label, layer["name"]] + _difference(layer) for layer in diff["layers"]]
    columns = ["trace ratio", "cosine", "Spearman", "relative error"]
    section.add_table(["estimator"] + columns, rows, caption="All parameters, compared with exact")
    section.add_table(["estimator", "tensor"] + columns, per_tensor, labels=2, folded=True,
                      caption="Every parameter tensor, compared with exact")
    if section.tables:
        section.paragraphs.append(
            "The cost ratio is a matter of the model's shape; how far the values differ is a matter of the trained "
            "network and its data. A trace ratio other than 1 rescales the λ that works best; cosine and rank "
            "correlation tell whether the <em>same parameters</em> are protected. <code>batched</code> squares a "
            "batch's mean gradient and is no Fisher diagonal: it is here because much public code computes it.")
    return section.finished("no exact/empirical pair and no diff")


def _difference(entry):
    return [text.or_dash(plots_values.trace_ratio(entry) if entry.get("trace_a") is not None else None, text.significant)] + [
        text.or_dash(entry.get(key), lambda value: f"{value:.3f}") for key in ("cosine", "spearman")] + [
        text.or_dash(entry.get("relative_error"), text.significant)]


def sampling(results):
    section = Section("sampling", "Monte Carlo and sketch: error against time")
    section.add_figure("error_time", plots_values.error_against_time(results), "Relative error against time for mc and "
                       "sketch")
    rows = []
    for kind, draws in plots_values.errors(results).items():
        for count, points in draws.items():
            times, errors = sorted(t for t, _ in points), sorted(e for _, e in points)
            rows.append([kind, str(count), text.significant(times[len(times) // 2]),
                         text.percent(errors[len(errors) // 2], 2), text.percent(errors[0], 2),
                         text.percent(errors[-1], 2), str(len(points))])
    section.add_table(["estimator", "S", "seconds", "relative error", "lowest", "highest", "seeds"], rows, folded=True,
                      caption="Median, lowest and highest over seeds")
    if section.figures:
        section.paragraphs.append(
            f"Error is ‖F − F<sub>exact</sub>‖ / ‖F<sub>exact</sub>‖ over the same samples "
            f"({results.about.get('error_data', 'the same data')}); bars span the seeds. Both are unbiased and fall as "
            "1/√S. A label drawn from a confident network is nearly always the predicted one, so its variance is large; "
            "a sketch draw hears every class at once.")
    return section.finished("no error-… runs")


def penalty(results):
    section = Section("penalty", "The EWC penalty in a training step")
    section.add_figure("penalty", plots_cost.penalty(results), "Penalty overhead against parameters, and extra time "
                       "against extra bytes moved")
    rows = []
    for variant, points in plots_cost.penalty_overheads(results).items():
        for size, series, plain in points:
            extra = plots_cost.extra_bytes(series)
            rows.append([variant, text.model(series.segments[1]), text.si(size), text.seconds(plain.median()),
                         text.seconds(series.median()), f"{100 * (series.median() / plain.median() - 1):+.1f}%",
                         text.or_dash(extra, lambda value: f"{value / 1e6:.1f}")])
    section.add_table(["penalty", "model", "parameters", "step without", "step with", "added", "extra MB"], rows, labels=2,
                      caption="Batch 128, 1 thread", folded=len(rows) > 12)
    if section.figures:
        section.paragraphs.append(
            "A penalty does almost no arithmetic; it reads one anchor and one Fisher value per parameter. Its cost is "
            "memory traffic: it grows with the number of separate tasks, and next to a step's matrix products it shrinks as "
            "batches grow. Merged and online EWC keep one quadratic however many tasks there are.")
    return section.finished("no step/… benchmark")


def scaling(results):
    section = Section("scaling", "Threads")
    section.add_figure("scaling", plots_machine.scaling(results), "Speed-up against threads")
    rows = []
    for estimator in ("empirical", "exact"):
        for model, points in plots_machine.speedups(results, estimator).items():
            rows += [[estimator, text.model(model), str(t), text.si(series.median("samples_per_second")), f"{factor:.2f}×",
                      text.percent(factor / t)] for t, factor, series in points]
    section.add_table(["estimator", "model", "threads", "samples/s", "speed-up", "efficiency"], rows, labels=2,
                      folded=len(rows) > 12)
    if section.figures:
        section.paragraphs.append("Results are the same bits for every number of threads; only the time changes.")
    return section.finished("one thread only")


def isa_levels(results):
    section = Section("isa", "Instruction sets")
    section.add_figure("isa", plots_machine.isa_levels(results), "Kernels and passes under each instruction set")
    kernels, passes = plots_machine.kernel_rates(results), plots_machine.pass_rates(results)
    isas = [isa for isa in ISAS if any(isa in row for row in (*kernels.values(), *passes.values()))]
    peaks = results.runs.get("machine", {}).get("peak_flops_by_isa", {})
    rows = [[name] + [text.or_dash(row.get(isa), lambda series: f"{series.median('flops') / 1e9:.1f}") for isa in isas]
            for name, row in kernels.items()]
    if rows and peaks:
        rows.append(["multiply-add peak"] + [text.or_dash(peaks.get(isa, {}).get("1"), lambda rate: f"{rate / 1e9:.1f}")
                                             for isa in isas])
    section.add_table(["kernel (fastest shape), GFLOP/s"] + isas, rows)
    section.add_table(["empirical pass, samples/s"] + isas,
                      [[text.model(model)] + [text.or_dash(row.get(isa), lambda s: text.si(s.median("samples_per_second")))
                                              for isa in isas] for model, row in passes.items()])
    return section.finished("one instruction set only")


def roofline(results):
    section = Section("roofline", "Roofline")
    section.add_figure("roofline", plots_machine.roofline(results), "Arithmetic rate against arithmetic intensity under "
                       "the machine's two ceilings")
    if section.figures:
        section.paragraphs.append("Each point is one benchmark on one thread. The byte counts are lower "
                                  "bounds: every operand moves once, and a pass reads its samples and adds to F once per 512 "
                                  "of them. Left of the ridge memory sets the limit, "
                                  "right of it the multiply-add units do; the distance to the line is what is left to gain.")
    return section.finished("the measured peak and bandwidth, or the benchmarks, are missing")


def worked_examples(results):
    section = Section("examples", "Worked examples")
    hotdog, paths = plots_examples.run(results, "hotdog"), plots_examples.run(results, "paths")
    section.add_figure("hotdog", plots_examples.hotdog(hotdog), "68% and 95% ellipses of two parameters from the whole "
                       "Fisher matrix and from its diagonal")
    section.add_figure("paths", plots_examples.paths(paths), "Low-loss regions of two tasks, the Fisher ellipse, and the "
                       "paths without penalty, with L2 and with EWC")
    if hotdog:
        section.paragraphs.append(_hotdog_sentence(hotdog))
        section.add_table(["hot dogs", "parameter", "error, the other known", "error, the other unknown",
                           "precision overstated"], _hotdog_rows(hotdog), labels=2)
    if paths:
        section.paragraphs.append(_paths_sentence(paths))
        section.add_table(["from θ*_A", "λ", "A above its minimum", "B above its minimum", "low loss of"],
                          [_path_row(key, paths["ends"][key]) for key in plots_examples.PATHS],
                          caption="Ends of the paths, nats per sample")
    return section.finished("the toy-… runs")


def _hotdog_sentence(run):
    agreement = ("Algebra, the engine's exact expectation and simulated universes agree on F." if run["agree"] else
                 "<b>Algebra, engine and simulation do not agree on F.</b>")
    return (f"<b>Hot dogs.</b> Rates with buns (θ₁) and alone (θ₂) from h = θ₁ + θ₂ ± {run['sigma_h']:g} hot dogs and "
            f"b = θ₁ ± {run['sigma_b']:g} buns. The diagonal keeps 1/√F<sub>ii</sub>, the error of each rate with the other "
            "one known, and nothing of how they hang together: the ellipses of the whole matrix cross its ellipses where "
            f"the other rate is right and reach beyond them elsewhere. {agreement}")


def _hotdog_rows(run):
    rows = []
    for what, suffix in plots_examples.variants(run):
        for i, name in enumerate(("θ₁", "θ₂")):
            fisher, variance = run["fisher" + suffix][i][i], run["covariance" + suffix][i][i]
            rows.append([what, name, text.significant(fisher ** -0.5), text.significant(variance ** 0.5),
                         f"{fisher * variance:.2f}×"])
    return rows


def _paths_sentence(run):
    return ("<b>Paths.</b> The picture of the EWC paper (Kirkpatrick et al. 2017, figure 1), computed: a logistic model of "
            "weight and bias goes from task A's minimum down task B's loss. A loss is low up to "
            f"{run['low_loss']:g} nats per sample above its minimum. L2 and EWC each have the best of their strengths; the "
            "ellipses are where the quadratic of A's Fisher, which is what EWC sees, is that low.")


def _path_row(key, end):
    low = [task for task, name in (("A", "low_loss_a"), ("B", "low_loss_b")) if end[name]]
    return [plots_examples.PATHS[key][0], text.or_dash(end["lambda"], text.significant),
            *(f"{max(end[name], 0):.3f}" for name in ("excess_a", "excess_b")),
            {0: "neither", 1: low[0] if low else "", 2: "both"}[len(low)]]


def commands(results):
    section = Section("commands", "How to measure any row again")
    section.add_table(["measurement", "command"], [[name, command] for name, command in results.commands.items()],
                      labels=2, caption="Runs of the tool, from the project's folder", folded=True)
    section.add_table(["benchmark", "command"], [[series.name, results.command_of(series)]
                                                 for series in results.series.values()],
                      labels=2, caption="Benchmarks", folded=True)
    section.add_table(["benchmark", "reason"], [[name, message] for name, message in results.failures], labels=2,
                      caption="Benchmarks that failed")
    if section.tables:
        section.paragraphs.append("Everything: <code>" + results.about.get("command", "scripts/run.sh") + "</code>. "
                                  "All numbers, repetition by repetition, are in <code>results.json</code>; "
                                  "<code>scripts/compare.py</code> compares two of them.")
    return section.finished("nothing at all")


def all_sections(results):
    return [build(results) for build in (machine, cost, presets, true_or_empirical, sampling, penalty, scaling, isa_levels,
                                         roofline, worked_examples, commands)]
