"""Figures of networks whose weights are used at many positions. Each returns a figure, or None for nothing measured."""

from . import style
from .results import ESTIMATORS, preset_models


def passes(results):
    """Groups of bars, one for each preset: samples per second, and the share of the peak."""
    models = preset_models(results)
    variants = [name for name in ESTIMATORS + ("materialized", "loop")
                if any(results.fisher(model, name) for model in models)]
    if not variants:
        return None
    fig, panels = style.figure(2)
    width = 0.8 / len(variants)
    for index, variant in enumerate(variants):
        found = [(place, results.fisher(model, variant)) for place, model in enumerate(models)
                 if results.fisher(model, variant)]
        places = [place + (index - (len(variants) - 1) / 2) * width for place, _ in found]
        for axes, counter, scale in zip(panels, ("samples_per_second", "peak_fraction"), (1, 100)):
            medians, spread = style.error_bars([series for _, series in found], counter, scale)
            axes.bar(places, medians, width, yerr=spread, color=style.ESTIMATOR_COLORS[variant], label=variant)
    rate, peak = panels
    rate.set(yscale="log", ylabel="samples per second, 1 thread", title="Speed of a pass")
    style.peak_axis(peak)
    for axes in panels:
        axes.set_xticks(range(len(models)), models, rotation=20)
        axes.grid(axis="x", visible=False)
    fig.legend(*rate.get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0), ncol=4)
    return fig
