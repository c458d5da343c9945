#!/bin/bash
# build.sh FOLDER: make FOLDER/carousel_VERSION_ARCHITECTURE.deb of the program in build/, with debhelper, and
# print its path. The version is the commit's date and name, where no DEB_VERSION is given.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
version=${DEB_VERSION:-0.1~git$(git log -1 --format=%cd --date=format:%Y%m%d.%H%M%S).$(git rev-parse --short HEAD)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} TOP=$PWD
# The folder is not the debhelper user's home; where make runs in make, its flags are not debhelper's.
unset MAKEFLAGS MFLAGS MAKELEVEL

rm -rf "$folder/source" "$folder"/carousel_*
mkdir -p "$folder/source"
cp -r docker/debian "$folder/source/debian"
cp docker/systemd/carousel.service docker/systemd/carousel.sysusers "$folder/source/debian/"
printf 'carousel (%s) unstable; urgency=medium\n\n  * Built from commit %s.\n\n -- %s  %s\n' "$version" \
    "$(git rev-parse --short HEAD)" "Carousel maintainers <carousel@localhost>" \
    "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" >"$folder/source/debian/changelog"
(cd "$folder/source" && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage --build=binary -d -us -uc) >"$folder/log" 2>&1 ||
    { tail -30 "$folder/log" >&2; exit 1; }
ls "$folder"/carousel_*.deb
