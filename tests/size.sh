#!/bin/bash
# size.sh: no function over 80 lines (40 is the habit), no file over 600, no line over 110. A function is what
# lies between a line that begins with "{" and the next that begins with "}". The whole counts as one check.
set -u
cd "$(dirname "$0")/.."
awk '
    FNR == 1      { files++ }
    FNR == 601    { printf "%s: over 600 lines\n", FILENAME; failures++ }
    length > 110  { printf "%s:%d: a line of %d, 110 at most\n", FILENAME, FNR, length; failures++ }
    /^{/          { start = FNR; functions++ }
    /^}/ && start { lines = FNR - start - 1; start = 0
                    if (lines > 80) {
                        printf "%s:%d: a function of %d lines, 80 at most\n", FILENAME, FNR, lines
                        failures++ } }
    END           { failed = failures > 0 || functions == 0
                    printf "size: %d files, %d functions: %d%%: Checks: 1, Failures: %d, Errors: 0\n",
                        files, functions, 100 - failed * 100, failed
                    exit failed }
' $(find core models server tests docker -name '*.[ch]')
