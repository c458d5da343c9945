#!/bin/bash
# fuzz.sh FOLDER TARGET...: replay tests/fuzz/corpus/<target>/* through FOLDER/fuzz_<target>. One check a
# file: it passes if the program ends well.
set -u
programs=$1
shift
checks=0 failures=0
for target in "$@"; do
    files=(tests/fuzz/corpus/"$target"/*)
    [ -e "${files[0]}" ] || { echo "tests/fuzz/corpus/$target is empty" >&2; checks=$((checks + 1)) failures=$((failures + 1)); continue; }
    checks=$((checks + ${#files[@]}))
    timeout 600 "$programs/fuzz_$target" "${files[@]}" >/dev/null 2>&1 && continue
    for file in "${files[@]}"; do
        timeout 60 "$programs/fuzz_$target" "$file" && continue
        failures=$((failures + 1))
        echo "fuzz_$target fails on $file" >&2
    done
done
echo "fuzz: $# targets: $((checks ? (checks - failures) * 100 / checks : 0))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]
