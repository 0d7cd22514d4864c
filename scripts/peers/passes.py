"""Fisher passes of one model at one thread count: agreement first, then interleaved rounds."""

import statistics
from dataclasses import dataclass, field

import numpy as np

from peers import agreement, client, data, methods
from peers.ours import ToolError


class Disagreement(Exception):
    """A method that computed something else than we did; the text names it."""


@dataclass
class Settings:
    rounds: int
    seconds: float       # a timed run should take about so long
    pool: int            # most samples of a timed run

    def samples(self, rate, batch):
        """Whole batches that take about `seconds` at `rate` samples per second, within the pool; at least one."""
        wanted = min(max(rate * self.seconds, batch), self.pool)
        return max(int(wanted // batch), 1) * batch


@dataclass
class Case:
    """Everything about one model that does not depend on the thread count."""

    model: str
    weights: object        # safetensors
    pool: tuple            # (x, y) files of the timed runs
    check: tuple           # (x, y) files of the agreement runs
    folder: object
    names: list = field(default_factory=list)
    is_mc_checked: bool = False  # our own mc: the same bits for every thread count, so once is enough

    @property
    def arch(self):
        return methods.arch_of(self.model)

    def first_samples(self, count):
        """Files with the first `count` samples of the pool."""
        paths = tuple(self.folder / f"{self.pool[0].stem}-{count}-{part}.npy" for part in "xy")
        for source, path in zip(self.pool, paths):
            if not path.exists():
                np.save(path, np.load(source, mmap_mode="r")[:count])
        return paths


@dataclass
class Contestant:
    """One row of the result: a peer's method or one of ours."""

    name: str
    label: str
    library: str
    estimator: str
    samples: int = 0
    batch: int = 0
    seconds: list = field(default_factory=list)
    memory_bytes: int = 0
    error: float = None
    problem: str = ""

    def rate(self):
        return self.samples / statistics.median(self.seconds) if self.seconds and not self.problem else None

    def record(self, case, threads):
        rates = [self.samples / seconds for seconds in self.seconds]
        return {"model": case.model, "threads": threads, "name": self.name, "label": self.label,
                "library": self.library, "estimator": self.estimator, "samples": self.samples, "batch": self.batch,
                "seconds": self.seconds, "samples_per_second": self.rate(), "lowest": min(rates, default=None),
                "highest": max(rates, default=None), "memory_bytes": self.memory_bytes or None, "error": self.error,
                "problem": self.problem}


class Ours:
    """The tool in the place of a worker: a process per run, timed by itself without reading its files."""

    def __init__(self, tool, case, cpus, settings, contestant, options=(), idle_bytes=0):
        self.tool, self.case, self.cpus, self.settings = tool, case, cpus, settings
        self.contestant, self.options, self.idle_bytes = contestant, options, idle_bytes

    def compute(self, samples, out=None):
        return self.tool.compute(self.case.arch, self.case.weights, samples, self.contestant.estimator, self.cpus, out,
                                 self.options)

    def prepare(self, least):
        """`least`: what happens once must not weigh more in our runs than in those of the others."""
        rate = self.compute(self.case.check)["samples_per_second"]
        # The first guess comes from few samples; the second from as many as it asks for.
        for _ in range(2):
            count = self.settings.samples(rate, min(max(least, 256), self.settings.pool))
            # A power of two, so that a few files serve all models.
            self.contestant.samples = 1 << (count.bit_length() - 1)
            self.files = self.case.first_samples(self.contestant.samples)
            rate = self.compute(self.files)["samples_per_second"]

    def run(self):
        result = self.compute(self.files)
        self.contestant.seconds.append(result["seconds"])
        self.contestant.memory_bytes = max(self.contestant.memory_bytes, result["peak_rss_bytes"] - self.idle_bytes)

    def close(self):
        """Nothing stays behind."""


class Peer:
    def __init__(self, case, cpus, settings, method, contestant):
        self.case, self.cpus, self.settings = case, cpus, settings
        self.method, self.contestant = method, contestant
        self.worker = client.Worker(case.folder / f"{method.name}.log", cpus)

    def send_start(self):
        x, y = self.case.pool
        spec = {"module": self.method.module, "method": self.method.name, "weights": str(self.case.weights),
                "names": self.case.names, "x": str(x), "y": str(y), "threads": len(self.cpus)}
        if self.case.model in methods.PRESETS:
            spec["preset"] = self.case.model
        self.worker.send("start", spec=spec)

    def verdict(self, references):
        """Compares the peer's diagonal of the check samples with ours."""
        x, y = self.case.check
        out = self.case.folder / f"{self.method.name}.npy"
        is_random = self.method.estimator == "mc"
        batch = self.method.candidates(methods.parameters_of(self.case.model))[0]
        answer = self.worker.ask("agree", x=str(x), y=str(y), batch=batch, out=str(out),
                                 replicates=agreement.REPLICATES if is_random else 1)
        result = np.load(out)
        out.unlink()
        if is_random:
            return agreement.monte_carlo(result, answer["traces"], answer["squared_norms"], references["exact"])
        return agreement.deterministic(result, references[self.method.estimator], self.method.tolerance)

    def prepare(self):
        best = self.worker.ask("tune", batches=self.method.candidates(methods.parameters_of(self.case.model)))
        samples = self.settings.samples(best["rate"], best["batch"])
        self.contestant.samples = self.worker.ask("prepare", samples=samples, batch=best["batch"])["samples"]
        self.contestant.batch, self.contestant.memory_bytes = best["batch"], best["memory_bytes"]

    def run(self):
        self.contestant.seconds.append(self.worker.ask("run")["seconds"])

    def close(self):
        self.worker.close()


def references(tool, case, cpus):
    """Our diagonals of the check samples, and the function that computes one."""
    def diagonal(estimator, seed=1, options=()):
        out = case.folder / "reference.safetensors"
        tool.compute(case.arch, case.weights, case.check, estimator, cpus, out, ("--seed", seed, *options))
        values = data.flat(data.read_tensors(out, case.names))
        out.unlink()
        return values

    return {estimator: diagonal(estimator) for estimator in ("empirical", "exact")}, diagonal


def check_own_mc(case, diagonal, exact):
    """Our mc against our exact, by the test the peer's has to pass."""
    mean, traces, squared_norms = 0.0, [], []
    for seed in range(1, agreement.REPLICATES + 1):
        values = diagonal("mc", seed)
        mean = mean + values / agreement.REPLICATES
        traces.append(float(values.sum()))
        squared_norms.append(float(np.dot(values, values)))
    verdict = agreement.monte_carlo(mean, traces, squared_norms, exact)
    if not verdict.agrees:
        raise Disagreement(f"our own mc on {case.model} is not an estimate of our exact: {verdict.detail}")
    case.is_mc_checked = True


def our_contestants(tool, case, cpus, settings, idle_bytes, diagonal, found, log):
    entries = []
    for estimator in ("empirical", "exact", "mc"):
        contestant = Contestant(f"ours-{estimator}", f"fisherdiag, {estimator}", "fisherdiag", estimator)
        entries.append(Ours(tool, case, cpus, settings, contestant, (), idle_bytes))
    if tool.has_bf16():
        options = ("--precision", "bf16")
        contestant = Contestant("ours-empirical-bf16", "fisherdiag, empirical, bfloat16", "fisherdiag", "empirical")
        try:
            verdict = agreement.deterministic(diagonal("empirical", 1, options), found["empirical"],
                                              methods.OURS_BF16_TOLERANCE)
        except ToolError as error:
            log(f"  no bfloat16 of ours here: {error}")
            return entries
        if not verdict.agrees:
            raise Disagreement(f"our bfloat16 empirical on {case.model}: {verdict.detail}")
        contestant.error = verdict.error
        entries.append(Ours(tool, case, cpus, settings, contestant, options, idle_bytes))
    return entries


def attempt(entry, log, action):
    """Does it, or notes why the method is out; True if done. A method that is out stays out."""
    if entry.contestant.problem:
        return False
    try:
        action()
        return True
    except client.PeerError as error:
        entry.contestant.problem = str(error)
        log(f"  {entry.contestant.label} did not run: {error}")
        return False


def check_all(peers, found, model, log):
    """Those peers that run; raises Disagreement for one whose diagonal is not ours."""
    for peer in peers:
        peer.send_start()
    agreeing = []
    for peer in peers:
        def check(peer=peer):
            peer.versions = peer.worker.receive()["versions"]
            verdict = peer.verdict(found)
            peer.contestant.error = verdict.error
            log(f"  {peer.contestant.label}: {verdict.detail}")
            if not verdict.agrees:
                raise Disagreement(f"{peer.contestant.label} on {model} does not agree with fisherdiag: {verdict.detail}")
        if attempt(peer, log, check):
            agreeing.append(peer)
    return agreeing


def compare(tool, case, cpus, settings, idle_bytes, log):
    """(records, {library: version}) of one model at one thread count. With no rounds, only checks agreement."""
    found, diagonal = references(tool, case, cpus)
    if not case.is_mc_checked:
        check_own_mc(case, diagonal, found["exact"])
    entries = our_contestants(tool, case, cpus, settings, idle_bytes, diagonal, found, log)
    everyone = list(entries)
    try:
        for method in (method for method in methods.METHODS if method.does(case.model)):
            contestant = Contestant(method.name, method.label, method.module, method.estimator)
            everyone.append(Peer(case, cpus, settings, method, contestant))
        peers = check_all(everyone[len(entries):], found, case.model, log)
        if settings.rounds:
            peers = [peer for peer in peers if attempt(peer, log, peer.prepare)]
            least = max((peer.contestant.samples for peer in peers), default=1)
            for entry in entries:
                entry.prepare(least)
            entries += peers
            for number in range(settings.rounds):
                # Every other round backwards, so that no method always follows the same one.
                for entry in entries if number % 2 == 0 else entries[::-1]:
                    attempt(entry, log, entry.run)
        versions = {name: version for peer in peers for name, version in peer.versions.items()}
        return [entry.contestant.record(case, len(cpus)) for entry in everyone], versions
    finally:
        for entry in everyone:
            entry.close()
