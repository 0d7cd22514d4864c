"""Figures of the worked examples, from what `fisherdiag toy` printed; nothing is computed again here."""

from matplotlib.colors import to_rgba
from matplotlib.patches import Ellipse

from . import style

# Name and colour of each path, in the order they are told.
PATHS = {"none": ("no penalty", style.BLACK), "l2": ("L2", style.GREEN), "ewc": ("EWC", style.VERMILLION)}
TASK_COLORS = {"a": style.BLUE, "b": style.ORANGE}
LEVEL_STYLES = {0.68: "-", 0.95: "--"}


def run(results, example):
    """What `toy EXAMPLE` printed; None if it was not run."""
    found = results.runs.get(f"toy-{example}")
    return found if isinstance(found, dict) and found.get("example") == example else None


def variants(found):
    """(what, suffix of the JSON's keys) of the hot dogs without the prior and, if there is one, with it."""
    if found["prior"] is None:
        return [("without a prior", "")]
    return [("without a prior", "_without_prior"), (f"prior of {found['prior']:g} on θ₁", "")]


def hotdog(found):
    """Ellipses of the whole Fisher matrix and of its diagonal, a panel without and one with the prior."""
    if not found:
        return None
    panels = variants(found)
    fig, axes = style.figure(len(panels), height=4.2, width=4.6 * len(panels))
    for axis, (title, suffix) in zip(axes, panels):
        for name, color, label in (("covariance", style.BLUE, "F⁻¹"), ("diagonal", style.VERMILLION, "1/F$_{ii}$, the diagonal")):
            for entry in found["ellipses"]:
                if entry["of"] == name + suffix:
                    _add_ellipse(axis, entry, color, LEVEL_STYLES[entry["level"]], f"{label}, {entry['level']:.0%}",
                                 filled=name == "covariance")
        axis.plot(*found["theta"], marker="+", color=style.BLACK, linestyle="none", markersize=8)
        axis.set(title=title, xlabel="θ₁, hot dogs with buns")
        axis.autoscale_view()
    axes[0].set_ylabel("θ₂, hot dogs alone")
    for axis in axes[1:]:
        axis.set(xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())
    fig.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=4, bbox_to_anchor=(0.5, -0.08))
    return fig


def paths(found):
    """Low-loss regions of both tasks, the ellipses of A's Fisher, and the three paths."""
    if not found:
        return None
    fig, (axis,) = style.figure(1, height=5, width=7.8)
    for task, color in TASK_COLORS.items():
        regions = sorted(found["regions"][task], key=lambda region: -region["excess"])
        for region in regions:
            inner = region is regions[-1]
            axis.fill(*zip(*region["boundary"]), facecolor=to_rgba(color, 0.32 if inner else 0.14),
                      edgecolor=color if inner else "none", label=f"low loss of {task.upper()}" if inner else None)
    _add_ellipse(axis, found["ellipse"], style.BLACK, "--", "ellipse of A's Fisher diagonal")
    _add_ellipse(axis, found["ellipse_of_full_fisher"], style.GREY, ":", "… of the whole matrix")
    for key, (label, color) in PATHS.items():
        axis.plot(*zip(*found["paths"][key]), color=color, linewidth=2.2, label=label)
        axis.plot(*found["paths"][key][-1], marker="o", color=color, markersize=7)
    for task in TASK_COLORS:
        axis.annotate(f"θ*$_{task.upper()}$", found["minima"][task]["theta"], xytext=(7, -4), textcoords="offset points")
    axis.plot(*found["minima"]["a"]["theta"], marker="s", color=style.BLACK, linestyle="none")
    _frame(axis, [found["regions"][task] for task in TASK_COLORS])
    low = found["low_loss"]
    axis.set(xlabel="weight w", ylabel="bias b", title=f"Low loss: up to {low:g}; paler: up to "
             + " and ".join(f"{region['excess']:g}" for region in found["regions"]["a"][1:]) + " nats above the minimum")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def _frame(axis, tasks):
    """Limits that hold the inner region of every task, with a little room around."""
    points = [point for regions in tasks for point in min(regions, key=lambda region: region["excess"])["boundary"]]
    for limit, values in ((axis.set_xlim, [x for x, _ in points]), (axis.set_ylim, [y for _, y in points])):
        room = 0.08 * (max(values) - min(values))
        limit(min(values) - room, max(values) + room)


def _add_ellipse(axis, entry, color, line, label, filled=False):
    place = (entry["center"], 2 * entry["semi_axes"][0], 2 * entry["semi_axes"][1])
    if filled:
        axis.add_patch(Ellipse(*place, angle=entry["angle_degrees"], color=color, alpha=0.14, linewidth=0))
    axis.add_patch(Ellipse(*place, angle=entry["angle_degrees"], fill=False, color=color, linestyle=line, linewidth=1.5,
                           label=label))
