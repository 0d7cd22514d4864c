"""plot_fisher.py: a picture comes out, and files that cannot be drawn are said to be so."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "plot_fisher.py"

try:
    import matplotlib  # noqa: F401
except ImportError:
    matplotlib = None


def fisher_file(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        part = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": [len(values)], "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)


@unittest.skipUnless(matplotlib, "needs matplotlib")
class Plot(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def plot(self, *arguments):
        return subprocess.run([sys.executable, "-B", str(SCRIPT), *arguments], capture_output=True, text=True, check=False)

    def test_one_and_two_files(self):
        a = fisher_file(self.folder / "a.safetensors", {"w": [1e-6, 2e-3, 0, 5], "b": [0, 0], "c": [1]})
        b = fisher_file(self.folder / "b.safetensors", {"w": [1e-5, 2e-3, 0, 5], "b": [0, 1e-9], "c": [2]})
        for files in [(a,), (a, b)]:
            output = self.folder / "picture.png"
            done = self.plot(*files, "-o", str(output))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("3 tensors", done.stdout)
            self.assertEqual(output.read_bytes()[:4], b"\x89PNG")

    def test_what_cannot_be_drawn(self):
        zero = fisher_file(self.folder / "zero.safetensors", {"w": [0, 0]})
        (self.folder / "text").write_text("no")
        for file, word in [(zero, "zero"), (str(self.folder / "text"), "cannot be read"), (str(self.folder / "gone"), "gone")]:
            done = self.plot(file, "-o", str(self.folder / "picture.png"))
            self.assertEqual(done.returncode, 1)
            self.assertIn(word, done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
