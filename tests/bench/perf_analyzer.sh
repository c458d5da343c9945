#!/bin/bash
# perf_analyzer.sh FOLDER: NVIDIA's perf_analyzer 2.60.0 (PyPI) measures the server by the Open Inference Protocol: sequences,
# as tensors and as JSON, and single requests. The program wants a newer C library than Debian 12 has: the libraries of Debian
# 13, unpacked by mmdebstrap under FOLDER, are used beside this system's. Prints what it measured; a run that fails, counts no
# request or disagrees with the server's own statistics fails. Ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/../.."
. docker/checks.sh
folder=$1 version=2.60.0 work=$1
mkdir -p "$folder"
: >"$folder/server"

if [ ! -x "$folder/perf_analyzer/bin/perf_analyzer" ]; then
    echo "  fetching perf_analyzer $version"
    pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --platform manylinux_2_38_x86_64 \
        --python-version 3.12 -d "$folder" perf_analyzer==$version || exit
    python3 -m zipfile -e "$folder"/perf_analyzer-$version-*.whl "$folder" || exit
    chmod +x "$folder/perf_analyzer/bin/perf_analyzer"
fi
libraries=$folder/root/usr/lib/x86_64-linux-gnu
if [ ! -e "$folder/unpacked" ]; then
    echo "  unpacking the C library of Debian 13"
    rm -rf "$folder/root"
    bootstrap --variant=extract --include=libc6,libstdc++6,libssl3t64,zlib1g,libgcc-s1 trixie "$folder/root" \
        http://deb.debian.org/debian || exit
    touch "$folder/unpacked"
fi

. tests/server.sh
server_start --models tests/http/bundles

# measure NAME ARGUMENT...: one row.
measure() {
    local name=$1 output=$folder/$1.txt
    shift
    "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$folder/perf_analyzer/bin/perf_analyzer" \
        -u "${url#http://}" -i http -p 1000 -r 5 -s 1000 "$@" >"$output" 2>&1
    local code=$?
    number() { sed -n "s/.*$1[^0-9]*\([0-9.]*\).*/\1/p" "$output" | head -1; }
    local count served sequences
    count=$(number 'Request count:') served=$(number 'Successful request count:') sequences=$(number 'Sequence count:')
    echo "$name,$(number 'Throughput:'),$(number 'p50 latency:'),$(number 'p99 latency:'),$count,${sequences:-},$served"
    [ $code = 0 ] && [ "${count:-0}" -gt 0 ] && [ "${served:-0}" -ge "$((count * 9 / 10))" ] && return
    tail -5 "$output" >&2
    return 1
}

# step NAME ...: measure, as one check.
step() {
    checks=$((checks + 1))
    measure "$@" || failures=$((failures + 1))
}

echo "what,inferences_per_s,p50_us,p99_us,requests,sequences,counted_by_the_server"
for concurrency in 1 16; do
    step "sequences-$concurrency" -m tiny-gestures --shape features:1,1,3 --sequence-length 10 --concurrency-range $concurrency
    step "sequences-json-$concurrency" -m tiny-gestures --shape features:1,1,3 --sequence-length 10 \
        --concurrency-range $concurrency --input-tensor-format json --output-tensor-format json
done
step "forecasts-16" -m tiny-series --shape series:1,8 --input-data zero --concurrency-range 16
server_stop || failures=$((failures + 1))
sum_up "perf_analyzer $version"
