#!/bin/bash
# deps.sh GROUP: install the Debian packages of a group that are missing. The Makefile holds the groups
# (NEEDS_<GROUP>: one package a line, then the reason). Says what and why before it asks apt; does nothing,
# and needs no network, where all is there.
set -eu

case ${1:?a group} in
    build) needs=$NEEDS_BUILD ;;
    check) needs="$NEEDS_BUILD"$'\n'"$NEEDS_CHECK" ;;
    *) group=NEEDS_${1^^} needs=${!group} ;;
esac

is_installed() {
    dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed'
}

# Elsewhere than on Debian only the compiler can tell what is missing.
command -v dpkg-query >/dev/null || exit 0

missing=()
while read -r package reason; do
    is_installed "$package" && continue
    # A tool that came from elsewhere serves as well.
    case $package in
        gcc | clang | curl | valgrind | python3 | npm | buildah | mmdebstrap | prometheus | lintian | strace)
            command -v "$package" >/dev/null && continue ;;
        kubernetes-client) command -v kubectl >/dev/null && continue ;;
        nodejs) command -v node >/dev/null && continue ;;
        python3-venv) python3 -m ensurepip --version >/dev/null 2>&1 && continue ;;
    esac
    [ ${#missing[@]} -gt 0 ] || echo "Missing, to be installed with apt:"
    printf '  %-20s %s\n' "$package" "$reason"
    missing+=("$package")
done <<<"$needs"
[ ${#missing[@]} -gt 0 ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "Not root, and there is no sudo. As root: apt-get install ${missing[*]}" >&2
        exit 1
    }
    root=sudo
fi
# Another apt, such as the daily upgrade, may hold a lock. apt-get waits for dpkg's by itself, and not for that of
# the lists.
patience=600
until said=$($root apt-get update -qq -o DPkg::Lock::Timeout=$patience 2>&1); do
    [[ $said == *lock* && $SECONDS -lt $patience ]] || { echo "$said" >&2; exit 1; }
    echo "Another apt holds the lock of the package lists; waiting for it" >&2
    sleep 5
done
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=$patience "${missing[@]}"
