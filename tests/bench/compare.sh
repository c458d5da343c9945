#!/bin/bash
# compare.py with what it needs: ONNX Runtime, OpenVINO and PyTorch in build/compare. One table for one thread, one
# for two.
#
#   tests/bench/compare.sh PROGRAMS [OPTION OF compare.py...]      make bench-compare calls this
set -eu
cd "$(dirname "$0")/../.."
programs=$1
shift
tests/venv.sh build/compare tests/bench/requirements.txt
for threads in 1 2; do
    build/compare/venv/bin/python tests/bench/compare.py --programs "$programs" --threads $threads "$@"
done
