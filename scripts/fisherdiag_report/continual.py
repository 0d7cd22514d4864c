"""The page's sections on continual learning, from the results files that scripts/experiments.sh has made."""

import html
import json
import math
import statistics

import matplotlib

from . import benchmark_json, style, text
from .sections import Section

PATTERN = "continual-*.json"

# van de Ven 2025, arXiv 2502.11756: Split MNIST, 30 seeds, lambda chosen on the test. Accuracy in percent and its standard
# error, best lambda, seconds of one seed on a GPU.
PAPER = {"none": (85.41, 0.88, None, 53), "exact": (99.12, 0.16, 1e5, 121), "exact@500": (98.93, 0.15, 1e6, 58),
         "mc": (99.12, 0.12, 1e9, 101), "empirical": (99.12, 0.12, 1e9, 100), "batched": (99.11, 0.16, 1e11, 58)}
COLORS = {"none": style.GREY, "joint": style.BLACK, "l2": style.SKY, **style.ESTIMATOR_COLORS, "exact@500": "#B07070"}


def read(folder):
    """The results files in a folder, by file stem; raises BadFile for one that is something else."""
    documents = {}
    for path in sorted(folder.glob(PATTERN)):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise benchmark_json.BadFile(f"{path}: not readable as JSON ({error})") from error
        if not isinstance(document, dict) or document.get("format") != "fisherdiag continual":
            raise benchmark_json.BadFile(f"{path}: not a results file of fisherdiag continual")
        documents[path.stem] = document
    return documents


def label(run):
    """'none', 'l2', or the method with its estimator."""
    return run["method"] + (f" {run['estimator']}" if run["estimator"] else "")


def cells(document, translated=False):
    """{label: {lambda or None: runs}}: all seeds of one method at one lambda, translated lambdas apart."""
    found = {}
    for run in document["runs"]:
        if bool(run["lambda_from"]) == translated:
            key = run["lambda_from"] or run["lambda"]
            found.setdefault(label(run), {}).setdefault(key, []).append(run)
    return found


def mean_and_error(runs, key="average_accuracy"):
    """Mean and standard error (n - 1); the error of one run is None."""
    values = [run[key] for run in runs]
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return statistics.fmean(values), error


def paired(runs, others):
    """Mean and standard error of runs - others over the seeds both have: what differs between seeds, such as which
    classes make a task, cancels. None without a common seed."""
    reference = {run["seed"]: run["average_accuracy"] for run in others}
    differences = [{"difference": run["average_accuracy"] - reference[run["seed"]]} for run in runs
                   if run["seed"] in reference]
    return mean_and_error(differences, "difference") if differences else None


def best(by_lambda, select):
    """(lambda, runs) with the highest accuracy over the seeds that every lambda has; `select`: 'validation' or 'test'."""
    key = "average_accuracy" if select == "test" else "validation_accuracy"
    shared = set.intersection(*({run["seed"] for run in runs} for runs in by_lambda.values()))

    def score(item):
        runs = [run for run in item[1] if run["seed"] in shared] or item[1]
        values = [run[key] if run[key] is not None else run["average_accuracy"] for run in runs]
        return statistics.fmean(values)
    return max(by_lambda.items(), key=score)


def chosen(document):
    """{label: (lambda, runs)} in the order of a table: lower bound, EWC by estimator, upper bound."""
    order = ("none", "l2", "ewc", "joint")
    select = document["plan"]["select"]
    rows = {name: best(by_lambda, select) for name, by_lambda in cells(document).items()}
    return dict(sorted(rows.items(), key=lambda row: order.index(row[0].split("-")[0].split()[0])))


def _percent(value, error=None):
    return f"{100 * value:.2f}" + (f" ± {100 * error:.2f}" if error is not None else "")


def _signed(value, error):
    return ("+" if value >= 0 else "") + _percent(value, error)


def _power(value):
    """1e5 -> '1e5'."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def paper_row(name):
    return PAPER.get(name.split()[-1])


def table_rows(document):
    """Accuracy, best lambda, forgetting and seconds of every method, beside the paper's."""
    rows, listed = [], chosen(document)
    for name, (strength, runs) in listed.items():
        bounds = [paired(runs, listed[bound][1]) if bound in listed and bound != name else None
                  for bound in ("none", "joint")]
        paper = paper_row(name) if document["settings"]["tasks"].startswith("split") else None
        seconds = {key: statistics.median(run[f"seconds_{key}"] for run in runs) for key in ("training", "fisher", "penalty")}
        rows.append([name, str(len(runs)), _percent(*mean_and_error(runs)),
                     *(text.or_dash(bound, lambda pair: _signed(*pair)) for bound in bounds),
                     _percent(mean_and_error(runs, "forgetting")[0]),
                     "–" if strength is None else _power(strength)]
                    + [text.seconds(seconds[key]) if seconds[key] > 0 else "–" for key in ("training", "fisher", "penalty")]
                    + (["–"] * 3 if paper is None else [f"{paper[0]:.2f} ± {paper[1]:.2f}",
                                                        "–" if paper[2] is None else _power(paper[2]), f"{paper[3]} s"]))
    return rows


def forgetting(document):
    """Accuracy of each task after each task, a panel for each method; None without runs."""
    rows = {name: runs for name, (_, runs) in chosen(document).items()}
    wanted = [name for name in rows if name in ("none", "l2", "joint") or name.endswith((" exact", " empirical"))]
    if not wanted:
        return None
    figure, axes = style.figure(columns=len(wanted), height=3.1, width=2.3 * len(wanted) + 1)
    for axis, name in zip(axes, wanted):
        runs = rows[name]
        tasks = len(runs[0]["accuracy"])
        for k in range(tasks):
            curve = [100 * statistics.fmean(run["accuracy"][t][k] for run in runs) for t in range(k, tasks)]
            axis.plot(range(k + 1, tasks + 1), curve, color=_task_color(k, tasks),
                      marker=style.MARKERS[k % len(style.MARKERS)], markersize=4, label=f"{k + 1}")
        axis.set_title(name.replace("ewc-", "EWC "), fontsize=9.5)
        axis.set_xlabel("tasks learned")
        axis.set_xticks(range(1, tasks + 1))
        axis.sharey(axes[0])
    axes[0].set_ylabel("test accuracy, %")
    axes[-1].legend(title="task", bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return figure


def _task_color(task, tasks):
    """A colour of its own for each; from early to late where there are more than the palette has."""
    if tasks <= len(style.SEQUENCE):
        return style.SEQUENCE[task]
    return matplotlib.colormaps["viridis"](0.95 * task / (tasks - 1))


def lambda_curves(document):
    """Average accuracy against lambda for each estimator: the paper's figure; None without a list of lambdas."""
    curves = {name: by_lambda for name, by_lambda in cells(document).items() if len(by_lambda) > 1}
    if not curves:
        return None
    figure, (axis,) = style.figure(height=4.2)
    for number, (name, by_lambda) in enumerate(curves.items()):
        shared = set.intersection(*({run["seed"] for run in runs} for runs in by_lambda.values()))
        points = sorted((strength, *mean_and_error([run for run in runs if run["seed"] in shared] or runs))
                        for strength, runs in by_lambda.items() if strength)
        axis.errorbar([p[0] for p in points], [100 * p[1] for p in points], [100 * (p[2] or 0) for p in points],
                      color=COLORS.get(name.split()[-1], style.SEQUENCE[number % len(style.SEQUENCE)]),
                      marker=style.MARKERS[number % len(style.MARKERS)], label=name)
    seen = set.union(*({run["seed"] for run in runs} for by_lambda in curves.values() for runs in by_lambda.values()))
    for name in ("none", "joint"):
        runs = [run for run in cells(document).get(name, {}).get(None, []) if run["seed"] in seen]
        if runs:
            axis.axhline(100 * mean_and_error(runs)[0], color=COLORS[name], linestyle="--", linewidth=1.2, label=name)
    axis.set_xscale("log")
    axis.set_xlabel("λ")
    axis.set_ylabel("average test accuracy, %")
    axis.legend(bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return figure


def translations(document):
    """Rows on how well a translated lambda does beside the best one of the list."""
    rows, listed = [], chosen(document)
    for name, by_source in cells(document, translated=True).items():
        for source, runs in by_source.items():
            strength = math.exp(statistics.fmean(math.log(run["lambda"]) for run in runs)) if runs[0]["lambda"] else 0
            found = listed.get(name)
            rows.append([name, source, _power(strength), _percent(*mean_and_error(runs)),
                         "–" if found is None else _power(found[0]),
                         "–" if found is None else _percent(*mean_and_error(found[1]))])
    return rows


def sections(folder):
    """One section for each results file in the folder."""
    return [_section(stem, document) for stem, document in read(folder).items() if document["runs"]]


def _section(stem, document):
    settings = document["settings"]
    section = Section(stem, f"Continual learning: {settings['tasks']}")
    section.add_figure(f"{stem}-forgetting", forgetting(document), "Accuracy of each task after each task, by method")
    section.add_figure(f"{stem}-lambda", lambda_curves(document), "Average accuracy against lambda, by estimator")
    split = settings["tasks"].startswith("split")
    columns = ["method", "seeds", "accuracy, %", "above none", "above joint", "forgetting", "best λ", "training", "Fisher",
               "penalty"]
    paper = ["paper: accuracy", "best λ", "one seed"]
    rows = table_rows(document)
    section.add_table(columns + (paper if split else []), rows if split else [row[:len(columns)] for row in rows],
                      caption="At each method's best λ; differences are means over seeds that both have; seconds are medians over "
                              "seeds"
                              + ("; paper: van de Ven 2025, Split MNIST on a GPU, 2000 iterations" if split else ""))
    section.add_table(["method", "λ of", "translated λ", "accuracy, %", "best λ of the list", "accuracy, %"],
                      translations(document), caption="λ carried over from one estimator to others by the ratio of traces",
                      labels=2)
    section.paragraphs.append(
        f"{html.escape(settings['tasks'])}, {settings['iterations']} iterations a task in batches of "
        f"{settings['batch_size']}, Adam at {settings['learning_rate']:g} with its state "
        f"{'kept' if settings['optimizer_state'] == 'keep' else 'reset'} between tasks. Accuracy is the mean over tasks after "
        "the last one, ± its standard error over seeds; forgetting is what earlier tasks lost from their best, in points. "
        f"The best λ is chosen by {'test' if document['plan']['select'] == 'test' else 'held-out training'} accuracy.")
    return section
