#!/bin/bash
# headers.sh HEADER...: each header compiles alone, so that none leans on what was included before it. CC
# and CFLAGS come from the Makefile. The whole counts as one check.
set -u
cd "$(dirname "$0")/.."
failures=0
for header in "$@"; do
    $CC $CFLAGS -Werror -fsyntax-only -x c - <<<"#include \"$header\""$'\n'"typedef int not_empty;" || {
        failures=$((failures + 1))
        echo "$header does not compile alone" >&2
    }
done
failed=$((failures > 0 || $# == 0))
echo "headers: $# headers: $((100 - failed * 100))%: Checks: 1, Failures: $failed, Errors: 0"
exit $failed
