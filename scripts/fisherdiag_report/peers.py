"""The page's comparison with other libraries, from the peers.json that scripts/compare_peers.sh writes."""

import html
import json
import statistics

from . import benchmark_json, style, text
from .results import parameters_of
from .sections import Section

FILE = "peers.json"

# Shown in this order; a method that is not listed comes last.
METHODS = ("torch-loop", "torch-vmap", "jax-vmap", "backpack-sgs", "torch-squared", "torch-squared-bf16", "torch-unfold",
           "backpack-exact", "torch-exact", "torch-unfold-exact", "backpack-mc")


def read(path):
    """The parsed file, or None if there is none; raises BadFile for one that is not what it should be."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise benchmark_json.BadFile(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in ("passes", "steps")):
        raise benchmark_json.BadFile(f"{path}: not a comparison with other libraries (no lists 'passes' and 'steps')")
    return document


def ours_for(document, entry):
    """Our run that a peer's is compared with: same model, threads and estimator, float32 unless only the peer's is not."""
    def find(name):
        return next((other for other in document["passes"] if other["name"] == name and other["model"] == entry["model"]
                     and other["threads"] == entry["threads"] and other["samples_per_second"]), None)
    if entry["name"].endswith("-bf16"):
        return find(f"ours-{entry['estimator']}-bf16") or find(f"ours-{entry['estimator']}")
    return find(f"ours-{entry['estimator']}")


def ratio(document, entry):
    """How many times faster ours is; None where either was not measured."""
    ours = ours_for(document, entry)
    if not ours or not entry["samples_per_second"]:
        return None
    return ours["samples_per_second"] / entry["samples_per_second"]


def comparisons(document, threads):
    """The peers' entries at a thread count, by model size, then method."""
    def order(entry):
        method = METHODS.index(entry["name"]) if entry["name"] in METHODS else len(METHODS)
        return parameters_of(entry["model"]), method
    return sorted((entry for entry in document["passes"]
                   if entry["library"] != "fisherdiag" and entry["threads"] == threads), key=order)


def overhead(record, who):
    """What the penalty adds to a step, as a share: median over rounds of the ratio within a round."""
    rounds = list(zip(record[f"{who}_none"], record[f"{who}_ewc"]))
    return statistics.median(after / before for before, after in rounds) - 1 if rounds else None


def thread_counts(document):
    return sorted({entry["threads"] for entry in document["passes"]})


def section(document):
    """The section of the report; `document` is what read() gave."""
    part = Section("peers", "Beside other libraries")
    part.add_figure("peers", figure(document), "How many times faster fisherdiag is than each method of other libraries, "
                    "for each model")
    for threads in thread_counts(document):
        part.add_table(["model", "method", "samples/s", "ours", "ratio", "memory", "ours", "error", "batch"],
                       [_row(document, entry) for entry in comparisons(document, threads)], labels=2,
                       caption=f"Fisher passes, {threads} thread{'s' * (threads > 1)}")
    part.add_table(["model", "threads", "PyTorch, plain", "with penalty", "added", "fisherdiag, plain", "with penalty",
                    "added"], [_step_row(record) for record in document["steps"]],
                   caption=f"A training step with an EWC penalty, SGD, batch {_batch(document)}")
    problems = sorted({f"{entry['label']} ({text.model(entry['model'])}): {entry['problem']}"
                       for entry in document["passes"] if entry["problem"]})
    part.add_table(["did not run"], [[problem] for problem in problems])
    part.add_table(["library", "version"], [[name, value] for name, value in sorted(document["versions"].items())],
                   labels=2, caption="Versions", folded=True)
    part.paragraphs += [_how(document), _what(document)]
    return part


def _batch(document):
    return document["steps"][0]["batch"] if document["steps"] else 128


