"""Ctrl-C and termination, and what a terminal sees."""

import os
import pty
import signal
import subprocess

import support

ENDLESS = "synthetic:1000000000"


class SignalTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([30, 40, 5])))
        self.compute = ["compute", "--arch", "mlp:30-40-5", "--weights", "W.safetensors", "--data", ENDLESS]

    def interrupt(self, arguments, number):
        """Sends a signal once the tool says that it has begun; returns exit code and stderr."""
        process = subprocess.Popen([support.TOOL, *arguments], cwd=self.folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        first = process.stderr.readline()
        process.send_signal(number)
        output, rest = process.communicate()
        self.assertEqual(output, "")
        return process.returncode, first + rest

    def test_compute(self):
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            before = sorted(os.listdir(self.folder))
            returned, text = self.interrupt(self.compute + ["-o", "F.safetensors", "--json"], number)
            self.assertEqual(returned, code, text)
            self.assertIn("interrupted", text)
            self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_existing_output_is_kept(self):
        self.write("F.safetensors", b"before")
        self.assertEqual(self.interrupt(self.compute + ["-o", "F.safetensors"], signal.SIGINT)[0], 130)
        self.assertEqual(self.read("F.safetensors"), b"before")

    def test_train(self):
        train = ["train", "--arch", "mlp:30-40-5", "--data", "synthetic:2000", "--epochs", "100000000", "-o", "T.safetensors"]
        before = sorted(os.listdir(self.folder))
        self.assertEqual(self.interrupt(train, signal.SIGINT)[0], 130)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_check(self):
        check = ["check", *self.compute[1:5], "--data", "synthetic:3000000", "--samples", "3000000"]
        self.assertEqual(self.interrupt(check, signal.SIGINT)[0], 130)


class TerminalTest(support.ToolTest):
    """stderr is a pseudo-terminal."""

    def start(self, arguments, **environment):
        terminal, child = pty.openpty()
        self.addCleanup(os.close, terminal)
        variables = dict(os.environ, TERM="xterm", **environment)
        variables = {key: value for key, value in variables.items() if value is not None}
        process = subprocess.Popen([support.TOOL, *arguments], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=child,
                                   env=variables)
        os.close(child)
        return process, terminal

    def read_until(self, terminal, word):
        """All that is shown until `word` appears or the tool ends."""
        text = ""
        while word not in text:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            if not part:
                break
            text += part.decode()
        return text

    def test_progress_with_time_left(self):
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([30, 40, 5])))
        process, terminal = self.start(["compute", "--arch", "mlp:30-40-5", "--weights", "W.safetensors", "--data", ENDLESS])
        text = self.read_until(terminal, "left")
        process.send_signal(signal.SIGINT)
        self.read_until(terminal, "interrupted")
        self.assertEqual(process.wait(), 130)
        self.assertRegex(text, r"computing \d+%  [\d,]+ of 1,000,000,000 samples  [\d.]+ [kMG]?samples/s  about .* left")

    def test_color(self):
        for no_color, expected in [("", True), ("1", False)]:
            process, terminal = self.start(["info", "gone"], NO_COLOR=no_color)
            text = self.read_until(terminal, "gone")
            self.assertEqual(process.wait(), 3)
            self.assertIn("error:", text)
            self.assertEqual("\033[" in text, expected)


if __name__ == "__main__":
    support.main()
