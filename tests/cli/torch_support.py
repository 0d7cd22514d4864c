"""PyTorch for the tests that need it: in this interpreter or in the one FISHERDIAG_TORCH_PYTHON names.

Importing this starts the test anew under that one where this one has no PyTorch. Without any, `torch` is None and the tests
are skipped, and say so."""

import os
import sys
import unittest

import support

TORCH_PYTHON = os.environ.get("FISHERDIAG_TORCH_PYTHON", "")
try:
    import numpy
    import safetensors.torch
    import torch
except ImportError:
    if TORCH_PYTHON and os.path.abspath(TORCH_PYTHON) != os.path.abspath(sys.executable):
        os.execv(TORCH_PYTHON, [TORCH_PYTHON, "-B", *sys.argv])
    numpy = safetensors = torch = None

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, "..", "..", "scripts")


@unittest.skipUnless(
    torch, "SKIPPED: no PyTorch in %s; set FISHERDIAG_TORCH_PYTHON to an interpreter that has it" % sys.executable
)
class TorchTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        torch.set_num_threads(1)
