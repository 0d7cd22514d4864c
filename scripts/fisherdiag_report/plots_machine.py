"""Figures of how passes and kernels use the machine: threads, instruction sets, roofline."""

from . import style, text
from .results import ESTIMATORS, ISAS, parameters_of


def speedups(results, estimator):
    """{model: [(threads, speed-up over one thread, Series)]}."""
    table = {}
    for model in results.models("fisher"):
        one = results.fisher(model, estimator, 1)
        points = [(t, results.fisher(model, estimator, t)) for t in results.thread_counts()]
        points = [(t, series) for t, series in points if series and series.median("samples_per_second")]
        if one and one.median("samples_per_second") and len(points) > 1:
            base = one.median("samples_per_second")
            table[model] = [(t, series.median("samples_per_second") / base, series) for t, series in points]
    return table


def scaling(results):
    tables = {estimator: speedups(results, estimator) for estimator in ("empirical", "exact")}
    tables = {estimator: table for estimator, table in tables.items() if table}
    if not tables:
        return None
    fig, panels = style.figure(len(tables), width=4.6 * len(tables), height=3.6)
    for axes, (estimator, table) in zip(panels, tables.items()):
        counts = sorted({t for points in table.values() for t, _, _ in points})
        axes.plot(counts, counts, color="#999999", linestyle="--", linewidth=1, label="perfect")
        for index, (model, points) in enumerate(table.items()):
            base = points[0][2].median("samples_per_second")
            medians, spread = style.error_bars([series for _, _, series in points], "samples_per_second", 1 / base)
            axes.errorbar([t for t, _, _ in points], medians, yerr=spread, label=text.model(model),
                          color=style.SEQUENCE[index], marker=style.MARKERS[index])
        axes.set(xlabel="threads", ylabel="speed-up over 1 thread", title=estimator, ylim=(0, None))
        axes.set_xticks(counts)
        axes.legend(loc="upper left" if len(counts) > 2 else "lower right")
    return fig


def kernel_rates(results):
    """{kernel: {isa: fastest one-thread Series by flops}} for kernels that count flops."""
    table = {}
    for series in results.family("kernel"):
        isa, rate = series.tag("isa"), series.median("flops")
        if isa not in ISAS or series.threads != 1 or not rate:
            continue
        best = table.setdefault(series.segments[1], {}).get(isa)
        if best is None or rate > best.median("flops"):
            table[series.segments[1]][isa] = series
    return table


def pass_rates(results, estimator="empirical"):
    """{model: {isa: one-thread Series}} of passes measured under forced instruction sets."""
    table = {}
    for model in results.models("fisher"):
        for isa in ISAS:
            series = results.fisher(model, estimator, 1, isa)
            if series is None and isa == results.context.get("isa"):
                series = results.fisher(model, estimator, 1)
            if series and series.median("samples_per_second"):
                table.setdefault(model, {})[isa] = series
    return {model: row for model, row in table.items() if len(row) > 1}


def isa_levels(results):
    kernels, models = kernel_rates(results), pass_rates(results)
    kernels = {name: row for name, row in kernels.items() if len(row) > 1}
    if not kernels and not models:
        return None
    fig, (left, right) = style.figure(2, width=10.5, height=4)
    _bars(left, kernels, "flops", 1e-9)
    left.set(ylabel="GFLOP/s, 1 thread", title="Kernels, fastest shape")
    _bars(right, models, "samples_per_second", 1, text.model)
    right.set(ylabel="samples per second, 1 thread", title="Empirical pass", yscale="log")
    for axes in (left, right):
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return fig


def _bars(axes, table, counter, scale, name=str):
    isas = [isa for isa in ISAS if any(isa in row for row in table.values())]
    width = 0.8 / max(len(isas), 1)
    for index, isa in enumerate(isas):
        places = [place for place, row in enumerate(table.values()) if isa in row]
        medians, spread = style.error_bars([row[isa] for row in table.values() if isa in row], counter, scale)
        axes.bar([place + (index - (len(isas) - 1) / 2) * width for place in places], medians, width, yerr=spread,
                 label=isa, color=style.ISA_COLORS[isa], error_kw={"linewidth": 1})
    axes.set_xticks(range(len(table)), [name(key) for key in table], rotation=30, ha="right")
    axes.grid(axis="x", visible=False)


