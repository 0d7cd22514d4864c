"""Everything one run of scripts/run.sh measured, in one object and one file."""

import json
import pathlib
import re
from dataclasses import dataclass, field

from . import benchmark_json

# Smallest model first; the order of every table and axis.
MODELS = ("mlp-784-32-10", "mlp-784-256-256-10", "mlp-784-400-400-10", "mlp-784-1024-1024-10", "mlp-784-4096-4096-10")
CLASS_MODEL = "mlp-784-256-256-"
ESTIMATORS = ("empirical", "exact", "mc", "sketch", "predicted", "batched")
BASELINES = ("loop", "materialized")
PENALTIES = ("l2", "ewc-merged", "ewc-online", "ewc-separate-3")
ISAS = ("baseline", "avx2", "avx512")


# Parameters of the presets.
PRESETS = {"lenet5": 61_706, "cnn-s": 620_362, "transformer-tiny": 933_898, "resnet18-reduced": 1_094_770,
           "vgg11": 9_225_610}


def preset_models(results):
    """Presets measured, smallest first."""
    measured = {series.segments[1] for series in results.family("fisher")}
    return sorted(measured & PRESETS.keys(), key=PRESETS.get)


def parameters_of(model):
    """Parameters of 'mlp-784-256-10' or of a preset; None for another kind of name."""
    if model in PRESETS:
        return PRESETS[model]
    if not re.fullmatch(r"mlp(-\d+){2,}", model):
        return None
    sizes = [int(size) for size in model.split("-")[1:]]
    return sum((inputs + 1) * outputs for inputs, outputs in zip(sizes, sizes[1:]))


@dataclass
class Results:
    context: dict = field(default_factory=dict)
    series: dict = field(default_factory=dict)    # clean benchmark name -> Series
    failures: list = field(default_factory=list)  # (benchmark name, message)
    runs: dict = field(default_factory=dict)      # name -> JSON the tool printed
    commands: dict = field(default_factory=dict)  # name -> shell command
    about: dict = field(default_factory=dict)     # mode, data, when
    document: dict = field(default_factory=dict)  # all of it, as results.json holds it

    def find(self, family, subject, variant, threads=None, isa=None):
        """The series family/subject/variant[/isa:..]/threads:..; None if it was not measured.

        threads None: any (the first measured). isa None: the one without an isa segment.
        """
        for series in self.series.values():
            if (series.segments == [family, subject, variant] and series.tag("isa") == isa
                    and threads in (None, series.threads)):
                return series
        return None

    def fisher(self, model, estimator, threads=1, isa=None):
        return self.find("fisher", model, estimator, threads, isa)

    def family(self, name):
        return [series for series in self.series.values() if series.segments[0] == name]

    def models(self, family):
        """Models of the size axis measured in a family, smallest first."""
        measured = {series.segments[1] for series in self.family(family)}
        return [model for model in MODELS if model in measured]

    def thread_counts(self):
        return sorted({series.threads for series in self.family("fisher")})

    def number(self, key):
        """A number of the benchmark context (Google Benchmark keeps them as text), or None."""
        try:
            return float(self.context[key])
        except (KeyError, TypeError, ValueError):
            return None

    def all_threads(self):
        return int(self.number("threads") or max(self.thread_counts(), default=1))

    def command_of(self, series):
        """The shell command that measures one benchmark again."""
        isa = series.tag("isa") if series.segments[0] != "kernel" else None
        name = "/".join(part for part in series.name.split("/") if isa is None or part != f"isa:{isa}")
        bench = self.about.get("bench", "fisherdiag-bench")
        prefix = f"FISHERDIAG_ISA={isa} " if isa else ""
        return f"{prefix}{bench} --benchmark_filter='^{name}(/|$)'"


def from_document(document, path="results.json"):
    """Results from the parsed content of a results.json."""
    extra = document.get("fisherdiag", {})
    return Results(context=document.get("context", {}), series=benchmark_json.series_of(document, path),
                   failures=benchmark_json.failures_of(document), runs=extra.get("runs", {}),
                   commands=extra.get("commands", {}), about=extra.get("about", {}), document=document)


def from_folder(folder):
    """Results from the folder scripts/run.sh fills:

    about.json, commands.tsv (name, tab, command), runs/NAME.json (what the tool printed),
    bench-NAME.json (default instruction set) and isa-NAME.json (fisherdiag-bench under FISHERDIAG_ISA=NAME).
    Whatever is not there is simply not in the results.
    """
    folder = pathlib.Path(folder)
    document = {"context": {}, "benchmarks": []}
    for path in sorted(folder.glob("bench-*.json")):
        part = benchmark_json.read(path)
        document["context"] = {**part.get("context", {}), **document["context"]}
        document["benchmarks"] += part["benchmarks"]
    for path in sorted(folder.glob("isa-*.json")):
        isa = path.stem.removeprefix("isa-")
        document["benchmarks"] += [_with_isa(entry, isa) for entry in benchmark_json.read(path)["benchmarks"]]
    document["fisherdiag"] = {
        "about": _read_json(folder / "about.json") if (folder / "about.json").exists() else {},
        "runs": {path.stem: _read_json(path) for path in sorted((folder / "runs").glob("*.json"))},
        "commands": _read_commands(folder / "commands.tsv"),
    }
    return from_document(document, str(folder))


def _with_isa(entry, isa):
    """The entry with isa:NAME before threads:N, so that it is not mistaken for the default's."""
    entry = dict(entry)
    for key in ("name", "run_name"):
        if isinstance(entry.get(key), str):
            entry[key] = entry[key].replace("/threads:", f"/isa:{isa}/threads:", 1)
    return entry


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise benchmark_json.BadFile(f"{path}: not readable as JSON ({error})") from error


def _read_commands(path):
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)
