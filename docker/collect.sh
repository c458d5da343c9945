#!/bin/sh
# collect.sh ARCH FOLDER: build Carousel for amd64 or arm64. FOLDER/bare then holds the root of a file
# system that runs it: the program, the shared libraries that it loads, a user, the folder where models are
# mounted, and the list of what is in it (SPDX). FOLDER/zoo holds the bundled models. All files have the
# time SOURCE_DATE_EPOCH, so that two builds of one commit are the same.
set -eu
arch=$1 root=$2/bare zoo=$2/zoo/usr/share/carousel/zoo
triplet=x86_64-linux-gnu
[ "$arch" != arm64 ] || triplet=aarch64-linux-gnu
tool=
[ "$arch" = "$(dpkg --print-architecture)" ] || tool=$triplet-

# A program of another machine cannot print its completions; they are not kept anyway.
PKG_CONFIG_LIBDIR=/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig \
    make install DESTDIR="$root" PREFIX=/usr CC="${tool}gcc" STRIP="${tool}strip" ${tool:+EXECUTE=:} \
    ${VERSION:+VERSION="$VERSION"}

# add_needed FILE: copy the libraries that FILE names, and those that these name. dlopen adds none, except OpenBLAS,
# which is left out.
add_needed() {
    for name in $("${tool}readelf" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'); do
        for folder in /lib/$triplet /usr/lib/$triplet /lib /lib64; do
            [ -e "$folder/$name" ] || continue
            [ ! -e "$root/usr/lib/$triplet/$name" ] || break
            mkdir -p "$root/usr/lib/$triplet"
            cp -L "$folder/$name" "$root/usr/lib/$triplet/$name"
            realpath "$folder/$name" >>"$root/libraries"
            add_needed "$folder/$name"
            break
        done
    done
}
add_needed "$root/usr/bin/carousel"
# What the program has built in.
echo /usr/share/javascript/dygraphs/dygraph.min.js >>"$root/libraries"
# The loader, under the name that the program asks for.
loader=$("${tool}readelf" -l "$root/usr/bin/carousel" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
mkdir -p "$root$(dirname "$loader")"
cp -L "$loader" "$root$loader" 2>/dev/null || cp -L "/usr/lib/$triplet/$(basename "$loader")" "$root$loader"

mkdir -p "$root/etc" "$root/models" "$root/tmp"
echo 'carousel:x:10001:10001::/:/nonexistent' >"$root/etc/passwd"
echo 'carousel:x:10001:' >"$root/etc/group"
mkdir -p "$(dirname "$zoo")"
mv "$root/usr/share/carousel/zoo" "$zoo"
rm -rf "$root/usr/share/bash-completion" "$root/usr/bin/carousel-import"
sort -u "$root/libraries" | docker/sbom.sh "$arch" "$root" "${VERSION:-unversioned}" >"$2/sbom"
rm "$root/libraries"
mkdir -p "$root/usr/share/doc/carousel"
mv "$2/sbom" "$root/usr/share/doc/carousel/sbom.spdx.json"
find "$2" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
