"""One look for every figure: the Okabe-Ito palette, which colour-blind readers can tell apart."""

import matplotlib
import matplotlib.ticker

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#8A8A8A"

ESTIMATOR_COLORS = {"empirical": BLUE, "exact": VERMILLION, "mc": GREEN, "sketch": ORANGE, "predicted": SKY,
                    "batched": PURPLE, "loop": GREY, "materialized": "#BDBDBD"}
PENALTY_COLORS = {"l2": GREY, "ewc-merged": BLUE, "ewc-online": SKY, "ewc-separate-3": VERMILLION}
ISA_COLORS = {"baseline": GREY, "avx2": SKY, "avx512": BLUE}
SEQUENCE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
MARKERS = "osD^vP*X"

plt.rcParams.update({
    "figure.dpi": 100, "savefig.dpi": 170, "font.size": 10, "font.family": "DejaVu Sans",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.edgecolor": "#555555", "axes.labelcolor": "#222222", "axes.titlesize": 10.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "grid.color": "#E4E4E4", "grid.linewidth": 0.8, "legend.frameon": False,
    "legend.fontsize": 9, "lines.linewidth": 1.6, "lines.markersize": 5.5, "xtick.color": "#444444",
    "ytick.color": "#444444", "errorbar.capsize": 2.5,
})


def figure(columns=1, height=3.7, width=9.2, ratios=None):
    """A figure with `columns` axes side by side; returns (figure, list of axes)."""
    fig, axes = plt.subplots(1, columns, figsize=(width, height), squeeze=False, constrained_layout=True,
                             gridspec_kw={"width_ratios": ratios} if ratios else None)
    return fig, list(axes[0])


def error_bars(series_list, counter=None, scale=1.0):
    """(medians, [below, above]) of a list of Series, for matplotlib's yerr: the spread over repetitions."""
    medians = [series.median(counter) * scale for series in series_list]
    spreads = [series.spread(counter) for series in series_list]
    below = [m - low * scale for m, (low, _) in zip(medians, spreads)]
    above = [high * scale - m for m, (_, high) in zip(medians, spreads)]
    return medians, [below, above]


def readable_log_ticks(axis):
    """1, 2, 5, 10, 20, ... as plain numbers on a logarithmic axis of few decades."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def plain_log_ticks(axis, values, formatter):
    """Ticks of a logarithmic axis at exactly these values."""
    axis.set_major_locator(matplotlib.ticker.FixedLocator(values))
    axis.set_minor_locator(matplotlib.ticker.NullLocator())
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: formatter(value)))


def peak_axis(axes):
    """Shares of the multiply-add peak in percent: from 0 to 100, or to the highest where zeros are left out."""
    axes.autoscale(axis="y")
    highest = axes.get_ylim()[1]
    if highest > 100:
        axes.axhline(100, color=BLACK, linewidth=0.8)
    axes.set(ylim=(0, max(100, highest)), ylabel="% of the multiply-add peak", title="How much of the machine it uses")
