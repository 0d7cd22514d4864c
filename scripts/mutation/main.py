"""Plants each bug in a scratch clone, builds the tests that ought to notice, and says whether they did."""

import argparse
import os
import subprocess
import sys
import time

from mutation.mutants import MUTANTS

# A test that waits for what a bug never lets happen is a failed test.
MOST_SECONDS = 900


class Clone:
    """A clone of the repository with a build of its own, which keeps what a bug does not touch."""

    def __init__(self, repository, folder):
        self.folder = os.path.abspath(folder)
        self.build = os.path.join(self.folder, "build", "ci")
        if os.path.isdir(self.folder):
            self._run("git", "fetch", "-q", repository, "HEAD", check=True)
        else:
            subprocess.run(["git", "clone", "-q", repository, self.folder], check=True)
            self._run("git", "fetch", "-q", repository, "HEAD", check=True)
        self._run("git", "checkout", "-q", "--force", "FETCH_HEAD", check=True)
        self._run("cmake", "--preset", "ci", "-DFISHERDIAG_BUILD_BENCH=OFF", check=True)

    def _run(self, *command, check=False):
        """True if it succeeds in time."""
        try:
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False,
                                  timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        if check and done.returncode != 0:
            sys.exit("%s failed:\n%s" % (" ".join(command), (done.stdout + done.stderr)[-3000:]))
        return done.returncode == 0

    def builds(self, tests):
        targets = [t for test in tests for t in
                   (("fisherdiag_cli", "fisherdiag_c") if "/" in test else ("test_" + test,))]
        return self._run("cmake", "--build", "--preset", "ci", "--parallel", str(os.cpu_count()), "--target", *targets)

    def passes(self, test):
        """A room's test program, or one of the tool's test files."""
        if "/" in test:
            name = os.path.basename(test).removesuffix("_test.py")
            return self._run("ctest", "--preset", "ci", "--no-tests=error", "-R", "^cli: " + name)
        return self._run(os.path.join(self.build, "tests", "test_" + test), "--abort")

    def path(self, mutant):
        return os.path.join(self.folder, "src", "fisherdiag", mutant.file)


def judge(clone, mutant):
    """("caught", which tests), ("not caught", "") or ("unusable", why)."""
    path = clone.path(mutant)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(mutant.old) != 1:
        return "unusable", "its text occurs %d times" % text.count(mutant.old)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(mutant.old, mutant.new))
        for test in mutant.tests:
            if not clone.builds([test]):
                return "unusable", "does not build"
            if not clone.passes(test):
                return "caught", test
        return "not caught", ""
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="mutation")
    parser.add_argument("--repository", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("words", nargs="*")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    chosen = [m for m in MUTANTS if not options.words or any(word in m.name + m.file for word in options.words)]
    if not chosen:
        sys.exit("no planted bug has one of these words")
    clone = Clone(options.repository, options.folder)
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    if not clone.builds(tests):
        sys.exit("the clone does not build without a planted bug")
    broken = [test for test in tests if not clone.passes(test)]
    if broken:
        sys.exit("without a planted bug these tests fail: " + " ".join(broken))
    verdicts = []
    for mutant in chosen:
        begin = time.monotonic()
        verdict, detail = judge(clone, mutant)
        verdicts.append((mutant, verdict, detail))
        print("%-10s %-8s %s: %s (%.0f s)" % (verdict, detail, mutant.file, mutant.name, time.monotonic() - begin),
              flush=True)
        with open(options.table, "w", encoding="utf-8") as table:
            table.write("| planted bug | file | caught by |\n|---|---|---|\n")
            for m, v, d in verdicts:
                table.write("| %s | `%s` | %s |\n" % (m.name, m.file, d if v == "caught" else "**%s**" % v))
    caught = sum(verdict == "caught" for _, verdict, _ in verdicts)
    unusable = [m.name for m, verdict, _ in verdicts if verdict == "unusable"]
    print("%d of %d planted bugs caught (%.0f%%)" % (caught, len(verdicts), 100.0 * caught / len(verdicts)))
    if unusable:
        print("unusable: " + "; ".join(unusable))
    return 0 if not unusable and caught >= 0.95 * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
