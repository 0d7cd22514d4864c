"""The small job the tiers run, its folder, and what must hold after it ends however it ends."""

import json
import os
import random
import shutil
import struct
import subprocess
import tempfile

TIMEOUT = 600  # a hang; a busy machine may take a job of milliseconds minutes
OLD = b"what was there before"


def safetensors(tensors):
    header, data = {}, b""
    for name, shape, values in tensors:
        part = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def npy(shape, dtype, data):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }" % (dtype, "".join("%d, " % n for n in shape))
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


class Finding(Exception):
    """Something that must not happen."""


class Job:
    """A classifier of 20-16-5 on 3,000 samples in files, or on as many synthetic ones as asked for."""

    def __init__(self, tool):
        self.tool = tool
        self.folder = tempfile.mkdtemp(prefix="fisherdiag-soak-")
        source = random.Random(7)
        numbers = lambda count: [source.uniform(-1, 1) for _ in range(count)]
        self.write("W.safetensors", safetensors([("0.weight", [16, 20], numbers(320)), ("0.bias", [16], numbers(16)),
                                                 ("2.weight", [5, 16], numbers(80)), ("2.bias", [5], numbers(5))]))
        self.write("X.npy", npy([3000, 20], "<f4", struct.pack("<60000f", *numbers(60000))))
        self.write("Y.npy", npy([3000], "<i8", struct.pack("<3000q", *(n % 5 for n in range(3000)))))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def read(self, name):
        try:
            with open(self.path(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def remove(self, *names):
        for name in names:
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))

    def compute(self, *more, synthetic=None):
        data = ["--data", "synthetic:%d" % synthetic] if synthetic else ["--data", "X.npy", "--labels", "Y.npy"]
        return [self.tool, "compute", "--arch", "mlp:20-16-5", "--weights", "W.safetensors", *data, "--estimator", "mc",
                "--seed", "3", "--json", "--quiet", *more]

    def run(self, command, **options):
        return subprocess.run(command, cwd=self.folder, capture_output=True, timeout=TIMEOUT, check=False, **options)

    def json(self, command):
        done = self.run(command)
        if done.returncode != 0:
            raise Finding("%s: exit code %d: %s" % (" ".join(command[1:]), done.returncode, done.stderr.decode()))
        return json.loads(done.stdout)

    def temporary_files(self):
        return [name for name in os.listdir(self.folder) if name.endswith(".tmp")]

    def check_after_failure(self, done, expected, what, name="F.safetensors"):
        """After a run that may have failed: the output is the old or the new one, and the code says which."""
        output = self.read(name)
        words = "%s: exit code %d, %s" % (what, done.returncode, done.stderr.decode(errors="replace").strip()[-300:])
        if output not in (OLD, expected):
            raise Finding(words + ": the output is neither the old nor the new one")
        if done.returncode == 0 and output != expected:
            raise Finding(words + ": success without the result")
        if done.returncode < 0 or done.returncode > 127:
            raise Finding(words + ": a crash")
        if self.temporary_files():
            raise Finding(words + ": left " + ", ".join(self.temporary_files()))

    def check_rerun(self, command, expected, what):
        """The same again without a fault ends with the result."""
        done = self.run(command)
        if done.returncode != 0 or self.read("F.safetensors") != expected:
            raise Finding("%s: afterwards exit code %d, %s" % (what, done.returncode, done.stderr.decode().strip()[-300:]))
