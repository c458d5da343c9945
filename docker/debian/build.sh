#!/bin/bash
# build.sh FOLDER: make FOLDER/carousel_VERSION_ARCHITECTURE.deb of the program in build/, with debhelper, and
# print its path; beside it lies that of carousel-import. The version is CHANGELOG.md's with the commit's date and name and the Debian for which the package
# is (the one that runs here), such as +debian13; DEB_VERSION says another.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
# The folder is not the debhelper user's home; if make runs this, its flags are not debhelper's.
unset MAKEFLAGS MFLAGS MAKELEVEL
system=$(. /etc/os-release && echo "$ID${VERSION_ID-}")
if [ -z "${DEB_VERSION-}" ]; then
    release=$(make -s version)
    DEB_VERSION=${release%%+*}~git$(git log -1 --format=%cd.%h --date=format:%Y%m%d.%H%M%S)+$system
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} TOP=$PWD

rm -rf "$folder/source" "$folder"/carousel_* "$folder"/carousel-import_*
mkdir -p "$folder/source"
cp -r docker/debian "$folder/source/debian"
cp docker/systemd/carousel.service docker/systemd/carousel.sysusers "$folder/source/debian/"
printf 'carousel (%s) unstable; urgency=medium\n\n  * Built from commit %s.\n\n -- %s  %s\n' "$DEB_VERSION" \
    "${COMMIT:-$(git rev-parse --short HEAD)}" "Carousel maintainers <carousel@example.org>" \
    "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" >"$folder/source/debian/changelog"
(cd "$folder/source" && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage --build=binary -d -us -uc) >"$folder/log" 2>&1 ||
    { tail -30 "$folder/log" >&2; exit 1; }
ls "$folder"/carousel_*.deb
