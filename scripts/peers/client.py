"""Starts the workers and talks to them."""

import json
import os
import pathlib
import select
import subprocess
import sys

SCRIPTS = pathlib.Path(__file__).resolve().parents[1]

# A pass takes seconds; a first import from a cold disk or a compilation can take a minute or two.
PATIENCE_SECONDS = 900


class PeerError(Exception):
    """A method that could not do what was asked; the text is one sentence."""


def chosen_cpus(threads):
    """The first `threads` CPUs this process may use: every method, ours too, is bound to the same ones."""
    return sorted(os.sched_getaffinity(0))[:threads]


def environment(threads):
    """Variables that keep each library to so many threads and to the CPU."""
    count = str(threads)
    limits = {name: count for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")}
    return {**os.environ, **limits, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(SCRIPTS),
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}


class Worker:
    """One method in a process of its own. Commands may be sent to several workers before their answers are read."""

    def __init__(self, log, cpus):
        with open(log, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen([sys.executable, "-m", "peers.worker"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, text=True,
                                            # Before any library is loaded: they size their thread pools by it.
                                            preexec_fn=lambda: os.sched_setaffinity(0, cpus), env=environment(len(cpus)))

    def send(self, command, **arguments):
        try:
            print(json.dumps({"do": command, **arguments}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # receive() says why

    def receive(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        if not ready:
            raise PeerError(f"no answer within {PATIENCE_SECONDS} s")
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise PeerError("killed, most likely out of memory" if code == -9 else f"its process ended with code {code}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def ask(self, command, **arguments):
        self.send(command, **arguments)
        return self.receive()

    def close(self):
        """Ends the process at once: nothing it holds is worth a clean exit."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
