"""Google Benchmark's JSON: repetitions grouped by benchmark, names taken apart.

Standard library only, so that compare.py runs anywhere.
"""

import json
import statistics
from dataclasses import dataclass, field

SECONDS_PER_UNIT = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}

# Segments Google Benchmark appends to a name.
_SUFFIXES = ("process_time", "real_time", "manual_time")
_SUFFIX_KEYS = ("repeats:", "min_time:", "min_warmup_time:", "iterations:")

# Fields of a benchmark entry that are not user counters.
_RESERVED = {
    "name", "run_name", "run_type", "family_index", "per_family_instance_index", "repetitions", "repetition_index",
    "threads", "iterations", "real_time", "cpu_time", "time_unit", "label", "error_occurred", "error_message",
    "aggregate_name", "aggregate_unit", "skipped", "skip_message",
}


class BadFile(Exception):
    """A file that is missing or not Google Benchmark JSON; the text is one sentence naming it."""


@dataclass
class Series:
    """All repetitions of one benchmark. `seconds` is real time per iteration."""

    name: str
    seconds: list = field(default_factory=list)
    counters: dict = field(default_factory=dict)

    @property
    def segments(self):
        return [part for part in self.name.split("/") if ":" not in part]

    def tag(self, key):
        """The value of a `key:value` segment, or None."""
        for part in self.name.split("/"):
            if part.startswith(key + ":"):
                return part[len(key) + 1:]
        return None

    @property
    def threads(self):
        return int(self.tag("threads") or 1)

    def median(self, counter=None):
        """Median over repetitions of real time, or of a counter; None if there is no such counter."""
        values = self.seconds if counter is None else self.counters.get(counter)
        return statistics.median(values) if values else None

    def spread(self, counter=None):
        """(lowest, highest) over repetitions, or None."""
        values = self.seconds if counter is None else self.counters.get(counter)
        return (min(values), max(values)) if values else None


def clean_name(name):
    """The name as the benchmark was registered: without /process_time, /real_time, /repeats:3 and the like."""
    parts = name.split("/")
    while len(parts) > 1 and (parts[-1] in _SUFFIXES or parts[-1].startswith(_SUFFIX_KEYS)):
        parts.pop()
    return "/".join(parts)


def read(path):
    """The parsed file; raises BadFile."""
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadFile(f"{path}: not JSON ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise BadFile(f"{path}: not Google Benchmark JSON (no list called 'benchmarks')")
    return document


def series_of(document, path="results"):
    """{clean name: Series} of a parsed file, in its order; aggregates and failed runs are left out."""
    result = {}
    for entry in document["benchmarks"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise BadFile(f"{path}: an entry of 'benchmarks' has no name")
        if entry.get("run_type", "iteration") != "iteration" or entry.get("error_occurred"):
            continue
        unit = SECONDS_PER_UNIT.get(entry.get("time_unit", "ns"))
        time = entry.get("real_time")
        if unit is None or isinstance(time, bool) or not isinstance(time, (int, float)):
            raise BadFile(f"{path}: '{entry['name']}' has no real_time with a known time_unit")
        name = clean_name(entry["name"])
        series = result.setdefault(name, Series(name))
        series.seconds.append(time * unit)
        for key, value in entry.items():
            if key not in _RESERVED and isinstance(value, (int, float)) and not isinstance(value, bool):
                series.counters.setdefault(key, []).append(float(value))
    return result


def failures_of(document):
    """[(clean name, message)] of benchmarks that reported an error."""
    return [(clean_name(entry["name"]), entry.get("error_message", "no message"))
            for entry in document["benchmarks"] if entry.get("error_occurred")]
