#!/bin/sh
# collect.sh ARCH FOLDER: build Carousel for amd64 or arm64. FOLDER/bare then holds the root of a file
# system that runs the server: the program, the shared libraries that it loads, a user, the folder where models are
# mounted, and the list of what is in it (SPDX). FOLDER/import is the same for carousel-import. FOLDER/zoo holds the
# bundled models. All files have the time SOURCE_DATE_EPOCH, so that two builds of one commit are the same.
set -eu
arch=$1 root=$2/bare import=$2/import zoo=$2/zoo/usr/share/carousel/zoo
triplet=x86_64-linux-gnu
[ "$arch" != arm64 ] || triplet=aarch64-linux-gnu
tool=
[ "$arch" = "$(dpkg --print-architecture)" ] || tool=$triplet-

# A program of another machine cannot print its completions; they are not kept anyway.
make_in() {
    PKG_CONFIG_LIBDIR=/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig \
        make "$2" DESTDIR="$1" PREFIX=/usr CC="${tool}gcc" STRIP="${tool}strip" ${tool:+EXECUTE=:} \
        ${VERSION:+VERSION="$VERSION"}
}
make_in "$root" install
make_in "$import" install-import

# add_needed ROOT FILE: copy the libraries that FILE names, and those that these name. dlopen adds none, except
# OpenBLAS, which is left out.
add_needed() {
    for name in $("${tool}readelf" -d "$2" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'); do
        for folder in /lib/$triplet /usr/lib/$triplet /lib /lib64; do
            [ -e "$folder/$name" ] || continue
            [ ! -e "$1/usr/lib/$triplet/$name" ] || break
            mkdir -p "$1/usr/lib/$triplet"
            cp -L "$folder/$name" "$1/usr/lib/$triplet/$name"
            realpath "$folder/$name" >>"$1/libraries"
            add_needed "$1" "$folder/$name"
            break
        done
    done
}

# add_system ROOT PROGRAM: what PROGRAM needs to run under ROOT, and the list of it.
add_system() {
    add_needed "$1" "$1/usr/bin/$2"
    # The loader, under the name that the program asks for.
    loader=$("${tool}readelf" -l "$1/usr/bin/$2" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
    mkdir -p "$1$(dirname "$loader")" "$1/etc" "$1/tmp"
    cp -L "$loader" "$1$loader" 2>/dev/null || cp -L "/usr/lib/$triplet/$(basename "$loader")" "$1$loader"
    echo 'carousel:x:10001:10001::/:/nonexistent' >"$1/etc/passwd"
    echo 'carousel:x:10001:' >"$1/etc/group"
    sort -u "$1/libraries" | docker/sbom.sh "$arch" "$1" "$2" "${VERSION:-unversioned}" >"$1.sbom"
    rm "$1/libraries"
    mkdir -p "$1/usr/share/doc/carousel"
    mv "$1.sbom" "$1/usr/share/doc/carousel/sbom.spdx.json"
}

mkdir -p "$root/models" "$import/work" "$(dirname "$zoo")"
mv "$root/usr/share/carousel/zoo" "$zoo"
rm -rf "$root/usr/share/bash-completion"
# What the server has built in.
echo /usr/share/javascript/dygraphs/dygraph.min.js >>"$root/libraries"
add_system "$root" carousel
add_system "$import" carousel-import
find "$2" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
