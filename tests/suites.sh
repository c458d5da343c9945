#!/bin/bash
# suites.sh TIER PROGRAM FOLDER: run the suites of a test program side by side, a process each, as many at a
# time as there are processors, the largest sources first. Prints what each says once it has ended; each ends
# with check's line. SUITE names some of them; LEFT_OUT names those that do not run. FOLDER is for what they
# print.
set -u
tier=$1 program=$2 folder=$3
mkdir -p "$folder"
# Unit tests write many small files, and a disk lets each wait: they lie in memory if there is room.
room=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)
[ "${room:-0}" -lt 1000000 ] || export TMPDIR=${TMPDIR:-/dev/shm}

run() {
    local log=$3/$1.log
    SUITE=$1 $2 >"$log" 2>&1
    local code=$?
    # A program that dies early prints no result, or a good one.
    [ $code = 0 ] || grep -q '[1-9][0-9]* *, Errors\|Failures: [1-9]\|Errors: [1-9]' "$log" ||
        echo "$1: ended with code $code: 0%: Checks: 1, Failures: 0, Errors: 1" >>"$log"
    sed -e '/^Running suite/d' -e "s/^\([0-9]*%: Checks\)/$1: \1/" "$log"
    return $code
}
export -f run

left_out=$(printf '%s\n' ${LEFT_OUT:-})
suites=${SUITE:-$(ls -S tests/"$tier"/test_*.c | sed 's,.*/test_\(.*\)\.c,\1,' | grep -vxF -e "$left_out")}
printf '%s\n' $suites | xargs -P "$(nproc)" -I{} bash -c "run {} '$program' '$folder'"
