"""Threads x memory bounds x shards x repeats: one SHA-256 for each instruction set, network and way to compute."""

import itertools

from soak import networks
from soak.job import Finding

THREADS = (1, 2, 3, 4, 8, 16)
MEMORY = ("60MiB", "2GiB")
SHARDS = (1, 2, 4)
SAMPLES = {"chain": 20000, "convolutions": 2000, "sequence": 2000}
IMPORTANT = 8  # one in so many samples

# Of the other ways to compute, which take a part of the repeats.
OTHER_THREADS = (1, 2, 3, 7)
OTHER_SHARDS = (1, 3)
OTHER_REPEATS = 4

LEVELS = ("baseline", "avx2", "avx512")


def sha256(job, command, threads, memory, shards):
    command = command + ["--threads", str(threads), "--max-memory", memory]
    if shards == 1:
        return job.json(command)["sha256"]
    parts = ["part-%d" % part for part in range(1, shards + 1)]
    for part, name in enumerate(parts, 1):
        job.json(command + ["--shard", "%d/%d" % (part, shards), "-o", name])
    return job.json([job.tool, "merge", *parts, "-o", "merged.safetensors", "--json"])["sha256"]


def available(job):
    return [isa for isa in LEVELS if job.run(job.compute("--isa", isa)).returncode == 0]


def cases(job, levels, repeats):
    """(name, command, threads, memory, shards), as often as each is to be run."""
    chain = job.compute(synthetic=SAMPLES["chain"])
    grid = list(itertools.product(THREADS, MEMORY, SHARDS))
    other_grid = list(itertools.product(OTHER_THREADS, MEMORY, OTHER_SHARDS))
    importance = {name: ["--subset", "importance:%d" % (count // IMPORTANT)] for name, count in SAMPLES.items()}
    whole_grid = [point for point in other_grid if point[-1] == 1]
    graphs = {name: [job.tool, "compute", "--arch", name + ".json", "--weights", name + ".safetensors", "--data",
                     "synthetic:%d" % SAMPLES[name], "--json", "--quiet"] for name in networks.write(job)}
    once = [(isa, chain, point) for isa in levels for point in grid] * repeats
    others = []
    for name, command in {"chain": chain, **graphs}.items():
        for isa in levels:
            others += [(isa + " importance " + name, command + importance[name], point) for point in whole_grid]
            if name != "chain":
                others += [(isa + " " + name, command, point) for point in other_grid]
    if job.run(chain + ["--precision", "bf16"]).returncode == 0:
        others += [("bf16 " + name, chain + ["--precision", "bf16", *more], point)
                   for name, more, points in (("chain", [], other_grid), ("importance chain", importance["chain"], whole_grid))
                   for point in points]
    once += others * (-(-repeats // OTHER_REPEATS))
    return [(name, command + (["--isa", name.split()[0]] if name.split()[0] in levels else []), *point)
            for name, command, point in once]


def run(job, options):
    findings, seen, counts = [], {}, {}
    for name, *case in cases(job, available(job), options.repeats):
        counts[name] = counts.get(name, 0) + 1
        try:
            digest = sha256(job, *case)
        except Finding as finding:
            findings.append(str(finding))
            continue
        seen.setdefault(name, {}).setdefault(digest, "%d threads, %s, %d shards" % tuple(case[1:]))
    for name, digests in seen.items():
        if len(digests) != 1:
            findings.append("%s: %d different results: %s" % (name, len(digests), "; ".join(digests.values())))
    return "%d results: %s" % (sum(counts.values()), ", ".join(
        "%s %d (%d SHA-256)" % (name, count, len(seen.get(name, {}))) for name, count in counts.items())), findings
