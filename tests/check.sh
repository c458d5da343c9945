#!/bin/bash
# check.sh MODE TIER...: run the tiers of the tests one after the other, the rest also when one fails, and
# end with one line that sums them up. A tier is a target of the Makefile, whose output holds lines as check
# prints them: "100%: Checks: 12, Failures: 0, Errors: 0". A tier that fails without saying so, or
# that prints no such line, counts as one failure.
set -u
mode=$1
shift
passed=0 failed=0 began=$SECONDS
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for tier in "$@"; do
    echo "== $tier"
    ${MAKE:-make} -s "$tier" 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
    read -r ok bad < <(grep -oE 'Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+' "$log" |
        awk '{ c += $2; f += $4 + $6 } END { print c - f, f + 0 }')
    if [ "$bad" = 0 ] && { [ "$code" != 0 ] || [ "$ok" -le 0 ]; }; then
        echo "$tier ended with code $code and $ok checks" >&2
        bad=1
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
done
echo "check ($mode): $passed passed, $failed failed, in $((SECONDS - began)) s"
[ "$failed" = 0 ]
