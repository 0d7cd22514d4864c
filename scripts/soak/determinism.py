"""Threads x memory bounds x shards x repeats: one SHA-256."""

from soak.job import Finding

THREADS = (1, 2, 3, 4, 8, 16)
MEMORY = ("60MiB", "2GiB")
SHARDS = (1, 2, 4)


def sha256(job, threads, memory, shards):
    command = job.compute("--threads", str(threads), "--max-memory", memory, synthetic=20000)
    if shards == 1:
        return job.json(command)["sha256"]
    parts = ["part-%d" % part for part in range(1, shards + 1)]
    for part, name in enumerate(parts, 1):
        job.json(command + ["--shard", "%d/%d" % (part, shards), "-o", name])
    return job.json([job.tool, "merge", *parts, "-o", "merged.safetensors", "--json"])["sha256"]


def run(job, options):
    findings, seen, runs = [], {}, 0
    for _ in range(options.repeats):
        for threads in THREADS:
            for memory in MEMORY:
                for shards in SHARDS:
                    runs += 1
                    try:
                        digest = sha256(job, threads, memory, shards)
                    except Finding as finding:
                        findings.append(str(finding))
                        continue
                    seen.setdefault(digest, "%d threads, %s, %d shards" % (threads, memory, shards))
    if len(seen) != 1:
        findings.append("%d different results: %s" % (len(seen), "; ".join(seen.values())))
    return "%d results (%d numbers of threads x %d memory bounds x %d numbers of shards x %d): %d SHA-256" % (
        runs, len(THREADS), len(MEMORY), len(SHARDS), options.repeats, len(seen)), findings
