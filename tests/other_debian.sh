#!/bin/bash
# other_debian.sh [NAME]: build, test and package in another Debian than this machine's: bookworm (12) or trixie (13); without
# NAME the one that this machine is not. Needs root and mmdebstrap. The system is made once, under build/, from the
# packages that the Makefile names (NEEDS_CHECK, NEEDS_BUILD: make check-other-debian sets them); the files that git
# knows are copied into it, and the tests of a release build run there. Ends as tests/check.sh does.
set -eu
cd "$(dirname "$0")/.."
. docker/checks.sh
name=${1:-$([ "$(this_debian)" = trixie ] && echo bookworm || echo trixie)}
root=$PWD/build/debian-$name
packages=$(printf '%s\n' "$NEEDS_BUILD" "$NEEDS_CHECK" make debhelper dpkg-dev | awk 'NF { print $1 }' | paste -sd,)
[ "$(id -u)" = 0 ] || { echo "other_debian.sh needs root, for mmdebstrap and chroot" >&2; exit 1; }

# A system that was not finished has no mark, nor has one made for another list of packages.
if [ "$(cat "$root/made-for" 2>/dev/null)" != "$packages" ]; then
    echo "  making Debian $name in build/ from its packages"
    rm -rf "$root"
    mkdir -p build
    bootstrap --include="$packages" "$name" "$root" http://deb.debian.org/debian
    echo "$packages" >"$root/made-for"
fi

# Objects of the last run stay; times of files tell make what to build anew.
mkdir -p "$root/carousel"
find "$root/carousel" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$root/carousel"

echo "  libmicrohttpd: $(chroot "$root" dpkg-query -W -f '${Version}' libmicrohttpd-dev)"

# inside COMMAND: run it in the other system.
inside() {
    unshare --mount bash -c 'mount -t proc proc "$0/proc"
        exec chroot "$0" env -i PATH="$PATH" HOME=/root LANG=C.UTF-8 DEV="$1" COMMIT="$2" SOURCE_DATE_EPOCH="$3" \
            DEBIAN_FRONTEND=noninteractive bash -c "cd /carousel && $4"' \
        "$root" "${DEV:-}" "$(git rev-parse --short HEAD)" "$(git log -1 --format=%ct)" "$1"
}

code=0
inside "make programs && MAKE=make tests/check.sh 'release, Debian $name' unit golden http fuzz cli" || code=1

# The package of that Debian: made, installed and asked there.
work=$PWD/build/debian-$name-package version=$(make -s version)
mkdir -p "$work"
: >"$work/server"
expect "the package is made" inside "DEB_VERSION=${version%%+*}~check docker/debian/build.sh /tmp/package"
expect "it is installed" inside \
    "apt-get update -qq && apt-get install -y -qq --no-install-recommends /tmp/package/carousel_*.deb"
expect "it forecasts" inside \
    "carousel forecast --models /usr/share/carousel/models --model numbers --horizon 1 3 6 9 | grep -E '^1(2|1[.]99)'"
expect "it finds its libraries" inside "! ldd /usr/bin/carousel | grep 'not found'"
sum_up "package, Debian $name" || code=1
exit $code