def _product(n, i, o):
    return 2 * n * i * o / (4 * (n * i + i * o + n * o))


def _accumulation(n, i, o):
    return 2 * n * i * o / (4 * (n * i + n * o) + 16 * i * o)  # F is read and written in double


# flop per byte of N x I x O products if every operand moves once, and of sweeps over P parameters (kernels/*.hpp):
# penalty: difference, two products, gradient, value; adam_step: two moments, their corrections, the step.
PRODUCT_INTENSITY = {"gemm": _product, "gemm-openblas": _product, "squared_outer": _accumulation,
                     "gram_squared": _accumulation}
SWEEP_INTENSITY = {"penalty": 6 / 20, "adam_step": 14 / 28}
CHAIN = 512  # samples between two additions to F (kernels/outer.hpp)


def intensity_of(series):
    """flop per byte that must move at least; None where it is not known."""
    family, subject, variant = series.segments[:3]
    if family == "kernel" and subject in SWEEP_INTENSITY:
        return SWEEP_INTENSITY[subject]
    sizes = [int(size) for size in variant.split("x")] if variant.replace("x", "").isdigit() else []
    if family == "kernel" and subject in PRODUCT_INTENSITY and len(sizes) == 3:
        return PRODUCT_INTENSITY[subject](*sizes)
    flops, samples = series.median("flops"), series.median("samples_per_second")
    if family == "fisher" and variant in ESTIMATORS and subject.startswith("mlp-") and flops and samples:
        return flops / samples / (4 * int(subject.split("-")[1]) + 16 * parameters_of(subject) / CHAIN)
    return None


def roofline_points(results):
    """[(label, group, flop per byte, flop/s)] of one-thread kernels and passes."""
    default = results.context.get("isa")
    points = []
    for series in results.series.values():
        intensity = intensity_of(series) if len(series.segments) == 3 else None
        flops = series.median("flops") or (series.median("bytes_per_second") or 0) * (intensity or 0)
        if flops and intensity and series.threads == 1 and series.tag("isa") in (None, default):
            group = f"{series.segments[2]} pass" if series.segments[0] == "fisher" else series.segments[1]
            points.append(("/".join(series.segments[1:]), group, intensity, flops))
    return points


def roofline(results):
    peak, bandwidth = results.number("peak_flops_1_thread"), results.number("bandwidth_1_thread")
    points = roofline_points(results)
    if not peak or not bandwidth or not points:
        return None
    fig, (axes,) = style.figure(1, height=4.4, width=8.4)
    low = min(min(point[2] for point in points), peak / bandwidth) / 3
    high = max(max(point[2] for point in points), peak / bandwidth) * 3
    axes.plot([low, peak / bandwidth, high], [low * bandwidth / 1e9, peak / 1e9, peak / 1e9], color=style.BLACK)
    axes.annotate(f"multiply-add peak, 1 thread: {peak / 1e9:.0f} GFLOP/s", (high, peak / 1e9), ha="right",
                  textcoords="offset points", xytext=(0, 6), fontsize=9)
    axes.annotate(f"memory: {bandwidth / 1e9:.0f} GB/s", (low * 1.2, low * 1.2 * bandwidth / 1e9),
                  textcoords="offset points", xytext=(8, -4), fontsize=9)
    points = [point for point in points if point[1] not in ("mc pass", "sketch pass", "predicted pass", "batched pass")]
    for index, name in enumerate(dict.fromkeys(point[1] for point in points)):
        own = [point for point in points if point[1] == name]
        axes.plot([point[2] for point in own], [point[3] / 1e9 for point in own], linestyle="none", label=name,
                  marker=style.MARKERS[index % len(style.MARKERS)], color=style.SEQUENCE[index % len(style.SEQUENCE)],
                  alpha=0.85)
    axes.set(xscale="log", yscale="log", xlabel="arithmetic intensity, flop per byte that must move", ylabel="GFLOP/s",
             title="Roofline")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig
