#!/bin/bash
# coverage.sh FOLDER MAKE TIER...: run the tiers on the build in FOLDER, which counts lines, and print which
# part of the lines they reached, by floor and in all.
set -u
folder=$1 make=$2
shift 2
find "$folder" -name '*.gcda' -delete
for tier in "$@"; do
    $make -s "$tier" >"$folder/$tier.log" 2>&1 || echo "cov: $tier failed here: $folder/$tier.log" >&2
done
for floor in core models server; do
    # Lines of headers are counted with the first file that compiles them.
    find "$folder/$floor" -name '*.gcno' -exec gcov -n -r {} + 2>/dev/null
done | awk '
    /^File /           { name = substr($0, 7, length($0) - 7); next }
    /^Lines executed:/ { if (name in seen || name !~ /^(core|models|server)\//) next
                         sub(/^Lines executed:/, ""); split($0, part, "% of ")
                         seen[name] = 1
                         floor = name; sub(/\/.*/, "", floor)
                         hit[floor] += part[1] * part[2] / 100; all[floor] += part[2]
                         if (part[1] < 80) printf "  %-32s %5.1f%% of %d\n", name, part[1], part[2] }
    END                { n = split("core models server", floors, " ")
                         for (i = 1; i <= n; i++) {
                             f = floors[i]; if (!all[f]) continue
                             printf "coverage of %s/: %.1f%% of %d lines\n", f, 100 * hit[f] / all[f], all[f]
                             h += hit[f]; a += all[f] }
                         if (!a) { print "coverage: nothing was measured"; exit 1 }
                         printf "coverage: %.1f%% of %d lines\n", 100 * h / a, a }'
