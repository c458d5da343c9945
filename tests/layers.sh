#!/bin/bash
# layers.sh: a file includes only its own folder and those below it, and each foreign library is included by its
# one file.
# The whole counts as one check, and ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/.."
includes=0 failures=0

fail() {
    failures=$((failures + 1))
    echo "$1" >&2
}

# The folders, from the ground up. A file includes its own folder and those before it; server/main.c, which starts
# everything, may include all.
folders=(core/base core/kernels core/kernel_sets core/network core/layers core/recurrent core/scheduler
    models/text models/tokenizers models/media models/features models/bundle models/jobs models/forecast models/generation models/translation models/tasks models/explain models/repository
    models/formats models/plan models/readers models/import
    server/base server/playground server/http server/sessions server/request server/api server/routes server/media server/explain
    server/protocols server/stream server server/cli)

declare -A rank
for i in "${!folders[@]}"; do rank[${folders[i]}]=$i; done

while IFS=: read -r file line target; do
    includes=$((includes + 1))
    [[ $target == */* ]] || target=${file%/*}/$target
    from=${rank[${file%/*}]-} to=${rank[${target%/*}]-}
    if [[ $target == *..* ]]; then fail "$file:$line: include of $target: paths start at the top folder"
    elif [ -z "$from" ]; then fail "$file: ${file%/*} is not in the list of folders"
    elif [ -z "$to" ]; then fail "$file:$line: ${target%/*} is not in the list of folders"
    elif [[ $target == models/@(formats|plan|readers|import)/* && $file != models/@(formats|plan|readers|import)/* ]]; then
        fail "$file:$line: includes $target, which is another program's"
    elif [ "$to" -gt "$from" ] && [ "$file" != server/main.c ]; then
        fail "$file:$line: includes $target, which lies above it"
    fi
done < <(grep -HnoE '^ *# *include *"[^"]+"' {core,models}/*/*.{c,h,def} server/*.[ch] server/*/*.{c,h,def} 2>/dev/null |
         sed -E 's/# *include *"([^"]+)"/\1/; s/: +/:/')

# foreign PATTERN FILES...: no other file of the floors includes a header that matches.
foreign() {
    local pattern=$1 file
    shift
    while read -r file; do
        [[ " $* " == *" $file "* ]] || fail "$file: includes $pattern; only $* may"
    done < <(grep -lE "^ *# *include *[<\"]($pattern)[>\"]" core/*/*.[ch] models/*/*.[ch] server/*.[ch] server/*/*.[ch] 2>/dev/null)
}

# count N PATTERN: at most N files include it.
count() {
    local most=$1 pattern=$2 files
    files=$(grep -lE "^ *# *include *[<\"]($pattern)[>\"]" core/*/*.[ch] models/*/*.[ch] server/*.[ch] server/*/*.[ch] 2>/dev/null)
    [ "$(grep -c . <<<"$files")" -le "$most" ] || fail "$pattern is included by more than $most:"$'\n'"$files"
}

count 1 'cblas\.h|openblas.*\.h'
count 1 'microhttpd\.h'
count 1 'gnutls/gnutls\.h'
count 1 'ini\.h'
count 1 'nettle/.*\.h'
foreign 'zlib\.h' server/request/gzip.c models/formats/inflate.c
count 1 'sodium\.h'
count 1 'hiredis/hiredis\.h'
foreign 'png\.h' models/media/png.c
foreign 'turbojpeg\.h' models/media/jpeg.c
foreign 'gif_lib\.h' models/media/gif.c
foreign '.*intrin\.h|arm_neon\.h' core/kernel_sets/vector_avx2.h core/kernel_sets/vector_avx512.h core/kernel_sets/vector_neon.h

[ $includes -gt 0 ] || fail "no include found: is this the right folder?"
failed=$((failures > 0))
echo "layers: $includes includes: $((100 - failed * 100))%: Checks: 1, Failures: $failed, Errors: 0"
exit $failed
