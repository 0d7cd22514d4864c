"""Bash completion and man page know every verb and every option that --help lists."""

import os
import re
import shutil
import subprocess
import sys
import unittest

import support

SOURCE = os.environ.get("FISHERDIAG_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
COMPLETION = os.path.join(SOURCE, "src", "cli", "completion", "fisherdiag.bash")
MAN = os.path.join(SOURCE, "scripts", "make_man.py")


class DocumentationTest(support.ToolTest):
    def help(self, *verb):
        done = self.run_tool(*verb, "--help")
        self.assertEqual(done.returncode, 0)
        return done.stdout

    def verbs(self):
        names = re.findall(r"(?m)^  ([a-z]+) ", self.help().split("Subcommands:")[1])
        self.assertGreater(len(names), 5)
        return names

    def options(self, *verb):
        """All words of --help that look like an option of its list, found without knowing its layout."""
        text = self.help(*verb)
        return sorted(set(re.findall(r"(?m)(?:^ +|,)(--?[a-z][a-z0-9-]*)", text[text.index("Usage:"):])))

    def complete(self, *words):
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fisherdiag; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", script, "bash", COMPLETION, support.TOOL, *words], cwd=self.folder,
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    @unittest.skipUnless(shutil.which("bash"), "needs bash")
    def test_completion(self):
        verbs = self.verbs()
        self.assertEqual(set(self.complete("")), {*verbs, "--help", "--version"})
        for verb in verbs:
            self.assertLessEqual(set(self.options(verb)), set(self.complete(verb, "-")), verb)
        self.write("F.safetensors", b"")
        self.assertEqual(self.complete("info", "F"), ["F.safetensors"])
        self.assertEqual(self.complete("compute", "--estimator", "e"), ["empirical", "exact"])
        self.assertEqual(self.complete("compute", "--chec"), ["--checkpoint", "--checkpoint-every"])

    def test_man_page(self):
        page = self.path("fisherdiag.1")
        subprocess.run([sys.executable, "-B", MAN, support.TOOL, page], check=True, cwd=self.folder)
        with open(page, encoding="utf-8") as file:
            text = file.read().replace("\\-", "-").replace("\\&", "")
        for verb in self.verbs():
            self.assertIn("\n.SS %s\n" % verb, text)
            section = text.split("\n.SS %s\n" % verb)[1].split("\n.SS ")[0]
            for option in self.options(verb):
                self.assertRegex(section, r"(?m)^\\fB.*%s\b" % re.escape(option))
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", page], capture_output=True, text=True, check=True)
            self.assertNotIn("error", done.stderr)


if __name__ == "__main__":
    support.main()
