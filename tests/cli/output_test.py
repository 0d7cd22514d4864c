"""Outputs that cannot be written: exit 3, nothing left behind, nothing that existed is lost."""

import os
import resource
import subprocess

import support

SENTINEL = b"what was here before"
FILE_LIMIT = 4096


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))


class OutputTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        # 2,088 parameters are 8,352 bytes of output: more than FILE_LIMIT.
        self.write_problem(sizes=(20, 60, 12, 8), samples=30)
        self.verbs = {
            "compute": (["compute", *self.problem], "-o"),
            "train": (["train", "--arch", self.arch, "--data", "X.npy", "--labels", "Y.npy", "--epochs", "1"], "-o"),
            "merge": (["merge", "F.safetensors", "F.safetensors"], "-o"),
            "penalty": (["penalty", "--weights", "W.safetensors", "--anchor", "W.safetensors", "--fisher",
                         "F.safetensors", "--lambda", "1"], "--grad-out")}
        self.run_json("compute", *self.problem, "-o", "F.safetensors")

    def assert_output_fails(self, output, *words, **options):
        for arguments, option in self.verbs.values():
            before = sorted(os.listdir(self.folder))
            self.assert_fails(3, arguments + [option, output], *words, **options)
            self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_missing_folder(self):
        self.assert_output_fails("nowhere/out.safetensors", "nowhere")

    def test_folder_as_file(self):
        os.mkdir(self.path("folder"))
        self.assert_output_fails("folder", "folder")

    def test_file_as_folder(self):
        self.assert_output_fails("W.safetensors/out.safetensors", "W.safetensors")

    def test_folder_without_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        os.mkdir(self.path("locked"), mode=0o500)
        self.assert_output_fails("locked/out.safetensors", "locked")

    def test_full_device(self):
        self.assert_output_fails("/dev/full", "/dev/full", "No space left")

    def test_file_size_limit(self):
        self.assert_output_fails("out.safetensors", "out.safetensors", "too large", preexec_fn=limit_file_size)
        self.write("out.safetensors", SENTINEL)
        self.assert_output_fails("out.safetensors", "out.safetensors", "too large", preexec_fn=limit_file_size)
        self.assertEqual(self.read("out.safetensors"), SENTINEL)

    def test_folder_is_checked_before_the_work(self):
        # The data does not exist either: the output is what is complained about.
        self.assert_fails(3, ["compute", "--arch", self.arch, "--weights", "W.safetensors", "--data", "gone.npy", "-o",
                              "nowhere/out.safetensors"], "nowhere")

    def test_existing_output_is_replaced_whole(self):
        self.write("out.safetensors", SENTINEL * 10000)
        self.run_json("compute", *self.problem, "-o", "out.safetensors")
        self.assertEqual(self.read("out.safetensors"), self.read("F.safetensors"))


class StandardOutputTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write_problem()

    def run_into(self, stdout):
        return subprocess.run([support.TOOL, "info", "W.safetensors", "--json"], cwd=self.folder, stdout=stdout,
                              stderr=subprocess.PIPE, text=True)

    def test_full(self):
        with open("/dev/full", "w") as full:
            done = self.run_into(full)
        self.assertEqual(done.returncode, 3)
        self.assertIn("standard output", done.stderr)

    def test_closed_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = self.run_into(writer)
        os.close(writer)
        self.assertEqual(done.returncode, 3)
        self.assertIn("standard output", done.stderr)


if __name__ == "__main__":
    support.main()
