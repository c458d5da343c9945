#!/bin/bash
# Requests a second and latency over HTTP: numbers forecasts, completions of 64 tokens, and streams of 256,
# from 1, 16 and 64 connections that are kept alive. Needs wrk (Debian) and build/carousel; the load runs on
# the same machine.
#
#   tests/bench/http.sh [SECONDS] [SERVER OPTION...]      e.g. 10 --set models.precision=int8
#
# CSV: request,connections,requests_per_s,p50_ms,p99_ms,failed
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-10}
shift || true
log=$(mktemp)
began=$(date +%s%N)
build/carousel serve --config config.example.ini --port 0 "$@" >"$log" 2>/dev/null &
server=$!
trap 'kill $server; wait $server || true; rm -f "$log"' EXIT
until grep -q listening "$log"; do sleep 0.01; done
echo "# ready after $((($(date +%s%N) - began) / 1000000)) ms, $(awk '/VmRSS/ { print $2 }' /proc/$server/status) kB resident at rest"
url=$(sed -n 's/.*listening on //p' "$log")

measure() {
    for connections in 1 16 64; do
        LABEL="$1,$connections" BODY=$3 wrk -t1 -c$connections -d"${seconds}s" --timeout 20s \
            -s tests/bench/post.lua "$url$2" | tail -n 1
    done
}

echo "request,connections,requests_per_s,p50_ms,p99_ms,failed"
measure forecast /v1/forecast '{"model":"numbers","series":[2,4,8,16],"horizon":1}'
measure completion /v1/completions '{"model":"shakespeare","prompt":"ROMEO:","max_tokens":64,"seed":1}'
measure stream /v1/completions '{"model":"shakespeare","prompt":"\n","max_tokens":256,"temperature":1,"top_p":1,"stream":true}'
