#!/usr/bin/env python3
"""Writes files that fisherdiag must refuse, and odd ones that it must read, with a list of what is expected of each.

  scripts/make_corpus.py FOLDER

FOLDER/corpus.json describes one small problem written in many ways: `canonical` (options of `fisherdiag compute`),
and `cases`, each with `label`, `options` (what differs from the canonical ones), `file` (whose name an error must
contain), `expect` ("reject" or "load"), for rejections `code` and `reason` (a word of the message), for loads `like`:
the problem, "canonical" or another name under `problems`, whose result it must give bit for bit. Everything is made
from Python's standard library, byte by byte: an independent writer. The same corpus every time.
"""

import json
import os
import sys

from corpus import malformed, oddities, writers


class Corpus:
    def __init__(self, folder):
        self.folder = folder
        self.cases = []
        self.names = set()

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return name

    def add(self, role, name, content, **expected):
        """One file in the place of the canonical one of its role: weights, data, labels or arch."""
        assert name not in self.names, name
        self.names.add(name)
        path = self.write(name, content)
        options = {"--" + role: path}
        if role == "data" and expected.pop("own_labels", False):
            options["--labels"] = None
        self.cases.append(dict(label=name, options=options, file=os.path.basename(path), **expected))

    def reject(self, role, name, content, reason="", code=3):
        self.add(role, "bad/" + name, content, expect="reject", reason=reason, code=code)

    def load(self, role, name, content, like="canonical", **more):
        self.add(role, "odd/" + name, content, expect="load", like=like, **more)

    def truncate(self, role, name, content, count, reason=""):
        """`count` lengths from 0 on, the last one byte short."""
        stem, dot, end = name.partition(".")
        for i in range(count):
            length = i * (len(content) - 1) // (count - 1)
            self.reject(role, "%s-cut-%d%s" % (stem, length, dot + end), content[:length], reason)

    def flip(self, role, name, content, positions, skip=()):
        """Each bit of the bytes at `positions`, but for (position, bit) in `skip`."""
        stem, dot, end = name.partition(".")
        for position in positions:
            for bit in range(8):
                if (position, bit) in skip:
                    continue
                changed = bytearray(content)
                changed[position] ^= 1 << bit
                self.reject(role, "%s-flip-%d-%d%s" % (stem, position, bit, dot + end), bytes(changed))


def make_corpus(folder):
    corpus = Corpus(folder)
    corpus.write("W.safetensors", writers.weights())
    corpus.write("X.npy", writers.X_NPY)
    corpus.write("Y.npy", writers.Y_NPY)
    corpus.write("pixels.npy", writers.PIXELS)
    malformed.add_all(corpus)
    oddities.add_all(corpus)
    canonical = {"--arch": writers.ARCH, "--weights": "W.safetensors", "--data": "X.npy", "--labels": "Y.npy"}
    manifest = {
        "canonical": canonical,
        "problems": {"canonical": {}, "pixels": {"--data": "pixels.npy"}},
        "cases": corpus.cases,
    }
    with open(os.path.join(folder, "corpus.json"), "w") as file:
        json.dump(manifest, file, indent=1)
    return corpus.cases


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    os.makedirs(sys.argv[1], exist_ok=True)
    cases = make_corpus(sys.argv[1])
    rejected = sum(case["expect"] == "reject" for case in cases)
    print("%d files to refuse, %d to read in %s" % (rejected, len(cases) - rejected, sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
