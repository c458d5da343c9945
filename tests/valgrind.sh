#!/bin/bash
# valgrind.sh PROGRAM: run a test program under valgrind. All tests run in one process, so that leaks are
# seen, and check cannot limit their time: timeout does. Any error, or memory lost for certain, fails.
# libjpeg-turbo runs without its vector code, which reads beyond the pixels on purpose and confuses valgrind.
set -u
JSIMD_FORCENONE=1 CK_FORK=no timeout "${VALGRIND_TIMEOUT:-1200}" valgrind --quiet --fair-sched=yes --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite --show-leak-kinds=definite \
    --suppressions="$(dirname "$0")/valgrind.supp" "$@"
code=$?
case $code in
    99) echo "valgrind found errors: see above" >&2 ;;
    124) echo "valgrind: over ${VALGRIND_TIMEOUT:-1200} s" >&2 ;;
esac
exit $code
