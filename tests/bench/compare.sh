#!/bin/bash
# compare.py with what it needs: ONNX Runtime and PyTorch in build/compare. One table for one thread, one for two.
#
#   tests/bench/compare.sh PROGRAMS [OPTION OF compare.py...]      make bench-compare calls this
set -eu
cd "$(dirname "$0")/../.."
programs=$1
shift
if ! [ -e build/compare/ready ]; then
    python3 -m venv build/compare
    build/compare/bin/pip install --quiet -r tests/bench/requirements.txt
    touch build/compare/ready
fi
for threads in 1 2; do
    build/compare/bin/python tests/bench/compare.py --programs "$programs" --threads $threads "$@"
done
