"""Figures of what a Fisher pass and a penalty cost. Each returns a figure, or None when nothing was measured."""

from . import style, text
from .results import BASELINES, CLASS_MODEL, ESTIMATORS, MODELS, PENALTIES, parameters_of


def _by_model(results, variant, threads, counter):
    """[(parameters, Series)] of a Fisher variant over the models, where the counter was measured."""
    found = [(parameters_of(model), results.fisher(model, variant, threads)) for model in MODELS]
    return [(size, series) for size, series in found if series and series.median(counter) is not None]


def _model_axis(axes, results, family):
    sizes = [parameters_of(model) for model in results.models(family)]
    axes.set_xscale("log")
    style.plain_log_ticks(axes.xaxis, sizes, lambda value: text.si(value, 2))
    axes.tick_params(axis="x", rotation=35)
    axes.set_xlabel("parameters of the network")


def passes(results):
    fig, (rate, peak) = style.figure(2, ratios=[1.35, 1])
    for index, variant in enumerate(ESTIMATORS + BASELINES):
        points = _by_model(results, variant, 1, "samples_per_second")
        if points:
            medians, spread = style.error_bars([series for _, series in points], "samples_per_second")
            rate.errorbar([size for size, _ in points], medians, yerr=spread, label=variant,
                          color=style.ESTIMATOR_COLORS[variant], marker=style.MARKERS[index],
                          linestyle="--" if variant in BASELINES else "-")
    if not rate.has_data():
        return None
    for threads, line in ((1, "-"), (results.all_threads(), ":")):
        for index, variant in enumerate(("empirical", "exact")):
            points = _by_model(results, variant, threads, "peak_fraction")
            if points and (threads > 1 or line == "-"):
                medians, spread = style.error_bars([series for _, series in points], "peak_fraction", 100)
                peak.errorbar([size for size, _ in points], medians, yerr=spread, linestyle=line,
                              color=style.ESTIMATOR_COLORS[variant], marker=style.MARKERS[index],
                              label=f"{variant}, {threads} thread{'s' * (threads > 1)}")
    rate.set(yscale="log", ylabel="samples per second, 1 thread", title="Speed of a pass")
    style.peak_axis(peak)
    for axes in (rate, peak):
        _model_axis(axes, results, "fisher")
    rate.legend(ncol=2, loc="lower left")
    if peak.has_data():
        peak.legend(loc="lower right")
    return fig


def exact_cost_ratios(results):
    """[(classes, time ratio, work ratio or None)] of exact over empirical, one thread, per sample."""
    ratios = []
    for model in sorted({series.segments[1] for series in results.family("fisher")}):
        tail = model.removeprefix(CLASS_MODEL)
        exact, empirical = results.fisher(model, "exact"), results.fisher(model, "empirical")
        if model == tail or not tail.isdigit() or not exact or not empirical:
            continue
        rates = [series.median("samples_per_second") for series in (empirical, exact)]
        work = [series.median("flops") for series in (empirical, exact)]
        if None not in rates:
            ratio = rates[0] / rates[1]
            ratios.append((int(tail), ratio, None if None in work else ratio * work[1] / work[0]))
    return sorted(ratios)


def exact_cost(results):
    ratios = exact_cost_ratios(results)
    if not ratios:
        return None
    fig, (axes,) = style.figure(1, height=3.4, width=7)
    classes = [entry[0] for entry in ratios]
    axes.plot(classes, [entry[1] for entry in ratios], color=style.VERMILLION, marker="s", label="time, measured")
    if all(entry[2] for entry in ratios):
        axes.plot(classes, [entry[2] for entry in ratios], color=style.GREY, linestyle="--", marker="o",
                  markerfacecolor="white", label="floating-point operations needed")
    for count, ratio, _ in ratios:
        axes.annotate(text.times(ratio), (count, ratio), textcoords="offset points", xytext=(0, 8), ha="center")
    axes.axhline(1, color=style.BLUE, linewidth=1, label="empirical = 1")
    axes.set(xscale="log", yscale="log", xlabel="classes C", ylabel="cost of exact / cost of empirical",
             title="The true Fisher costs more with every class")
    style.plain_log_ticks(axes.xaxis, classes, str)
    axes.margins(y=0.15)
    axes.legend(loc="upper left")
    return fig


def penalty_overheads(results, threads=1):
    """{variant: [(parameters, Series with, Series without)]}, models in order of size."""
    table = {}
    for variant in PENALTIES:
        for model in results.models("step"):
            series = results.find("step", model, variant, threads)
            plain = results.find("step", model, "none", threads)
            if series and plain:
                table.setdefault(variant, []).append((parameters_of(model), series, plain))
    return table


def extra_bytes(series):
    """Bytes a penalty adds to a training step, as the benchmark counts them; None if it does not."""
    return series.median("penalty_bytes_per_step") or None


def penalty(results):
    overheads = penalty_overheads(results)
    if not overheads:
        return None
    fig, (share, moved) = style.figure(2)
    for index, (variant, points) in enumerate(overheads.items()):
        look = {"color": style.PENALTY_COLORS[variant], "marker": style.MARKERS[index], "label": variant}
        base = [plain.median() for _, _, plain in points]
        centre = [100 * (series.median() / b - 1) for (_, series, _), b in zip(points, base)]
        ends = [[100 * (end / b - 1) for end in series.spread()] for (_, series, _), b in zip(points, base)]
        share.errorbar([size for size, _, _ in points], centre, capsize=2.5, **look,
                       yerr=[[c - low for c, (low, _) in zip(centre, ends)], [high - c for c, (_, high) in zip(centre, ends)]])
        cost = [(extra_bytes(series), series.median() - plain.median()) for _, series, plain in points]
        cost = [(size, time) for size, time in cost if size and time > 0]
        if cost:
            moved.plot([size / 1e6 for size, _ in cost], [time * 1e3 for _, time in cost], linestyle="none", **look)
    _bandwidth_line(moved, results)
    share.axhline(0, color="#555555", linewidth=0.8)
    share.set(ylabel="added to a training step, %", title="Share of a step (batch 128, 1 thread)")
    _model_axis(share, results, "step")
    moved.set(xlabel="extra bytes moved per step, MB", ylabel="extra time per step, ms", title="What it is bound by")
    if not moved.lines:
        share.legend()
        moved.text(0.5, 0.5, "no penalty was measurably slower", ha="center", transform=moved.transAxes)
    return fig


def _bandwidth_line(axes, results):
    """The time that moving so many bytes takes at the measured memory bandwidth."""
    bandwidth = results.number("bandwidth_1_thread")
    points = [value for line in axes.lines for value in line.get_xdata()]
    if not points:
        return
    axes.set(xscale="log", yscale="log")
    if bandwidth:
        ends = [min(points) / 1.5, max(points) * 1.5]
        axes.plot(ends, [megabytes * 1e6 / bandwidth * 1e3 for megabytes in ends], color=style.BLACK, linestyle="--",
                  linewidth=1, label=f"memory bandwidth, {bandwidth / 1e9:.0f} GB/s")
    axes.legend(loc="upper left")
