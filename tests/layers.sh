#!/bin/bash
# layers.sh: the three floors include only downward, and each foreign library is included by its one file.
# The whole counts as one check, and ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/.."
includes=0 failures=0

fail() {
    failures=$((failures + 1))
    echo "$1" >&2
}

# floor FLOOR ALLOWED...: files of a floor include "floor/..." of the allowed ones only. An include
# without a folder is of the same floor; a path with .. is refused.
floor() {
    local floor=$1 file line target
    shift
    while IFS=: read -r file line target; do
        includes=$((includes + 1))
        case $target in
            *..*) fail "$file:$line: include of $target: paths start at the top folder" ;;
            */*) [[ " $* " == *" ${target%%/*} "* ]] ||
                fail "$file:$line: $floor/ includes $target, which lies above it (allowed: $*)" ;;
        esac
    done < <(grep -HnoE '^ *# *include *"[^"]+"' "$floor"/*.[ch] "$floor"/*.def 2>/dev/null |
             sed -E 's/# *include *"([^"]+)"/\1/; s/: +/:/')
}

# foreign PATTERN FILES...: no other file of the floors includes a header that matches.
foreign() {
    local pattern=$1 file
    shift
    while read -r file; do
        [[ " $* " == *" $file "* ]] || fail "$file: includes $pattern; only $* may"
    done < <(grep -lE "^ *# *include *[<\"]($pattern)[>\"]" core/*.[ch] models/*.[ch] server/*.[ch] 2>/dev/null)
}

# count N PATTERN: at most N files include it.
count() {
    local most=$1 pattern=$2 files
    files=$(grep -lE "^ *# *include *[<\"]($pattern)[>\"]" core/*.[ch] models/*.[ch] server/*.[ch] 2>/dev/null)
    [ "$(grep -c . <<<"$files")" -le "$most" ] || fail "$pattern is included by more than $most:"$'\n'"$files"
}

floor core core
floor models core models
floor server core models server

count 1 'cblas\.h|openblas.*\.h'
count 1 'microhttpd\.h'
count 1 'gnutls/gnutls\.h'
count 1 'ini\.h'
count 1 'nettle/.*\.h'
count 2 '(cjson/)?cJSON\.h'
foreign '.*intrin\.h|arm_neon\.h' core/vector_avx2.h core/vector_avx512.h core/vector_neon.h \
    $(ls core/kernel*.[ch] 2>/dev/null)

[ $includes -gt 0 ] || fail "no include found: is this the right folder?"
failed=$((failures > 0))
echo "layers: $includes includes: $((100 - failed * 100))%: Checks: 1, Failures: $failed, Errors: 0"
exit $failed
