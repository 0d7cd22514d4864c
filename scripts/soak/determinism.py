"""Threads x memory bounds x shards x repeats: one SHA-256 for each instruction set."""

from soak.job import Finding

THREADS = (1, 2, 3, 4, 8, 16)
MEMORY = ("60MiB", "2GiB")
SHARDS = (1, 2, 4)


LEVELS = ("baseline", "avx2", "avx512")


def sha256(job, isa, threads, memory, shards):
    command = job.compute("--isa", isa, "--threads", str(threads), "--max-memory", memory, synthetic=20000)
    if shards == 1:
        return job.json(command)["sha256"]
    parts = ["part-%d" % part for part in range(1, shards + 1)]
    for part, name in enumerate(parts, 1):
        job.json(command + ["--shard", "%d/%d" % (part, shards), "-o", name])
    return job.json([job.tool, "merge", *parts, "-o", "merged.safetensors", "--json"])["sha256"]


def available(job):
    return [isa for isa in LEVELS if job.run(job.compute("--isa", isa)).returncode == 0]


def run(job, options):
    findings, seen, runs = [], {}, 0
    levels = available(job)
    cases = [(isa, threads, memory, shards) for isa in levels for threads in THREADS for memory in MEMORY
             for shards in SHARDS]
    for case in cases * options.repeats:
        runs += 1
        try:
            digest = sha256(job, *case)
        except Finding as finding:
            findings.append(str(finding))
            continue
        seen.setdefault(case[0], {}).setdefault(digest, "%d threads, %s, %d shards" % case[1:])
    for isa, digests in seen.items():
        if len(digests) != 1:
            findings.append("%s: %d different results: %s" % (isa, len(digests), "; ".join(digests.values())))
    return "%d results (%s x %d numbers of threads x %d memory bounds x %d numbers of shards x %d): %s SHA-256" % (
        runs, "/".join(levels), len(THREADS), len(MEMORY), len(SHARDS), options.repeats,
        "/".join(str(len(seen.get(isa, {}))) for isa in levels)), findings
