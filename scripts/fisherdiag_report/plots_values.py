"""Figures of what the estimators give: how far they lie from the true Fisher, and how fast error falls with time."""

import statistics

from . import style, text

COMPARED = ("empirical", "mc-1", "sketch-1", "predicted", "batched")


def differences(results):
    """{estimator: diff JSON} of every estimator compared with exact on the trained network, in a fixed order."""
    return {name: results.runs[f"diff-{name}"] for name in COMPARED
            if isinstance(results.runs.get(f"diff-{name}"), dict) and results.runs[f"diff-{name}"].get("layers")}


def trace_ratio(entry):
    """Trace of the estimator over trace of exact: `diff ESTIMATOR EXACT`."""
    return entry["trace_a"] / entry["trace_b"] if entry.get("trace_b") else None


def values(results):
    compared = differences(results)
    if not compared:
        return None
    fig, panels = style.figure(3, height=3.6, width=10.5)
    layers = [layer["name"] for layer in next(iter(compared.values()))["layers"]]
    measures = (("trace / trace of exact", trace_ratio), ("cosine with exact", lambda entry: entry.get("cosine")),
                ("Spearman correlation with exact", lambda entry: entry.get("spearman")))
    for axes, (label, measure) in zip(panels, measures):
        for index, (name, diff) in enumerate(compared.items()):
            shift = (index - (len(compared) - 1) / 2) * 0.13
            points = [(place + shift, measure(layer)) for place, layer in enumerate(diff["layers"])]
            points = [point for point in points if point[1] is not None]
            axes.plot([x for x, _ in points], [y for _, y in points], linestyle="none", marker=style.MARKERS[index],
                      color=style.ESTIMATOR_COLORS[name.split("-")[0]], label=name.replace("-1", ", S = 1"))
        axes.set_xticks(range(len(layers)), layers, rotation=35, ha="right")
        axes.set(xlabel="parameter tensor", ylabel=label)
        axes.axhline(1, color="#555555", linewidth=0.8)
    panels[0].set_yscale("log")
    style.readable_log_ticks(panels[0].yaxis)
    panels[0].set_title("Size")
    panels[1].set_title("Direction")
    panels[2].set_title("Order")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="lower center",
               ncol=len(compared), bbox_to_anchor=(0.5, -0.09))
    return fig


def errors(results):
    """{'mc' or 'sketch': {S: [(seconds, relative error)] one per seed}} against exact on the same samples."""
    table = {}
    for name, run in results.runs.items():
        parts = name.split("-")  # error-mc-S4-seed2
        if len(parts) != 4 or parts[0] != "error" or not parts[2][1:].isdigit():
            continue
        diff = results.runs.get(f"diff-{name}", {})
        error = diff.get("total", {}).get("relative_error")
        if error is not None and run.get("seconds"):
            table.setdefault(parts[1], {}).setdefault(int(parts[2][1:]), []).append((run["seconds"], error))
    return {kind: dict(sorted(draws.items())) for kind, draws in sorted(table.items())}


def error_against_time(results):
    table = errors(results)
    if not table:
        return None
    fig, (axes,) = style.figure(1, height=4, width=7.6)
    for index, (kind, draws) in enumerate(table.items()):
        time = {s: [t for t, _ in points] for s, points in draws.items()}
        error = {s: [e for _, e in points] for s, points in draws.items()}
        x = [statistics.median(values_) for values_ in time.values()]
        y = [statistics.median(values_) for values_ in error.values()]
        axes.errorbar(x, y, color=style.ESTIMATOR_COLORS[kind], marker=style.MARKERS[index], label=f"{kind}, S draws",
                      xerr=_spread(x, time.values()), yerr=_spread(y, error.values()))
        for s, point in zip(draws, zip(x, y)):
            axes.annotate(f"S={s}", point, textcoords="offset points", xytext=(5, 5), fontsize=8,
                          color=style.ESTIMATOR_COLORS[kind])
    exact = results.runs.get("error-exact", {}).get("seconds")
    if exact:
        axes.axvline(exact, color=style.VERMILLION, linestyle="--", linewidth=1.2,
                     label=f"exact: {text.seconds(exact)}, no error")
    axes.set(xscale="log", yscale="log", xlabel="time of the pass, s", ylabel="relative error of F (Euclidean norm)",
             title="Error bought with time")
    style.readable_log_ticks(axes.xaxis)
    style.readable_log_ticks(axes.yaxis)
    axes.legend()
    return fig


def _spread(centres, groups):
    return [[c - min(g) for c, g in zip(centres, groups)], [max(g) - c for c, g in zip(centres, groups)]]
