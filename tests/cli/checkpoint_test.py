"""compute --checkpoint and --resume: interruptions, kills, refusals."""

import os
import random
import signal
import subprocess
import time

import support


class CheckpointTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([30, 40, 5])))
        self.job = self.of("synthetic:500000") + ["--seed", "3"]

    def of(self, data):
        return ["compute", "--arch", "mlp:30-40-5", "--weights", "W.safetensors", "--data", data, "--estimator", "mc",
                "--json"]

    def interrupted(self, number, *more):
        """Starts the job and sends the signal once a checkpoint is there; returns exit code and stderr."""
        process = subprocess.Popen([support.TOOL, *self.job, "--threads", "1", "--checkpoint", "F.ckpt", *more], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not os.path.exists(self.path("F.ckpt")):
            time.sleep(0.005)
        process.send_signal(number)
        output, text = process.communicate()
        self.assertEqual(output, "")
        return process.returncode, text

    def test_resumed_is_uninterrupted(self):
        expected = self.run_json(*self.job, "-o", "plain.safetensors")
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]:
            returned, text = self.interrupted(number, "--checkpoint-every", "1ms", "-o", "F.safetensors")
            self.assertEqual(returned, code, text)
            if code > 0:
                self.assertRegex(text, "interrupted; F.ckpt holds the [0-9]+ samples")
            self.assertFalse(os.path.exists(self.path("F.safetensors")))
            resume = [*self.job, "--checkpoint", "F.ckpt", "--resume", "-o", "F.safetensors"]
            result = self.run_json(*resume, "--threads", "3")
            self.assertEqual((result["sha256"], result["samples"]), (expected["sha256"], 500000))
            self.assertEqual(self.read("F.safetensors"), self.read("plain.safetensors"))
            for name in ["F.ckpt", "F.safetensors"]:
                os.remove(self.path(name))

    def test_interrupted_while_reading_ahead(self):
        """One thread of a machine with more computes, another reads the next block from the file."""
        count = 300000
        source = random.Random(5)
        self.write("X.npy", support.npy_bytes([count, 30], "|u1", source.randbytes(30 * count)))
        self.job = self.of("X.npy") + ["--seed", "3"]
        expected = self.run_json(*self.job)
        returned, text = self.interrupted(signal.SIGINT, "--checkpoint-every", "1ms")
        self.assertEqual(returned, 130, text)
        result = self.run_json(*self.job, "--checkpoint", "F.ckpt", "--resume")
        self.assertEqual((result["sha256"], result["samples"]), (expected["sha256"], count))

    def test_interrupted_at_once(self):
        """A checkpoint is written at the signal, however seldom it was to be."""
        process = subprocess.Popen([support.TOOL, *self.of("synthetic:1000000000"), "--checkpoint", "F.ckpt", "--checkpoint-every", "1h"],
                                   cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stderr.readline()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate()
        self.assertEqual(process.returncode, 143, text)
        # A machine that had no time for the first block has nothing to save.
        self.assertIn("interrupted", text)
        self.assertEqual(os.path.exists(self.path("F.ckpt")), "F.ckpt holds" in text)

    def test_without_a_checkpoint_it_begins(self):
        small = self.of("synthetic:3000")
        result = self.run_json(*small, "--checkpoint", "F.ckpt", "--resume")
        self.assertEqual(result["sha256"], self.run_json(*small)["sha256"])

    def test_refusals(self):
        small = self.of("synthetic:3000")
        self.run_json(*small, "--checkpoint", "F.ckpt")
        self.assert_fails(3, [*small, "--seed", "8", "--checkpoint", "F.ckpt", "--resume"], "F.ckpt", "seed")
        self.assert_fails(3, [*self.of("synthetic:3001"), "--checkpoint", "F.ckpt", "--resume"], "F.ckpt", "samples")
        self.write("other", b"something else")
        self.assert_fails(3, [*small, "--checkpoint", "other"], "other")
        self.assertEqual(self.read("other"), b"something else")
        self.assert_fails(2, [*small, "--checkpoint", "W.safetensors"], "W.safetensors", "input")
        self.assert_fails(2, [*small, "--checkpoint", "F", "-o", "F"], "F", "--output")
        self.assert_fails(2, [*small, "--resume"], "--checkpoint")
        self.assert_fails(2, [*small, "--checkpoint", "F.ckpt", "--checkpoint-every", "soon"], "soon")
        self.assert_fails(2, [*small, "--checkpoint", "F.ckpt", "--subset", "importance:100"], "importance")
        self.assert_fails(3, [*small, "--checkpoint", "gone/F.ckpt"], "gone")


if __name__ == "__main__":
    support.main()
