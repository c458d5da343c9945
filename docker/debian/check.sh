#!/bin/bash
# check.sh FOLDER: check the package in FOLDER. lintian reads it. A system of its own, of the Debian that runs here
# because the package was built for it, installs, starts, upgrades and removes it. The unit's sandbox is weighed, and
# the system calls of a run are compared with those that it allows. Then all of it once more under systemd, if a
# container of it can be booted. Needs root (or sudo) for mmdebstrap, root for systemd. Ends with a line like the one
# that check prints.
set -u
cd "$(dirname "$0")/../.."
folder=$1 unit=docker/systemd/carousel.service
package=$(ls "$folder"/carousel_*.deb) importer=$(ls "$folder"/carousel-import_*.deb)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

. docker/checks.sh
suite=$(this_debian)

# The package is not Debian's own, so no bug of Debian's asks for it.
reads_well() { lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$package" "$importer"; }
# The second package is one program, and makes a bundle.
imports() {
    dpkg-deb -x "$importer" "$work/importer" && "$work/importer/usr/bin/carousel-import" tests/import/files/writer.pt \
        --tokenizer tests/import/files/letters.json -o "$work/imported" && [ -f "$work/imported/golden.json" ]
}
is_tight() { systemd-analyze security --offline=true --threshold=15 --no-pager $unit; }

# All calls of a start, a request of each kind and an end; what is not in the unit's sets is printed.
calls_are_allowed() {
    local url server
    strace -f -qq -o "$work/calls" "${CAROUSEL_PROGRAM:-build/carousel}" serve --models zoo --host 127.0.0.1 --port 0 \
        >"$work/said" 2>"$work/log" &
    server=$!
    for _ in {1..600}; do
        url=$(sed -n 's/^carousel: listening on //p' "$work/said")
        [ -n "$url" ] && break
        sleep 0.1
    done
    post() { curl -fsS "$url$1" -H 'Content-Type: application/json' -d "$2"; }
    post /v1/completions '{"model":"shakespeare","prompt":"a","stream":true}' &&
        post /v1/forecast '{"model":"numbers","series":[1,2],"horizon":2}' && curl -fsS "$url/metrics" || return
    pkill -TERM -P $server
    wait $server
    # strace's own execve of the program is systemd's, not the service's.
    sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' "$work/calls" | sort -u >"$work/called"
    allowed @system-service | sort -u >"$work/allowed"
    allowed @privileged | sort -u >"$work/refused"
    comm -23 "$work/allowed" "$work/refused" >"$work/left"
    [ "$(wc -l <"$work/called")" -gt 20 ] && [ "$(wc -l <"$work/left")" -gt 100 ] || return
    ! comm -23 "$work/called" "$work/left" | grep . 
}

# The calls of a set, with those of the sets in it.
allowed() {
    local line
    systemd-analyze syscall-filter "$1" | sed -n 's/^    *\([@a-z_0-9-]*\)$/\1/p' | while read -r line; do
        case $line in @*) allowed "$line" ;; *) echo "$line" ;; esac
    done
}

# take_over SCRIPT LOG: count the checks that SCRIPT printed to LOG as ours; all that stand in it must be there.
take_over() {
    local line
    while IFS= read -r line; do
        checks=$((checks + 1))
        [ "${line%%:*}" = ok ] || failures=$((failures + 1))
        echo "  $line"
    done < <(grep -E '^(ok|FAILED): ' "$2")
    expect "all of $1 was checked" is_whole "$@"
}
is_whole() {
    [ "$(grep -cE '^(ok|FAILED): ' "$2")" = "$(grep -c '^expect "' "docker/debian/$1")" ] || { tail -n 20 "$2"; return 1; }
}

# A small Debian with systemd, which runs booted.sh when it has come up; what the package needs is in apt's cache.
make_system() {
    local here=docker/debian
    bootstrap --skip=cleanup/apt --include=systemd-sysv,dbus,procps \
        --customize-hook="copy-in $work/1.deb $work/2.deb $here/inside.sh $here/booted.sh $here/probe.sh /" \
        --customize-hook="copy-in $here/checks.service /etc/systemd/system" \
        --customize-hook='chroot "$1" systemctl enable checks.service' \
        --customize-hook='chroot "$1" apt-get install -y -qq --no-install-recommends --download-only /1.deb' \
        "$suite" "$work/system.tar" && mkdir "$work/system" && tar -C "$work/system" -xf "$work/system.tar"
}

groups() { find /sys/fs/cgroup -type d | sort; }

# Boot it and wait for its end. Where this machine runs no systemd, the container gets a process namespace in which it
# ends with its supervisor, and we remove its control groups.
boot() {
    local options=(--quiet --boot --private-network --link-journal=no --console=pipe --machine=carousel-check
        --directory="$work/system")
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    if [ -d /run/systemd/system ]; then timeout -k 10 600 systemd-nspawn "${options[@]}"
    else
        groups >"$work/groups"
        timeout -k 10 600 unshare --pid --fork --kill-child --mount-proc \
            systemd-nspawn --register=no --keep-unit "${options[@]}"
        comm -13 "$work/groups" <(groups) | sort -r | xargs -r rmdir
    fi </dev/null
}

# The same package with a higher version.
make_newer() {
    dpkg-deb -R "$package" "$work/newer" && sed -i 's/^Version: .*/&+2/' "$work/newer/DEBIAN/control" &&
        dpkg-deb --root-owner-group -b "$work/newer" "$work/2.deb"
}

expect "lintian has nothing against it" reads_well
expect "the package carousel-import makes a bundle" imports
expect "the unit's exposure is at most 1.5 of 10" is_tight
expect "the unit allows the system calls of a run" calls_are_allowed
expect "a newer package" make_newer
cp "$package" "$work/1.deb"
bootstrap --format=null \
    --customize-hook="copy-in $work/1.deb $work/2.deb docker/debian/inside.sh docker/debian/chroot.sh /" \
    --customize-hook='chroot "$1" bash /chroot.sh' "$suite" - >"$work/chroot.log" 2>&1
take_over chroot.sh "$work/chroot.log"

reason="that needs root"
if [ "$(id -u)" = 0 ]; then
    expect "a system for systemd" make_system
    boot >"$work/console" 2>&1
    reason=$(tail -n 1 "$work/console")
fi
if [ -f "$work/system/checked" ]; then take_over booted.sh "$work/system/checked"
else echo "  SKIPPED: the unit was not started, because systemd cannot be booted here: $reason"
fi
sum_up deb
