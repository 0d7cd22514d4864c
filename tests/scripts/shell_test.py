"""The shell scripts: help, usage errors, any working directory, and setup that leaves a ready machine alone."""

import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
ENTRY_POINTS = ("setup.sh", "run.sh", "soak.sh", "test.sh", "experiments.sh", "fuzz.sh", "mutation.sh",
                "tsan.sh")


def run(script, *arguments, **options):
    return subprocess.run([str(SCRIPTS / script), *arguments], capture_output=True, text=True, check=False, **options)


class EntryPoints(unittest.TestCase):
    def test_help_from_anywhere(self):
        for script in ENTRY_POINTS:
            result = run(script, "--help", cwd="/")
            self.assertEqual((result.returncode, result.stderr), (0, ""), script)
            self.assertIn(f"scripts/{script}", result.stdout)

    def test_unknown_options_are_usage_errors(self):
        for script in ENTRY_POINTS:
            result = run(script, "--no-such-option", cwd="/")
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), script)
            self.assertIn("--no-such-option", result.stderr)

    def test_scripts_parse(self):
        for script in sorted(SCRIPTS.glob("*.sh")):
            result = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)


@unittest.skipUnless(shutil.which("bash"), "needs bash")
class Setup(unittest.TestCase):
    """setup.sh with stand-ins for the system's commands, so that nothing is ever installed."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bin = pathlib.Path(folder.name)
        self.log = self.bin / "log"
        for tool in ("g++", "cmake", "ninja", "python3"):
            self.stand_in(tool, "exit 0")
        self.stand_in("apt-get", f'echo "apt-get $*" >> {self.log}; exit "${{APT_EXIT:-0}}"')
        self.stand_in("sudo", f'echo sudo >> {self.log}; exit 1')

    def stand_in(self, name, body):
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def setup(self, missing, user=0, **environment):
        cases = "|".join(missing) or "none"
        self.stand_in("dpkg-query", f'case "${{@: -1}}" in {cases}) exit 1 ;; esac; echo "install ok installed"')
        self.stand_in("id", f"echo {user}")
        variables = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", **environment}
        return run("setup.sh", env=variables)

    def calls(self):
        return self.log.read_text() if self.log.exists() else ""

    def test_installs_only_what_is_missing(self):
        result = self.setup(["catch2", "libtbb-dev"])
        self.assertEqual(result.returncode, 0, result.stderr)
        required = [line for line in self.calls().splitlines() if "--no-install-recommends libtbb-dev catch2" in line]
        self.assertEqual(len(required), 1, self.calls())
        self.assertNotIn("libxsimd-dev", self.calls())

    @unittest.skipUnless(os.path.isdir("/usr/share/datasets/fashion-mnist"), "needs the data set in its place")
    def test_a_ready_machine_is_left_alone(self):
        result = self.setup([])
        self.assertEqual((result.returncode, result.stdout, result.stderr, self.calls()), (0, "", "", ""))

    def test_a_package_that_cannot_be_installed_is_named(self):
        result = self.setup(["catch2"], APT_EXIT="100")
        self.assertEqual(result.returncode, 1)
        self.assertIn("could not install: catch2", result.stderr)

    def test_without_root_and_sudo_it_says_what_to_do(self):
        result = self.setup(["catch2"], user=1000)
        self.assertEqual((result.returncode, len(result.stderr.splitlines())), (1, 1), result.stderr)
        self.assertIn("apt-get install catch2", result.stderr)
        self.assertNotIn("apt-get", self.calls())

    def test_extras_that_fail_do_not_matter(self):
        self.assertEqual(self.setup(["libopenblas-dev"], APT_EXIT="100").returncode, 0)
        self.assertEqual(self.setup(["libopenblas-dev"], user=1000).returncode, 0)


if __name__ == "__main__":
    unittest.main()
