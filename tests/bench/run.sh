#!/bin/bash
# Every benchmark of ours, one after the other: fixed work, warm-up, medians. CSV in build/bench/, with the
# machine and the commit in machine.txt. docs/benchmarks.md says how to read them.
#
#   tests/bench/run.sh PROGRAMS [SECONDS]      PROGRAMS: the folder of the built benchmarks; make bench calls this
set -eu
cd "$(dirname "$0")/../.."
programs=$1 seconds=${2:-10} out=build/bench model=zoo/shakespeare
mkdir -p $out

record() { # NAME HEADER-OR-EMPTY COMMAND...
    local file=$out/$1.csv header=$2
    shift 2
    echo "== $file"
    { [ -z "$header" ] || echo "$header"; "$@"; } | tee "$file"
}

network() {
    for threads in 1 $(nproc); do
        for precision in float32 float16 int8; do
            "$programs/bench_network" --threads "$threads" --precision $precision $model \
                1x1 4x1 16x1 64x1 256x1 1x8 1x32 1x128 16x128
        done
    done
}

generation() {
    for precision in float32 int8; do
        "$programs/bench_generation" --workers "$(nproc)" --precision $precision $model 1 16 64
        for chunk in 4 16 32 64 128; do
            "$programs/bench_generation" --workers "$(nproc)" --precision $precision --chunk $chunk --prompt 512 $model 16
        done
    done
}

translation() {
    for precision in float32 int8; do
        for beams in 1 4; do
            "$programs/bench_translation" --workers "$(nproc)" --precision $precision --beams $beams zoo/g2p 1 16 64
        done
    done
}

# What HTTP costs 64 streams: tokens a second there and in the core, taken in turns.
streams() {
    local core http
    for precision in float32 int8; do
        core=$("$programs/bench_generation" --workers "$(nproc)" --precision $precision $model 64 | cut -d, -f5)
        http=$(tests/bench/http.sh "$seconds" --set models.precision=$precision | awk -F, '$1 == "stream" && $2 == 64 { print $3 * 256 }')
        echo "$precision,$core,$http,$(awk "BEGIN { printf \"%.2f\", $http / $core }")"
    done
}

{ lscpu | grep -E 'Model name|^CPU\(s\)|L2 cache|L3 cache'; git describe --always --dirty 2>/dev/null; } | tee $out/machine.txt
record kernels "" "$programs/bench_kernels"
record network precision,threads,B,T,median_ms,best_ms,gflops,gbytes_per_s network
record generation precision,workers,chunk_steps,streams,tokens_per_s,gap_p50_ms,gap_p99_ms,prompt_tokens_per_s generation
record translation precision,workers,beams,sentences,median_ms,best_ms,cpu_ms,sentences_per_s,tokens_per_s translation
record pen_and_voice "" tests/bench/pen_and_voice.py
record server "" tests/bench/http.sh "$seconds"
record streams precision,core_tokens_per_s,http_tokens_per_s,ratio streams
