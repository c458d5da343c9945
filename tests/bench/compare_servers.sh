#!/bin/bash
# compare_servers.py with what it needs, in build/servers: FastAPI, uvicorn, LitServe and ONNX Runtime from PyPI, and
# wrk.
#
#   tests/bench/compare_servers.sh PROGRAMS [OPTION OF compare_servers.py...]      make bench-servers calls this
set -eu
cd "$(dirname "$0")/../.."
programs=$1
shift
tests/venv.sh build/servers tests/bench/servers/requirements.txt
build/servers/venv/bin/python tests/bench/compare_servers.py --programs "$programs" --svg build/servers/servers.svg "$@"
