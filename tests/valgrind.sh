#!/bin/bash
# valgrind.sh PROGRAM: run a test program under valgrind. All tests run in one process, so that leaks are
# seen, and check cannot limit their time: timeout does. Any error, or memory lost for certain, fails.
# Arithmetic alone is left out: it takes most of an hour there, allocates nothing, and its tests end every buffer
# at a page that must not be touched.
set -u
program=$1
suites=$(ls tests/unit/test_*.c | sed 's,.*/test_\(.*\)\.c,\1,' | grep -vx -e kernels -e matrix -e layers)
export SUITE=${SUITE:-$(echo $suites)}
CK_FORK=no timeout "${VALGRIND_TIMEOUT:-900}" valgrind --quiet --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite --show-leak-kinds=definite --child-silent-after-fork=yes \
    --suppressions="$(dirname "$0")/valgrind.supp" "$program"
code=$?
case $code in
    99) echo "valgrind found errors: see above" >&2 ;;
    124) echo "valgrind: over ${VALGRIND_TIMEOUT:-900} s" >&2 ;;
esac
exit $code
