"""The few sentences at the top of the report, each computed from what was measured or left out."""

from . import plots_cost, plots_machine, plots_values, text

REFERENCE_MODEL = "mlp-784-1024-1024-10"
BASELINE_MODEL = "mlp-784-256-256-10"


def speed(results):
    series = results.fisher(REFERENCE_MODEL, "empirical") or next(
        (results.fisher(model, "empirical") for model in reversed(results.models("fisher"))), None)
    if not series or not series.median("samples_per_second"):
        return None
    sentence = (f"One thread computes the empirical Fisher of {text.model(series.segments[1])} at "
                f"<b>{text.si(series.median('samples_per_second'))} samples per second</b>")
    peak = series.median("peak_fraction")
    if not peak:
        return sentence + "."
    zeros = ": products with zeros are left out" if peak > 1 else ""
    return sentence + f", using {text.percent(peak)} of the core's multiply-add peak{zeros}."


def baselines(results):
    ours = results.fisher(BASELINE_MODEL, "empirical")
    parts = []
    for name, words in (("loop", "looping over samples one at a time"),
                        ("materialized", "storing every per-sample gradient")):
        other = results.fisher(BASELINE_MODEL, name)
        if ours and other and other.median("samples_per_second"):
            ratio = ours.median("samples_per_second") / other.median("samples_per_second")
            parts.append(f"<b>{text.times(ratio)}</b> the speed of {words}")
    return f"At {text.model(BASELINE_MODEL)} that is {' and '.join(parts)}, both in the same C++." if parts else None


def exact_cost(results):
    ratios = plots_cost.exact_cost_ratios(results)
    if not ratios:
        return None
    parts = [f"<b>{text.times(ratio)}</b> at {classes}" for classes, ratio, _ in ratios]
    return f"The true Fisher (exact) costs, relative to the empirical one, {_listing(parts)} classes."


def values(results):
    total = plots_values.differences(results).get("empirical", {}).get("total")
    ratio = plots_values.trace_ratio(total) if total else None
    if not ratio:
        return None
    sentence = f"On the trained network the empirical Fisher's trace is <b>{text.significant(ratio, 2)}×</b> the true one's"
    if total.get("spearman") is not None:
        sentence += f"; the two rank parameters alike with a Spearman correlation of <b>{total['spearman']:.3f}</b>"
    return sentence + "."


def sketch(results):
    """How many label draws match one sketch draw: errors fall as 1/sqrt(S), so the ratio squared."""
    table = plots_values.errors(results)
    if not all(1 in table.get(kind, {}) for kind in ("mc", "sketch")):
        return None
    mc, sketched = (sum(e for _, e in table[kind][1]) / len(table[kind][1]) for kind in ("mc", "sketch"))
    if sketched >= mc:
        return f"One sketch draw has a relative error of {text.percent(sketched, 1)}, one label draw {text.percent(mc, 1)}."
    return (f"One random-sign sketch has a relative error of <b>{text.percent(sketched, 1)}</b> where one sampled label has "
            f"{text.percent(mc, 1)}: sampling needs about {text.significant((mc / sketched) ** 2, 2)} draws to match it.")


def penalty(results):
    points = plots_cost.penalty_overheads(results).get("ewc-merged")
    if not points:
        return None
    parts = [f"{_overhead(series, plain)} at {text.si(size, 2)} parameters" for size, series, plain in (points[0], points[-1])]
    return f"A merged EWC penalty adds to a training step (batch 128, 1 thread) {' and '.join(dict.fromkeys(parts))}."


# Repetitions further apart than this resolve no overhead of a few percent.
_WIDE_SPREAD = 1.25


def _overhead(series, plain):
    if any(high > _WIDE_SPREAD * low for low, high in (series.spread(), plain.spread())):
        return "an amount this run <b>could not resolve</b> (its repetitions differ by more than a quarter)"
    if series.spread()[0] <= plain.spread()[1]:
        return "<b>nothing measurable</b> beyond noise"
    return f"<b>{100 * (series.median() / plain.median() - 1):.1f}%</b>"


def threads(results):
    table = plots_machine.speedups(results, "empirical")
    model = REFERENCE_MODEL if REFERENCE_MODEL in table else next(reversed(table), None)
    if model is None:
        return None
    count, factor, _ = table[model][-1]
    return f"With {count} threads the empirical pass of {text.model(model)} is <b>{factor:.2f}×</b> as fast as with one."


def headlines(results):
    """Sentences with <b>..</b> around what matters."""
    sentences = (rule(results) for rule in (speed, baselines, exact_cost, values, sketch, penalty, threads))
    return [sentence for sentence in sentences if sentence]


def _listing(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
