"""What the tool's tests share: files written byte by byte, and running the tool."""

import gzip
import json
import os
import struct
import subprocess
import tempfile
import unittest

TOOL = os.environ.get("FISHERDIAG_TOOL", "fisherdiag")


def floats(values):
    return struct.pack("<%df" % len(values), *values)


def safetensors_bytes(tensors, metadata=None):
    """tensors: [(name, shape, float values)], stored in that order as F32."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, shape, values in tensors:
        part = floats(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    return raw_safetensors(json.dumps(header), data)


def raw_safetensors(header, data):
    text = header.encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(path):
    """Returns ({name: (dtype, shape, values)} in file order, metadata, data bytes)."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]):
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], list(struct.unpack("<%df" % ((end - begin) // 4), data[begin:end])))
    return tensors, metadata, data


def npy_bytes(shape, dtype, data):
    shape_text = "(" + "".join("%d, " % size for size in shape) + ")"
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (dtype, shape_text)
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def float_npy(rows):
    return npy_bytes([len(rows), len(rows[0])], "<f4", b"".join(floats(row) for row in rows))


def label_npy(labels):
    return npy_bytes([len(labels)], "<i8", struct.pack("<%dq" % len(labels), *labels))


def idx_bytes(shape, data):
    return struct.pack(">BBBB", 0, 0, 8, len(shape)) + b"".join(struct.pack(">I", size) for size in shape) + data


def numbers(count, seed):
    """Deterministic values in (-1, 1) with no structure."""
    state, values = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 40) / 2**23 - 1.0)
    return values


def mlp_tensors(sizes, seed=7):
    tensors = []
    for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        scale = 1.0 / inputs**0.5
        weight = [scale * value for value in numbers(inputs * outputs, seed + 2 * layer)]
        bias = [scale * value for value in numbers(outputs, seed + 2 * layer + 1)]
        tensors.append(("%d.weight" % (2 * layer), [outputs, inputs], weight))
        tensors.append(("%d.bias" % (2 * layer), [outputs], bias))
    return tensors


class ToolTest(unittest.TestCase):
    """A folder of its own for each test, and runs of the tool in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fisherdiag-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return name

    def write_gzip(self, name, content):
        return self.write(name, gzip.compress(content))

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def write_problem(self, sizes=(6, 5, 3), samples=40):
        """W.safetensors, X.npy and Y.npy of a small classifier."""
        self.write("W.safetensors", safetensors_bytes(mlp_tensors(list(sizes))))
        rows = [numbers(sizes[0], 100 + n) for n in range(samples)]
        self.write("X.npy", float_npy(rows))
        self.write("Y.npy", label_npy([n % sizes[-1] for n in range(samples)]))
        self.arch = "mlp:" + "-".join(str(size) for size in sizes)
        self.problem = ["--arch", self.arch, "--weights", "W.safetensors", "--data", "X.npy", "--labels", "Y.npy"]

    def run_tool(self, *arguments, environment=None, **options):
        variables = dict(os.environ, **(environment or {}))
        return subprocess.run([TOOL, *arguments], cwd=self.folder, env=variables, capture_output=True, text=True,
                              **options)

    def run_json(self, *arguments, code=0, **options):
        """Runs with --json; stdout must be one JSON object and nothing else."""
        done = self.run_tool(*arguments, "--json", **options)
        self.assertEqual(done.returncode, code, done.stderr)
        result = json.loads(done.stdout)
        self.assertIsInstance(result, dict)
        return result

    def assert_fails(self, code, arguments, *words, **options):
        """Exit code, nothing on stdout, and one sentence on stderr that has all `words`."""
        done = self.run_tool(*arguments, **options)
        self.assertEqual(done.returncode, code, "%s\n%s" % (arguments, done.stderr))
        self.assertEqual(done.stdout, "")
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertEqual(done.stderr.splitlines()[-1], errors[0])
        for word in words:
            self.assertIn(word, errors[0])
        return done


def main():
    unittest.main(verbosity=2)
