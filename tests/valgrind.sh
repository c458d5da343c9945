#!/bin/bash
# valgrind.sh PROGRAM: run a test program under valgrind. All tests run in one process, so that leaks are
# seen, and check cannot limit their time: timeout does. Any error, or memory lost for certain, fails.
# What it says of calls to the kernel that it does not know (lines of "--") is left out: the program then goes the way of an older kernel.
# libjpeg-turbo runs without its vector code, which reads beyond the pixels on purpose and confuses valgrind.
set -u
JSIMD_FORCENONE=1 CK_FORK=no timeout "${VALGRIND_TIMEOUT:-1200}" valgrind --quiet --fair-sched=yes --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite --show-leak-kinds=definite \
    --suppressions="$(dirname "$0")/valgrind.supp" "$@" 2>&1 | grep -v '^--[0-9]*-- '
code=${PIPESTATUS[0]}
case $code in
    99) echo "valgrind found errors: see above" >&2 ;;
    124) echo "valgrind: over ${VALGRIND_TIMEOUT:-1200} s" >&2 ;;
esac
exit $code
