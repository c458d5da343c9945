#!/usr/bin/env python3
"""Make tests/import/files: small models as their frameworks save them, with the outputs that the frameworks gave.

    python3 tests/import/make_files.py torch|keras|onnx|networks...

Needs the packages of tests/import/requirements.txt. Every model has random weights from a fixed seed. Beside each lies
NAME.golden.json: inputs, what the network is fed, and the framework's own raw outputs.
"""
import sys

import files_keras
import files_networks
import files_onnx
import files_texts
import files_torch
from common import FILES

if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    makers = {name: maker for module in (files_torch, files_keras, files_onnx, files_texts, files_networks)
              for name, maker in vars(module).items() if name.startswith("make_")}
    for what in sys.argv[1:] or ["torch"]:
        makers[f"make_{what}"]()
