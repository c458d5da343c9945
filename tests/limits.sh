#!/bin/bash
# limits.sh [--write]: docs/operations.md lists every limit. What is a configuration key is written from the program's own
# --print-config; what is a constant names it, and is compared with the source. Every constant of a header that
# is called a maximum must be listed, except those of carousel-import, which is no part of the server. --write brings the list of keys up to date. The whole counts as one check.
set -u
cd "$(dirname "$0")/.."
document=docs/operations.md
begin='<!-- limits: written by tests/limits.sh -->' end='<!-- limits: end -->'
# Sizes of our own tables, which nobody outside can meet, and a tolerance, which is no whole number (docs/bundle-format.md).
inner='GOLDEN_MAX_TOLERANCE HEAD_MAX_HEADERS LAYER_MAX_KEYS TEAM_MAX TILE_ROWS_MAX UTF8_MAX_BYTES'
constants=0 failures=0

fail() {
    failures=$((failures + 1))
    echo "$1" >&2
}

# The integer keys as rows: a comment of one or more lines, one with unit, range and default, and the key.
keys() {
    "${CAROUSEL_PROGRAM:-build/carousel}" --print-config | awk '
        BEGIN { print "| key | default | unit | range | what it bounds |\n|---|---|---|---|---|" }
        /^\[/ { section = substr($0, 2, length($0) - 2); text = "" }
        /^$/  { text = "" }
        /^; -?[a-z]+, -?[0-9]+ to -?[0-9]+; default / {
            split(substr($0, 3), part, /, | to |; default /)
            unit = part[1]; range = part[2] " to " part[3]; value = part[4]
            next
        }
        /^; / { text = text (text == "" ? "" : " ") substr($0, 3) }
        /^[a-z_]+ =/ && unit != "" {
            if ($1 != "port") printf "| `%s.%s` | %s | %s | %s | %s |\n", section, $1, value, unit, range, text
        }
        /^[a-z_]+ =/ { text = ""; unit = "" }'
}

if [ "${1:-}" = --write ]; then
    keys >"$document.keys" && awk -v begin="$begin" -v end="$end" -v rows="$document.keys" '
        $0 == end   { skip = 0 }
        !skip       { print }
        $0 == begin { skip = 1; while ((getline line < rows) > 0) print line }' "$document" >"$document.new" &&
        mv "$document.new" "$document"
    rm -f "$document.keys"
fi

difference=$(diff <(awk -v begin="$begin" -v end="$end" '$0 == end { on = 0 } on; $0 == begin { on = 1 }' "$document") <(keys)) ||
    fail "$document and --print-config differ; tests/limits.sh --write mends it:
$difference"

# definition NAME FILE: what the source says that it is.
definition() { grep -oE "(^|[^A-Z_])$1 = [^,}/]*|^#define $1 .*" "$2" | head -1 | sed -E "s/.*$1 (= )?//; s/\(uint64_t\)//"; }

# A row: | 1,024 | what it bounds | `NAME` or `NAME - 1` in `file` |
while IFS='|' read -r _ value _ where _; do
    expression=$(sed -E 's/^ `([^`]*)` in .*/\1/' <<<"$where") file=$(sed -E 's/.* in `([^`]*)` $/\1/' <<<"$where")
    name=${expression%% *} number=${value//[ ,]/}
    constants=$((constants + 1))
    defined=$(definition "$name" "$file")
    [ -n "$defined" ] || { fail "$document: $file has no $name"; continue; }
    # shellcheck disable=SC2034
    found=$((${expression/$name/($defined)}))
    [ "$found" = "$number" ] || fail "$document says $number for $expression of $file; it is $found"
done < <(grep -E '^\| [0-9,]+ \| .* \| `[^`]*` in `[^`]*` \|$' "$document")
[ $constants -gt 0 ] || fail "$document lists no constants"

while IFS=: read -r file name; do
    name=${name#\#define } name=${name%% *}
    [[ " $inner " == *" $name "* ]] || grep -q "\`$name[^\`]*\` in \`$file\`" "$document" ||
        fail "$document does not list $name of $file"
done < <(grep -oE '\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)*_MAX(_[A-Z0-9]+)* = |\b[A-Z]+S_MAX = |^#define [A-Z_]+_MAX_[A-Z_]+ ' core/*/*.h models/*/*.h server/*/*.h | grep -vE '^models/(formats|plan|readers|import)/' | sort -u)

echo "limits: $(keys | grep -c '^| `') keys, $constants constants: $((failures ? 0 : 100))%: Checks: 1, Failures: $((failures > 0)), Errors: 0"
[ $failures = 0 ]
