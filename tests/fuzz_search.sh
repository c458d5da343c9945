#!/bin/bash
# fuzz_search.sh FOLDER TARGET SECONDS: let FOLDER/tests/fuzz_TARGET look for inputs that break it. It starts
# from tests/fuzz/corpus/TARGET and from what earlier runs have learnt (FOLDER/corpus/TARGET), with the words
# of tests/fuzz/TARGET.dict where there is one. What it finds lies in FOLDER/found/ and makes this fail.
# FOLDER/runs.csv gets a line a run; the sum of a target's lines is printed.
set -u
folder=$1 target=$2 seconds=$3
learnt=$folder/corpus/$target found=$folder/found log=$folder/$target.log
mkdir -p "$learnt" "$found"
# What may be long and need not be: the length of an input, one input's time, memory.
options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 -artifact_prefix="$found/$target-")
[ -f "tests/fuzz/$target.dict" ] && options+=(-dict="tests/fuzz/$target.dict")
TIMEFORMAT='%U %S'
cpu=$( { time "$folder/tests/fuzz_$target" "${options[@]}" "$learnt" "tests/fuzz/corpus/$target" >"$log" 2>&1; echo $? >"$log.status"; } 2>&1 |
    awk '{printf "%.1f", $1 + $2}')
status=$(<"$log.status")
rm -f "$log.status"
runs=$(awk '/stat::number_of_executed_units/ {print $2}' "$log")
[ -f "$folder/runs.csv" ] || echo target,cpu_s,inputs,status >"$folder/runs.csv"
echo "$target,$cpu,${runs:-0},$status" >>"$folder/runs.csv"
awk -F, -v target="$target" '$1 == target {cpu += $2; runs += $3; bad += $4 != 0}
    END {printf "fuzz_%s: %.1f CPU minutes and %d inputs so far, %d findings\n", target, cpu / 60, runs, bad}' "$folder/runs.csv"
[ "$status" = 0 ] || { tail -40 "$log" >&2; exit 1; }