def _how(document):
    return (f"Same weights (one epoch of training; presets: PyTorch's initial ones), data ({html.escape(document['data'])}; "
            "synthetic samples of the right shape for presets that need another), CPUs and threads for all; every method in a "
            f"process of its own, medians of {document['rounds']} interleaved rounds, reading of data excluded. Before "
            "anything is timed each method's diagonal is compared with fisherdiag's of the same samples: <em>error</em> is "
            "‖F − F<sub>ours</sub>‖ / ‖F<sub>ours</sub>‖, and one beyond 10<sup>−4</sup> stops the comparison (bfloat16 is "
            "allowed 3%; Monte Carlo, whose draws differ, must agree statistically with the exact diagonal, and its error "
            "is that of a mean of 24 estimates). Each method uses the fastest of several batch sizes. "
            f"Measured {html.escape(document['date'])} on {html.escape(document['cpu'])}.")


def _what(document):
    missing = "" if any(entry["name"].endswith("-bf16") and entry["library"] == "fisherdiag" for entry in document["passes"]
                        ) else " Without a bfloat16 run of ours here, PyTorch's stands beside our float32."
    return ("“Ours” is fisherdiag with the same estimator; ratio is its samples per second over the method's. Memory is the "
            "peak during the passes: for the others beyond what libraries, weights and samples take (for JAX with what "
            "compiling leaves behind), for fisherdiag beyond an idle process, so it includes weights and a block of "
            "samples." + missing)


def _row(document, entry):
    ours = ours_for(document, entry) or {}
    return [text.model(entry["model"]), entry["label"], text.or_dash(entry["samples_per_second"], text.si),
            text.or_dash(ours.get("samples_per_second"), text.si), text.or_dash(ratio(document, entry), _ratio_text),
            text.or_dash(entry["memory_bytes"], text.memory), text.or_dash(ours.get("memory_bytes"), text.memory),
            text.or_dash(entry["error"], lambda value: f"{value:.1e}"), str(entry["batch"] or "–")]


def _ratio_text(value):
    return f"{value:.2f}×" if value < 10 else text.times(value)


def _step_row(record):
    def median(key):
        return text.seconds(statistics.median(record[key])) if record[key] else "–"
    def added(who):
        return text.or_dash(overhead(record, who), lambda value: f"{100 * value:+.1f}%")
    return [text.model(record["model"]), str(record["threads"]), median("torch_none"), median("torch_ewc"),
            added("torch"), median("ours_none"), median("ours_ewc"), added("ours")]


def figure(document):
    """One panel per thread count: a line per method, the ratio over the model's parameters."""
    counts = [t for t in thread_counts(document)
              if any(ratio(document, entry) for entry in comparisons(document, t))]
    if not counts:
        return None
    fig, panels = style.figure(len(counts), height=4.4)
    for axes, threads in zip(panels, counts):
        entries = [entry for entry in comparisons(document, threads) if ratio(document, entry)]
        for index, name in enumerate(METHODS):
            points = [(parameters_of(entry["model"]), ratio(document, entry), entry["label"])
                      for entry in entries if entry["name"] == name]
            if points:
                axes.plot([p[0] for p in points], [p[1] for p in points], label=points[0][2],
                          color=style.SEQUENCE[index % len(style.SEQUENCE)], marker=(style.MARKERS + "hpd")[index],
                          linestyle={"empirical": "-", "exact": "--", "mc": ":"}[_estimator_of(entries, name)])
        axes.axhline(1, color="#555555", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel="parameters of the network", ylabel="fisherdiag's speed / the method's",
                 title=f"{threads} thread{'s' * (threads > 1)}")
        sizes = sorted({parameters_of(entry["model"]) for entry in entries})
        style.plain_log_ticks(axes.xaxis, sizes, lambda value: text.si(value, 2))
        style.readable_log_ticks(axes.yaxis)
        axes.tick_params(axis="x", rotation=35)
    handles, labels = panels[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=3)
    return fig


def _estimator_of(entries, name):
    return next(entry["estimator"] for entry in entries if entry["name"] == name)
